"""Why a paper was found: its words with their shares of the similarity.

The vector of a static encoder is a sum over the terms of a text. So the cosine of a query and a
paper is a sum over the paper's terms, to which each adds its own product with the query. For an
encoder of another family, the words that both have share their BM25.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shelfmark.core.arrays import Doubles, Floats, Ints
from shelfmark.search.query.search_query import SharedWord
from shelfmark.search.words.postings import weigh
from shelfmark.search.words.terms import Hashes, hash_words

if TYPE_CHECKING:
    from shelfmark.embeddings.artifact import OpenEncoder
    from shelfmark.embeddings.static.encoder import StaticEncoder
    from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

# Returns how rare words are, as `WordSearch.inverse_frequencies`.
Rarity = Callable[[Hashes], Doubles]
WORD = re.compile(r"\w\w+")
COMPOUND = re.compile(r"[^\W_]+(?:[-\u2010-\u2013][^\W_]+)*")


def explain(
    encoder: OpenEncoder,
    query: str,
    papers: Sequence[str],
    most: int,
    vector: Floats | None = None,
    rarity: Rarity | None = None,
) -> list[tuple[SharedWord, ...]]:
    """Return the words that make each paper similar to a query.

    Args:
        encoder: of the index.
        query: its text.
        papers: their texts, as `OpenEncoder.text` joins them.
        most: words of a paper.
        vector: of the query, shape (size,), or its first numbers; None for that of the text.
        rarity: of words; None where all weigh the same.

    Returns:
        The words of each paper with a positive share, as it writes them, the most important first.
    """
    if encoder.card.kind == "static":
        static = cast("StaticEncoder", encoder.encoder)
        vector = static.encode([query])[0] if vector is None else vector
        if vector.any():
            return _explain_by_terms(static, vector, papers, most)
    return _explain_by_words(query, papers, most, rarity)


def share_similarity(
    encoder: StaticEncoder, vector: Floats, papers: Sequence[str]
) -> list[tuple[Ints, Doubles]]:
    """Return the terms of each paper with their shares of its similarity to a query.

    The shares of a paper sum to 1, negative ones too; they are 0 where the cosine is not positive.

    Args:
        encoder: of the vectors.
        vector: of the query, shape (size,), or its first numbers.
        papers: their texts.

    Returns:
        For each paper its terms, int64 of shape (terms,), and their shares, float64 of that shape.
    """
    # One by one: for several texts, the vectorizer prepares tables of its whole vocabulary.
    counts = [encoder.vectorizer.transform([paper]) for paper in papers]
    terms = [one.indices.astype(np.int64) for one in counts]
    used = np.unique(np.concatenate([np.empty(0, np.int64), *terms]))
    products = encoder.rows[used, : len(vector)].astype(np.float32) @ vector
    products *= encoder.scales[used]
    return [
        (own, _as_shares(one.data * products[np.searchsorted(used, own)].astype(np.float64)))
        for own, one in zip(terms, counts, strict=True)
    ]


def _as_shares(parts: Doubles) -> Doubles:
    total = parts.sum()
    return parts / total if total > 0 else np.zeros(len(parts))


def _explain_by_terms(
    encoder: StaticEncoder, vector: Floats, papers: Sequence[str], most: int
) -> list[tuple[SharedWord, ...]]:
    explained = []
    for paper, (terms, shares) in zip(
        papers, share_similarity(encoder, vector, papers), strict=True
    ):
        best = np.argsort(-shares, kind="stable")[:most]
        chosen = {int(terms[place]): float(shares[place]) for place in best if shares[place] > 0}
        written = _find_spellings(encoder.vectorizer, paper, chosen)
        explained.append(tuple(SharedWord(written[term], chosen[term]) for term in chosen))
    return explained


def _find_spellings(
    vectorizer: FastTfidfVectorizer, text: str, terms: Mapping[int, Any]
) -> dict[int, str]:
    """Return how a text first writes each of some of its terms."""
    prepare, columns = vectorizer.build_preprocessor(), vectorizer.vocabulary_
    written: dict[int, str] = {}
    for word in WORD.findall(text):
        column = columns.get(word.lower() if word.isascii() else prepare(word), -1)
        if column in terms:
            written.setdefault(column, word)
    if len(written) < len(terms):  # a term of several words, or of a part of one
        for term in vectorizer.build_analyzer()(text):
            written.setdefault(columns.get(term, -1), term)
    return written


def _explain_by_words(
    query: str, papers: Sequence[str], most: int, rarity: Rarity | None
) -> list[tuple[SharedWord, ...]]:
    asked = np.unique(hash_words([query]).hashes)
    weights = np.ones(len(asked)) if rarity is None else rarity(asked)
    rarities = dict(zip(asked.tolist(), weights.tolist(), strict=True))
    written = [list(dict.fromkeys(COMPOUND.findall(paper))) for paper in papers]
    parts = iter(_hash_each([word for words in written for word in words]))
    return [
        _weigh_words(counted, [(word, next(parts)) for word in words], rarities)[:most]
        for counted, words in zip(map(Counter, _hash_each(papers)), written, strict=True)
    ]


def _weigh_words(
    counts: Counter[int], written: Sequence[tuple[str, list[int]]], rarities: Mapping[int, float]
) -> tuple[SharedWord, ...]:
    """Return the words that a paper shares with a query, by their shares of BM25.

    Args:
        counts: of the paper's words, by their hashes.
        written: what the paper writes, with the words in it: a compound has several.
        rarities: of the query's words.
    """
    shared = [word for word in counts if word in rarities]
    times = np.array([counts[word] for word in shared], np.int64)
    weights = weigh(times, np.full(len(times), counts.total())).tolist()
    left = {word: rarities[word] * one for word, one in zip(shared, weights, strict=True)}
    scores: dict[str, float] = {}
    for word, parts in sorted(written, key=lambda one: -len(one[1])):
        scores[word] = sum(left.pop(part, 0.0) for part in parts)
    total = sum(scores.values())
    best = sorted(filter(scores.get, scores), key=lambda word: -scores[word])
    return tuple(SharedWord(word, scores[word] / total) for word in best)


def _hash_each(texts: Sequence[str]) -> list[list[int]]:
    """Return the hashes of the words of each text."""
    hashes, counts = hash_words(texts)
    ends = np.cumsum(counts).tolist()
    begins = [0, *ends]
    return [hashes[begin:end].tolist() for begin, end in zip(begins, ends, strict=False)]
