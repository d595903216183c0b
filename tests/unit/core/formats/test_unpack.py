"""Compressions and archives: undone by their first bytes, whatever the name, and complete."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfmark.core.formats.records import open_lines
from shelfmark.core.formats.unpack import (
    COMPRESSIONS,
    MOST_LAYERS,
    TYPICAL_RATIO,
    estimate_size,
)
from shelfmark.errors import ShelfmarkError
from tests.support.packing import PACKERS, tarred, zipped

CONTENT = b"".join(b'{"line": %d, "text": "%d"}\n' % (i, i * 7919) for i in range(3000))
PACKED = {suffix: pack(CONTENT) for suffix, pack in PACKERS.items()}


def read(path: Path) -> bytes:
    with open_lines(path) as lines:
        return b"".join(lines)


def test_every_compression_is_tested() -> None:
    assert set(PACKERS) == set(COMPRESSIONS)


@pytest.mark.parametrize("suffix", ["", ".txt", *PACKERS])
@pytest.mark.parametrize("named", [True, False])
def test_any_compression_reads_the_same_bytes(tmp_path: Path, suffix: str, named: bool) -> None:
    path = tmp_path / f"papers with blanks.json{suffix.upper() if named else '.old'}"
    path.write_bytes(PACKED.get(suffix, CONTENT))
    assert read(path) == CONTENT
    with open_lines(path) as lines:
        assert list(lines) == CONTENT.splitlines(keepends=True)


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix != ".zip"])
def test_pieces_packed_one_after_another_are_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACKED[suffix] * 2)
    assert read(path) == CONTENT * 2


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", PACKERS)
def test_a_compression_in_a_compression(tmp_path: Path, outer: str, inner: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(PACKERS[outer](PACKED[inner]))
    assert read(path) == CONTENT


@pytest.mark.parametrize("outer", ["", *PACKERS])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_of_one_file(tmp_path: Path, outer: str, form: int) -> None:
    long_name = f"{'folder/' * 20}a.jsonl"  # more than a header holds
    packed = tarred({long_name: CONTENT, "._a.jsonl": b"of macOS"}, form)
    path = tmp_path / "a"
    path.write_bytes(PACKERS[outer](packed) if outer else packed)
    assert read(path) == CONTENT


def test_a_tar_of_the_first_unix_has_no_magic_number(tmp_path: Path) -> None:
    header = bytearray(tarred({"a.jsonl": CONTENT}, tarfile.USTAR_FORMAT))
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "a").write_bytes(header)
    assert read(tmp_path / "a") == CONTENT


@pytest.mark.parametrize("outer", ["", ".gz", ".zst"])
@pytest.mark.parametrize("count", [0, 2])
def test_a_tar_of_several_files_is_no_file(tmp_path: Path, outer: str, count: int) -> None:
    names = [f"{number}.jsonl" for number in range(count)] or [".DS_Store"]
    packed = tarred(dict.fromkeys(names, CONTENT))
    path = tmp_path / "a.tar"
    path.write_bytes(PACKERS[outer](packed) if outer else packed)
    with pytest.raises(ShelfmarkError, match=f"a.tar: holds {count} files.*, one is needed"):
        read(path)


@pytest.mark.parametrize("suffix", [*PACKERS, ".tar"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_file_is_reported(suffix: str, tmp_path: Path, data: st.DataObject) -> None:
    whole = PACKED.get(suffix) or tarred({"a": CONTENT})[: 512 + len(CONTENT)]
    path = tmp_path / f"cut{suffix}"
    least = 513 if suffix == ".tar" else 1
    path.write_bytes(whole[: data.draw(st.integers(least, len(whole) - 1))])
    with pytest.raises(ShelfmarkError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "damaged or truncated" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", PACKERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_raises_nothing_but_our_error(
    suffix: str, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(PACKED[suffix])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(damaged)
    try:
        read(path)
    except ShelfmarkError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_is_not_compressed_as_its_name_says_is_read(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a.json{suffix}"
    path.write_bytes(CONTENT)
    assert read(path) == CONTENT


@pytest.mark.parametrize("count", [0, 2])
def test_a_zip_holds_one_file(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(*[CONTENT] * count))
    with pytest.raises(ShelfmarkError, match=f"a.zip: holds {count} files.*, one is needed"):
        read(path)


def test_what_systems_add_to_a_zip_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("windows\\", b"")
        archive.writestr("__MACOSX/folder/._a.json", b"\0\5\x16\7")
        archive.writestr("folder/.DS_Store", b"\0")
        archive.writestr("folder\\Thumbs.db", b"\0")
        archive.writestr("folder\\a.json", CONTENT)
    assert read(path) == CONTENT


def test_a_zip_that_was_written_to_a_pipe_has_its_sizes_behind_the_data(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("a pipe")

    packed = Pipe()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", CONTENT)
    (tmp_path / "a.zip").write_bytes(packed.getvalue())
    assert read(tmp_path / "a.zip") == CONTENT


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("[Content_Types].xml", "a Word, Excel or PowerPoint document"),
        ("mimetype", "an OpenDocument or EPUB document"),
        ("META-INF/MANIFEST.MF", "a Java archive"),
    ],
)
def test_a_document_that_is_a_zip_is_named(tmp_path: Path, first: str, name: str) -> None:
    path = tmp_path / "a.csv"
    for members in ([first, "xl/workbook.xml"], ["xl/workbook.xml", first]):
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, b"x")
        with pytest.raises(ShelfmarkError, match=f"a.csv: seems to be {name}"):
            read(path)


def with_flags(packed: bytes, local: int, central: int, value: int) -> bytes:
    """Change a byte in both headers of a zip's only member."""
    changed = bytearray(packed)
    changed[local] = value
    changed[changed.index(b"PK\x01\x02") + central] = value
    return bytes(changed)


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (with_flags(zipped(CONTENT), 6, 8, 1), "encrypted"),
        (with_flags(zipped(CONTENT), 8, 10, 9), "not supported"),
    ],
)
def test_a_zip_that_python_cannot_unpack(tmp_path: Path, packed: bytes, reason: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(packed)
    with pytest.raises(ShelfmarkError, match=rf"a\.zip: .*{reason}.*unpack it first"):
        read(path)


def test_what_is_packed_again_and_again_is_refused(tmp_path: Path) -> None:
    packed = CONTENT
    for _ in range(MOST_LAYERS + 1):
        packed = lzma.compress(packed)
    (tmp_path / "a").write_bytes(packed)
    with pytest.raises(ShelfmarkError, match=f"is packed more than {MOST_LAYERS} times"):
        read(tmp_path / "a")


def test_frames_to_skip_before_zstd(tmp_path: Path) -> None:
    """Seekable and parallel writers begin with one."""
    (tmp_path / "a").write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0spam" + PACKED[".zst"])
    assert read(tmp_path / "a") == CONTENT


@pytest.mark.parametrize("suffix", ["", *PACKERS])
def test_a_size_is_estimated_by_the_name_and_that_of_a_zip_is_known(
    tmp_path: Path, suffix: str
) -> None:
    packed = PACKED.get(suffix, CONTENT)
    (path := tmp_path / f"a.json{suffix.upper()}").write_bytes(packed)
    known = len(CONTENT) if suffix in ("", ".zip") else TYPICAL_RATIO * len(packed)
    assert estimate_size(path) == known


def test_the_size_of_a_damaged_zip_is_its_own_or_more(tmp_path: Path) -> None:
    (path := tmp_path / "a.zip").write_bytes(PACKED[".zip"][:-100])
    assert estimate_size(path) >= len(PACKED[".zip"]) - 100
