"""Search by words in plain loops, beside which the real one is held."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from shelfmark.search.filters import Columns, Selection
from shelfmark.search.words.postings import (
    AVERAGE_LENGTH,
    LENGTH_SHARE,
    SATURATION,
    TITLE,
    Postings,
)
from shelfmark.search.words.terms import hash_words

Paper = tuple[str, str]  # its title and its abstract


def postings_of(papers: Sequence[Paper]) -> Postings:
    return Postings.of_papers([title for title, _ in papers], [text for _, text in papers])


def weigh_plainly(papers: Sequence[Paper]) -> dict[int, dict[int, float]]:
    """Return the weight of each word in each paper that has it, 0 to 1."""
    weights: dict[int, dict[int, float]] = defaultdict(dict)
    for row, (title, abstract) in enumerate(papers):
        counts = Counter(hash_words([abstract]).hashes.tolist())
        for word in hash_words([title]).hashes.tolist():
            counts[word] += TITLE
        share = 1 - LENGTH_SHARE + LENGTH_SHARE * counts.total() / AVERAGE_LENGTH
        for word, times in counts.items():
            weights[word][row] = times / (times + SATURATION * share)
    return weights


def score_plainly(papers: Sequence[Paper], text: str) -> list[float]:
    """Return BM25 of a text and each paper."""
    scores = [0.0] * len(papers)
    weights = weigh_plainly(papers)
    for word, times in Counter(hash_words([text]).hashes.tolist()).items():
        frequency = len(weights[word])
        idf = math.log(1 + (len(papers) - frequency + 0.5) / (frequency + 0.5))
        for row, weight in weights[word].items():
            scores[row] += idf * (SATURATION + 1) * weight * (1 + math.log(times))
    return scores


def select(chosen: Sequence[bool]) -> Selection:
    """Return the selection of the papers of a segment that are chosen."""
    papers = len(chosen)
    columns = Columns(
        ["cs.LG"],
        np.zeros(papers, np.uint16),
        np.full((1, (papers + 7) // 8), 255, np.uint8),
        np.zeros(papers, np.int32),
    )
    return Selection(columns, excluded=[row for row, one in enumerate(chosen) if not one])
