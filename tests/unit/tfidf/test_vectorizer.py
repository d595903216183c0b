"""`FastTfidfVectorizer` has the results of `TfidfVectorizer`, bit for bit."""

from __future__ import annotations

import json
import pickle
import random
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from shelfmark.tfidf import ngrams, tokens, vectorizer
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

ABSTRACTS = Path(__file__).parents[4] / "shared" / "arxiv" / "arxiv.zip"
DOCUMENTS = [
    "The quick brown fox jumps over the lazy dog; the dog sleeps.",
    "A quick-witted fox: naïve, Café, CAFÉ and cafe\u0301!",
    "",
    "the and of",
    "word",
    "x y z",
    "State-of-the-art neural networks learn; neural networks forget.",
    "State-of-the-art neural networks learn; neural networks forget.",
    "日本語 テキスト 𝔘𝔫𝔦 ٣٤ İstanbul ẞtraße ΣΑΣ ﬁn ℃ 25℃",
    "nul\0byte and\x01control\x1fcharacters_underscore __init__ \ud800lone",
    "antidisestablishmentarianism antidisestablishmentarianisms " * 3,
]


def assert_same(got: Any, want: Any) -> None:
    """Equal type, shape, types of the arrays, and every bit of them."""
    assert type(got) is type(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert got.has_canonical_format
    want.sort_indices()  # scikit-learn's fit_transform leaves this to do
    for name in ("indptr", "indices", "data"):
        a, b = getattr(got, name), getattr(want, name)
        assert a.dtype == b.dtype, name
        assert a.tobytes() == b.tobytes(), name


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, or its error, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            result = type(error), str(error).replace("FastTfidf", "Tfidf")
    return result, [str(warning.message) for warning in caught]


def assert_equivalent(
    documents: list[Any], others: list[Any], n_jobs: int = 1, **parameters: Any
) -> FastTfidfVectorizer:
    """Fit both, compare everything; return the fast one."""
    want = TfidfVectorizer(**parameters)
    got = FastTfidfVectorizer(n_jobs=n_jobs, **parameters)
    W, w_warned = outcome(partial(want.fit_transform, documents))
    G, g_warned = outcome(partial(got.fit_transform, documents))
    assert g_warned == w_warned
    if isinstance(W, tuple):
        assert G == W
        return got
    assert not isinstance(G, tuple), G
    assert_same(G, W)
    assert type(got.vocabulary_) is dict
    assert got.vocabulary_ == want.vocabulary_
    assert got.fixed_vocabulary_ == want.fixed_vocabulary_
    if want.use_idf:
        assert got.idf_.dtype == want.idf_.dtype
        assert got.idf_.tobytes() == want.idf_.tobytes()
    assert got.get_feature_names_out().tolist() == want.get_feature_names_out().tolist()
    for some in (others, (documents * 25)[:25], others[:1]):
        W, _ = outcome(partial(want.transform, some))
        G, _ = outcome(partial(got.transform, some))
        if isinstance(W, tuple):
            assert G == W
        else:
            assert_same(G, W)
    return got


ALPHABET = st.sampled_from([*"aAbBéßΣſİ日٣_-' \n\t\0\1\x1f’", "e\u0301", "ﬁ", "℃", "\ud800", "𝔘"])
TEXTS = st.one_of(
    st.lists(ALPHABET, max_size=40).map("".join),
    st.lists(
        st.sampled_from(("the", "of", "cat", "dog", "cats", "a", "é", "𝔘" * 17)), max_size=15
    ).map(" ".join),
    st.text(max_size=30),
)
CORPORA = st.lists(TEXTS, max_size=12)
PATTERNS = (
    r"(?u)\b\w\w+\b",
    r"\w+",
    r"\b\w\w\w+\b",
    r"\w" * 17 + "+",
    r"[a-z]+",
    r"\S+",
    r"(\w)\w*",
    r"[ab ]*",
    r"[\w ]+",
)
DF = st.one_of(st.integers(1, 4), st.floats(0, 1))
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, "ascii", "unicode"]),
        "token_pattern": st.sampled_from(PATTERNS),
        "stop_words": st.sampled_from(
            [None, "english", ["the", "cat", "ab", "", "日", "\ud800", "a\0b"]]
        ),
        "ngram_range": st.sampled_from(
            [(1, 1), (1, 2), (1, 3), (2, 2), (2, 4), (1, 7), (0, 2), (3, 2)]
        ),
        "min_df": DF,
        "max_df": DF,
        "max_features": st.sampled_from([None, 1, 3, 10, 40]),
        "sublinear_tf": st.booleans(),
        "norm": st.sampled_from(["l1", "l2", None]),
        "use_idf": st.booleans(),
        "smooth_idf": st.booleans(),
        "dtype": st.sampled_from([np.float32, np.float64, np.int64]),
        "binary": st.booleans(),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(CORPORA, CORPORA, PARAMETERS, st.sampled_from([1, 2]))
