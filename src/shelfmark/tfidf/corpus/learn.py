"""Learn the vocabulary of a corpus in flat memory: passes over its parts by worker processes.

The first pass counts the words. The second counts the n-grams of each part and writes them to a
file, by ranges of n-grams; each range is then merged alone. All counts are exact, and the result
does not depend on the number of parts, ranges or processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from shelfmark.core import files
from shelfmark.core.arrays import Array, Doubles, Ints
from shelfmark.core.parallel import map_in_order
from shelfmark.tfidf.corpus.choosing import (
    Flags,
    build_vectorizer,
    check_limits,
    choose_frequent,
    choose_terms,
)
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.corpus.merging import RangeTerms, merge_range
from shelfmark.tfidf.corpus.pieces import count_part
from shelfmark.tfidf.corpus.spill import (
    PartFile,
    read_arrays,
    read_words,
    write_arrays,
    write_part,
    write_words,
)
from shelfmark.tfidf.corpus.words import (
    CorpusWords,
    RankedWords,
    count_rows,
    count_words,
    rank_words,
    sum_words,
)
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

Range = tuple[int, int]  # the number of a field, the number of its range

_PREFIX = "vocabulary-"
BUDGET = 2 << 30  # bytes
PART_BYTES = 300 << 20  # of memory, beyond the libraries: to count a part of 16,384 papers
_ROW_BYTES = 64  # of memory, for each row of a range that is merged
_RANGE_BYTES = 192 << 20  # of memory, to merge a range however large the budget: more gains nothing
SPILLED_BYTES = 1200  # of disk for each paper, title and abstract, with n-grams of one or two words


def spilled_bytes(papers: int) -> int:
    """Return about how many bytes of disk it takes to learn the terms of so many papers.

    Their n-grams have one or two words, of titles and abstracts of the usual length.
    """
    return papers * SPILLED_BYTES


def learn_vocabulary(
    fields: Sequence[Field],
    parts: Sequence[CorpusPart],
    classes: int,
    max_terms: int | None,
    folder: Path,
    workers: int | None = None,
    budget: int = BUDGET,
) -> list[FastTfidfVectorizer | None]:
    """Learn the terms of each field of a corpus, and their idf.

    Without `max_terms` the vectorizers equal those that `FastTfidfVectorizer.fit` learns from all
    documents at once.

    Args:
        fields: of the papers.
        parts: of the corpus; each is read twice.
        classes: how many classes the papers have.
        max_terms: how many terms of all fields stay, the best by `merging.weigh_terms`; None for
            all.
        folder: an existing folder, where files are written and removed again.
        workers: how many processes, None for one per core; 0 computes in this process.
        budget: bytes of memory of all processes, by which the corpus is cut into ranges.

    Returns:
        The fitted vectorizers; None for an optional field without terms.

    Raises:
        ShelfmarkError: the documents of a field cannot be learnt in parts, a process was killed, or
            the disk is full.
        ValueError: a field that is not optional has no term.
    """
    processes = (os.cpu_count() or 1) if workers is None else max(workers, 1)
    with _temporary_folder(folder) as place:
        words = partial(count_words, fields=fields, classes=classes)
        total = sum_words(map_in_order(words, parts, workers), len(fields), classes)
        for field, longest in zip(fields, total.longest, strict=True):
            if not field.optional:
                check_limits(field, total.documents, longest)
        if not parts:
            return [None for _ in fields]
        ranges = count_ranges(total, fields, processes, budget // processes)
        corpus = _Corpus(fields, place, total.documents, total.papers if max_terms else None)
        return _learn_terms(corpus, rank_words(total, fields, ranges), parts, max_terms, workers)


@contextlib.contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield the path of a folder for counts, which is removed after the block."""
    for leftover in folder.glob(f"{_PREFIX}*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with files.report_write_errors(folder):
        # Never the name of a folder before, of which this process may remember the words.
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
    try:
        yield place
    finally:
        _read_words_once.cache_clear()
        shutil.rmtree(place, ignore_errors=True)


def count_ranges(
    total: CorpusWords, fields: Sequence[Field], processes: int, share: int
) -> list[int]:
    """Return into how many ranges the n-grams of each field are cut.

    Args:
        total: the words of the corpus.
        fields: of the papers.
        processes: how many merge ranges at once.
        share: bytes of memory that one of them may use.
    """
    room = min(share, _RANGE_BYTES)
    return [max(processes, -(-rows * _ROW_BYTES // room)) for rows in count_rows(total, fields)]


@dataclass(frozen=True)
class _Corpus:
    """What worker processes need to know of a corpus, and the folder of its files.

    `papers` is None if the worth of the terms is not needed.
    """

    fields: Sequence[Field]
    folder: Path
    documents: int
    papers: Ints | None

    def words_path(self, field: int) -> Path:
        return self.folder / f"words-{field}"

    def terms_path(self, field: int, number: int) -> Path:
        return self.folder / f"terms-{field}-{number}"


def _learn_terms(
    corpus: _Corpus,
    words: Sequence[RankedWords],
    parts: Sequence[CorpusPart],
    max_terms: int | None,
    workers: int | None,
) -> list[FastTfidfVectorizer | None]:
    """Return the fitted vectorizers, None for an optional field without terms."""
    for number, ranked in enumerate(words):
        write_words(corpus.words_path(number), ranked)
    written = list(map_in_order(partial(_spill_part, corpus), enumerate(parts), workers))
    ranges = [
        (field, number)
        for field, ranked in enumerate(words)
        for number in range(len(ranked.edges) + 1)
    ]
    merged = list(map_in_order(partial(_merge_files, corpus, written), ranges, workers))
    kept = dict(
        zip(ranges, choose_from_ranges(corpus.fields, ranges, merged, max_terms), strict=True)
    )
    return [
        build_vectorizer(
            field,
            words[number].names,
            [_read_terms(corpus, one, kept[one]) for one in ranges if one[0] == number],
            corpus.documents,
        )
        for number, field in enumerate(corpus.fields)
    ]


def _spill_part(corpus: _Corpus, numbered: tuple[int, CorpusPart]) -> PartFile:
    """Count the n-grams of a part, and return the file of them."""
    number, part = numbered
    words = [_read_words_once(corpus.words_path(field)) for field in range(len(corpus.fields))]
    pieces = count_part(part, corpus.fields, words, corpus.papers is not None)
    return write_part(corpus.folder / f"part-{number}", pieces)


@lru_cache(maxsize=4)
def _read_words_once(path: Path) -> RankedWords:
    """Return the words of a field; a process reads them once for all its parts."""
    return read_words(path)


@dataclass(frozen=True)
class MergedRange:
    """How many terms a range has, how often each occurs and what it is worth, where needed."""

    terms: int
    times: Array | None
    worth: Doubles | None


def _merge_files(corpus: _Corpus, written: Sequence[PartFile], one: Range) -> MergedRange:
    """Write the terms of a range of a field, and return by what they are chosen."""
    field = corpus.fields[one[0]]
    positions = field.vectorizer.ngram_range[1]
    pieces = [part.read(*one, positions) for part in written]
    terms = merge_range(pieces, field.limits(corpus.documents), corpus.papers)
    with files.atomic_write(corpus.terms_path(*one)) as file:
        write_arrays(file, [*terms.places, terms.df])
    times = terms.times if field.counts_times else terms.df
    return MergedRange(len(terms.df), times if field.limited else None, terms.worth)


def choose_from_ranges(
    fields: Sequence[Field],
    ranges: Sequence[Range],
    merged: Sequence[MergedRange],
    max_terms: int | None,
) -> list[Flags]:
    """Return which terms of each range are kept."""
    kept = [np.ones(one.terms, np.bool_) for one in merged]
    for number, field in enumerate(fields):
        if field.limited:
            these = [i for i, one in enumerate(ranges) if one[0] == number]
            times = [times for i in these if (times := merged[i].times) is not None]
            for i, flags in zip(these, choose_frequent(field, times), strict=True):
                kept[i] = flags
    if max_terms is None:
        return kept
    worth = [one.worth[flags] for one, flags in zip(merged, kept, strict=True)
             if one.worth is not None]  # fmt: skip
    for flags, best in zip(kept, choose_terms(worth, max_terms), strict=True):
        flags[flags] = best
    return kept


def _read_terms(corpus: _Corpus, one: Range, kept: Flags) -> RangeTerms:
    """Return those terms of a range of a field that are kept."""
    with corpus.terms_path(*one).open("rb") as file:
        *places, df = (column[kept] for column in read_arrays(file))
    return RangeTerms(places, df, None, None)
