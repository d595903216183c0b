"""The explanations: weights that add up, words that matter, and their places."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.models import artifact
from shelfmark.models.answers import explain_text
from shelfmark.models.boosted import features
from shelfmark.models.boosted.explain import find_places
from shelfmark.models.protocol import MOST_WORDS, WordWeights
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from tests.support import tables
from tests.support.tables import fit, papers, table

KINDS = tables.KINDS | {"no title": [*tables.KINDS["stacked"], "features.title_weight=null"]}
TRAIN, VALIDATION, SHOWN = slice(0, 400), slice(400, 500), slice(500, 540)
PAIR = ("cs.RO", "quant-ph")


def part(rows: slice, labels: tuple[str, ...] | None = None) -> Any:
    """Return papers of the sample, those of some labels alone if asked."""
    some = papers(540).slice(rows.start, rows.stop - rows.start)
    kept = [labels is None or label in labels for label in some["label"].to_pylist()]
    return some.filter(kept)


@functools.cache
def fitted(kind: str, labels: tuple[str, ...] | None = None) -> artifact.Model:
    quick = ["features.min_df=2", "model.rounds=15"]
    return fit(part(TRAIN, labels), part(VALIDATION, labels), *quick, *KINDS[kind])


def margins(model: artifact.Model, text: str) -> Any:
    return model.classifier.decision.decision_function(
        features.transform(model.classifier.pipeline.steps[:-1], [text])
    )[0]


def shown(model: artifact.Model, count: int) -> list[str]:
    texts: list[str] = part(SHOWN)["text"].to_pylist()[:count]
    return texts


def assert_adds_up(explanation: WordWeights, margin: float) -> None:
    assert explanation.margin == pytest.approx(margin, rel=1e-4, abs=1e-3)
    total = explanation.base + sum(explanation.weights.values())
    assert total == pytest.approx(explanation.margin, rel=1e-6, abs=1e-6)
    assert explanation.weights


EIGHT_AND_TWO = pytest.mark.parametrize("labels", [None, PAIR], ids=["eight", "two"])


@EIGHT_AND_TWO
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "reranked"])
def test_base_and_weights_add_up_to_the_margin(kind: str, labels: tuple[str, ...] | None) -> None:
    model = fitted(kind, labels)
    for text in shown(model, 4):
        for category, margin in zip(model.classes, margins(model, text), strict=True):
            assert_adds_up(model.classifier.explain(text, category), margin)


@EIGHT_AND_TWO
def test_of_the_reranker_they_add_up_to_the_trees_margin_or_that_of_the_first_scorer(
    labels: tuple[str, ...] | None,
) -> None:
    model = fitted("reranked", labels)
    classes, candidates = len(model.classes), model.classifier.decision.classifier.candidates
    for text in shown(model, 5):
        explanations = [model.classifier.explain(text, category) for category in model.classes]
        first = features.transform(model.classifier.pipeline.steps[:-1], [text])[
            0, :classes
        ].toarray()[0]
        order = np.argsort(-first)
        for number in order[:candidates]:
            assert_adds_up(explanations[number], explanations[number].margin)
        for number in order[candidates:]:
            assert_adds_up(
                explanations[number], first[number] / model.classifier.decision.temperature
            )
        # The trees' margins are those of the model, but for what all candidates share.
        given = margins(model, text)
        apart = [explanations[number].margin - given[number] for number in order[:candidates]]
        np.testing.assert_allclose(apart, apart[0], rtol=1e-3, atol=1e-3)


def test_of_a_linear_model_the_base_is_its_intercept() -> None:
    model = fitted("linear")
    svm = dict(model.classifier.pipeline[1].transformer_list)["scores"].fitted_[0]
    for text in shown(model, 10):
        for number, category in enumerate(model.classes):
            explanation = model.classifier.explain(text, category)
            wanted = svm.intercept_[number] / model.classifier.decision.temperature
            assert explanation.base == pytest.approx(wanted, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_that_decides_speaks_for_its_class(kind: str) -> None:
    model = fitted(kind)
    for category, word in (("cs.RO", "robot"), ("astro-ph.GA", "galaxy"), ("quant-ph", "qubit")):
        text = f"A robust framework\nThe {word} of a system: noise and {word}."
        explanation = model.classifier.explain(text, category)
        assert explanation.weights[word] > 0
        assert word in [name for name, _ in explanation.strongest(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_strongest_word_a_class_is_mostly_less_probable(kind: str) -> None:
    model = fitted(kind)
    lower = []
    for text in shown(model, 40):
        before = model.probabilities([text])[0][0]
        number = int(before.argmax())
        weights = model.classifier.explain(text, model.classes[number]).weights
        word = max(weights, key=lambda name: weights[name])
        for start, end in reversed(model.classifier.places(text, [word])[word]):
            text = text[:start] + text[end:]
        if weights[word] > 0:
            lower.append(model.probabilities([text])[0][0, number] < before[number])
    assert len(lower) > 30
    assert np.mean(lower) > 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_has_no_words_to_explain(kind: str) -> None:
    model = fitted(kind)
    for text in ("", "zzz qqqq"):
        explanation = model.classifier.explain(text, "cs.RO")
        assert explanation.weights == {}
        assert np.isfinite(explanation.margin)
        assert explanation.base == explanation.margin


def test_a_score_that_is_the_same_for_all_papers_has_no_part_in_it() -> None:
    words = {"cs.RO": "robot", "quant-ph": "qubit"}
    labels = list(words) * 20
    everywhere = table(labels, [f"{words[x]} and" for x in labels], [PAIR] * 40)
    model = fit(everywhere, everywhere, "model=stacked", "model.stack.min_listed=5")
    explanation = model.classifier.explain("robot and", "cs.RO")
    assert explanation.weights["robot"] > 0
    assert np.isfinite(explanation.base)


def test_a_category_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="hep-th"):
        fitted("trees").classifier.explain("robot", "hep-th")


def test_an_answer_to_why_holds_the_strongest_words_their_places_and_the_rest() -> None:
    model = fitted("stacked")
    text = shown(model, 1)[0]
    explanation = explain_text(model, text, model.classes[0])
    assert explanation.category == model.classes[0]
    assert 0 < len(explanation.words) <= MOST_WORDS
    strengths = [abs(word.weight) for word in explanation.words]
    assert strengths == sorted(strengths, reverse=True)
    total = explanation.base + sum(word.weight for word in explanation.words) + explanation.rest
    assert total == pytest.approx(explanation.margin)
    assert all(word.places for word in explanation.words)


# --- where a term stands


def reading(**settings: Any) -> tuple[FastTfidfVectorizer, Any]:
    """Return a vectorizer with some settings, and its analyzer."""
    vectorizer = FastTfidfVectorizer(strip_accents="unicode", **settings)
    return vectorizer, vectorizer.build_analyzer()


def standing(text: str, *terms: str, **settings: Any) -> list[list[str]]:
    """Return the pieces of a text where each term stands."""
    places = find_places(reading(**settings)[0], text, list(terms))
    return [[text[start:end] for start, end in places[term]] for term in terms]


def test_places_of_a_term_are_all_its_places_accents_and_capitals_aside() -> None:
    text = "Poincaré maps\nA Poincare map, POINCARÉ's; poincarés not"
    assert standing(text, "poincare") == [["Poincaré", "Poincare", "POINCARÉ"]]


def test_places_of_ngrams_reach_over_stop_words_signs_and_the_end_of_the_title() -> None:
    text = "Theory of fields\nThe fields: theory (theory of the fields)"
    places = standing(
        text, "theory fields", "fields theory", ngram_range=(1, 2), stop_words="english"
    )
    assert places == [["Theory of fields", "theory of the fields"], ["fields: theory"]]


def test_an_accent_of_its_own_and_a_sign_that_stands_for_several_shift_no_place() -> None:
    text = "the x\u0302y plane, a ﬁeld ½ of 25℃ and the end"
    assert standing(text, "xy", "field", "25", "end") == [
        ["x\u0302y"], ["ﬁeld"], ["25"], ["end"],
    ]  # fmt: skip


def test_a_term_that_is_not_there_has_no_place() -> None:
    assert standing("a robot arm", "galaxy", "robot arm") == [[], []]


# Greek's sigma has another form at the end of a word, and so in a piece of one.
SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="Σσς")
TEXTS = st.lists(
    st.sampled_from(["the", "robot", "Café", " ", "\n", "½", "ﬁ"]) | st.text(SIGNS, max_size=5)
)


@settings(max_examples=150, deadline=None)
@given(TEXTS.map("".join), st.sampled_from([None, "english"]))
def test_every_term_of_any_text_stands_where_reading_the_piece_gives_it(
    text: str, stop_words: str | None
) -> None:
    vectorizer, read = reading(ngram_range=(1, 2), stop_words=stop_words)
    terms = Counter(read(text))
    spans = find_places(vectorizer, text, list(terms))
    assert {term: len(places) for term, places in spans.items()} == terms
    for term, places in spans.items():
        for start, end in places:
            assert term in read(text[start:end])
