"""Where papers come from: one module a source, found by the name of its `data` config.

A source is a module here with `SYNTHETIC`, `records` and `paper`, and a file of the same name in
`configs/data`; nothing else names it. Reading is apart from understanding, so that the records of
any source can be shared out among processes.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

from shelfmark.arxiv.papers import BadRecordError, BrokenRecord, Paper
from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.errors import ShelfmarkError


class Source(Protocol):
    """What a module of this package offers."""

    SYNTHETIC: bool

    def records(self, path: Location | None, **options: Any) -> Iterator[tuple[int, Any]]:
        """Stream the raw records of a file, or made ones, each with its line counted from 1."""

    def paper(self, record: Any) -> Paper:
        """Return the paper in a raw record, or raise BadRecordError with the reason."""


def find(name: str) -> Source:
    """Return the source of that name.

    Raises:
        ShelfmarkError: there is none; lists those there are.
    """
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in names:
        raise ShelfmarkError(f"data.source: no source {name!r}; there are {', '.join(names)}")
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def records(name: str, path: Location | None, options: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Return the numbered raw records of a source, its options checked against what it takes.

    Raises:
        ShelfmarkError: no such source, an option it does not take, or a path it cannot read.
    """
    source = find(name)
    takes = list(inspect.signature(source.records).parameters)[1:]
    for option in options:
        if option not in takes:
            known = ", ".join(takes) or "none"
            raise ShelfmarkError(f"data.options.{option}: source {name} takes {known}")
    return source.records(path, **options)


def understand(name: str, numbered: Iterable[tuple[int, Any]]) -> Iterator[Paper | BrokenRecord]:
    """Return the paper of each raw record of a source, or what is broken about it, in order."""
    paper = find(name).paper
    for line, record in numbered:
        try:
            yield paper(record)
        except BadRecordError as error:
            yield BrokenRecord(line, str(error))


def stream(
    name: str, path: Location | None, options: dict[str, Any]
) -> Iterator[Paper | BrokenRecord]:
    """Return the papers of a source in the order of the file, broken records in their place."""
    return understand(name, records(name, path, options))


def digest(name: str, path: Location | None, options: dict[str, Any]) -> str:
    """Return the SHA-256 of what a source reads: the file, or the papers it makes."""
    if path is not None:
        return files.sha256(files.require_file(path, "data.path"))
    sum_ = hashlib.sha256()
    for paper in stream(name, None, options):
        sum_.update(repr(paper).encode())
    return sum_.hexdigest()
