"""W&B's record of a run on disk: a header, then LevelDB's log format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

HEADER = 7  # bytes, of the file and of each chunk: CRC-32 (4), length (2), kind (1)
BLOCK = 32768  # a chunk never crosses the border of a block
WHOLE, LAST = 1, 4  # kinds; 2 and 3 begin and continue what LAST ends


def read(file: Path) -> Iterator[bytes]:
    """Yield the records of a file, each a serialised `Record`, up to where it is cut off.

    Source: https://github.com/google/leveldb/blob/main/doc/log_format.md; W&B's own header counts
    to the first block.
    """
    content, place, parts = file.read_bytes(), HEADER, b""
    while place + HEADER <= len(content):
        room = BLOCK - place % BLOCK
        if room < HEADER:  # filled up with zeros
            place += room
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind, start = content[place + 6], place + HEADER
        if start + length > len(content):
            return
        parts += content[start : start + length]
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
        place = start + length
