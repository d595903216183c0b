"""Convert documents to integer tokens: the tokens of ``re.findall``, as numbers.

A corpus becomes one *stream*: an ``int32`` array of the numbers of all tokens in reading order,
with `END` after each document. Stop words and matches that are not tokens are left out. Numbers
from `FIRST` on index the list of distinct tokens of the stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelfmark.core.parallel import map_threads

END, DROPPED, FIRST = 0, 1, 2
"""Numbers in a stream: end of a document, left out, and the first distinct token."""

_CHUNK = 512  # documents read at a time: about the size of the second-level cache
_LINES = 1 << 18  # bytes of lines that are read at a time
_SLOT_BITS = 18  # size of the table of known words, in bits
_LONG = 16  # bytes: longer words are looked up one by one
_MARK = b"\1\1"  # stands for END between the documents; no document can hold it
_GAP = b"\0"
_HASH = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))

# Runs of \w, at least so many: the patterns whose tokens NumPy can find.
_WORD_RUN = re.compile(r"(?:\(\?u\))?(?:\\b)?((?:\\w)+)\+(?:\\b)?")
_OTHER = re.compile(r"[^\x00-\x7f\w]")  # beyond ASCII and not part of a word
_IS_WORD = [chr(c).isalnum() or chr(c) == "_" for c in range(128)]
_KEEP = bytes(c if c > 127 or _IS_WORD[c] else 0 for c in range(256))
_LOWER = bytes(ord(chr(c).lower()) if c < 128 and _KEEP[c] else _KEEP[c] for c in range(256))
_KEEP_STR, _LOWER_STR = (table[:128].replace(_GAP, b" ").decode() for table in (_KEEP, _LOWER))
# Masks of the part of two 8-byte loads that belongs to a word of so many bytes (at most 17).
_HEAD, _TAIL = (
    np.array([256 ** min(max(size - skip, 0), 8) - 1 for size in range(_LONG + 2)], np.uint64)
    for skip in (0, 8)
)
_BEYOND_ASCII = np.uint64(0x8080808080808080)


@dataclass(frozen=True)
class Stream:
    """`ids`: int32 array of tokens and `END` marks; `names[i - FIRST]` is token i."""

    ids: NDArray[np.int32]
    names: list[str]


@dataclass(frozen=True)
class Reader:
    """Converts a document to tokens: ``findall(preprocess(document))``.

    Args:
        preprocess: applied to the document first.
        findall: returns the tokens of a text.
        pattern: the regular expression of `findall`.
        lower: whether `preprocess` converts an ASCII document to lower case and changes nothing
            else; if False, it changes nothing.
        stop: the tokens to leave out.
    """

    preprocess: Callable[[str], str]
    findall: Callable[[str], list[str]]
    pattern: str
    lower: bool
    stop: frozenset[str]

    @cached_property
    def word_size(self) -> int:
        r"""Smallest number of characters if a token is any run of \\w, else 0."""
        match = _WORD_RUN.fullmatch(self.pattern)
        return len(match[1]) // 2 if match else 0

    def tokens(self, document: str) -> list[str]:
        """Return the tokens of one document, without stop words."""
        size, stop = self.word_size, self.stop
        if size and document.isascii():
            words = document.translate(_LOWER_STR if self.lower else _KEEP_STR).split()
            return [word for word in words if len(word) >= size and word not in stop]
        matches = self.findall(self.preprocess(document))
        return [token for token in matches if token not in stop] if stop else matches

    def start(self) -> _Words | _Matches:
        """Return a new object that numbers tokens in the order of their first occurrence."""
        return _Words(self, self.word_size) if self.word_size else _Matches(self)


class _Matches(dict[str, int]):
    """Numbers the matches of any pattern by a dict, one findall a document."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(dict.fromkeys(reader.stop, DROPPED))
        self.names: list[str] = []
        self.reader = reader

    def __missing__(self, token: str) -> int:
        self.names.append(token)
        self[token] = number = len(self.names) + FIRST - 1
        return number

    def read(self, documents: Sequence[str]) -> NDArray[np.int32]:
        """Return the stream of some documents."""
        number, reader = self.__getitem__, self.reader
        parts = []
        for document in documents:
            words = reader.findall(reader.preprocess(document))
            numbers = chain(map(number, words), (END,))
            parts.append(np.fromiter(numbers, np.int32, len(words) + 1))
        ids = np.concatenate(parts)
        kept: NDArray[np.int32] = ids[ids != DROPPED]
        return kept


