"""Why a paper was found: the shares of its words add up to the similarity."""

from __future__ import annotations

import numpy as np
import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.core.arrays import Doubles
from shelfmark.embeddings import sizes
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.protocol import Encoder
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.search.query.why import explain, share_similarity
from shelfmark.search.words.search import WordSearch
from shelfmark.search.words.terms import Hashes, hash_words
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from tests.support import hashed_encoder
from tests.support.word_search import postings_of

PAPERS = [
    "Grasping unseen objects\nA robot grasps objects, and objects fall. Schrödinger's robot.",
    "Graph networks\nWe learn graphs with networks of networks.",
    "Quarks\nNothing of the kind: quarks, in a field-theoretic picture.",
]
QUERY = "Robots grasping the objects of a schrodinger graph"


def open_encoder(encoder: Encoder, settings: EncoderSettings) -> OpenEncoder:
    config = settings.model_dump(mode="json")
    return OpenEncoder(encoder, EncoderCard(name="small", config=config, size=encoder.size))


def open_static(encoder: StaticEncoder) -> OpenEncoder:
    return open_encoder(encoder, load_encoder_config([]))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> OpenEncoder:
    """An encoder of another family, whose terms nobody knows."""
    hashed_encoder.register(monkeypatch)
    settings = hashed_encoder.make_settings()
    assert isinstance(settings.encoder, hashed_encoder.HashedConfig)
    return open_encoder(hashed_encoder.fit_rows(settings.encoder, 1, PAPERS), settings)


def fit_static(ngrams: tuple[int, int] = (1, 1)) -> StaticEncoder:
    """Return an encoder of drawn vectors; the terms are words, or n-grams."""
    vectorizer = FastTfidfVectorizer(
        strip_accents="unicode", norm=None, use_idf=False, sublinear_tf=True, dtype=np.float32,
        ngram_range=ngrams,
    )  # fmt: skip
    vectorizer.fit([*PAPERS, QUERY])
    terms = len(vectorizer.vocabulary_)
    table = np.random.default_rng(5).standard_normal((terms, 16)).astype(np.float32)
    return StaticEncoder.from_table(vectorizer, table)


@pytest.fixture(scope="module")
def static() -> StaticEncoder:
    return fit_static()


def test_the_shares_of_all_terms_times_the_cosine_are_the_cosine(static: StaticEncoder) -> None:
    query = static.encode([QUERY])[0]
    cosines = static.encode(PAPERS) @ query
    assert (cosines > 0).any()
    for paper, cosine, (terms, shares) in zip(
        PAPERS, cosines, share_similarity(static, query, PAPERS), strict=True
    ):
        counts = static.vectorizer.transform([paper]).toarray()[0]
        vectors = static.rows * static.scales[:, None] * counts[:, None]
        products = vectors @ query / np.linalg.norm(vectors.sum(axis=0))
        if cosine <= 0:
            assert not shares.any()
            continue
        assert shares.sum() == pytest.approx(1, abs=1e-9)
        assert shares * cosine == pytest.approx(products[terms], abs=1e-5)
        assert sorted(terms.tolist()) == np.flatnonzero(counts).tolist()


def test_the_words_are_written_as_in_the_paper_the_most_important_first(
    static: StaticEncoder,
) -> None:
    query = static.encode([QUERY])[0]
    (terms, shares), *_ = share_similarity(static, query, PAPERS)
    found = explain(open_static(static), QUERY, PAPERS, 4)
    assert [len(words) for words in found] == [
        min(4, int((own > 0).sum())) for _, own in share_similarity(static, query, PAPERS)
    ]
    (words, *_), names = found, list(static.vectorizer.vocabulary_)
    assert [word.share for word in words] == sorted(shares.tolist(), reverse=True)[:4]
    best = [names[terms[place]] for place in np.argsort(-shares)[:4]]
    assert [static.vectorizer.build_preprocessor()(word.word) for word in words] == best
    assert {word.word for word in words} <= {
        "Grasping",
        "unseen",
        "objects",
        "robot",
        "Schrödinger",
    }


def test_a_vector_takes_the_place_of_the_text_and_may_be_cut(static: StaticEncoder) -> None:
    opened = open_static(static)
    by_text = explain(opened, PAPERS[1], PAPERS, 5)
    whole = static.encode([PAPERS[1]])[0]
    assert explain(opened, "", PAPERS, 5, whole) == by_text
    cut = sizes.cut_vectors(whole[None], 8)[0]
    for paper, (terms, shares) in zip(PAPERS, share_similarity(static, cut, PAPERS), strict=True):
        cosine = sizes.cut_vectors(static.encode([paper]), 8)[0] @ cut
        assert (cosine > 0) == bool(shares.any())
        assert len(terms) == len(shares)
    assert explain(opened, "", PAPERS, 5, cut) != by_text


def test_a_term_of_several_words_is_one_of_the_words() -> None:
    static = fit_static((2, 2))
    words = explain(open_static(static), PAPERS[1], PAPERS, 50)[1]
    assert sum(word.share for word in words) >= 1 - 1e-9
    assert {"graph networks", "networks of"} <= {word.word for word in words}


def test_words_share_their_bm25_for_an_encoder_without_terms(hashed: OpenEncoder) -> None:
    rarity = WordSearch([postings_of([("", paper) for paper in PAPERS])], [3]).inverse_frequencies
    robots, graphs, quarks = explain(hashed, QUERY, PAPERS, 50, rarity=rarity)
    assert [word.word for word in robots] == ["objects", "robot", "Grasping", "Schrödinger"]
    assert [word.word for word in graphs] == ["Graph"]
    assert quarks == ()
    for words in (robots, graphs):
        assert sum(word.share for word in words) == pytest.approx(1)
        assert words == tuple(sorted(words, key=lambda word: -word.share))


def test_a_compound_stands_for_its_parts_and_rare_words_count_more(hashed: OpenEncoder) -> None:
    def rarity(hashes: Hashes) -> Doubles:
        return np.where(hashes == hash_words(["quark"]).hashes, 3.0, 1.0)

    query = "field theoretic quark"
    words = explain(hashed, query, PAPERS, 2)[2]
    assert [word.word for word in words] == ["field-theoretic", "Quarks"]
    words = explain(hashed, query, PAPERS, 2, rarity=rarity)[2]
    assert [word.word for word in words] == ["Quarks", "field-theoretic"]
    assert explain(hashed, query, PAPERS, 1)[2] == explain(hashed, query, PAPERS, 2)[2][:1]


def test_words_are_shared_where_no_term_of_the_query_is_known(static: StaticEncoder) -> None:
    known = explain(open_static(static), "x y z", PAPERS, 5)
    assert known == [(), (), ()]
    words = explain(open_static(static), "theoretics", PAPERS, 5)
    assert [[word.word for word in one] for one in words] == [[], [], ["field-theoretic"]]


@pytest.mark.parametrize("papers", [[], [""], ["?!"]])
def test_a_paper_without_words_shares_none(
    static: StaticEncoder, hashed: OpenEncoder, papers: list[str]
) -> None:
    for opened in (open_static(static), hashed):
        assert explain(opened, QUERY, papers, 5) == [()] * len(papers)
