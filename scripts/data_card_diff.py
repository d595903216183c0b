"""Describe the difference between data cards in Markdown: `data_card_diff.py OLD NEW`.

Each argument is a card.json or a folder of splits, such as data/. The script needs only the
standard library, so that a workflow needs no environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Card = dict[str, Any]
SPLITS = ("train", "validation", "test")
MOST = 30  # rows of a table; the length of a comment is limited


def read_cards(place: Path) -> dict[str, Card]:
    """Return the cards of a file or a folder by source."""
    files = [place] if place.is_file() else sorted(place.glob("*/card.json"))
    result: dict[str, Card] = {}
    for file in files:
        card = json.loads(file.read_text(encoding="utf-8"))
        name = str(card["source"])
        result[name if name not in result else f"{name} ({file.parent.name})"] = card
    return result


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as a flat one with dotted keys."""
    if not isinstance(node, dict):
        return {prefix: node}
    pairs: dict[str, Any] = {}
    for key, value in node.items():
        pairs |= flatten(value, f"{prefix}.{key}".lstrip("."))
    return pairs


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the differences: key, old value, new value; None if a value is missing."""
    keys = [*old, *(key for key in new if key not in old)]
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def paper_counts(card: Card) -> dict[str, Any]:
    """Return the numbers of papers read, kept, dropped by reason, and in each split."""
    dropped = {f"dropped: {reason}": n for reason, n in card.get("dropped", {}).items()}
    sizes = {f"split {name}": n for name, n in card.get("splits", {}).items()}
    return {"read": card.get("read"), "kept": card.get("kept"), **dropped, **sizes}


def label_counts(card: Card) -> dict[str, Any]:
    """Return the number of papers of each label in all splits together."""
    total: dict[str, Any] = {}
    for split in SPLITS:
        for label, number in card.get("labels", {}).get(split, {}).items():
            total[label] = total.get(label, 0) + number
    return total


def format_value(value: Any) -> str:
    """Return a value as the text of a table cell."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"`{value}`"


def format_change(old: Any, new: Any) -> str:
    """Return the change of a number, absolute and relative."""
    if not (isinstance(old, int) and isinstance(new, int)) or isinstance(old, bool):
        return ""
    return f"{new - old:+,}" + (f" ({(new - old) / old:+.1%})" if old else "")


def difference_table(title: str, differing: list[tuple[str, Any, Any]]) -> Iterator[str]:
    """Yield a table of the differences, if there are any."""
    if not differing:
        return
    ranked = sorted(differing, key=lambda row: -abs((row[2] or 0) - (row[1] or 0))) if all(
        isinstance(value, int | None) for row in differing for value in row[1:]
    ) else differing  # fmt: skip
    yield f"\n| {title} | before | now | change |\n| --- | ---: | ---: | ---: |"
    for key, old, new in ranked[:MOST]:
        yield f"| {key} | {format_value(old)} | {format_value(new)} | {format_change(old, new)} |"
    if len(ranked) > MOST:
        yield f"\nand {len(ranked) - MOST} more"


def describe_source(name: str, old: Card | None, new: Card | None) -> Iterator[str]:
    """Yield the lines on one source."""
    yield f"\n### {name}"
    if new is None:
        yield "\nis gone."
        return
    if old is None:
        yield "\nis new."
        old = {}
    settings = [*differences(flatten(old.get("config", {})), flatten(new["config"]))]
    settings += differences(
        flatten(old.get("submitted", {}), "submitted"), flatten(new["submitted"], "submitted")
    )
    settings += differences(
        {"source_sha256": old.get("source_sha256")}, {"source_sha256": new["source_sha256"]}
    )
    settings += differences({"recipe": old.get("recipe")}, {"recipe": new["recipe"]})
    settings += differences(
        flatten(old.get("schema", {}), "column"), flatten(new["schema"], "column")
    )
    lines = [
        *difference_table("papers", differences(paper_counts(old), paper_counts(new))),
        *difference_table("label", differences(label_counts(old), label_counts(new))),
        *difference_table(
            "setting", [(key, _quoted(before), _quoted(now)) for key, before, now in settings]
        ),
    ]
    if lines:
        yield from lines
    elif old.get("files") != new["files"]:
        yield "\nOther papers, the same in number: the files' digests differ."
    else:
        yield "\nNothing differs."


def _quoted(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def render_page(old: Path, new: Path) -> str:
    """Return the page on all sources of both sides."""
    before, now = read_cards(old), read_cards(new)
    lines = ["## What this changes in the data"]
    for name in sorted(before.keys() | now.keys()):
        lines += describe_source(name, before.get(name), now.get(name))
    if len(lines) == 1:
        lines.append("\nNo data card on either side.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: data_card_diff.py OLD NEW")
    try:
        sys.stdout.write(render_page(Path(sys.argv[1]), Path(sys.argv[2])))
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"error: {type(problem).__name__}: {problem}")
