"""Text of any usual encoding reads the same, and what is no text is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shelfmark.core.formats.records import open_lines
from shelfmark.core.formats.signatures import UNREADABLE, UNREADABLE_TEXT
from shelfmark.core.formats.streams import CHUNK
from shelfmark.errors import ShelfmarkError

TEXT = "Poincaré – a robot\nover 3 µm\n" + "and more words of English\n" * 50
PLAIN = "A robot\nand a galaxy\n" * 20


def read(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with open_lines(path) as lines:
        return b"".join(lines).decode()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le",
                 "utf-32-be", "cp1252"],
)  # fmt: skip
def test_any_encoding_reads_the_same(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path / "a.txt", TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-32-be"])
def test_a_byte_order_mark_of_the_other_order(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path / "a.txt", f"\ufeff{TEXT}".encode(encoding)) == TEXT


def test_an_encoding_that_is_not_utf8_is_named_once(tmp_path: Path, log: Callable[[], str]) -> None:
    assert read(tmp_path / "a.txt", TEXT.encode("cp1252")) == TEXT
    assert log() == f"WARNING {tmp_path}/a.txt: not UTF-8, read as Windows-1252 (Latin-1)\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("shift", range(3))
def test_lines_end_as_any_system_ends_them(
    tmp_path: Path, encoding: str, end: str, shift: int
) -> None:
    """Also where a piece ends between the two signs of an end."""
    text = "x" * (CHUNK - 2 + shift) + "\n" + PLAIN + "cut\n\n"
    assert read(tmp_path / "a.txt", text.replace("\n", end).encode(encoding)) == text


def test_ends_of_several_systems_in_one_file(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"one\rtwo\nthree\r\nfour\r") == "one\ntwo\nthree\nfour\n"


@pytest.mark.parametrize(
    "text", ["Робот и галактика. ", "ロボットと銀河。", "机器人和星系。"], ids=["ru", "ja", "zh"]
)
@pytest.mark.parametrize("encoding", ["koi8-r", "cp1251", "shift-jis", "euc-jp", "gb18030"])
def test_another_encoding_is_refused_not_guessed(tmp_path: Path, text: str, encoding: str) -> None:
    try:
        content = (text * 20).encode(encoding)
    except UnicodeEncodeError:
        pytest.skip("has no such letters")
    with pytest.raises(ShelfmarkError, match=r"a\.txt: is neither UTF-8, UTF-16 nor Latin-1"):
        read(tmp_path / "a.txt", content)


def test_utf16_that_ends_in_the_middle_of_a_sign(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"a\.txt: begins as UTF-16-LE, and goes on as no"):
        read(tmp_path / "a.txt", TEXT.encode("utf-16")[:-1])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a PDF document", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        (
            "an old Word, Excel or PowerPoint document",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
        ),
        ("an image", b"\x89PNG\r\n\x1a\n\0\0"),
        ("an SQLite database", b"SQLite format 3\0" + bytes(99)),
        ("a 7z archive", b"7z\xbc\xaf\x27\x1c\0\4"),
        ("a NumPy array", b"\x93NUMPY\1\0v\0{'descr'"),
        ("an ORC file", b"ORC\x08\1"),
        ("an encrypted Parquet file", b"PARE\x15"),
        ("an HTML page", b"\n<!DOCTYPE html><html><body>Not found</body></html>"),
        ("an XML document", b"<?xml version='1.0'?><feed/>"),
        ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
        ("a DVC pointer", b"outs:\n- md5: 1f\n  path: a\n"),
        ("a BibTeX file", b"@article{key,\n title={Robots}}"),
        ("binary data of an unknown kind", bytes(range(256)) * 9),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ShelfmarkError, match=rf"papers\.jsonl: seems to be {name}"):
        read(tmp_path / "papers.jsonl", content)


def test_every_name_reads_well_in_an_error() -> None:
    assert all(name.startswith(("a ", "an ")) for name in (*UNREADABLE, *UNREADABLE_TEXT))
