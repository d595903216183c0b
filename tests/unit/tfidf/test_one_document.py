"""Documents without a matrix: the rows that scikit-learn returns, to the last bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.tfidf.counts import FEW, NotExactError
from shelfmark.tfidf.fields import FieldTerms
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from tests.support.odd_texts import ODD, TEXTS

LONG = "robots grasp the cat " * (FEW // 20)
TRAINING = [*ODD, "robots grasp the cat", "the dog and the cats of a galaxy", "dogs"]
# What the settings of a model may be, and what only scikit-learn's code counts.
PARAMETERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "pairs": {"ngram_range": (1, 2), "sublinear_tf": True, "dtype": np.float32},
    "pairs alone": {"ngram_range": (2, 2)},
    "up to four": {"ngram_range": (1, 4), "dtype": np.float32},
    "binary": {"binary": True},
    "binary in float32": {"binary": True, "dtype": np.float32, "norm": None},
    "norm l1": {"norm": "l1", "sublinear_tf": True},
    "no norm": {"norm": None, "sublinear_tf": True},
    "counts": {"norm": None, "use_idf": False},
    "rough idf": {"smooth_idf": False},
    "English": {"stop_words": "english", "ngram_range": (1, 2)},
    "accents": {"strip_accents": "unicode", "ngram_range": (1, 2)},
    "ascii": {"strip_accents": "ascii", "dtype": np.float32},
    "case": {"lowercase": False},
    "few terms": {"max_features": 3},
    "a pattern": {"token_pattern": r"\S+"},
    "a pattern and pairs": {"token_pattern": r"\S+", "ngram_range": (1, 2)},
    "a group": {"token_pattern": r"(\w)\w*"},
    "characters": {"analyzer": "char", "ngram_range": (2, 3)},
    "characters of words": {"analyzer": "char_wb", "ngram_range": (3, 3)},
    "a tokenizer": {"tokenizer": str.split, "token_pattern": None},
}


def is_exact(name: str) -> bool:
    """Return whether a token of this setting is a run of letters."""
    return not {"analyzer", "token_pattern", "tokenizer"} & set(PARAMETERS[name])


SAVED = [name for name in PARAMETERS if is_exact(name)]


@cache
def fitted(name: str) -> tuple[FastTfidfVectorizer, TfidfVectorizer]:
    parameters = PARAMETERS[name]
    ours, theirs = FastTfidfVectorizer(**parameters), TfidfVectorizer(**parameters)
    return ours.fit(TRAINING), theirs.fit(TRAINING)


@cache
def opened(name: str) -> FastTfidfVectorizer:
    """Return the vectorizer of a saved model, whose terms are no dictionary."""
    return FastTfidfVectorizer.from_structure_state(fitted(name)[0].structure_state())


def assert_row(vectorizer: FastTfidfVectorizer, text: str, wanted: Any) -> None:
    wanted.sort_indices()
    terms = FieldTerms([vectorizer])
    # Alone, among a few, and among so many that they are read as arrays.
    for texts in ([text], [text, "robots", text], [text, LONG, text]):
        rows = [*terms.weigh([texts])]
        assert len(rows) == len(texts)
        for row in (rows[0], rows[-1]):
            assert row.columns.tolist() == wanted.indices.tolist()
            assert row.values.dtype == wanted.dtype
            assert row.values.tobytes() == wanted.data.tobytes()
    several = vectorizer.transform([text, "robots", text])
    assert several[2].data.tobytes() == row.values.tobytes()
    assert several[0].indices.tolist() == row.columns.tolist()


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_odd_text_alone_is_the_row_of_scikit_learn(name: str) -> None:
    ours, theirs = fitted(name)
    if not is_exact(name):
        with pytest.raises(NotExactError):
            FieldTerms([ours])
        return
    for text in ODD:
        assert_row(ours, text, theirs.transform([text]))


@pytest.mark.parametrize("name", SAVED)
def test_with_the_terms_of_a_file_it_is_the_same(name: str) -> None:
    for text in ODD:
        assert_row(opened(name), text, fitted(name)[1].transform([text]))


@settings(max_examples=200)
@given(st.sampled_from(SAVED), TEXTS)
def test_any_text_alone_is_the_row_of_scikit_learn(name: str, text: str) -> None:
    ours, theirs = fitted(name)
    wanted = theirs.transform([text])
    assert_row(ours, text, wanted)
    assert_row(opened(name), text, wanted)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_word_is_known_if_it_is_a_term(name: str) -> None:
    ours, theirs = fitted(name)
    vectorizers = [ours, *([opened(name)] if name in SAVED else [])]
    terms = set(theirs.vocabulary_)
    words = {word for term in terms for word in (term, *term.split())} | {"", "zzzz", "the cats"}
    for vectorizer in vectorizers:
        alone = {word for word in words if " " not in word}
        assert {word for word in alone if vectorizer.knows(word)} == alone & terms


@pytest.mark.parametrize("name", PARAMETERS)
def test_columns_have_the_names_of_scikit_learn(name: str) -> None:
    ours, theirs = fitted(name)
    wanted = theirs.get_feature_names_out()
    columns = np.random.default_rng(0).permutation(len(wanted))[:40]
    for vectorizer in (ours, *([opened(name)] if name in SAVED else [])):
        assert vectorizer.term_names(columns) == wanted[columns].tolist()
        assert vectorizer.term_names(np.arange(len(wanted))) == wanted.tolist()
        assert vectorizer.term_names(columns[:0]) == []


FIELDS = [{"ngram_range": (1, 2)}, {"ngram_range": (2, 3), "sublinear_tf": True},
          {"norm": None}, {"binary": True}]  # fmt: skip
BODIES = ["robots grasp", "", "the cats of a galaxy spin", "zzzz", *ODD]


@pytest.mark.parametrize("own", FIELDS)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("texts", [1, 3, len(ODD)])
def test_fields_stand_side_by_side_each_as_its_vectorizer_has_it(
    own: dict[str, Any], count: int, texts: int
) -> None:
    corpora = [TRAINING, [f"{text} title" for text in TRAINING[::-1]], ["robots and the cat walk"]]
    vectorizers = [FastTfidfVectorizer(dtype=np.float32, **own).fit(corpus)
                   for corpus in corpora[:count]]  # fmt: skip
    # Each field has other documents; those of the second are many, so that they are read as arrays.
    for longer in ("", LONG):
        fields = [[f"{text} {longer * number}" for text in BODIES[number : number + texts]]
                  for number in range(count)]  # fmt: skip
        wanted = [one.transform(docs) for one, docs in zip(vectorizers, fields, strict=True)]
        together = sp.hstack(wanted, format="csr")
        together.sort_indices()
        rows = FieldTerms(vectorizers).weigh(fields)
        assert rows.columns.tolist() == together.indices.tolist()
        assert rows.bounds.tolist() == together.indptr.tolist()
        assert rows.values.tobytes() == together.data.tobytes()


def test_fields_know_the_words_of_the_first() -> None:
    text, title = (FastTfidfVectorizer().fit([words]) for words in ("robots grasp", "cats walk"))
    trie = FieldTerms([text, title]).trie
    assert [word for word in ("robots", "cats", "walk", "zzzz") if trie.knows(word)] == ["robots"]


def test_fields_with_other_parameters_have_no_common_walk() -> None:
    one = FastTfidfVectorizer().fit(TRAINING)
    for other in ({"sublinear_tf": True}, {"ngram_range": (1, 2)}, {"lowercase": False}):
        with pytest.raises(NotExactError):
            FieldTerms([one, FastTfidfVectorizer(**other).fit(TRAINING)])


def test_terms_are_those_of_the_last_fit() -> None:
    vectorizer = FastTfidfVectorizer().fit(["robots grasp"])
    terms = FieldTerms([vectorizer])
    assert terms.is_of([vectorizer])
    vectorizer.fit(["cats walk"])
    assert not terms.is_of([vectorizer])


def test_before_the_fit_there_is_no_row() -> None:
    with pytest.raises(NotExactError):
        FieldTerms([FastTfidfVectorizer()])
