"""A segment on disk: a folder of papers that is written once and never changed.

`card.json` holds the SHA-256 and the size of each file, and the type and shape of each array.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import orjson
from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from shelfmark.artifacts.card import (
    MOST_FILES,
    STRICT,
    FileName,
    Sha256,
    Text,
    describe_invalid,
    read_card_file,
)
from shelfmark.core import files, npy
from shelfmark.core.arrays import Array
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError
from shelfmark.search.filters import Columns
from shelfmark.search.papers import FILE, PaperStore
from shelfmark.search.vectors.stored import RowFile, StoredVectors

CARD = "card.json"
VECTORS, SCALES = "vectors.npy", "scales.npy"
PRIMARY, CATEGORIES, DAYS = "primary.npy", "categories.npy", "days.npy"
SMALL = 16 << 20  # bytes of a file whose digest is checked even where only sizes are
AGAIN = "build the index again"


@dataclass(frozen=True)
class FileState:
    """A file of a segment: its SHA-256 and its number of bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class SegmentCard:
    """What is known of a segment.

    Args:
        papers: number of papers, deleted ones too.
        size: the numbers of a vector.
        categories: that occur, in the order of their numbers.
        method: of its vector search, "" for a block of an unfinished index, which has none.
        settings: of the method.
        files: each file but the card.
        arrays: the type and the shape of the array in each .npy file.
        format: of a segment.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    papers: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=1)]
    categories: list[Text]
    method: Text = ""
    settings: dict[Text, Any] = field(default_factory=dict)
    files: Annotated[dict[FileName, FileState], Field(max_length=MOST_FILES)]
    arrays: dict[FileName, Annotated[ArraySpec, PlainValidator(ArraySpec.from_json)]]
    format: Literal[1] = 1

    def to_json(self) -> bytes:
        """Return the content of `card.json`."""
        values = vars(self) | {
            "files": {name: vars(state) for name, state in self.files.items()},
            "arrays": {name: spec.to_json() for name, spec in self.arrays.items()},
        }
        return orjson.dumps(values, option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Return the card of a file.

        Raises:
            ShelfmarkError: it is damaged.
        """
        try:
            card: Self = TypeAdapter(cls).validate_json(content)
        except ValidationError as error:
            raise ShelfmarkError(describe_invalid(error)) from error
        return card


