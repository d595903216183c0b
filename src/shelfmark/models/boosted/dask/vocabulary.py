"""The vocabulary of a corpus learnt on a cluster, exactly as `tfidf.corpus.learn` does.

Each worker counts the papers that it is sent, and keeps the n-grams in files. Workers merge the
ranges, each of which they read from one another; only the chosen terms come back.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Future, get_worker

from shelfmark.core.arrays import Array, Ints, SmallInts
from shelfmark.models.boosted.dask.peers import read_from_peers, worker_folder
from shelfmark.models.boosted.dask.sending import send_each
from shelfmark.models.boosted.dask.workers import Workers
from shelfmark.tfidf.corpus.choosing import Flags, build_vectorizer, check_limits
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.corpus.learn import MergedRange, Range, choose_from_ranges, count_ranges
from shelfmark.tfidf.corpus.merging import RangeTerms, merge_range
from shelfmark.tfidf.corpus.pieces import Piece, count_part
from shelfmark.tfidf.corpus.spill import PartFile, write_part
from shelfmark.tfidf.corpus.words import (
    CorpusWords,
    FieldWords,
    PartWords,
    RankedWords,
    count_words,
    rank_words,
    sum_words,
)
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

SUMMED = 16  # parts whose words are summed at once
GRAMS = "grams-"  # files of the n-grams of a part


@dataclass(frozen=True)
class SentPart:
    """A part of a corpus that was read elsewhere.

    Args:
        number: of the part.
        texts: of its papers.
        classes: of each paper, int32 of shape (texts,).
    """

    number: int
    texts: list[str]
    classes: SmallInts

    def read(self) -> tuple[list[str], SmallInts]:
        """Return the texts, and the class of each."""
        return self.texts, self.classes


class VocabularyLearner:
    """Learns the terms of the fields of a corpus.

    Args:
        workers: of the cluster.
        name: of the folders of the workers.
        fields: of the papers.
        parts: of the corpus, read by this process; at least one.
        classes: how many classes the papers have.
        max_terms: how many terms of all fields stay, None for all.
    """

    def __init__(
        self,
        workers: Workers,
        name: str,
        fields: Sequence[Field],
        parts: Sequence[CorpusPart],
        classes: int,
        max_terms: int | None,
    ) -> None:
        self._workers = workers
        self._submit = partial(workers.client.submit, pure=False)
        self._name = name
        self._fields = list(fields)
        self._parts = parts
        self._classes = classes
        self._max_terms = max_terms

    def learn(self) -> list[FastTfidfVectorizer | None]:
        """Return the fitted vectorizers, None for an optional field without terms.

        Raises:
            ShelfmarkError: the documents of a field cannot be learnt in parts, or a disk is full.
            ValueError: a field that is not optional has no term.
            Exception: a worker is lost.
        """
        total = self._count_words()
        facts = self._submit(_describe, total).result()
        for field, longest in zip(self._fields, facts.longest, strict=True):
            if not field.optional:
                check_limits(field, facts.documents, longest)
        share = self._workers.memory_share()
        processes = len(self._workers.names())
        sizes = self._submit(count_ranges, total, self._fields, processes, share)
        words = self._submit(rank_words, total, self._fields, sizes)
        del total
        papers = facts.papers if self._max_terms else None
        [written] = self._workers.client.scatter(
            [self._count_grams(words, papers is not None)], hash=False
        )
        ranges = [
            (field, number) for field, size in enumerate(sizes.result()) for number in range(size)
        ]
        merged = [
            self._submit(_merge, self._name, written, self._fields[one[0]], one, facts.documents,
                         papers)
            for one in ranges
        ]  # fmt: skip
        fitted = self._build(words, ranges, self._choose(ranges, merged), facts.documents)
        self._workers.client.run(_remove_grams, self._name)
        return fitted

    def _send(self, work: Any, *arguments: Any) -> Any:
        """Yield the finished tasks on all parts."""
        numbered = (SentPart(number, *part.read()) for number, part in enumerate(self._parts))
        return send_each(self._workers, numbered, lambda part: self._submit(work, part, *arguments))

    def _count_words(self) -> Future:
        """Return the words of the corpus, on a worker: few parts of them are kept at a time."""
        waiting: list[Future] = []
        for future in self._send(count_words, self._fields, self._classes):
            waiting.append(future)
            if len(waiting) == SUMMED:
                waiting = [self._submit(_join_words, waiting, len(self._fields), self._classes)]
        return self._submit(sum_words, waiting, len(self._fields), self._classes)

    def _count_grams(self, words: Future, by_class: bool) -> list[tuple[str, list[PartFile]]]:
        """Return the files of the parts at each worker, by its address."""
        written: dict[str, list[PartFile]] = {}
        for future in self._send(_spill_part, self._name, self._fields, words, by_class):
            address, file = future.result()
            written.setdefault(address, []).append(file)
        return [*written.items()]

    def _choose(self, ranges: list[Range], merged: list[Future]) -> list[Future]:
        """Return the terms of each range that are kept, on the workers."""
        pick = partial(self._submit, operator.itemgetter(1))
        flags = self._submit(
            choose_from_ranges, self._fields, ranges, [pick(one) for one in merged], self._max_terms
        )
        return [self._submit(_keep, one, flags, place) for place, one in enumerate(merged)]

    def _build(
        self, words: Future, ranges: list[Range], kept: list[Future], documents: int
    ) -> list[FastTfidfVectorizer | None]:
        fitted = []
        for number, field in enumerate(self._fields):
            own = [one for one, place in zip(kept, ranges, strict=True) if place[0] == number]
            names = self._submit(_names_of, words, number).result()
            columns = self._workers.client.gather(own)
            terms = [RangeTerms(places, df, None, None) for *places, df in columns]
            fitted.append(build_vectorizer(field, names, terms, documents))
        return fitted


@dataclass(frozen=True)
class _Facts:
    """What is known of a corpus when its words are counted."""

    documents: int
    longest: list[int]
    papers: Ints


def _describe(total: CorpusWords) -> _Facts:
    return _Facts(total.documents, total.longest, total.papers)


def _join_words(parts: list[PartWords], fields: int, classes: int) -> PartWords:
    """Return the words of several parts as those of one."""
    total = sum_words(parts, fields, classes)
    joined = [
        FieldWords([*times], np.fromiter(times.values(), np.int64, len(times)), longest)
        for times, longest in zip(total.times, total.longest, strict=True)
    ]
    return PartWords(joined, total.papers)


def _spill_part(
    part: SentPart, name: str, fields: Sequence[Field], words: list[RankedWords], by_class: bool
) -> tuple[str, PartFile]:
    """Write the n-grams of a part in the folder of this worker; return its address and the file."""
    pieces = count_part(part, fields, words, by_class)
    path = worker_folder(name) / f"{GRAMS}{part.number}"
    return get_worker().address, write_part(path, pieces)


def _merge(
    name: str,
    written: list[tuple[str, list[PartFile]]],
    field: Field,
    one: Range,
    documents: int,
    papers: Ints | None,
) -> tuple[list[Array], MergedRange]:
    """Return the columns of the terms of a range, and by what terms are chosen."""
    positions = field.vectorizer.ngram_range[1]
    read = [(address, partial(_read_pieces, files, one, positions)) for address, files in written]
    received = read_from_peers(name, read).result()
    pieces = [Piece.of(columns, positions) for some in received for columns in some]
    terms = merge_range(pieces, field.limits(documents), papers)
    times = terms.times if field.counts_times else terms.df
    chosen_by = MergedRange(len(terms.df), times if field.limited else None, terms.worth)
    return [*terms.places, terms.df], chosen_by


def _read_pieces(
    files: Sequence[PartFile], one: Range, positions: int, folder: Path
) -> list[list[Array]]:
    return [file.read(*one, positions).columns for file in files]


def _keep(merged: tuple[list[Array], MergedRange], flags: list[Flags], place: int) -> list[Array]:
    return [column[flags[place]] for column in merged[0]]


def _remove_grams(name: str, dask_worker: Any) -> None:
    for file in (Path(dask_worker.local_directory) / name).glob(f"{GRAMS}*"):
        file.unlink()


def _names_of(words: list[RankedWords], number: int) -> list[str]:
    return words[number].names
