"""What the scope of a text is judged by: its words, pairs of words, and how sentences are built.

A text becomes a bag of columns. Most are hashed words and pairs of neighbouring words, signs
included, which tell the subject. The others are patterns: the kinds of four tokens in a row, such
as a word of grammar, a known word, a number, a comma. They tell prose from lists, code, other
languages and shuffled words, whatever the subject is.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Ints, SparseRows

BITS, KNOWN_BITS = 18, 20
HASHED = 1 << BITS  # columns of words and pairs
VOCABULARY = 1 << KNOWN_BITS  # places of known words: one in twenty-five other words has one
PATTERN = 4  # tokens in a row
# The kinds of tokens; that of no token, beyond the ends of a text, is 0.
GRAMMAR, KNOWN, UNKNOWN, NUMBER, COMMA, STOP, SIGN, WIDE = range(1, 9)
KINDS = 9
PATTERNS = KINDS**PATTERN
LENGTHS = 12  # columns of the length, by powers of two
ITEMS = 16  # columns of the longest row of items between commas, by their number
ITEM_TOKENS = 4  # at most of an item, its comma included
FIRST_LENGTH = HASHED + PATTERNS
FIRST_ITEMS = FIRST_LENGTH + LENGTHS
WIDTH = FIRST_ITEMS + ITEMS
TEXT_VALUE = 0.5  # of a text's columns of the length and of the items
A_ROW = 3  # columns of a text, and of each of its tokens

# The words that English sentences are built with, whatever they are about.
GRAMMAR_WORDS = (
    "a about above after against all along also although among an and any are as at be because "
    "been before being below between both but by can cannot could did do does doing down due "
    "during each either few for from further had has have having he her here his how however i if "
    "in into is it its itself just may me might more moreover most much must my neither no nor "
    "not of off on once one only or other our out over own same several shall she should since so "
    "some such than that the their them then there therefore these they this those through thus "
    "to too towards two under until up upon us using very via was we were what when where whereas "
    "whether which while who whom whose why will with within without would yet you your"
)
STEP, MOST_LETTERS = 8, 16  # bytes of a word that are read at a time, and that count
_SPACE, _LETTER, _SIGN = range(3)
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0xFF51AFD7ED558CCD))
_HALF, _TOP, _PLACE = np.uint64(32), np.uint64(64 - BITS), np.uint64(64 - KNOWN_BITS)
# The part of a load of eight bytes that belongs to a word with so many bytes left.
_MASKS = np.array([256**size - 1 for size in range(STEP + 1)], np.uint64)
_GRAMMAR_BITS = np.uint64(64 - 16)


def _kind_of_byte(byte: int) -> int:
    if byte <= ord(" ") or byte == 127:
        return _SPACE
    return _LETTER if byte > 127 or chr(byte).isalnum() or byte == ord("_") else _SIGN


_KINDS = np.array([_kind_of_byte(byte) for byte in range(256)], np.uint8)


@dataclass(frozen=True)
class Tokens:
    """The words and signs of some texts, a token a row; a row without a token begins each text.

    Args:
        hashes: uint64 of shape (rows,).
        first: the first byte of each token, 0 where a text begins.
        begins: the row where each text begins.
        counts: the number of tokens of each text.
    """

    hashes: Array
    first: Array
    begins: Ints
    counts: Ints

    @property
    def texts(self) -> Ints:
        """The number of each row's text, shape (rows,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts + 1)

    @property
    def columns(self) -> Ints:
        """The hashed column of each token, shape (rows,)."""
        return (self.hashes >> _TOP).astype(np.int64)

    @property
    def places(self) -> Ints:
        """The place of each token in a vocabulary, shape (rows,)."""
        return (self.hashes >> _PLACE).astype(np.int64)


@dataclass(frozen=True)
class Bag:
    """The columns of some texts, text after text.

    Args:
        rows: a text each, columns int32, values float32; a text may have a column twice.
        known: the number of different known words of each text, those of grammar not counted.
        unknown: the number of its different unknown words.
    """

    rows: SparseRows
    known: Ints
    unknown: Ints

    @property
    def matrix(self) -> sp.csr_matrix:
        """The columns as float32 CSR of shape (texts, WIDTH)."""
        shape = len(self.known), WIDTH
        rows = self.rows
        return sp.csr_matrix((rows.values, rows.columns, rows.bounds.astype(np.int32)), shape)


def read_tokens(texts: Sequence[str]) -> Tokens:
    """Return the words of texts, in lower case, and their signs, each a token of its own."""
    encoded = [text.lower().encode("utf-8", "replace") for text in texts]
    joined = b"\0".join([b"", *encoded, bytes(2 * STEP)])
    bounds = np.cumsum([0, *(len(one) + 1 for one in encoded)])
    letters = np.frombuffer(joined, np.uint8)
    kinds = _KINDS[letters]
    inside = kinds == _LETTER
    starting = kinds == _SIGN
    starting[1:] |= inside[1:] & ~inside[:-1]
    starting[bounds[:-1]] = True
    starts = np.flatnonzero(starting)
    words = inside[starts]
    sizes = np.ones(len(starts), np.int64)
    ends = np.flatnonzero(inside[:-1] & ~inside[1:]) + 1  # neither end is one of a word
    sizes[words] = ends - starts[words]
    begins = np.searchsorted(starts, bounds)
    counts = begins[1:] - begins[:-1] - 1
    return Tokens(_hash(joined, starts, sizes), letters[starts], begins[:-1], counts)