def test_any_parameters(
    documents: list[str], others: list[str], parameters: dict[str, Any], n_jobs: int
) -> None:
    assert_equivalent(documents, others, n_jobs, **parameters)


@settings(max_examples=40, deadline=None)
@given(
    CORPORA,
    st.lists(
        st.sampled_from(["the", "cat", "the cat", "cat the dog", "a  b", "", " ", "ab", "é", "AB"]),
        unique=True,
    ),
    PARAMETERS,
)
def test_given_vocabulary(
    documents: list[str], vocabulary: list[str], parameters: dict[str, Any]
) -> None:
    assert_equivalent(documents, documents, vocabulary=vocabulary, **parameters)


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 3), (2, 6)])
def test_small_limits(
    monkeypatch: pytest.MonkeyPatch, n_jobs: int, ngram_range: tuple[int, int]
) -> None:
    """Chunks, slots and shards so small that every path is taken."""
    monkeypatch.setattr(tokens, "_SLOT_BITS", 3)
    monkeypatch.setattr(tokens, "_CHUNK", 32)
    monkeypatch.setattr(ngrams, "_SHARD", 64)
    monkeypatch.setattr(vectorizer, "FEW", 1)
    monkeypatch.setattr(vectorizer, "PART", 7)
    rng = random.Random(1)
    words = [f"w{i}" * rng.randint(1, 5) for i in range(300)]
    documents = [" ".join(rng.choices(words, k=rng.randint(0, 40))) for _ in range(200)]
    documents = DOCUMENTS + documents + documents[:50]
    for parameters in ({}, {"min_df": 2}, {"max_features": 50}, {"min_df": 2, "norm": "l1"}):
        got = assert_equivalent(
            documents, documents[::3], n_jobs, ngram_range=ngram_range, **parameters
        )
        assert got.engine_ == "fast"


def test_a_given_term_of_many_words_takes_no_room_in_the_others() -> None:
    vocabulary = ["fox", "quick brown", " ".join(["fox"] * 9), "fox " * 5000, "dog the"]
    terms = ngrams.Terms.of(dict(zip(vocabulary, range(5), strict=True)), 2)
    assert terms.grams.shape == (5, 3)
    want, got = (
        kind(vocabulary=vocabulary, ngram_range=(1, 2)).fit(DOCUMENTS).transform(DOCUMENTS * 9)
        for kind in (TfidfVectorizer, FastTfidfVectorizer)
    )
    assert_same(got, want)


def test_grams_wider_than_an_integer() -> None:
    words = [f"{i:05d}" for i in range(3000)]
    random.Random(2).shuffle(words)
    documents = [" ".join(words[i : i + 40]) for i in range(0, 3000, 20)] * 2
    got = assert_equivalent(documents, documents[:9], ngram_range=(1, 9), max_features=4000)
    assert got.engine_ == "fast"


def test_ties_at_the_limit() -> None:
    rng = random.Random(3)
    words = [f"t{i}" for i in range(2000)]
    documents = [" ".join(rng.choices(words, k=50)) for _ in range(120)]
    for limit in (1, 17, 500, 1999, 5000):
        for dtype in (np.float32, np.float64):
            assert_equivalent(documents, [], max_features=limit, dtype=dtype, ngram_range=(1, 2))


@pytest.mark.parametrize(
    ("parameters", "engine"),
    [
        ({}, "fast"),
        ({"token_pattern": r"[^\s]+", "ngram_range": (1, 3)}, "fast"),
        ({"token_pattern": r"[a-z ]+", "ngram_range": (1, 1)}, "fast"),
        ({"token_pattern": r"[a-z ]+", "ngram_range": (1, 2)}, "sklearn"),
        ({"analyzer": "char", "ngram_range": (2, 3)}, "sklearn"),
        ({"analyzer": "char_wb"}, "sklearn"),
        ({"analyzer": str.split}, "sklearn"),
        ({"tokenizer": str.split}, "sklearn"),
        ({"preprocessor": str.upper}, "sklearn"),
        ({"strip_accents": str.title}, "sklearn"),
        ({"ngram_range": (0, 2)}, "sklearn"),
        ({"dtype": np.int32}, "sklearn"),
        ({"vocabulary": {"fox": 1, "the dog": 0}, "ngram_range": (1, 2)}, "fast"),
        ({"vocabulary": {"fox", "dog"}}, "fast"),
    ],
)
def test_engine(parameters: dict[str, Any], engine: str) -> None:
    documents = DOCUMENTS[:9]  # the tenth has control characters
    got = assert_equivalent(documents, DOCUMENTS[:4], **parameters)
    assert got.engine_ == engine


