"""Compressions and archives, undone one after the other until no more is left."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from shelfmark.core.files import Location, file_size, open_raw
from shelfmark.core.formats import signatures
from shelfmark.core.formats.signatures import Form
from shelfmark.core.formats.streams import Stream, spool
from shelfmark.errors import ShelfmarkError

COMPRESSIONS = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4", ".zip")
OTHER_PACKED = (".tgz", ".tbz2", ".txz", ".parquet")
MOST_LAYERS = 8  # a file that is packed in itself has no last one
TYPICAL_RATIO = 5  # of a text's size and its packed size; of papers' metadata it is 3 to 5
SHORTEST = 20  # bytes of a compressed file; fewer are what is left of one
# Files that systems add to an archive beside what a person put in.
OF_SYSTEMS = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "@PaxHeader")


@dataclass
class Content:
    """The content of a file, or of the only member of an archive.

    Args:
        stream: the bytes.
        name: the name whose suffix tells the format of a text: that of the innermost member.
        place: the name of the file in errors.
        file: what the stream reads, where it can seek: a file that is not packed.
    """

    stream: Stream
    name: str
    place: str
    file: IO[bytes] | None = None

    def seekable(self, stack: contextlib.ExitStack) -> IO[bytes]:
        """Return the content from its beginning as a file that can seek."""
        if self.file is not None:
            self.file.seek(0)
            return self.file
        return stack.enter_context(spool(self.stream))


@contextlib.contextmanager
def open_content(location: Location) -> Iterator[Content]:
    """Open a file for reading what it holds, unpacked as its first bytes say, not its name.

    Raises:
        ShelfmarkError: the file is damaged or truncated, an archive of several files, of a
            compression that nothing here reads, or cannot be reached, now or while it is read.
    """
    with contextlib.ExitStack() as stack:
        place = str(location)
        try:
            file = stack.enter_context(open_raw(location))
        except OSError as error:
            raise ShelfmarkError(f"{place}: {error.strerror or error}") from error
        content = Content(Stream(file, place), PurePosixPath(location).name, place, file)
        yield unpack(content, stack)


def estimate_size(location: Location) -> int:
    """Return about how many bytes a file holds unpacked, without unpacking it.

    A local ZIP archive names the size; of other packed files, known by their names, it is a typical
    multiple of theirs.

    Raises:
        ShelfmarkError: the address cannot be reached.
    """
    size = file_size(location)
    if isinstance(location, Path) and location.suffix.lower() == ".zip":
        # A damaged one is reported when it is read.
        with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(location) as archive:
            return max(size, sum(entry.file_size for entry in archive.infolist()))
    packed = PurePosixPath(location).suffix.lower() in (*COMPRESSIONS, *OTHER_PACKED)
    return TYPICAL_RATIO * size if packed else size


def unpack(content: Content, stack: contextlib.ExitStack) -> Content:
    """Return the innermost content; the stack closes what is opened for it.

    Raises:
        ShelfmarkError: as `open_content`.
    """
    for _ in range(MOST_LAYERS):
        form = signatures.identify_form(content.stream.head)
        if form is Form.ZIP:
            content = _open_zip(content, stack)
        elif form is Form.TAR:
            content = _open_tar(content, stack)
        elif form in DECOMPRESSORS:
            content = _decompress(content, DECOMPRESSORS[form])
        else:
            _refuse_rest_of_packed(content)
            return content
    raise ShelfmarkError(
        f"{content.place}: is packed more than {MOST_LAYERS} times; unpack it first"
    )


def _arrow(codec: str) -> Callable[[Any], Any]:
    def decompress(file: Any) -> Any:
        import pyarrow as pa  # imported here because the service runs without it

        return pa.CompressedInputStream(file, codec)

    return decompress


DECOMPRESSORS: dict[Form | None, Callable[[Any], Any]] = {
    Form.GZIP: gzip.open,
    Form.BZIP2: bz2.open,
    Form.XZ: lzma.open,
    Form.LZMA: lzma.open,
    Form.ZSTD: _arrow("zstd"),
    Form.LZ4: _arrow("lz4"),
}


def _decompress(content: Content, decompressor: Callable[[Any], Any]) -> Content:
    name = PurePosixPath(content.name)
    packed = name.suffix.lower() in COMPRESSIONS
    source = decompressor(content.stream.with_buffer())
    if name.suffix.lower() == ".tgz":
        name, packed = name.with_suffix(".tar"), False
    return Content(Stream(source, content.place), name.stem if packed else name.name, content.place)


def _refuse_rest_of_packed(content: Content) -> None:
    """Refuse what a name says is packed, and is too short to be: the beginning of such a file."""
    packed = PurePosixPath(content.name).suffix.lower() in COMPRESSIONS
    if packed and len(content.stream.head) < SHORTEST:
        raise ShelfmarkError(f"{content.place}: damaged or truncated; fetch it again")


def _open_zip(content: Content, stack: contextlib.ExitStack) -> Content:
    place = content.place
    file = content.seekable(stack)
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
        entries = archive.infolist()
        if document := _document(entries):
            raise ShelfmarkError(f"{place}: seems to be {document}; save its table as CSV")
        members = [
            entry for entry in entries if not entry.is_dir() and _by_a_person(entry.filename)
        ]
        _require_one(place, [member.filename for member in members])
        opened = stack.enter_context(archive.open(members[0]))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ShelfmarkError(f"{place}: damaged or truncated ({error}); fetch it again") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or an unknown method
        raise ShelfmarkError(f"{place}: {error}; unpack it first") from error
    return Content(Stream(opened, place), _last_part(members[0].filename), place)


def _document(entries: list[zipfile.ZipInfo]) -> str:
    # Most programs write that member first, some last.
    ends = [entry.filename for entry in (*entries[:1], *entries[-1:])]
    for start, name in signatures.ZIP_DOCUMENTS.items():
        if any(member.startswith(start) for member in ends):
            return name
    return ""


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]  # some systems write backslashes


def _by_a_person(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(parts[-1]) and not (set(parts) & set(OF_SYSTEMS)) and not parts[-1].startswith("._")


def _require_one(place: str, names: list[str]) -> None:
    if len(names) != 1:
        shown = f" ({', '.join(map(_last_part, names[:3]))}{', …' * (len(names) > 3)})" * bool(
            names
        )
        raise ShelfmarkError(
            f"{place}: holds {len(names)} files{shown}, one is needed; unpack it first"
        )


def _open_tar(content: Content, stack: contextlib.ExitStack) -> Content:
    try:
        archive = tarfile.open(fileobj=content.stream.with_buffer(), mode="r|")  # noqa: SIM115
        stack.callback(archive.close)
        members = (entry for entry in archive if entry.isfile() and _by_a_person(entry.name))
        first = next(members, None)
        if first is None:
            _require_one(content.place, [])
        assert first is not None
        member = _OnlyMember(archive.extractfile(first), members, content.place, first.name)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ShelfmarkError(
            f"{content.place}: damaged or truncated ({error}); fetch it again"
        ) from error
    return Content(Stream(member, content.place), _last_part(first.name), content.place)


class _OnlyMember:
    """The first member of a tar, whose end is an error if another follows: a tar has no index."""

    def __init__(self, file: Any, others: Iterator[tarfile.TarInfo], place: str, name: str) -> None:
        self._file = file
        self._others = others
        self._place = place
        self._name = name

    def read(self, size: int) -> bytes:
        piece: bytes = self._file.read1(size)
        if not piece and (other := next(self._others, None)):
            _require_one(self._place, [self._name, other.name])
        return piece
