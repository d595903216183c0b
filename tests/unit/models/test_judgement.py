"""What an answer is worth, in words: for each scope and verdict, and for models of old."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.models import answers, judgement
from shelfmark.models.answers import PaperQuery
from shelfmark.models.artifact import Model
from shelfmark.models.judgement import Judgement, Listed
from shelfmark.models.scope.detector import RARE, Evidence, ScopeDetector
from shelfmark.models.scope.made_texts import FOREIGN, MADE
from shelfmark.models.verdicts import Question, Scope, ScopeLimits, VerdictLimits
from tests.support import detectors

ROBOT = "We train a robot arm for grasping with motion planning and navigation of a mobile robot."
FRENCH = (
    "Nous présentons une méthode pour la segmentation des images d'une caméra par un robot mobile. "
    "La navigation et la localisation sont améliorées, et nous montrons que cette approche donne "
    "de meilleurs résultats que les méthodes qui étaient connues jusqu'ici dans ce domaine."
)
ALL_IN = ScopeLimits(-1e9, -1e9, -1e9, -1e9)
VERDICTS = {"sure": 2, "likely": 1, "open": 0}


def with_limits(model: Model, scope: ScopeLimits = ALL_IN, **changes: Any) -> Model:
    """Return the model with estimates that are its probabilities, and a scope that takes all."""
    question = Question(
        intercept=0.0,
        slope=1.0,
        short_intercept=0.0,
        short_slope=0.0,
        offsets=dict.fromkeys(model.classes, 0.0),
        sure_from=changes.pop("sure_from", 0.9),
        likely_from=changes.pop("likely_from", 0.5),
        kept=changes.pop("kept", {"sure": 0.964, "likely": 0.71, "open": 0.3}),
    )
    listed = replace(question, kept={"sure": 0.99, "likely": 0.8, "open": 0.4}, **changes)
    limits = VerdictLimits(0.7, question, listed, scope)
    thresholds = replace(model.card.limits, verdicts=limits)
    return replace(model, card=replace(model.card, thresholds=thresholds))


def judged(model: Model, confidence: float, text: str = ROBOT) -> Judgement:
    """Return the judgement of an answer whose class has a probability."""
    others = len(model.classes) - 1
    probabilities = np.full((1, others + 1), (1 - confidence) / others, np.float32)
    probabilities[0, 0] = confidence
    (one,) = judgement.judge_texts(model, [text], probabilities)
    return one


# --- in scope


@pytest.mark.parametrize(
    ("confidence", "verdict", "sentence"),
    [
        (0.95, "sure", "Sure: of answers like this, 96 in 100 name the primary category, and 99 "
         "in 100 a category of the paper."),
        (0.6, "likely", "Likely: of answers like this, 71 in 100 name the primary category, and "
         "80 in 100 a category of the paper."),
        (0.4, "open", "Open: of answers like this, 30 in 100 name the primary category, and 40 in "
         "100 a category of the paper."),
    ],
)  # fmt: skip
def test_the_sentence_of_a_verdict_says_what_was_measured(
    model: Model, confidence: float, verdict: Any, sentence: str
) -> None:
    one = judged(with_limits(model), confidence)
    assert (one.scope, one.reason, one.verdict, one.sentence) == ("in", None, verdict, sentence)
    assert one.precision == {"sure": 0.964, "likely": 0.71, "open": 0.3}[verdict]
    assert one.listed == Listed(verdict, {"sure": 0.99, "likely": 0.8, "open": 0.4}[verdict])


def test_the_two_questions_may_have_two_verdicts(model: Model) -> None:
    one = judged(with_limits(model, intercept=3.0), 0.6)
    assert one.verdict == "likely"
    assert one.listed == Listed("sure", 0.99)
    assert one.sentence == (
        "Likely: of answers like this, 71 in 100 name the primary category, and 99 in 100 a "
        "category of the paper."
    )


def test_a_verdict_that_no_validation_paper_had_says_so(model: Model) -> None:
    one = judged(with_limits(model, kept={"likely": 0.7, "sure": None}), 0.95)
    assert (one.verdict, one.precision) == ("sure", None)
    assert one.sentence == "Sure: no answer to the validation papers was like this."


@settings(max_examples=60)
@given(
    st.floats(-6, 6), st.sampled_from([None, 0.5, 0.9]), st.sampled_from([None, 0.3]),
    st.lists(st.floats(0.15, 1), min_size=1, max_size=5),
)  # fmt: skip
def test_the_category_is_never_listed_less_surely_than_it_is_the_primary_one(
    model: Model, intercept: float, sure_from: Any, likely_from: Any, confidences: list[float]
) -> None:
    graded = with_limits(model, sure_from=sure_from, likely_from=likely_from, intercept=intercept)
    for confidence in confidences:
        one = judged(graded, confidence)
        assert one.listed is not None
        assert VERDICTS[one.listed.verdict] >= VERDICTS[one.verdict]


def test_texts_are_judged_alone_as_in_a_list(model: Model) -> None:
    texts = [ROBOT, FRENCH, "", "dust", *detectors.texts(own=True)[:20]]
    probabilities, _ = model.probabilities(texts)
    alone = [judgement.judge_texts(model, [text], row[None])[0]
             for text, row in zip(texts, probabilities, strict=True)]  # fmt: skip
    assert judgement.judge_texts(model, texts, probabilities) == alone
    assert judgement.judge_texts(model, [], probabilities[:0]) == []


# --- out of scope

ANY = {"form": 9.0, "subject": 9.0, "other": -1, "kind": -1, "known": 40, "unknown": 0}


def reason(model: Model, text: str = ROBOT, **changes: Any) -> str:
    """Return why a text with an evidence is out of scope, of a model that wants 2 of both."""
    values = ANY | changes
    subject, form = (np.array([values[name]], np.float32) for name in ("subject", "form"))
    other, kind, known, unknown = (
        np.array([values[name]], np.int64) for name in ("other", "kind", "known", "unknown")
    )
    evidence = Evidence(subject, form, other, kind, known, unknown)
    wanting = with_limits(model, ScopeLimits(2.0, 2.0, 1.0, 1.0))
    return judgement.explain_scope(wanting, text, evidence, 0)


def with_detector(model: Model, **changes: Any) -> Model:
    detector = detectors.detector()
    return replace(model, scope=ScopeDetector(**(vars(detector) | changes)))


def test_a_text_of_no_known_word_is_named_so(model: Model) -> None:
    assert reason(model, known=0, form=-9) == "the model knows no word of the text"


def test_a_text_of_few_known_words_is_named_so(model: Model) -> None:
    few = "the text has too few different words"
    assert reason(model, known=1) == reason(model, known=2, unknown=2, form=-9) == few
    assert reason(model, known=4, unknown=2) == (
        "the model knows too few different words of the text"
    )


def test_a_text_in_another_language_is_named_with_it(model: Model) -> None:
    french = "the text seems to be in another language than English (fr)"
    assert reason(model, FRENCH, form=-9) == french


def test_a_text_of_mostly_unknown_words_is_named_with_their_share(model: Model) -> None:
    text = "The robot that we have trained grasps the cups on this table with one hand."
    assert reason(model, text, form=-9, known=10, unknown=30) == (
        "the model does not know 75% of the words"
    )
    assert "does not know" not in reason(model, text, form=-9, known=10, unknown=10)


@pytest.mark.parametrize("kind", MADE)
def test_a_text_of_another_form_is_named_by_its_kind(model: Model, kind: str) -> None:
    assert model.scope is not None
    place = model.scope.labels.index(kind)
    said = f"the text reads like {kind}, not like an abstract"
    if kind == FOREIGN:  # of a text that is English, as far as its words tell
        said = "the text does not read like an abstract"
    assert reason(model, form=-9, kind=place) == said


def test_a_paper_of_a_lacking_category_is_named_by_it(model: Model) -> None:
    other = with_detector(model)
    assert other.scope is not None
    place = other.scope.labels.index("math.PR")
    named = "one of a category that the model lacks, such as math.PR (Probability)"
    assert reason(other, subject=-1, other=place) == f"the paper is probably {named}"
    assert reason(other, subject=1, other=place) == f"the paper may be {named}"


def test_a_paper_of_a_rare_category_is_of_one_that_the_model_lacks(model: Model) -> None:
    labels = tuple(RARE if x == "math.PR" else x for x in detectors.detector().labels)
    assert reason(with_detector(model, labels=labels), subject=-1, other=labels.index(RARE)) == (
        "the text reads like a paper of a category that the model lacks"
    )


def test_a_category_without_a_name_stands_alone(model: Model) -> None:
    labels = tuple("cs.NW" if x == "math.PR" else x for x in detectors.detector().labels)
    other, place = with_detector(model, labels=labels), labels.index("cs.NW")
    assert reason(other, subject=-1, other=place).endswith("lacks, such as cs.NW")
    config = other.card.config
    config = config | {"data": config["data"] | {"categories": {"cs.NW": "New Things"}}}
    named = replace(other, card=replace(other.card, config=config))
    assert reason(named, subject=-1, other=place).endswith("lacks, such as cs.NW (New Things)")


@pytest.mark.parametrize(
    ("limits", "scope", "word"),
    [
        (ScopeLimits(1e9, -1e9, -1e9, -1e9), "doubtful", "Doubtful"),
        (ScopeLimits(1e9, -1e9, 1e9, -1e9), "outside", "Outside"),
        (ScopeLimits(-1e9, 1e9, -1e9, -1e9), "doubtful", "Doubtful"),
        (ScopeLimits(-1e9, 1e9, -1e9, 1e9), "outside", "Outside"),
    ],
)
def test_out_of_scope_the_answer_is_open_whatever_its_probability(
    model: Model, limits: ScopeLimits, scope: str, word: str
) -> None:
    one = judged(with_limits(with_detector(model), limits), 1.0, detectors.texts(own=True)[0])
    assert (one.scope, one.verdict, one.precision) == (scope, "open", None)
    assert one.listed == Listed("open", None)
    assert one.reason
    assert one.sentence == f"{word}: {one.reason}."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the model knows no word of the text"),
        ("qwzxk vbnkq xxzzq wwqqz kkzzx", "the model knows no word of the text"),
        ("http://www.qwzxk.org/vbnkq.html", "the text reads like an address, not like an abstract"),
        ("a robot", "the text has too few different words"),
        ("robot, grasping, camera, " * 9, "the text "),
        ("https://robot.org/arm/grasping robot@arm.edu https://arm.com/robot", "the text "),
        ("星系中恒星的形成与尘埃的研究结果", "the model knows no word of the text"),
    ],
)
def test_a_text_that_is_no_paper_is_never_acted_on(model: Model, text: str, said: str) -> None:
    (answer,) = answers.answer_papers(model, [("", text)])
    assert answer.scope != "in"
    assert (answer.verdict, answer.confident) == ("open", False)
    assert answer.reason is not None
    assert answer.reason.startswith(said)
    assert answer.sentence.endswith(f": {answer.reason}.")


def test_french_prose_is_not_acted_on_and_named(model: Model) -> None:
    (answer,) = answers.answer_papers(model, [("", FRENCH)])
    assert answer.scope != "in"
    assert not answer.confident
    assert answer.reason == "the text seems to be in another language than English (fr)"


@settings(max_examples=40)
@given(st.text(max_size=200))
def test_any_text_has_a_sentence_and_a_reason_unless_it_is_in_scope(
    model: Model, text: str
) -> None:
    (answer,) = answers.answer_papers(model, [("", text)])
    assert answer.sentence.endswith(".")
    assert (answer.reason is None) == (answer.scope == "in")
    assert answer.confident == (answer.verdict == "sure")
    assert answer.scope == "in" or answer.verdict == "open"


# --- the author's category


def asked(model: Model, primary: str | None, text: str = ROBOT) -> answers.Answer:
    (answer,) = answers.answer_queries(model, [PaperQuery("", text, primary=primary)])
    return answer


@pytest.mark.parametrize("category", ["math.AG", "cs.NW", "nonsense", ""])
def test_an_author_whose_category_the_model_lacks_is_never_answered_surely(
    model: Model, category: str
) -> None:
    sure = with_limits(model, sure_from=0.0, likely_from=0.0)
    assert asked(sure, None).confident
    answer = asked(sure, category)
    assert (answer.confident, answer.verdict, answer.scope) == (False, "open", "doubtful")
    assert answer.reason == f"the author’s category, {category}, is none of the model’s"
    assert answer.sentence == f"Doubtful: {answer.reason}."
    assert answer.listed == Listed("open", None)
    assert answer.precision is None


def test_an_author_whose_category_the_model_has_changes_no_verdict(model: Model) -> None:
    sure = with_limits(model, sure_from=0.0)
    for category in ("cs.RO", "CS.ro", "math.PR"):
        answer, plain = asked(sure, category), asked(sure, None)
        assert replace(answer, primary=None) == plain
        assert answer.confident


def test_a_text_that_is_outside_keeps_its_reason_whatever_the_author_says(model: Model) -> None:
    answer = asked(model, "math.AG", "qwzxk vbnkq")
    assert (answer.scope, answer.reason) == ("outside", "the model knows no word of the text")


# --- models of an older release


def old(model: Model, **limits: float | None) -> Model:
    least: dict[str, float | None] = dict.fromkeys(model.classes, None)
    thresholds = replace(model.card.limits, verdicts=None, confident_from=least | limits)
    return replace(model, scope=None, card=replace(model.card, thresholds=thresholds))


OLD = "this model is of an older release, which grades by the probability alone"


def test_a_model_of_old_grades_by_the_probability_of_the_class(model: Model) -> None:
    older = old(model, **{model.classes[0]: 0.8})
    for confidence, verdict, word in ((0.8, "sure", "Sure"), (0.79, "open", "Open")):
        one = judged(older, confidence)
        assert (one.scope, one.verdict, one.precision, one.listed) == ("in", verdict, None, None)
        assert (one.reason, one.sentence) == (None, f"{word}: {OLD}.")
    assert judged(old(model), 1.0).verdict == "open", "a class without a limit"


def test_a_model_of_old_answers_any_text(model: Model) -> None:
    (answer,) = answers.answer_papers(old(model, **{"cs.RO": 0.1}), [("", ROBOT)])
    assert (answer.category, answer.confident, answer.listed) == ("cs.RO", True, None)
    (answer,) = answers.answer_papers(old(model), [("", "")])
    assert not answer.confident


def test_a_model_of_old_is_not_sure_either_where_it_lacks_the_category(model: Model) -> None:
    answer = asked(old(model, **{"cs.RO": 0.1}), "math.AG")
    assert (answer.confident, answer.scope, answer.listed) == (False, "doubtful", None)


def test_in_scope_is_all_that_an_older_model_knows(model: Model) -> None:
    probabilities = np.full((3, len(model.classes)), 1 / len(model.classes), np.float32)
    grades = judgement.grade_answers(old(model), probabilities, np.zeros(3, np.bool_), None)
    assert set(grades.scopes) == {Scope.IN}
