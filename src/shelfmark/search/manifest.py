"""The manifest of an index: which segments make it up, which of their papers are deleted.

Every change of an index is one atomic replacement of `manifest.json`. A reader that has opened the
segments of an older one goes on reading them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from shelfmark.artifacts.card import STRICT, Sha256, Text, describe_invalid, read_card_file
from shelfmark.config.schema import VERSION
from shelfmark.core import files
from shelfmark.core.arrays import Ints
from shelfmark.errors import ShelfmarkError
from shelfmark.search.filters import Mask
from shelfmark.search.segment import AGAIN

MANIFEST = "manifest.json"
SEGMENTS = "segments"  # folder of the segments
DELETED = "deleted"  # folder of the deleted rows
MOST_BYTES = 1 << 22
BUILD = "build one with shelfmark index"

Name = Annotated[str, Field(pattern=VERSION)]


@dataclass(frozen=True, kw_only=True)
class DeletedRows:
    """The deleted papers of a segment.

    Args:
        file: of their rows, int64 without a header, in the folder `deleted`.
        sha256: of the file.
        count: how many there are.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    file: Name
    sha256: Sha256
    count: Annotated[int, Field(ge=1)]

    def read(self, index: Path, papers: int) -> Mask:
        """Return which papers of the segment are deleted, shape (papers,).

        Raises:
            ShelfmarkError: the file is missing or damaged.
        """
        path = index / DELETED / self.file
        try:
            content = files.read_bytes(path)
        except OSError as error:
            raise ShelfmarkError(f"{path} cannot be read: {error.strerror}; {AGAIN}") from error
        if hashlib.sha256(content).hexdigest() != self.sha256 or len(content) != 8 * self.count:
            raise ShelfmarkError(f"{path} is damaged; {AGAIN}")
        mask = np.zeros(papers, bool)
        mask[np.frombuffer(content, np.int64)] = True
        return mask


@dataclass(frozen=True, kw_only=True)
class SegmentEntry:
    """A segment of an index.

    Args:
        name: of its folder.
        sha256: of its card.
        papers: number of papers, deleted ones too.
        deleted: those that are deleted, None if none is.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Name
    sha256: Sha256
    papers: Annotated[int, Field(ge=1)]
    deleted: DeletedRows | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an index consists of.

    Args:
        generation: rises with every change.
        created: when it was written, in ISO 8601.
        encoder: the name of the encoder that made the vectors.
        encoder_sha256: its digest.
        size: the numbers of a vector.
        config: of the index: the sections `index` and `engine`, and `seed`.
        segments: the largest first, as they were added.
        synthetic: whether the papers are made up.
        sources: the files that papers were read from, with how many papers each gave.
        format: of an index.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    generation: Annotated[int, Field(ge=1)]
    created: Text
    encoder: Name
    encoder_sha256: Sha256
    size: Annotated[int, Field(ge=1)]
    config: dict[Text, Any]
    segments: list[SegmentEntry]
    synthetic: bool = False
    sources: list[dict[Text, Any]] = field(default_factory=list)
    format: Literal[1] = 1

    @property
    def papers(self) -> int:
        """The number of papers, without the deleted ones."""
        return sum(
            entry.papers - (entry.deleted.count if entry.deleted else 0) for entry in self.segments
        )

    def segment_folder(self, index: Path, entry: SegmentEntry) -> Path:
        """Return the folder of a segment."""
        return index / SEGMENTS / entry.name

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Return the manifest of a file.

        Raises:
            ShelfmarkError: it is damaged.
        """
        try:
            manifest: Self = TypeAdapter(cls).validate_json(content)
        except ValidationError as error:
            raise ShelfmarkError(describe_invalid(error)) from error
        return manifest

    def write(self, index: Path) -> None:
        """Replace the manifest of an index, in one step.

        Raises:
            ShelfmarkError: the disk is full.
        """
        with files.atomic_write(index / MANIFEST) as file:
            file.write(orjson.dumps(self, option=orjson.OPT_INDENT_2))


def read_manifest(index: Path) -> Manifest:
    """Return the manifest of an index.

    Raises:
        ShelfmarkError: there is no index in the folder, or its manifest is damaged or unreadable.
    """
    missing = f"no index in {index}: {BUILD}"
    return read_card_file(index / MANIFEST, Manifest.from_json, missing, AGAIN, MOST_BYTES)


def manifest_state(index: Path) -> tuple[int, int] | None:
    """Return a value that changes with the manifest of an index, None without an index.

    It costs one call of the system, so that a service may ask every second.
    """
    try:
        status = (index / MANIFEST).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def write_deleted(index: Path, entry: SegmentEntry, rows: Ints, generation: int) -> SegmentEntry:
    """Return the entry of a segment with further rows deleted, and write its file.

    Args:
        index: folder of the index.
        entry: of the segment.
        rows: to delete, besides those that are deleted.
        generation: of the manifest that will name the file.

    Raises:
        ShelfmarkError: the disk is full, or the present file is damaged.
    """
    if entry.deleted is not None:
        rows = np.union1d(np.flatnonzero(entry.deleted.read(index, entry.papers)), rows)
    rows = np.unique(rows).astype(np.int64)
    if not len(rows):
        return entry
    name = f"{entry.name}-{generation}.rows"
    content = rows.tobytes()
    with files.atomic_write(index / DELETED / name) as file:
        file.write(content)
    digest = hashlib.sha256(content).hexdigest()
    return replace(entry, deleted=DeletedRows(file=name, sha256=digest, count=len(rows)))


def require_digest(manifest: Manifest, index: Path, name: str, digest: str) -> None:
    """Check that an encoder made the vectors of an index.

    Args:
        manifest: of the index.
        index: its folder.
        name: of the encoder.
        digest: of the encoder.

    Raises:
        ShelfmarkError: another one did.
    """
    if digest != manifest.encoder_sha256:
        raise ShelfmarkError(
            f"{index}: the encoder {manifest.encoder} ({manifest.encoder_sha256[:12]}…) made this "
            f"index, not {name} ({digest[:12]}…): build it again with shelfmark index"
        )
