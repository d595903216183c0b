"""Bodies packed by gzip, however they arrive."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.service.limits.unpacking import MAX_MEMBERS, Unpacker
from shelfmark.service.responses import RefusedError

PIECE = 100
RUNS = st.builds(lambda byte, count: byte * count, st.binary(max_size=3), st.integers(0, 5000))
TEXTS = st.binary(max_size=500) | RUNS


def unpack(packed: bytes, sizes: list[int]) -> list[bytes]:
    """Return the pieces that a body unpacks to, of which parts of these sizes arrive."""
    unpacker, pieces, begin = Unpacker(PIECE), [], 0
    for size in [*sizes, len(packed)]:
        pieces += unpacker.unpack(packed[begin : begin + size])
        begin += size
    unpacker.end()
    return pieces


@given(st.lists(TEXTS, min_size=1, max_size=4), st.lists(st.integers(0, 50)), st.integers(0, 9))
def test_every_body_is_unpacked_in_pieces_of_a_bounded_size(
    members: list[bytes], sizes: list[int], level: int
) -> None:
    pieces = unpack(b"".join(gzip.compress(member, level) for member in members), sizes)
    assert b"".join(pieces) == b"".join(members)
    assert all(0 < len(piece) <= PIECE for piece in pieces)


@given(TEXTS, st.lists(st.integers(0, 50)), st.data())
def test_no_body_that_is_cut_is_taken_as_whole(
    content: bytes, sizes: list[int], data: st.DataObject
) -> None:
    packed = gzip.compress(content)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    with pytest.raises(RefusedError):
        unpack(cut, sizes)


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 50)))
def test_what_is_not_gzip_is_refused_without_another_error(body: bytes, sizes: list[int]) -> None:
    with pytest.raises(RefusedError):
        unpack(b"{" + body, sizes)


def test_no_piece_is_unpacked_before_it_is_asked_for() -> None:
    packed = gzip.compress(bytes(10_000_000))
    pieces = Unpacker(PIECE).unpack(packed)
    assert sum(len(next(pieces)) for _ in range(3)) == 3 * PIECE


def test_the_number_of_members_is_bounded() -> None:
    assert unpack(MAX_MEMBERS * gzip.compress(b""), []) == []
    with pytest.raises(RefusedError):
        unpack((MAX_MEMBERS + 1) * gzip.compress(b""), [])
