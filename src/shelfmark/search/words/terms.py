"""The words of texts for a search by words, each as a hash of 64 bits.

No table of strings is stored: a word of a query is found by its hash, which is the same in every
process. Of a million words, two share a hash with a probability below one in ten million.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from shelfmark.arxiv.text import clean_text
from shelfmark.core import marks
from shelfmark.core.arrays import Array, Ints

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Letters = np.ndarray[Any, np.dtype[np.uint8]]

LONGEST = 64  # bytes of a word that count
STEP = 8  # bytes that are hashed at a time
FEWEST = 2  # bytes of a word
GAP, HYPHEN = 0, ord("-")
SKIPPED = np.uint64(0)  # in place of the hash of a word that is left out
# Words of which almost every abstract has some; none says what a paper is about.
STOP_WORDS = (
    "about above after all also although an and any are as at be been being between both but by "
    "can could do does during each either et for from had has have here how however if in into "
    "is it its may more most no nor not of on only or other our over same should since so some "
    "such than that the their them then there these they this those through thus to under up us "
    "via was we were what when where whether which while who will with within without would"
)
SPELLINGS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ß": "ss"}
    | dict.fromkeys("‐‑‒–−", "-")  # hyphens and dashes within compounds
)
# Beyond ASCII and no part of a word.
OTHER = re.compile(r"[^\x00-\x7f\w]")
# TeX's signs within a formula: H$_{2}$O is the word H2O.
SUBSCRIPTS = (("_{", ""), ("^{", ""))
DELETED = b"$_}^"
_KEPT = [c >= 128 or chr(c).isalnum() or c == HYPHEN for c in range(256)]
_FOLDED = bytes(ord(chr(c).lower()) if c < 128 else c for c in range(256))
_TABLE = bytes(folded if kept else GAP for folded, kept in zip(_FOLDED, _KEPT, strict=True))
# The part of a load of eight bytes that belongs to a word with so many bytes left.
_MASKS = np.array([256**size - 1 for size in range(STEP + 1)], np.uint64)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33))
_SEED = np.uint64(0x9E3779B97F4A7C15)


class TextWords(NamedTuple):
    """The words of some texts.

    Attributes:
        hashes: of all words, text after text, uint64 of shape (words,).
        counts: the number of words of each text, int64 of shape (texts,).
    """

    hashes: Hashes
    counts: Ints


def hash_words(texts: Sequence[str]) -> TextWords:
    """Return the words of texts, without those of one character and the `STOP_WORDS`.

    Case, accents and the s of a plural make no difference. A compound with hyphens counts by its
    parts, and as one word as well: *multi-scale* has the words multi, scale and multiscale. A text
    may be cleaned by `clean_text` or not.
    """
    encoded = [_fold(text) for text in texts]
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    letters = np.frombuffer(b"\0".join([*encoded, bytes(STEP)]), np.uint8).copy()
    hyphens = letters == HYPHEN
    letters[hyphens] = GAP
    words = _Words.find(letters)
    compounds, places = words.join(hyphens)
    joined, parts = compounds.hash(), words.hash()
    known, extra = parts != SKIPPED, joined != SKIPPED
    starts, places = words.starts[known], places[extra]
    ends = np.cumsum(sizes + 1)
    counts = _count_until(starts, ends) + _count_until(places, ends)
    hashes = np.insert(parts[known], np.searchsorted(starts, places), joined[extra])
    return TextWords(hashes, counts)


@dataclass
class _Words:
    """Words in the letters of texts, which a zero byte ends.

    Args:
        letters: UTF-8 in lower case, with at least `STEP` zero bytes at the end.
        starts: the place of each word's first letter, int64 of shape (words,).
        sizes: the bytes of each word.
    """

    letters: Letters
    starts: Ints
    sizes: Ints

    @classmethod
    def find(cls, letters: Letters) -> Self:
        """Return all words of at least one letter."""
        edges = np.flatnonzero(np.diff(letters != GAP, prepend=False))
        return cls(letters, edges[::2], edges[1::2] - edges[::2])

    def join(self, hyphens: Array) -> tuple[Self, Ints]:
        """Return the compounds without their hyphens, and where in the texts they begin."""
        ends = self.starts[:-1] + self.sizes[:-1]
        linked = np.zeros(len(self.starts) + 1, bool)  # to the word before
        linked[1:-1] = hyphens[ends] & (self.starts[1:] == ends + 1)
        heads = ~linked[:-1] & linked[1:]
        members = np.flatnonzero(heads | linked[:-1])
        sizes, first = self.sizes[members], np.flatnonzero(heads[members])
        before = np.cumsum(sizes) - sizes + np.cumsum(heads[members]) - 1
        letters = np.zeros(int(sizes.sum()) + len(first) + STEP, np.uint8)
        shifts = np.repeat(self.starts[members] - before, sizes)
        places = np.repeat(before, sizes) + _count_within(sizes)
        letters[places] = self.letters[places + shifts]
        totals = np.add.reduceat(sizes, first) if len(first) else sizes
        return type(self)(letters, before[first], totals), self.starts[members[first]]

    def hash(self) -> Hashes:
        """Return the hash of each word without its ending, `SKIPPED` for those left out.

        The letters of a plural in -ies are changed on the way.
        """
        self.cut_plurals()
        hashes = self.mix()
        hashes[(self.sizes < FEWEST) | _is_stop_word(hashes)] = SKIPPED
        return hashes

    def cut_plurals(self) -> None:
        """Leave out the -s or -es of a plural; -ies becomes -y."""
        ends = self.starts + self.sizes
        some = np.flatnonzero((self.letters[ends - 1] == ord("s")) & (self.sizes > 3))
        second, third, fourth = (self.letters[ends[some] - back] for back in (2, 3, 4))
        e = second == ord("e")
        y = e & (third == ord("i"))
        self.letters[ends[some[y]] - 3] = ord("y")
        sibilant = (third == ord("x")) | (third == ord("h"))
        sibilant |= (third == ord("s")) & (fourth == ord("s"))
        ending = (second == ord("s")) | (second == ord("u")) | (second == ord("i"))
        self.sizes[some] -= np.where(y | (e & sibilant), 2, np.where(ending, 0, 1))

    def mix(self) -> Hashes:
        """Return the hash of each word, eight bytes at a time: the finalizer of MurmurHash3."""
        sizes = np.minimum(self.sizes, LONGEST)
        loads: Array = np.ndarray(len(self.letters) - STEP + 1, "<u8", self.letters, strides=(1,))
        masked = loads[self.starts] & _MASKS[np.minimum(sizes, STEP)]
        hashes = _mix_bits(masked ^ (sizes.view(np.uint64) * _SEED))
        for done in range(STEP, LONGEST, STEP):
            some = np.flatnonzero(sizes > done)
            masked = loads[self.starts[some] + done] & _MASKS[np.minimum(sizes[some] - done, STEP)]
            hashes[some] = _mix_bits(hashes[some] ^ masked)
        return hashes


def _mix_bits(values: Hashes) -> Hashes:
    """Return a hash of each integer, different for different integers."""
    first, second, bits = _MIX
    values = (values ^ (values >> bits)) * first
    values = (values ^ (values >> bits)) * second
    return np.asarray(values ^ (values >> bits))


@functools.cache
def _stop_hashes() -> Hashes:
    """Return the hashes of the stop words, ascending."""
    letters = np.frombuffer(STOP_WORDS.encode().translate(_TABLE) + bytes(STEP), np.uint8).copy()
    words = _Words.find(letters)
    words.cut_plurals()
    return np.unique(words.mix())


def _is_stop_word(hashes: Hashes) -> Array:
    stop = _stop_hashes()
    places = np.minimum(np.searchsorted(stop, hashes), len(stop) - 1)
    return np.asarray(stop[places] == hashes)


def _count_until(places: Ints, ends: Ints) -> Ints:
    """Return how many of the places, ascending, lie before each end and not before the last one."""
    return np.diff(np.searchsorted(places, ends), prepend=0)


def _count_within(sizes: Ints) -> Ints:
    """Return 0, 1, … for each of the runs of these sizes."""
    return np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _fold(text: str) -> bytes:
    """Return a text in lower case as UTF-8, with zero bytes for what is no part of a word."""
    if not text.isascii() or "\\" in text:
        text = clean_text(text)
    if not text.isascii():
        text = marks.remove_long_runs(text.lower().translate(SPELLINGS))
        parts = unicodedata.normalize("NFKD", text)
        text = "".join([sign for sign in parts if not unicodedata.combining(sign)])
        text = OTHER.sub(" ", text.lower())
    if "{" in text:
        for sign, instead in SUBSCRIPTS:
            text = text.replace(sign, instead)
    return text.encode("utf-8", "replace").translate(_TABLE, DELETED)