def _hash(joined: bytes, starts: Ints, sizes: Ints) -> Array:
    """Return the hash of each token by its first bytes and its length."""
    # Eight bytes from every place of the text, as overlapping integers.
    loads = np.ndarray(len(joined) - STEP + 1, "<u8", joined, strides=(1,))
    head = loads[starts] & _MASKS[np.minimum(sizes, STEP)]
    tail = loads[np.minimum(starts + STEP, len(loads) - 1)]
    tail &= _MASKS[np.minimum(np.maximum(sizes - STEP, 0), STEP)]
    mixed = head * _MIX[0] ^ (tail + sizes.astype(np.uint64)) * _MIX[1]
    return (mixed ^ mixed >> _HALF) * _MIX[2]


@functools.cache
def _grammar() -> Array:
    """Return for the first sixteen bits of a hash whether a word of grammar has them."""
    known = np.zeros(1 << 16, np.bool_)
    known[(read_tokens([GRAMMAR_WORDS]).hashes >> _GRAMMAR_BITS).astype(np.int64)] = True
    return known


def _signs() -> Array:
    kinds = np.full(256, KNOWN, np.uint8)
    kinds[0] = 0
    kinds[_KINDS == _SIGN] = SIGN
    kinds[128:] = WIDE
    for sign, kind in ((",;", COMMA), (".!?", STOP), ("0123456789", NUMBER)):
        kinds[[ord(one) for one in sign]] = kind
    return kinds


_FIRST = _signs()


def kinds_of(tokens: Tokens, vocabulary: Array) -> Array:
    """Return the kind of each token, uint8.

    Args:
        tokens: of any texts.
        vocabulary: 1 for the place of each known word, uint8 of shape (VOCABULARY,).
    """
    kinds = _FIRST[tokens.first]
    words = kinds == KNOWN
    kinds[words & (vocabulary[tokens.places] == 0)] = UNKNOWN
    kinds[words & _grammar()[(tokens.hashes >> _GRAMMAR_BITS).astype(np.int64)]] = GRAMMAR
    return kinds


def read_bag(texts: Sequence[str], vocabulary: Array) -> Bag:
    """Return the columns of texts.

    A row holds the numbers of its words, pairs and patterns over the root of the number of its
    tokens, so that long texts do not weigh more; a column may occur twice.

    Args:
        texts: as a model cleans them.
        vocabulary: 1 for the place of each known word, uint8 of shape (VOCABULARY,).
    """
    tokens = read_tokens(texts)
    kinds = kinds_of(tokens, vocabulary)
    begins, sizes, owners = tokens.begins, np.maximum(tokens.counts, 1), tokens.texts
    columns = np.empty((len(kinds), A_ROW), np.int32)
    columns[:, 0] = tokens.columns
    columns[:, 1] = _pairs(tokens)
    columns[:, 2] = HASHED + _patterns(owners, kinds, len(texts))
    columns[begins, 0] = FIRST_LENGTH + np.minimum(np.log2(sizes), LENGTHS - 1).astype(np.int64)
    columns[begins, 1] = FIRST_ITEMS + _longest_list(owners, kinds, len(texts))
    values = np.empty((len(kinds), A_ROW), np.float32)
    values[:] = (1 / np.sqrt(sizes)).astype(np.float32)[owners, None]
    values[begins + tokens.counts, 1] = 0  # the last token of a text has no next one
    values[begins] = (TEXT_VALUE, TEXT_VALUE, 0)
    counts = _count_different(owners, tokens.places, kinds, len(texts))
    bounds = A_ROW * np.append(begins, len(kinds)).astype(np.int64)
    rows = SparseRows(columns.ravel(), values.ravel(), bounds)
    return Bag(rows, counts[:, 0], counts[:, 1])


def _count_different(owners: Ints, places: Ints, kinds: Array, texts: int) -> Ints:
    """Return the numbers of different known and of unknown words, shape (texts, 2)."""
    unknown = kinds == UNKNOWN
    chosen = np.flatnonzero(unknown | (kinds == KNOWN))
    words = ((2 * owners + unknown)[chosen] << KNOWN_BITS) + places[chosen]
    words.sort()
    first = np.ones(len(words), np.bool_)
    np.not_equal(words[1:], words[:-1], out=first[1:])
    return np.bincount(words[first] >> KNOWN_BITS, minlength=2 * texts).reshape(texts, 2)


def _longest_list(owners: Ints, kinds: Array, texts: int) -> Ints:
    """Return the number of commas in the longest row of short items of each text, at most 15."""
    longest = np.zeros(texts, np.int64)
    commas = np.flatnonzero(kinds == COMMA)
    if len(commas):
        of = owners[commas]
        follows = np.zeros(len(commas), np.bool_)
        follows[1:] = (commas[1:] - commas[:-1] <= ITEM_TOKENS) & (of[1:] == of[:-1])
        numbers = np.arange(1, len(commas) + 1)
        starts = np.maximum.accumulate(np.where(follows, 0, numbers))
        np.maximum.at(longest, of, np.minimum(numbers - starts + 1, ITEMS - 1))
    return longest


def _pairs(tokens: Tokens) -> Ints:
    """Return the hashed column of each token and the next, wherever the texts end."""
    after = np.empty_like(tokens.hashes)
    after[:-1], after[-1:] = tokens.hashes[1:], tokens.hashes[:1]
    return ((tokens.hashes * _MIX[1] + after) * _MIX[0] >> _TOP).astype(np.int64)


def _patterns(owners: Ints, kinds: Array, texts: int) -> Ints:
    """Return the pattern that begins at each row; beyond the end of its text, kinds are 0."""
    places = np.arange(len(kinds)) + (PATTERN - 1) * owners  # with room behind each text
    padded = np.zeros(len(kinds) + (PATTERN - 1) * texts, np.int64)
    padded[places] = kinds
    codes = padded[places]
    for ahead in range(1, PATTERN):
        codes *= KINDS
        codes += padded[places + ahead]
    return np.asarray(codes)
