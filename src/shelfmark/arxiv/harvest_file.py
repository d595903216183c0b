"""The file that harvests bring up to date, and the note beside it of what was asked when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from shelfmark.arxiv.harvest_store import Place, Store
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError


@dataclass
class Counts:
    """What a harvest has done to the papers of a file."""

    new: int = 0
    changed: int = 0
    deleted: int = 0


def check(out: Path) -> None:
    """See that a file can be brought up to date, before hours of fetching.

    Raises:
        ShelfmarkError: it is a folder, of another format, or holds something else.
    """
    if out.suffix.lower() in (*files.COMPRESSIONS, ".parquet", ".csv"):
        raise ShelfmarkError(f"--out: {out} is to be JSON lines, not {out.suffix}")
    if out.is_dir():
        raise ShelfmarkError(f"--out: {out} is a folder, a file is needed")
    if out.exists() and out.stat().st_size:
        with files.open_decompressed(files.require_file(out, "--out")) as lines:
            if _id_of(_record(lines.readline())) is None:
                raise ShelfmarkError(f"--out: {out} is there and holds no papers; name another")


def merge(out: Path, store: Store) -> Counts:
    """Write the file anew: its own papers, replaced or taken out, then the new ones.

    Raises:
        ShelfmarkError: it cannot be written; the old one is then as it was.
    """
    seen: set[str] = set()
    counts = Counts()
    with files.atomic_write(out) as target:
        for line in _lines(out):
            record = _record(line)
            ident = _id_of(record)
            found = store.find(ident) if ident else None
            # A snapshot of later is not taken back.
            if ident is None or found is None or found[0] < str(record.get("update_date") or ""):
                target.write(line)
            elif found[1] is None:
                counts.deleted += 1
            elif ident not in seen:
                counts.changed += found[1] != line
                target.write(found[1])
            if ident and found:
                seen.add(ident)
        for ident, line in store.lines():
            if ident not in seen:
                counts.new += 1
                target.write(line)
    return counts


def _lines(out: Path) -> Iterator[bytes]:
    if out.exists():
        with files.open_decompressed(out) as lines:
            for line in lines:
                yield line.rstrip(b"\n") + b"\n"


def _record(line: bytes) -> dict[str, Any]:
    """Return the record of a line, an empty one for a line that holds none."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _id_of(record: dict[str, Any]) -> str | None:
    ident = record.get("id")
    return ident if isinstance(ident, str) else None


def _note(out: Path) -> Path:
    return out.with_name(f"{out.name}.harvest.json")


def last(out: Path) -> dict[str, date]:
    """Return for each set of a file's harvests the day from which on it may miss changes.

    Raises:
        ShelfmarkError: the note of it is damaged.
    """
    note = _note(out)
    if not out.exists() or not note.exists():
        return {}
    try:
        sets = orjson.loads(note.read_bytes())["sets"]
        return {str(spec): date.fromisoformat(day) for spec, day in sets.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShelfmarkError(f"{note}: damaged ({error}); remove it and give --since") from error


def remember(out: Path, place: Place) -> None:
    """Note for each set of a finished harvest the day when it was first asked for."""
    days = {spec: day.isoformat() for spec, day in last(out).items()}
    days |= {walk.spec: walk.began for walk in place.walks}
    with files.atomic_write(_note(out)) as file:
        style = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        file.write(orjson.dumps({"url": place.url, "sets": days}, option=style))