class _Cut:
    """The bytes of some documents, cut into words.

    `heads` and `tails` are the first sixteen bytes of each word as two integers, `slots` its hash.
    """

    def __init__(self, documents: Iterable[bytes], least: int) -> None:
        ended = _GAP + _MARK + _GAP
        self.text = text = _GAP + ended.join([*documents, bytes(_LONG)])
        inside = np.frombuffer(text, np.bool_)
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        starts, sizes = edges[::2] + 1, edges[1::2] - edges[::2]
        if least > 1:
            enough = np.flatnonzero(sizes > 1)
            starts, sizes = starts[enough], sizes[enough]
        # Eight bytes from every place of the text, as overlapping integers.
        loads = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))
        capped = np.minimum(sizes, _LONG + 1)
        self.starts, self.sizes = starts, sizes
        self.heads, self.tails = loads[starts] & _HEAD[capped], loads[starts + 8] & _TAIL[capped]
        mixed = ((self.heads * _HASH[0]) ^ self.tails) * _HASH[1] >> np.uint64(64 - _SLOT_BITS)
        self.slots = mixed.view(np.int64)

    def words(self, some: NDArray[np.intp]) -> list[bytes]:
        """Return the bytes of some of the words."""
        begins, ends = self.starts[some], self.starts[some] + self.sizes[some]
        return [self.text[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


class _Words(dict[bytes, int]):
    r"""Numbers runs of \\w without a Python object for each.

    A word of up to 16 bytes is two 64-bit integers. They are compared with those of the one known
    word whose hash has the same slot: equal integers are equal words, so the result does not depend
    on the quality of the hash. All other words (new words, words whose slot is taken, long words)
    go to the dict.
    """

    def __init__(self, reader: Reader, size: int) -> None:
        words = (word for word in sorted(reader.stop) if word and "\0" not in word)
        stop = [_encode(word) for word in words]
        super().__init__({_MARK: END, _GAP: DROPPED})  # in the order of the numbers
        self.update(zip(stop, range(FIRST, len(stop) + FIRST), strict=True))
        self.reader, self.size = reader, size
        self.slots = np.zeros(1 << _SLOT_BITS, np.intp)  # a number; END where free
        # By number: the two integers of a word, and whether it is to be left out.
        self.heads, self.tails = np.zeros((2, FIRST), np.uint64)
        self.heads[END] = int.from_bytes(_MARK, "little")
        self.dropped = np.repeat([False, True], [FIRST, len(stop)])

    def __missing__(self, word: bytes) -> int:
        self[word] = number = len(self)
        return number

    @property
    def names(self) -> list[str]:
        """The words by number, from `FIRST` on."""
        return _decode(islice(self, FIRST, None))

    def _bytes(self, document: str) -> bytes:
        """Return a document as UTF-8, with zero bytes for all that is not a word."""
        if document.isascii():
            return document.encode().translate(_LOWER if self.reader.lower else _KEEP)
        clean = _OTHER.sub(" ", self.reader.preprocess(document))
        return clean.encode().translate(_KEEP)

    def read(self, documents: Sequence[str]) -> NDArray[np.int32]:
        """Return the stream of some documents."""
        return self._number(map(self._bytes, documents))

    def _number(self, documents: Iterable[bytes]) -> NDArray[np.int32]:
        cut = _Cut(documents, self.size)
        ids = self.slots[cut.slots]
        known = self._equal_words(ids, cut)
        rest = np.flatnonzero(~known)
        ids[rest] = list(map(self.__getitem__, cut.words(rest)))
        rest = rest[cut.sizes[rest] <= _LONG]
        self._learn(ids[rest], cut.heads[rest], cut.tails[rest], cut.slots[rest])
        kept: NDArray[np.int32] = ids[~self.dropped[ids]].astype(np.int32)
        return kept

    def _equal_words(self, ids: NDArray[np.intp], cut: _Cut) -> NDArray[np.bool_]:
        """Return whether each word of a cut is the word of the number beside it."""
        same = (self.heads[ids] == cut.heads) & (self.tails[ids] == cut.tails)
        whole: NDArray[np.bool_] = same & (cut.sizes <= _LONG)
        return whole

    def _learn(
        self,
        ids: NDArray[np.intp],
        heads: NDArray[np.uint64],
        tails: NDArray[np.uint64],
        slots: NDArray[np.int64],
    ) -> None:
        """Save the integers of the words, each in its slot if that is free."""
        fresh = _decode(islice(self, len(self.dropped), None))
        # Beyond ASCII a word of enough bytes may have too few characters.
        short = np.array([len(name) < self.size for name in fresh], np.bool_)
        self.dropped = np.concatenate([self.dropped, short])
        if len(self.dropped) > len(self.heads):
            more = np.zeros((2, 2 * len(self.dropped) - len(self.heads)), np.uint64)
            self.heads = np.concatenate([self.heads, more[0]])
            self.tails = np.concatenate([self.tails, more[1]])
        self.heads[ids], self.tails[ids] = heads, tails
        free = self.slots[slots] == END
        self.slots[slots[free]] = ids[free]


class KnownWords(_Words):
    r"""Finds the words of a list in documents; all other words have the same number.

    Nothing is learnt, so threads may share it. Only words whose slot is taken, and words beyond
    ASCII that may be too short, need a Python object. `ranks` has the rank of each number, 0 if it
    has no rank.

    Args:
        reader: of the documents; it must have a `word_size`.
        ranks: the rank of each word.
        times: by rank, how often a word occurs or any number that rises with it: the more frequent
            of two words with the same slot has it. The result does not depend on it.
    """

    def __init__(self, reader: Reader, ranks: Mapping[str, int], times: NDArray[Any]) -> None:
        super().__init__(reader, reader.word_size)
        stop = [*islice(self, FIRST, None)]
        # A given vocabulary may hold terms that are not tokens: no document holds them.
        tokens = [word for word in ranks if reader.findall(word) == [word]]
        of_tokens = np.fromiter(map(ranks.__getitem__, tokens), np.intp, len(tokens))
        rising = np.argsort(times[of_tokens], kind="stable").tolist()
        words = [*(_encode(tokens[i]) for i in rising), *stop]  # the last has the slot
        super()._number(words)
        cut = _Cut(words, self.size)
        self.taken = np.zeros(1 << _SLOT_BITS, np.bool_)
        self.taken[cut.slots[~self._equal_words(self.slots[cut.slots], cut)]] = True
        self.other = len(self)
        numbers = [ranks.get(name, 0) for name in self.names]
        self.ranks = np.array([0] * FIRST + numbers + [0], np.int32)
        self.dropped = np.append(self.dropped, False)
        self.dropped[DROPPED] = True

    def read_all(self, documents: Sequence[str], jobs: int = 1) -> NDArray[np.int32]:
        """Return the stream of all documents, shape (tokens and ends,), read by `jobs` threads."""
        parts = [documents[i : i + _CHUNK] for i in range(0, len(documents), _CHUNK)]
        return np.concatenate(map_threads(jobs, self.read, parts))

    def _number(self, documents: Iterable[bytes]) -> NDArray[np.int32]:
        cut = _Cut(documents, self.size)
        ids = self.slots[cut.slots]
        rest = np.flatnonzero(~self._equal_words(ids, cut))
        ids[rest] = self.other
        sizes, wide = cut.sizes[rest], (cut.heads[rest] | cut.tails[rest]) & _BEYOND_ASCII != 0
        short = (sizes < 4 * self.size) & (wide | (sizes < self.size) | (self.size > _LONG))
        rest = rest[self.taken[cut.slots[rest]] | short]
        ids[rest] = list(map(self._number_of, cut.words(rest)))
        kept: NDArray[np.int32] = ids[~self.dropped[ids]].astype(np.int32)
        return kept

    def _number_of(self, word: bytes) -> int:
        short = len(word.decode("utf-8", "surrogatepass")) < self.size
        return self.get(word, DROPPED if short else self.other)


def _encode(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


def _decode(words: Iterable[bytes]) -> list[str]:
    """Decode all words at once: no word has a zero byte."""
    text = _GAP.join(words).decode("utf-8", "surrogatepass")
    return text.split("\0") if text else []


def read_lines(text: bytes) -> Stream:
    """Return the stream of lines of words, UTF-8; a single space separates the words of a line.

    A line has a word at least, and no word has a zero byte or one of value 1.
    """
    words = _Words(Reader(str, str.split, "", False, frozenset()), 1)
    begin, parts = 0, []
    while begin < len(text):
        end = text.find(b"\n", begin + _LINES)
        end = len(text) if end < 0 else end
        document = text[begin:end].replace(b"\n", _GAP + _MARK + _GAP).replace(b" ", _GAP)
        parts.append(words._number([document]))
        begin = end + 1
    return Stream(np.concatenate([np.empty(0, np.int32), *parts]), words.names)


def _read_part(documents: Sequence[str], reader: Reader) -> Stream:
    """Return the stream of one part, in chunks that grow while most words are new."""
    words, parts = reader.start(), []
    begin, size = 0, 32
    while begin < len(documents):
        parts.append(words.read(documents[begin : begin + size]))
        begin, size = begin + size, min(2 * size, _CHUNK)
    return Stream(np.concatenate([np.empty(0, np.int32), *parts]), words.names)


def read_stream(documents: Sequence[str], reader: Reader, jobs: int = 1) -> Stream:
    r"""Return the stream of all documents, read by `jobs` threads.

    One thread reads by any pattern but runs of \\w, because `re` holds the interpreter lock.
    """
    jobs = jobs if reader.word_size else 1
    size = max(-(-len(documents) // jobs), 1)
    split = [documents[i : i + size] for i in range(0, len(documents), size)]
    parts = map_threads(jobs, partial(_read_part, reader=reader), split)
    if len(parts) == 1:
        return parts[0]
    number: dict[str, int] = {}
    ids = []
    for part in parts:
        new = [number.setdefault(name, len(number) + FIRST) for name in part.names]
        ids.append(np.array([END, DROPPED, *new], np.int32)[part.ids])
    return Stream(np.concatenate([np.empty(0, np.int32), *ids]), list(number))
