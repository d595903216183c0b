"""The vocabulary of a corpus in parts equals that of `FastTfidfVectorizer.fit`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.core.arrays import SmallInts
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.corpus import learn, pieces
from shelfmark.tfidf.corpus.fields import NO_CLASS, Field
from shelfmark.tfidf.corpus.learn import learn_vocabulary
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

CLASSES = 4
SYLLABLES = ["ba", "ké", "Lo", "m", "nü", "Øs", "q2", "the", "of", "Straße", "İx", "fi\u0301"]


@dataclass(frozen=True)
class Texts:
    """A part of a corpus in memory."""

    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def read(self) -> tuple[list[str], SmallInts]:
        return list(self.texts), np.array(self.labels, np.int32)


def write_papers(papers: int, words: int, seed: int = 1) -> tuple[list[str], list[int]]:
    """Return texts of a title and a body with words of uneven frequencies, and their classes."""
    rng = np.random.default_rng(seed)
    names = ["".join(rng.choice(SYLLABLES, 1 + k % 3)) for k in range(words)]
    share = 1 / np.arange(1, words + 1)
    texts = []
    for size in rng.integers(0, 40, papers):
        drawn = [*rng.choice(names, size, p=share / share.sum())]
        texts.append(f"{' '.join(drawn[:3])}\n{'; '.join(drawn[3:])}" if size else "")
    return texts, rng.integers(NO_CLASS, CLASSES, papers).tolist()


def cut(texts: Sequence[str], labels: Sequence[int], parts: int) -> list[Texts]:
    """Return the papers in so many parts, of which the first is empty if there are several."""
    edges = np.linspace(0, len(texts), parts + 1).astype(int)
    edges[1 if parts > 1 else 0] = 0
    return [Texts(tuple(texts[a:b]), tuple(labels[a:b])) for a, b in pairwise(edges)]


def first_lines(texts: Sequence[str]) -> list[str]:
    return [text.partition("\n")[0] for text in texts]


def assert_same(one: FastTfidfVectorizer | None, other: FastTfidfVectorizer) -> None:
    """Check that two fitted vectorizers are equal to the last bit, and give the same features."""
    assert one is not None
    assert list(one.vocabulary_.items()) == list(other.vocabulary_.items())
    assert one.get_params() == other.get_params()
    assert vars(one._tfidf).keys() == vars(other._tfidf).keys()
    if other.use_idf:
        assert one.idf_.dtype == other.idf_.dtype
        assert one.idf_.tobytes() == other.idf_.tobytes()
    texts = [*other.vocabulary_, "ba kelo the ba kelo"]
    assert (one.transform(texts) != other.transform(texts)).nnz == 0


PARAMETERS: list[dict[str, Any]] = [
    {},
    {"ngram_range": (1, 2), "min_df": 2, "max_df": 0.6},
    {"ngram_range": (2, 2), "min_df": 0.01},
    {"ngram_range": (1, 3), "min_df": 3, "max_df": 90, "strip_accents": "unicode"},
    {"ngram_range": (1, 2), "stop_words": ["ba", "the"], "strip_accents": "ascii"},
    {"ngram_range": (1, 2), "stop_words": "english", "lowercase": False, "dtype": np.float32},
    {"ngram_range": (1, 2), "max_features": 37, "dtype": np.float32},
    {"ngram_range": (1, 2), "max_features": 37, "binary": True, "sublinear_tf": True},
    {"ngram_range": (1, 12), "min_df": 2},  # more than 63 bits
    {"token_pattern": r"(?u)\w+", "ngram_range": (1, 2), "min_df": 2},
    {"token_pattern": r"[a-z]\w*", "ngram_range": (1, 2), "min_df": 2},  # no run of \w
    {"use_idf": False, "norm": None},
    {"smooth_idf": False, "norm": "l1"},
]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_the_terms_and_idf_are_those_of_a_fit_in_memory(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, labels = write_papers(160, 60)
    whole = FastTfidfVectorizer(**parameters).fit(texts)
    titles = FastTfidfVectorizer(**parameters | {"min_df": 1}).fit(first_lines(texts))
    fields = [
        Field("text", FastTfidfVectorizer(**parameters)),
        Field("title", FastTfidfVectorizer(**parameters | {"min_df": 1}), first_lines),
    ]
    sizes = len(range(*fields[0].vectorizer.ngram_range)) + 1
    for parts, budget in [(1, learn.BUDGET), (3, sizes * 50_000), (9, sizes * 20_000)]:
        if parts > 1:
            monkeypatch.setattr(pieces, "_SHARD", 100)  # tokens, so that a part has several shards
        papers = cut(texts, labels, parts)
        learnt = learn_vocabulary(fields, papers, CLASSES, None, tmp_path, 0, budget)
        assert_same(learnt[0], whole)
        assert_same(learnt[1], titles)
        # All terms stay, chosen by their worth.
        learnt = learn_vocabulary(fields, papers, CLASSES, 10**9, tmp_path, 0, budget)
        assert_same(learnt[0], whole)
    assert not list(tmp_path.iterdir())


def worth_by_hand(found: Sequence[bool], labels: Sequence[int]) -> float:
    """Return the gain paper by paper: what the others of the term say about its class."""
    classed = [label for label in labels if label != NO_CLASS]
    of_term = [label for label, one in zip(labels, found, strict=True) if one and label in classed]
    gain = 0.0
    for label in of_term:
        share = classed.count(label) / len(classed)
        others = (of_term.count(label) - 1 + 10 * share) / (len(of_term) - 1 + 10)
        gain += math.log(others) - math.log(share)
    return gain


def test_the_best_terms_of_all_fields_stay(tmp_path: Path) -> None:
    texts, labels = write_papers(200, 40, seed=3)
    # One word tells of the class: it is worth more than others as frequent.
    texts = [
        f"{text}; ground" if label == 1 else text for text, label in zip(texts, labels, strict=True)
    ]
    made = FastTfidfVectorizer(ngram_range=(1, 2))
    fields = [Field("text", made), Field("title", made, first_lines, optional=True)]
    worth = {}
    for number, field in enumerate(fields):
        analyze = made.build_analyzer()
        terms = [set(analyze(document)) for document in field.documents(texts)]
        for term in set().union(*terms):
            worth[number, term] = worth_by_hand([term in one for one in terms], labels)
    order = sorted(worth, key=worth.__getitem__, reverse=True)
    assert order[0] == (0, "ground")
    gaps = -np.diff([worth[one] for one in order])
    limits = np.flatnonzero(gaps > 1e-6)[[0, 10, 40]] + 1  # no tie at the limit
    for limit in limits.tolist():
        for parts, budget in [(1, learn.BUDGET), (7, 50_000)]:
            papers = cut(texts, labels, parts)
            learnt = learn_vocabulary(fields, papers, CLASSES, limit, tmp_path, 0, budget)
            kept = [set(one.vocabulary_) if one else set() for one in learnt]
            assert kept == [
                {term for at, term in order[:limit] if at == number} for number in (0, 1)
            ]
            assert learnt[0] is not None
            whole = FastTfidfVectorizer(ngram_range=(1, 2)).fit(texts)
            columns = [whole.vocabulary_[term] for term in learnt[0].vocabulary_]
            assert columns == sorted(columns)
            assert learnt[0].idf_.tobytes() == whole.idf_[columns].tobytes()


def test_of_terms_of_the_same_worth_the_first_stay(tmp_path: Path) -> None:
    part = Texts(("b a", "a b d", "c d", "d c"), (0, 0, 1, 1))
    fields = [Field("text", FastTfidfVectorizer(token_pattern=r"\w+"))] * 2
    learnt = learn_vocabulary(fields, [part], 2, 5, tmp_path, 0)
    assert [list(one.vocabulary_) for one in learnt if one] == [["a", "b", "c"], ["a", "b"]]


def test_worker_processes_learn_what_this_process_learns(tmp_path: Path) -> None:
    texts, labels = write_papers(90, 40)
    field = Field("text", FastTfidfVectorizer(ngram_range=(1, 2), min_df=2))
    papers = cut(texts, labels, 4)
    alone, together = (
        learn_vocabulary([field], papers, CLASSES, 100, tmp_path, workers) for workers in (0, 1)
    )
    assert alone[0] is not None
    assert_same(together[0], alone[0])


@pytest.mark.parametrize(
    ("parameters", "texts"),
    [
        ({}, ["", "a"]),
        ({"stop_words": "english"}, ["the", "of the"]),
        ({"ngram_range": (2, 3)}, ["one", "two"]),
        ({"min_df": 3}, ["one two", "two three"]),
        ({"min_df": 2, "max_df": 1}, ["one two", "two three"]),
    ],
    ids=str,
)
def test_a_field_without_terms_has_the_error_of_a_fit(
    parameters: dict[str, Any], texts: list[str], tmp_path: Path
) -> None:
    field = Field("text", FastTfidfVectorizer(**parameters))
    papers = cut(texts, [0] * len(texts), 1)
    with pytest.raises(ValueError, match="empty vocabulary|max_df") as error:
        learn_vocabulary([field], papers, 1, None, tmp_path, 0)
    with pytest.raises(ValueError, match=f"^{re.escape(str(error.value))}$"):
        FastTfidfVectorizer(**parameters).fit(texts)
    fields = [Field("other", FastTfidfVectorizer(), add_word), replace(field, optional=True)]
    learnt = learn_vocabulary(fields, papers, 1, None, tmp_path, 0)
    assert learnt[0] is not None
    assert learnt[1] is None
    assert not list(tmp_path.iterdir())


def add_word(texts: Sequence[str]) -> list[str]:
    return [f"{text} word" for text in texts]


def test_no_paper_at_all_is_no_vocabulary(tmp_path: Path) -> None:
    field = Field("text", FastTfidfVectorizer())
    for papers in ([], cut([], [], 1)):
        with pytest.raises(ValueError, match="empty vocabulary"):
            learn_vocabulary([field], papers, 1, None, tmp_path, 0)
        optional = replace(field, optional=True)
        assert learn_vocabulary([optional], papers, 1, None, tmp_path, 0) == [None]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"analyzer": "char"}, "n-grams of words"),
        ({"tokenizer": str.split, "token_pattern": None}, "by its token_pattern"),
        ({"vocabulary": ["one"]}, "should learn"),
        ({"token_pattern": ".+", "ngram_range": (1, 2)}, "words with a space"),
    ],
    ids=str,
)
def test_documents_that_only_scikit_learn_reads_have_one_clear_error(
    parameters: dict[str, Any], error: str, tmp_path: Path
) -> None:
    field = Field("title", FastTfidfVectorizer(**parameters))
    with pytest.raises(ShelfmarkError, match=f"of the title .*{error}"):
        learn_vocabulary([field], cut(["one two"], [0], 1), 1, None, tmp_path, 0)


def test_the_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / "vocabulary-killed").mkdir()
    (tmp_path / "vocabulary-killed/part-0").write_bytes(b"half")
    (tmp_path / "other").write_bytes(b"stays")
    field = Field("text", FastTfidfVectorizer())
    learn_vocabulary([field], cut(["one two"], [0], 1), 1, None, tmp_path, 0)
    assert [one.name for one in tmp_path.iterdir()] == ["other"]
