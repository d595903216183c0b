"""A vocabulary as lines of text: it answers as a dictionary, and finds the same terms."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from shelfmark.tfidf import terms as module
from shelfmark.tfidf.terms import TermList
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

TEXTS = ["a robot grasps Éa", "a robot walks; a a", "İx a galaxy spins robot grasps", ""]


def term_list(terms: list[str]) -> TermList:
    return TermList(np.frombuffer("\n".join(terms).encode(), np.uint8))


def open_saved(vocabulary: Mapping[str, int], **parameters: Any) -> FastTfidfVectorizer:
    """Return the vectorizer of a vocabulary with idf, as a saved model has it."""
    idf = 1 + np.arange(len(vocabulary)) / 7
    return FastTfidfVectorizer(**parameters).set_terms(vocabulary, idf)


def test_a_list_of_terms_answers_as_a_dictionary() -> None:
    terms = ["a", "a robot", "é", "zeta"]
    listed, columns = term_list(terms), dict(zip(terms, range(4), strict=True))
    assert listed == columns
    assert columns == listed
    assert listed == term_list(terms)
    assert listed != term_list(terms[:3])
    assert listed != dict.fromkeys(terms, 0)
    assert (list(listed), len(listed), listed["é"]) == (terms, 4, 2)
    assert (listed.get("zeta"), listed.get("no"), "a" in listed, "b" in listed) == (
        3,
        None,
        True,
        False,
    )
    assert repr(listed) == repr(columns)
    with pytest.raises(KeyError):
        listed["no"]


def test_a_pickle_holds_the_lines_alone() -> None:
    listed = term_list([f"term{k:06}" for k in range(5000)])
    before = len(pickle.dumps(listed))
    assert listed["term000007"] == 7
    content = pickle.dumps(listed)
    assert len(content) == before < 5000 * 12
    assert pickle.loads(content) == listed


def test_a_term_that_repeats_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 8)  # bytes, so that there are several blocks
    for terms in (["a", "b", "c", "d e", "f"], ["b", "a", "", "é", "f g h i"], [""], ["", "a"]):
        assert term_list(terms).are_distinct()
        for k in range(len(terms)):
            for at in range(len(terms) + 1):
                assert not term_list([*terms[:at], terms[k], *terms[at:]]).are_distinct()


@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 2), (2, 2), (1, 3), (2, 4)])
def test_the_features_are_those_by_a_dictionary(ngram_range: tuple[int, int]) -> None:
    parameters = {"ngram_range": ngram_range, "token_pattern": r"(?u)\b\w+\b"}
    learnt = list(FastTfidfVectorizer(**parameters).fit(TEXTS).vocabulary_)
    longer = [*learnt, "a robot walks a a a", "walks a robot"]
    unusual = [
        [*longer, odd] for odd in ("", " a", "a ", "a  robot", "a\1robot", "\1", "a-robot", "  ")
    ]
    for terms in (learnt, longer, learnt[::-1], *unusual, [""], ["a"]):
        columns = dict(zip(dict.fromkeys(terms), range(len(terms)), strict=False))
        expected = open_saved(columns, **parameters)
        listed = open_saved(term_list(list(columns)), **parameters)
        for texts in (TEXTS, TEXTS * 60):  # few, and many characters
            got, wanted = listed.transform(texts), expected.transform(texts)
            assert got.shape == wanted.shape
            assert (got != wanted).nnz == 0
            assert np.array_equal(got.indices, wanted.indices)
        assert listed.get_feature_names_out().tolist() == list(columns)


def test_terms_that_cannot_be_lines_stay_in_a_dictionary() -> None:
    for terms in (["a\nb", "c"], ["\ud800"]):
        assert TermList.of(terms) == dict(zip(terms, range(len(terms)), strict=True))
        assert isinstance(TermList.of(terms), dict)
    assert TermList.of(["a", "b"]) == term_list(["a", "b"])


def test_a_transform_of_many_documents_needs_no_dictionary() -> None:
    parameters = {"ngram_range": (1, 2)}
    vectorizer = FastTfidfVectorizer(**parameters).fit(TEXTS)
    opened = FastTfidfVectorizer.from_structure_state(vectorizer.structure_state())
    assert opened.transform(TEXTS * 60).nnz > 0
    assert "_columns" not in vars(opened.vocabulary_)
    again = FastTfidfVectorizer.from_structure_state(opened.structure_state())
    assert "_columns" not in vars(again.vocabulary_)
    assert again.vocabulary_ == vectorizer.vocabulary_