class SegmentFiles:
    """The files of a segment, each as its card says.

    Args:
        folder: of the segment.
        card: of the segment.

    Raises:
        ShelfmarkError: as its methods: a file is missing or damaged.
    """

    def __init__(self, folder: Path, card: SegmentCard) -> None:
        self.folder = folder
        self._card = card
        self._mapped: dict[str, mmap.mmap] = {}

    def check(self, whole: bool = True) -> None:
        """Check the size of each file, and its digest.

        Args:
            whole: whether large files are digested too, at 1 GB a second or so.

        Raises:
            ShelfmarkError: a file is missing or damaged.
        """
        for name, state in self._card.files.items():
            path = self.folder / name
            try:
                with files.open_regular(path) as file:
                    right = path.stat().st_size == state.bytes
                    if right and (whole or state.bytes <= SMALL):
                        # Read, not mapped: the pages of a mapped file count as memory.
                        right = hashlib.file_digest(file, "sha256").hexdigest() == state.sha256
            except OSError as error:
                raise ShelfmarkError(f"{path} cannot be read: {error.strerror}; {AGAIN}") from error
            if not right:
                raise ShelfmarkError(f"{path} is damaged: not the file its card names; {AGAIN}")

    def array(self, name: str) -> Array:
        """Return the array of a .npy file, mapped, of the shape on the card; it is read-only.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        try:
            return npy.view_array(self.content(name), self.spec(name))
        except npy.SpecError as error:
            raise ShelfmarkError(f"{self.folder / name} is damaged: {error}; {AGAIN}") from error

    def content(self, name: str) -> memoryview:
        """Return the content of a file, mapped; it cannot be written to.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        if name not in self._mapped:
            path = self.folder / name
            try:
                with files.open_regular(path) as file:
                    self._mapped[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:  # the second for an empty file
                raise ShelfmarkError(f"{path} cannot be read: {error}; {AGAIN}") from error
        return memoryview(self._mapped[name])

    def checked_content(self, name: str) -> memoryview:
        """Return the content of a file, mapped, after its digest is checked.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        content = self.content(name)
        state = self._card.files.get(name)
        if state is None or hashlib.sha256(content).hexdigest() != state.sha256:
            path = self.folder / name
            raise ShelfmarkError(f"{path} is damaged: not the file its card names; {AGAIN}")
        return content

    def spec(self, name: str) -> ArraySpec:
        """Return the type and the shape of the array in a .npy file.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        if name not in self._card.arrays:
            raise ShelfmarkError(f"{self.folder / CARD} names no array {name}; {AGAIN}")
        return self._card.arrays[name]

    def release(self) -> None:
        """Let the system take back the pages that have been read; they are read again if needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._mapped.values():
                mapped.madvise(mmap.MADV_DONTNEED)


class Segment:
    """A segment that is open for reading.

    Args:
        folder: of the segment.
        card: of the segment.

    Attributes:
        name: of its folder.
        vectors: of its papers.
        columns: what its papers are filtered by.
        papers: their metadata and texts.

    Raises:
        ShelfmarkError: a file is missing or damaged.
    """

    def __init__(self, folder: Path, card: SegmentCard) -> None:
        self.folder, self.card, self.name = folder, card, folder.name
        self.files = SegmentFiles(folder, card)
        self.columns = Columns(
            card.categories,
            self.files.array(PRIMARY),
            self.files.array(CATEGORIES),
            self.files.array(DAYS),
        )
        scales, spec = self.files.array(SCALES), self.files.spec(VECTORS)
        self._require_lengths(spec.shape, scales.shape)
        self.papers = PaperStore(folder / FILE)
        self._rows = RowFile(folder / VECTORS, spec)
        self.vectors = StoredVectors(self._rows, scales)

    def __len__(self) -> int:
        return self.card.papers

    def _require_lengths(self, *shapes: tuple[int, ...]) -> None:
        shapes = *shapes, self.columns.primary.shape, self.columns.days.shape
        packed = (len(self.card.categories), (len(self) + 7) // 8)
        if {shape[0] for shape in shapes} != {len(self)} or self.columns.categories.shape != packed:
            raise ShelfmarkError(f"{self.folder / CARD}: arrays of different lengths; {AGAIN}")

    def close(self) -> None:
        """Close the vectors and the papers."""
        self._rows.close()
        self.papers.close()


def read_card(folder: Path) -> tuple[SegmentCard, str]:
    """Return the card of a segment and its SHA-256.

    Raises:
        ShelfmarkError: it is missing or damaged.
    """

    def parse(content: bytes) -> tuple[SegmentCard, str]:
        return SegmentCard.from_json(content), hashlib.sha256(content).hexdigest()

    missing = f"{folder / CARD} cannot be read: it is missing; {AGAIN}"
    return read_card_file(folder / CARD, parse, missing, AGAIN)


def write_card(folder: Path, arrays: Mapping[str, ArraySpec], **values: Any) -> str:
    """Write the card of a segment whose other files are written, and return its SHA-256.

    Args:
        folder: of the segment.
        arrays: the type and the shape of the array in each .npy file.
        values: the other keys of the card.

    Raises:
        ShelfmarkError: the disk is full.
    """
    states = {
        path.name: FileState(files.sha256(path), path.stat().st_size)
        for path in sorted(folder.iterdir())
    }
    content = SegmentCard(files=states, arrays=dict(arrays), **values).to_json()
    with files.report_write_errors(folder):
        (folder / CARD).write_bytes(content)
    return hashlib.sha256(content).hexdigest()