def test_documents_that_are_not_str() -> None:
    encoded = [text.encode("utf-8", "replace") for text in DOCUMENTS]
    assert assert_equivalent(encoded, encoded).engine_ == "sklearn"
    array = np.array(DOCUMENTS[:9])
    assert assert_equivalent(list(array), list(array)).engine_ == "fast"
    got = FastTfidfVectorizer().fit(iter(DOCUMENTS))
    assert_same(
        got.transform(iter(DOCUMENTS)), TfidfVectorizer().fit(DOCUMENTS).transform(DOCUMENTS)
    )
    assert_equivalent(["a text", None], [])
    assert_equivalent(["a text", np.nan], [])
    fitted = assert_equivalent(DOCUMENTS, [])
    assert_same(
        fitted.transform([b"the fox"]), TfidfVectorizer().fit(DOCUMENTS).transform([b"the fox"])
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_df": 1.5},
        {"ngram_range": (2, 1)},
        {"token_pattern": "("},
        {"token_pattern": "(a)(b)"},
        {"token_pattern": None},
        {"stop_words": "french"},
        {"min_df": 200},
        {"min_df": 7, "max_df": 8},
        {"max_df": 1, "min_df": 3},
        {"stop_words": ["don't"]},
        {"vocabulary": []},
        {"vocabulary": ["a", "a"]},
        {"vocabulary": {"fox": 0, "dog": 2}},
        {"vocabulary": ["Fox"]},
        {"vocabulary": {1: 0}},
        {"stop_words": [1, "the"]},
    ],
)
def test_errors_and_warnings(parameters: dict[str, Any]) -> None:
    assert_equivalent(DOCUMENTS, DOCUMENTS, **parameters)


def test_errors_of_documents() -> None:
    for documents in ([], [""], ["the", "of"], "one string", 3, None):
        assert_equivalent(documents, [], stop_words="english")  # type: ignore[arg-type]
    for make in (TfidfVectorizer, FastTfidfVectorizer):
        with pytest.raises(NotFittedError, match="The TF-IDF vectorizer is not fitted"):
            make().transform(["a"])
        with pytest.raises(ValueError, match="string object received"):
            make().fit(DOCUMENTS).transform("text")
    with pytest.raises(Exception, match="n_jobs"):
        FastTfidfVectorizer(n_jobs="two").fit(DOCUMENTS)  # type: ignore[arg-type]


def test_fit_then_transform_and_back() -> None:
    want, got = (v.fit(DOCUMENTS) for v in (TfidfVectorizer(), FastTfidfVectorizer()))
    assert_same(got.transform(DOCUMENTS), want.transform(DOCUMENTS))
    rows = want.transform(DOCUMENTS)
    for a, b in zip(got.inverse_transform(rows), want.inverse_transform(rows), strict=True):
        assert a.tolist() == b.tolist()
    assert got.build_analyzer()(DOCUMENTS[0]) == want.build_analyzer()(DOCUMENTS[0])
    assert "_seen" not in vars(got)


def test_parameters_changed_after_fit() -> None:
    stop = ["fox"]
    want, got = (
        v.fit(DOCUMENTS)
        for v in (TfidfVectorizer(stop_words=stop), FastTfidfVectorizer(stop_words=stop))
    )
    for change in ({"lowercase": False}, {"binary": True}, {"dtype": np.float32}, {"norm": None}):
        for v in (want, got):
            v.set_params(**change).transform(DOCUMENTS)
        assert_same(got.transform(DOCUMENTS), want.transform(DOCUMENTS))
        assert_same(got.transform(DOCUMENTS * 9), want.transform(DOCUMENTS * 9))
    stop.append("dog")
    assert_same(got.transform(DOCUMENTS), want.transform(DOCUMENTS))
    for v in (want, got):
        v.idf_ = np.arange(len(v.idf_), dtype=float)
    assert_same(got.transform(DOCUMENTS), want.transform(DOCUMENTS))


