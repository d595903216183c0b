"""The baselines: TF-IDF and LSA, beside scikit-learn's, and texts of which they know no word."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.embeddings.baselines import LsaBaseline, TfidfBaseline
from tests.support.tables import papers

UNKNOWN = ["", "xyzzy plugh"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    texts: list[str] = papers(100)["text"].to_pylist()
    return texts


@pytest.fixture(scope="module")
def tfidf(texts: list[str]) -> TfidfBaseline:
    return TfidfBaseline.fit(texts, threads=1)


def test_tfidf_has_the_vectors_of_scikit_learn(tfidf: TfidfBaseline, texts: list[str]) -> None:
    theirs = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32).fit(texts)
    difference = (
        tfidf.encode(texts[:20])
        - theirs.transform(texts[:20])[
            :, [theirs.vocabulary_[term] for term in tfidf.vectorizer.vocabulary_]
        ]
    )
    assert abs(difference).max() < 1e-6
    assert tfidf.size == len(theirs.vocabulary_)


def test_lsa_approximates_the_similarities_of_tfidf(tfidf: TfidfBaseline, texts: list[str]) -> None:
    exact = (tfidf.encode(texts) @ tfidf.encode(texts).T).toarray()

    def distance(size: int) -> float:
        vectors = LsaBaseline.fit(tfidf, texts, size).encode(texts)
        assert vectors.shape == (100, size)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        return float(np.abs(vectors @ vectors.T - exact).mean())

    assert distance(50) < distance(10) < distance(2)


def test_the_seconds_of_lsa_contain_those_of_tfidf(tfidf: TfidfBaseline, texts: list[str]) -> None:
    assert LsaBaseline.fit(tfidf, texts, 4).seconds > tfidf.seconds > 0


def test_a_text_without_a_known_word_has_a_zero_vector(
    tfidf: TfidfBaseline, texts: list[str]
) -> None:
    assert tfidf.encode(UNKNOWN).nnz == 0
    assert not LsaBaseline.fit(tfidf, texts, 4).encode(UNKNOWN).any()


def test_a_few_texts_have_fewer_numbers_than_asked_for() -> None:
    texts = ["the robot arm", "the robot walks", "one robot arm walks"]
    few = LsaBaseline.fit(TfidfBaseline.fit(texts, threads=1), texts)
    assert few.size < 3
    assert few.encode(texts).shape == (3, few.size)
