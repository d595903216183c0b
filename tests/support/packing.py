"""Bytes in every compression that Shelfmark reads."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pyarrow as pa


def zipped(*contents: bytes) -> bytes:
    """Return a zip with a file for each content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.json", content)
    return packed.getvalue()


def tarred(contents: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of files by their names."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def compressed(content: bytes, codec: str) -> bytes:
    """Return bytes in one of Arrow's compressions."""
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, codec) as stream:
        stream.write(content)
    return bytes(packed.getvalue().to_pybytes())


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".zip": zipped,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lzma": functools.partial(lzma.compress, format=lzma.FORMAT_ALONE),
    ".zst": functools.partial(compressed, codec="zstd"),
    ".lz4": functools.partial(compressed, codec="lz4"),
}
