"""The first pass over a corpus: its words, how often each occurs, and their ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shelfmark.core.arrays import Ints, SmallInts
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.counts import NotExactError, check_words, longest_document
from shelfmark.tfidf.ngrams import Limits
from shelfmark.tfidf.tokens import FIRST, KnownWords, Reader, read_stream

_SECOND_BITS = 32  # of a place within the order of the n-grams: rank of the first word, the second


@dataclass(frozen=True)
class FieldWords:
    """The words of one field of a part.

    Args:
        names: the distinct words.
        times: how often each occurs.
        longest: the number of words of the longest document.
    """

    names: list[str]
    times: Ints
    longest: int


@dataclass(frozen=True)
class PartWords:
    """The words of each field of a part, and its papers: without a class, then of each class."""

    fields: list[FieldWords]
    papers: Ints


class CorpusWords:
    """The words of a corpus, summed over its parts.

    Args:
        fields: how many fields the papers have.
        classes: how many classes.
    """

    def __init__(self, fields: int, classes: int) -> None:
        self.times: list[Counter[str]] = [Counter() for _ in range(fields)]
        self.longest = [0] * fields
        self.papers: Ints = np.zeros(classes + 1, np.int64)

    @property
    def documents(self) -> int:
        """The number of papers."""
        return int(self.papers.sum())

    def add(self, part: PartWords) -> None:
        """Add the words of a part."""
        self.papers += part.papers
        for number, field in enumerate(part.fields):
            self.longest[number] = max(self.longest[number], field.longest)
            times = self.times[number]
            for name, count in zip(field.names, field.times.tolist(), strict=True):
                times[name] += count


@dataclass(frozen=True)
class RankedWords:
    """The words that terms may hold, by rank from 1, and the ranges of the n-grams of a field.

    Args:
        names: the words, sorted.
        times: how often each occurs in the corpus.
        edges: where each range but the first begins in the order of the n-grams, int64 of shape
            (ranges - 1,): the rank of the first word in the upper bits, of the second in the lower.
    """

    names: list[str]
    times: Ints
    edges: Ints

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("names", "times", "edges")}

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The rank of each word."""
        return dict(zip(self.names, range(1, len(self.names) + 1), strict=True))

    @cached_property
    def _known(self) -> list[KnownWords]:
        return []

    def rank_stream(self, documents: Sequence[str], reader: Reader) -> tuple[SmallInts, SmallInts]:
        """Return the stream of documents, shape (tokens and ends,), and the rank of each number.

        The reader is the same in all calls.
        """
        if not reader.word_size:
            stream = read_stream(documents, reader)
            ranks = [0] * FIRST + [self.ranks.get(name, 0) for name in stream.names]
            return stream.ids, np.array(ranks, np.int32)
        if not self._known:
            self._known.append(KnownWords(reader, self.ranks, np.append(0, self.times)))
        known = self._known[0]
        ids = known.read_all(documents) if documents else np.empty(0, np.int32)
        return ids, known.ranks


def count_words(part: CorpusPart, fields: Sequence[Field], classes: int) -> PartWords:
    """Return the words of a part.

    Raises:
        ShelfmarkError: as `Field.reader`, or n-grams of words with a space are wanted.
    """
    texts, labels = part.read()
    papers = np.bincount(labels + 1, minlength=classes + 1)
    return PartWords([_count_field(field, field.documents(texts)) for field in fields], papers)


def _count_field(field: Field, documents: list[str]) -> FieldWords:
    reader = field.reader()
    stream = read_stream(documents, reader)
    try:
        check_words(stream, reader, field.vectorizer.ngram_range[1])
    except NotExactError:
        raise ShelfmarkError(
            f"the token_pattern of the {field.name} finds words with a space or a control "
            "character, whose n-grams are not learnt in parts"
        ) from None
    times = np.bincount(stream.ids, minlength=len(stream.names) + FIRST)[FIRST:]
    met = np.flatnonzero(times).tolist()
    names = [stream.names[i] for i in met]
    return FieldWords(names, times[met], longest_document(stream))


def sum_words(parts: Iterable[PartWords], fields: int, classes: int) -> CorpusWords:
    """Return the words of all parts, which are read one after the other."""
    total = CorpusWords(fields, classes)
    for part in parts:
        total.add(part)
    return total


def count_rows(total: CorpusWords, fields: Sequence[Field]) -> list[int]:
    """Return the most rows that the pieces of each field have together."""
    rows = []
    for field, times in zip(fields, total.times, strict=True):
        limits = field.limits(total.documents)
        often = sum(count for count in times.values() if count >= limits.low)
        rows.append(often * (limits.n_max - limits.n_min + 1))
    return rows


def rank_words(
    total: CorpusWords, fields: Sequence[Field], ranges: Sequence[int]
) -> list[RankedWords]:
    """Return the words of each field by rank.

    No term has a word that occurs in fewer than `min_df` documents.

    Args:
        total: the words of the corpus.
        fields: of the papers.
        ranges: into how many ranges of about the same size the n-grams of each field are cut.
    """
    return [
        _rank_field(times, field.limits(total.documents), number)
        for field, times, number in zip(fields, total.times, ranges, strict=True)
    ]


def _rank_field(times: Counter[str], limits: Limits, ranges: int) -> RankedWords:
    least = max(limits.low, 1)
    names = sorted(name for name, count in times.items() if count >= least)
    counts = np.fromiter(map(times.__getitem__, names), np.int64, len(names))
    ends = np.cumsum(counts)
    if not names:
        return RankedWords(names, counts, np.zeros(ranges - 1, np.int64))
    shares = np.linspace(0, ends[-1], ranges + 1)[1:-1]
    first = np.searchsorted(ends, shares, "right")
    # Within the n-grams of one word, as if any word followed it as often as it occurs.
    within = (shares - ends[first] + counts[first]) / counts[first] * ends[-1]
    second = np.searchsorted(ends, within) if limits.n_max > 1 else 0
    return RankedWords(names, counts, (first + 1 << _SECOND_BITS) + second)


def order_key(places: Sequence[SmallInts]) -> Ints:
    """Return where n-grams are in the order of `RankedWords.edges`, int64 of shape (n_grams,).

    Args:
        places: the rank of the word at each position.
    """
    key: Ints = places[0].astype(np.int64) << _SECOND_BITS
    return key | places[1] if len(places) > 1 else key
