"""What is compressed here is whole, the same each time, and read by other programs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from shelfmark.core.formats.records import open_lines
from shelfmark.core.output.compression import COMPRESSORS, compress

CONTENT = b"".join(b'{"line": %d}\n' % number for number in range(20_000))
READERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda packed: pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read(),
}


def pack(suffix: str) -> bytes:
    file = io.BytesIO()
    with compress(file, suffix) as packed:
        for start in range(0, len(CONTENT), 1000):
            packed.write(CONTENT[start : start + 1000])
    assert not file.closed, "it belongs to the caller"
    return file.getvalue()


def test_every_compression_is_tested() -> None:
    assert set(READERS) == set(COMPRESSORS)


@pytest.mark.parametrize("suffix", READERS)
def test_any_program_reads_it_and_so_does_this_one(tmp_path: Path, suffix: str) -> None:
    packed = pack(suffix)
    assert len(packed) < len(CONTENT) / 3
    assert READERS[suffix](packed) == CONTENT
    assert pack(suffix) == packed, "it holds neither a time nor a name"
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed)
    with open_lines(path) as file:
        assert b"".join(file) == CONTENT


def test_without_a_suffix_the_bytes_stay_as_they_are() -> None:
    assert pack("") == CONTENT


@pytest.mark.parametrize("suffix", READERS)
def test_a_failure_leaves_a_file_that_is_seen_to_be_cut(tmp_path: Path, suffix: str) -> None:
    file = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), compress(file, suffix) as packed:
        packed.write(CONTENT)
        raise KeyboardInterrupt
    with pytest.raises(Exception):  # noqa: B017, PT011  each program has its own
        assert READERS[suffix](file.getvalue()) == b"", "cut before anything was written"
        raise EOFError
