"""Say in Markdown what changed from one data card to another: `data_card_diff.py OLD NEW`.

Each is a card.json or a folder that holds some, as data/ does. Standard library alone, so that a
workflow needs no environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Card = dict[str, Any]
SPLITS = ("train", "validation", "test")
MOST = 30  # rows of a table; a comment has a limit


def cards(place: Path) -> dict[str, Card]:
    """Return the cards of a file or a folder by their sources."""
    files = [place] if place.is_file() else sorted(place.glob("*/card.json"))
    found: dict[str, Card] = {}
    for file in files:
        card = json.loads(file.read_text(encoding="utf-8"))
        name = str(card["source"])
        found[name if name not in found else f"{name} ({file.parent.name})"] = card
    return found


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return a mapping of mappings as one, its keys joined by dots."""
    if not isinstance(node, dict):
        return {prefix: node}
    pairs: dict[str, Any] = {}
    for key, value in node.items():
        pairs |= flat(value, f"{prefix}.{key}".lstrip("."))
    return pairs


def rows(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return what differs: the key, the old and the new value, None where there was or is none."""
    keys = [*old, *(key for key in new if key not in old)]
    return [(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def counts(card: Card) -> dict[str, Any]:
    """Return how many papers there are of what."""
    dropped = {f"dropped: {reason}": n for reason, n in card.get("dropped", {}).items()}
    sizes = {f"split {name}": n for name, n in card.get("splits", {}).items()}
    return {"read": card.get("read"), "kept": card.get("kept"), **dropped, **sizes}


def by_label(card: Card) -> dict[str, Any]:
    """Return the papers of each label, of all splits together."""
    total: dict[str, Any] = {}
    for split in SPLITS:
        for label, number in card.get("labels", {}).get(split, {}).items():
            total[label] = total.get(label, 0) + number
    return total


def shown(value: Any) -> str:
    """Return a value for a table's cell."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"`{value}`"


def change(old: Any, new: Any) -> str:
    """Return by how much a number has changed."""
    if not (isinstance(old, int) and isinstance(new, int)) or isinstance(old, bool):
        return ""
    return f"{new - old:+,}" + (f" ({(new - old) / old:+.1%})" if old else "")


def table(title: str, differing: list[tuple[str, Any, Any]]) -> Iterator[str]:
    """Yield a table of what differs, nothing where nothing does."""
    if not differing:
        return
    ranked = sorted(differing, key=lambda row: -abs((row[2] or 0) - (row[1] or 0))) if all(
        isinstance(value, int | None) for row in differing for value in row[1:]
    ) else differing  # fmt: skip
    yield f"\n| {title} | before | now | change |\n| --- | ---: | ---: | ---: |"
    for key, old, new in ranked[:MOST]:
        yield f"| {key} | {shown(old)} | {shown(new)} | {change(old, new)} |"
    if len(ranked) > MOST:
        yield f"\nand {len(ranked) - MOST} more"


def compared(name: str, old: Card | None, new: Card | None) -> Iterator[str]:
    """Yield the lines about one source."""
    yield f"\n### {name}"
    if new is None:
        yield "\nis gone."
        return
    if old is None:
        yield "\nis new."
        old = {}
    settings = [*rows(flat(old.get("config", {})), flat(new["config"]))]
    settings += rows(
        flat(old.get("submitted", {}), "submitted"), flat(new["submitted"], "submitted")
    )
    settings += rows(
        {"source_sha256": old.get("source_sha256")}, {"source_sha256": new["source_sha256"]}
    )
    settings += rows({"recipe": old.get("recipe")}, {"recipe": new["recipe"]})
    settings += rows(flat(old.get("schema", {}), "column"), flat(new["schema"], "column"))
    lines = [
        *table("papers", rows(counts(old), counts(new))),
        *table("label", rows(by_label(old), by_label(new))),
        *table("setting", [(key, _quoted(before), _quoted(now)) for key, before, now in settings]),
    ]
    if lines:
        yield from lines
    elif old.get("files") != new["files"]:
        yield "\nOther papers, the same in number: the files' digests differ."
    else:
        yield "\nNothing differs."


def _quoted(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def difference(old: Path, new: Path) -> str:
    """Return the page on all sources of both sides."""
    before, now = cards(old), cards(new)
    lines = ["## What this changes in the data"]
    for name in sorted(before.keys() | now.keys()):
        lines += compared(name, before.get(name), now.get(name))
    if len(lines) == 1:
        lines.append("\nNo data card on either side.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: data_card_diff.py OLD NEW")
    try:
        sys.stdout.write(difference(Path(sys.argv[1]), Path(sys.argv[2])))
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"error: {type(problem).__name__}: {problem}")