def test_pickle_clone_and_pipeline() -> None:
    got = FastTfidfVectorizer(ngram_range=(1, 2), n_jobs=2).fit(DOCUMENTS)
    size = len(pickle.dumps(got))
    X = got.transform(DOCUMENTS * 9)
    assert len(pickle.dumps(got)) == size
    assert_same(pickle.loads(pickle.dumps(got)).transform(DOCUMENTS * 9), X)
    copy = clone(got)
    assert copy.get_params() == got.get_params()
    assert not hasattr(copy, "vocabulary_")
    assert set(got.get_params()) == {*TfidfVectorizer().get_params(), "n_jobs"}
    assert repr(FastTfidfVectorizer(min_df=2)) == "FastTfidfVectorizer(min_df=2)"
    labels = [i % 2 for i in range(len(DOCUMENTS))]
    pipe = make_pipeline(FastTfidfVectorizer(), MultinomialNB())
    base = make_pipeline(TfidfVectorizer(), MultinomialNB())
    for step in (pipe, base):
        step.set_params(**{f"{step.steps[0][0]}__min_df": 2}).fit(DOCUMENTS, labels)
    assert (pipe.predict_proba(DOCUMENTS) == base.predict_proba(DOCUMENTS)).all()


def test_threads_share_a_vectorizer() -> None:
    got = FastTfidfVectorizer(ngram_range=(1, 2)).fit(DOCUMENTS)
    want = TfidfVectorizer(ngram_range=(1, 2)).fit(DOCUMENTS).transform(DOCUMENTS)
    with ThreadPoolExecutor(8) as pool:
        for X in pool.map(lambda _: got.transform(DOCUMENTS), range(40)):
            assert_same(X, want)
        for X in pool.map(lambda _: got.transform(DOCUMENTS * 4)[: len(DOCUMENTS)], range(40)):
            assert_same(X, want)


def read_abstracts(limit: int) -> list[str]:
    with zipfile.ZipFile(ABSTRACTS) as archive, archive.open(archive.namelist()[0]) as lines:
        records = (json.loads(line) for _, line in zip(range(limit), lines, strict=False))
        return [
            "\n".join(" ".join(record[name].split()) for name in ("title", "abstract"))
            for record in records
        ]


@pytest.mark.skipif(not ABSTRACTS.exists(), reason="no abstracts")
@pytest.mark.parametrize(
    "parameters",
    [
        {
            "ngram_range": (1, 3),
            "min_df": 5,
            "max_features": 10000,
            "stop_words": "english",
            "max_df": 0.7,
        },
        {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True},
        {"token_pattern": r"[a-z-]+", "dtype": np.float32, "max_features": 3000, "norm": "l1"},
    ],
)
def test_abstracts(parameters: dict[str, Any]) -> None:
    documents = read_abstracts(1_000)
    want, got = TfidfVectorizer(**parameters), FastTfidfVectorizer(n_jobs=2, **parameters)
    assert_same(got.fit_transform(documents), want.fit_transform(documents))
    assert got.engine_ == "fast"
    assert got.vocabulary_ == want.vocabulary_
    assert got.idf_.tobytes() == want.idf_.tobytes()
    assert_same(got.transform(documents[::2]), want.transform(documents[::2]))
    assert_same(got.transform(documents[:1]), want.transform(documents[:1]))


MARKED = st.lists(
    st.tuples(
        st.sampled_from(
            [*"eΣ İ\n", "ế", "ﬁ", "カ", "\uff9e", "\u0344", "\u0f73", "\u0301", "\u302e"]
        ),
        st.integers(1, 20),
    ),
    max_size=6,
).map(lambda parts: "".join(sign * times for sign, times in parts))


@pytest.mark.parametrize("accents", ["ascii", "unicode"])
@given(text=MARKED, lowercase=st.booleans())
def test_long_runs_of_accents_are_stripped_as_by_scikit_learn(
    accents: str, text: str, lowercase: bool
) -> None:
    ours, theirs = (
        kind(strip_accents=accents, lowercase=lowercase).build_preprocessor()
        for kind in (FastTfidfVectorizer, TfidfVectorizer)
    )
    assert ours(text) == theirs(text)


@pytest.mark.parametrize("accents", ["ascii", "unicode"])
@pytest.mark.parametrize("run", ["\u0301\u0323", "\u0f73\u0323", "\uff9e\u0344"])
def test_stripping_accents_normalises_no_long_run(
    accents: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalised = []

    def normalize(form: Any, text: str) -> str:
        normalised.append(text)
        return unicodedata.normalize(form, text)

    stand_in = SimpleNamespace(normalize=normalize, combining=unicodedata.combining)
    monkeypatch.setattr("sklearn.feature_extraction.text.unicodedata", stand_in)
    vectorizer = FastTfidfVectorizer(strip_accents=accents, token_pattern=r"(?u)\w+")
    for length in (10, 1000):
        vectorizer.fit(["word é" + run * length] * 2)
        assert vectorizer.get_feature_names_out().tolist() == ["e", "word"]
    assert {len(text) for text in normalised} <= {6 + 2 * 10, 6}
