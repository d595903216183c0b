"""The sizes of the pages of a Parquet file, checked before a library unpacks one.

A page of a few bytes may unpack to gigabytes, and what the file's footer says of its size need not
be true: only the header of each page is what readers go by. Headers are structs of Thrift's compact
protocol. Sources: https://github.com/apache/parquet-format (parquet.thrift) and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.parquet as pq

TRUE, FALSE, I32, I64, BINARY, STRUCT = 1, 2, 5, 6, 8, 12  # types of a field
DATA_PAGE, DICTIONARY_PAGE = 0, 2
# Fields of the header of a page, and of its part for data or for a dictionary.
TYPE, SIZE, PACKED_SIZE, DATA, DICTIONARY = 1, 2, 3, 5, 7
VALUES, ENCODING = 1, 2
# The others repeat parts of earlier values, so that their size says nothing.
ENCODINGS = (0, 2, 3, 8)  # plain, and indices of a dictionary
DEEPEST = 3  # structs in one another

Fields = dict[int, tuple[int, Any]]  # the type and the value of each field


@dataclass(frozen=True)
class Limits:
    """What the pages of a file may hold.

    Args:
        size: bytes of all pages of a column, unpacked.
        values: of a column; in a column of lists, the items of all of them.
    """

    size: int
    values: int


def check_pages(content: memoryview, metadata: pq.FileMetaData, limits: Limits) -> None:
    """Check that the pages of each column are within limits.

    Args:
        content: the file.
        metadata: its footer, as pyarrow reads it.
        limits: of each column.

    Raises:
        ValueError: a page is not, or is of a kind that pyarrow does not write by default.
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in range(group.num_columns):
            _check_column(content, group.column(column), limits)


def _check_column(content: memoryview, column: pq.ColumnChunkMetaData, limits: Limits) -> None:
    position = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < position:
        position = column.dictionary_page_offset
    size, left = limits.size, column.num_values
    if not 0 <= left <= limits.values:
        raise ValueError(f"a column has {left:,} values, at most {limits.values:,} are read")
    # Readers go on until they have seen as many values as the footer says.
    while left > 0:
        reader = _Reader(content, position)
        header = reader.read_struct()
        size -= _number(header, SIZE)
        left -= _count_values(header)
        position = reader.position + _number(header, PACKED_SIZE)
        if size < 0:
            raise ValueError(f"a column unpacks to more than {limits.size:,} bytes")
    if left:
        raise ValueError("a column has more values than it says")


def _count_values(header: Fields) -> int:
    """Return how many values of a column a page holds."""
    kind = _number(header, TYPE)
    if kind not in (DATA_PAGE, DICTIONARY_PAGE):
        raise ValueError(f"a page is of the kind {kind}")
    type_, part = header.get(DATA if kind == DATA_PAGE else DICTIONARY, (0, {}))
    if type_ != STRUCT or _number(part, ENCODING) not in ENCODINGS:
        raise ValueError("a page has another encoding")
    values = _number(part, VALUES)
    return values if kind == DATA_PAGE else 0


def _number(fields: Fields, field: int) -> int:
    type_, value = fields.get(field, (0, -1))
    if type_ != I32 or not 0 <= value < 1 << 31:
        raise ValueError("a page has another header")
    return int(value)


class _Reader:
    """Reads structs of Thrift's compact protocol from the first byte on.

    Every method raises `ValueError` where the bytes are not of the form in which a header is
    written: fields in rising order, without lists.
    """

    def __init__(self, content: memoryview, position: int) -> None:
        if not 0 <= position < len(content):
            raise ValueError("a page lies outside the file")
        self._content = content
        self.position = position

    def read_struct(self, depth: int = 0) -> Fields:
        """Return the fields of a struct."""
        fields: Fields = {}
        field = 0
        while byte := self._read_byte():
            step, type_ = byte >> 4, byte & 15
            if not step or depth == DEEPEST:
                raise ValueError("a page has another header")
            field += step
            fields[field] = type_, self._read_value(type_, depth)
        return fields

    def _read_value(self, type_: int, depth: int) -> Any:
        if type_ in (TRUE, FALSE):
            return type_ == TRUE
        if type_ in (I32, I64):
            number = self._read_varint()
            return number >> 1 ^ -(number & 1)
        if type_ == BINARY:
            length = self._read_varint()
            self.position += length
            return None
        if type_ == STRUCT:
            return self.read_struct(depth + 1)
        raise ValueError("a page has another header")

    def _read_varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._read_byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("a page has another header")

    def _read_byte(self) -> int:
        if self.position >= len(self._content):
            raise ValueError("a page ends too early")
        self.position += 1
        return self._content[self.position - 1]
