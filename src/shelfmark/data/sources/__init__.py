"""The sources of papers: one module each, found by the name in `data.source`.

A source is a module here with `SYNTHETIC`, `read_records` and `parse_paper`, and a file of the same
name in `configs/data`; no other code names it. Reading and parsing are separate, so that several
processes can parse the records of any source.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

from shelfmark.arxiv.papers import BadRecordError, BrokenRecord, Paper
from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.core.formats.csv_rows import BadRow
from shelfmark.data import inputs
from shelfmark.errors import ShelfmarkError


class Source(Protocol):
    """The functions of a module of this package."""

    SYNTHETIC: bool

    def read_records(self, path: Location | None, **options: Any) -> Iterator[tuple[int, Any]]:
        """Stream the raw records, each with its line counted from 1."""

    def parse_paper(self, record: Any) -> Paper:
        """Return the paper of a raw record, or raise BadRecordError with the reason."""


def find_source(name: str) -> Source:
    """Return the source of that name.

    Raises:
        ShelfmarkError: there is no such source; lists the known ones.
    """
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in names:
        raise ShelfmarkError(f"data.source: no source {name!r}; there are {', '.join(names)}")
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def read_records(
    name: str, path: Location | None, options: dict[str, Any]
) -> Iterator[tuple[int, Any]]:
    """Return the numbered raw records of a source, after checking its options.

    Raises:
        ShelfmarkError: the source or an option is unknown, or the path cannot be read.
    """
    source = find_source(name)
    takes = list(inspect.signature(source.read_records).parameters)[1:]
    for option in options:
        if option not in takes:
            known = ", ".join(takes) or "none"
            raise ShelfmarkError(f"data.options.{option}: source {name} takes {known}")
    return source.read_records(path, **options)


def parse_records(name: str, numbered: Iterable[tuple[int, Any]]) -> Iterator[Paper | BrokenRecord]:
    """Yield the paper of each raw record of a source, a `BrokenRecord` for an unreadable one."""
    parse_paper = find_source(name).parse_paper
    for line, record in numbered:
        if isinstance(record, BadRow):
            yield BrokenRecord(line, record.reason)
            continue
        try:
            yield parse_paper(record)
        except BadRecordError as error:
            yield BrokenRecord(line, str(error))


def read_papers(
    name: str, path: Location | None, options: dict[str, Any]
) -> Iterator[Paper | BrokenRecord]:
    """Return the papers of a source in the order of the file, and its broken records."""
    return parse_records(name, read_records(name, path, options))


def find_files(data: DataConfig) -> list[Location | None]:
    """Return the files of a configuration in the order in which they are read.

    `[None]` stands for no file: for generated papers, which are read from none, or if `data.path`
    is not set.

    Raises:
        ShelfmarkError: a file is missing, unreadable or empty, or a pattern matches none.
    """
    if data.path is None or find_source(data.source).SYNTHETIC:
        return [None]
    return [*inputs.find_files(data.path, "data.path")]


def read_chunks(
    data: DataConfig, paths: Sequence[Location | None], size: int
) -> Iterator[tuple[int, list[tuple[int, Any]]]]:
    """Yield the numbered raw records of files one after the other, some at a time.

    Args:
        data: the configuration of the source.
        paths: the files, as `find_files` returns them.
        size: number of records at a time; fewer at the end of a file.

    Yields:
        The place of the file among the files, and consecutive records of it.

    Raises:
        ShelfmarkError: as `read_records`.
    """
    for place, path in enumerate(paths):
        records = read_records(data.source, path, data.options)
        while chunk := list(itertools.islice(records, size)):
            yield place, chunk


def join_digests(digests: Sequence[str]) -> str:
    """Return the digest of files in their order: that of a single file unchanged."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def source_digest(name: str, path: Location | None, options: dict[str, Any]) -> str:
    """Return the SHA-256 of the file that a source reads, or of the papers that it generates."""
    if path is not None:
        return files.sha256(files.require_file(path, "data.path"))
    source_digest = hashlib.sha256()
    for paper in read_papers(name, None, options):
        source_digest.update(repr(paper).encode())
    return source_digest.hexdigest()
