"""Markdown of a report: tables, and marks that say from which figures a number comes.

A mark is a comment that no reader sees, `<!-- from five-test five-test/per_class -->`. It holds for
what follows, up to the next mark or heading: the numbers there stand among the numbers at the head
of `figures/five-test/metrics.json`, or below its key `per_class`. In a table, the words in code of
a row's first cell name the model, the key or the entry that the row is about, and a mark may name
the key of each column too: `<!-- from five-test/per_class in - - precision recall -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from shelfmark.reports.collect import Run

FROM = re.compile(r"<!-- from (.*?)(?: in (.*?))? -->")
ANY = "-"  # the column of a table that no key names
BAR = re.compile(r"(?<!\\)\|")
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#!$~&])")


def mark(*sources: str, columns: Sequence[str] = ()) -> str:
    """Return the mark for what follows."""
    named = f" in {' '.join(columns)}" if columns else ""
    return f"<!-- from {' '.join(sources)}{named} -->"


def code(text: str) -> str:
    """Return a name as code, whatever stands in it."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def plain(text: str) -> str:
    """Return text of others so that no sign of it means anything in Markdown."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(
    sources: Sequence[str],
    words: Sequence[str],
    numbers: Mapping[str, str],
    rows: Iterable[Sequence[str]],
) -> list[str]:
    """Return a table, with its mark.

    Args:
        sources: where its numbers come from.
        words: heads of the first columns, which are words.
        numbers: keys of the others, which are numbers, and their heads; `ANY` for no key.
        rows: the cells.
    """
    head = [*words, *numbers.values()]
    sides = ["---"] * len(words) + ["---:"] * len(numbers)
    lines = (" | ".join(BAR.sub(r"\|", cell) for cell in row) for row in [head, sides, *rows])
    columns = [ANY] * len(words) + list(numbers)
    return [mark(*sources, columns=columns), "", *(f"| {line} |" for line in lines), ""]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines that a click unfolds."""
    return ["<details>", f"<summary>{title}</summary>", *lines, "</details>", ""]


def number(value: float | None, form: str = ".4f") -> str:
    """Return a figure, nothing where there is none."""
    return "" if value is None else format(value, form)


def moment(created: str | None) -> str:
    """Return a time as ISO 8601 to the minute."""
    return f"{created[:16].replace('T', ' ')} UTC" if created else "at a time not recorded"


def made(*runs: Run) -> list[str]:
    """Return the commands that made some runs, a paragraph each."""
    lines = []
    for run in runs:
        command = run.figures.get("command")
        by = f"Made by {code(command)}" if command else "Made by a command that was not recorded"
        told = f"{by}, {moment(run.figures.get('created'))}."
        lines += [mark(run.name), "", told, ""]
    return lines


def pictures(run: Run, alt: str) -> list[str]:
    """Return the pictures of a run, side by side where there is room."""
    shown = [
        f"![{path.stem.replace('_', ' ')} of {alt}](figures/{run.name}/{path.name})"
        for path in run.pictures
    ]
    return [" ".join(shown), ""] if shown else []
