"""The answers of a model: ranking, confidence, cross-lists, and explanation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.arxiv import taxonomy
from shelfmark.data.sources import sample
from shelfmark.models import answers, artifact
from shelfmark.models.answers import PaperQuery
from shelfmark.models.verdicts import SHORT

ROBOT = "We train a robot arm for grasping with motion planning."
GALAXY = "Star formation and dust in a galaxy with a massive halo."


def papers() -> list[tuple[str, str]]:
    return [(paper.title, paper.abstract) for _, paper in sample.read_records(None, 200)]


def cautious(model: artifact.Model, **changes: Any) -> artifact.Model:
    """Return the model with other thresholds on its card."""
    thresholds = dataclasses.replace(model.card.limits, **changes)
    card = dataclasses.replace(model.card, thresholds=thresholds)
    return dataclasses.replace(model, card=card)


def test_an_answer_ranks_and_names(model: artifact.Model) -> None:
    (answer,) = answers.answer_papers(model, [("Robots", ROBOT)], top_k=3)
    assert answer.category == "cs.RO"
    assert answer.name == "Robotics"
    assert (answer.archive, answer.group) == ("cs", "cs")
    probabilities = [rank.probability for rank in answer.ranking]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert answer.confidence == probabilities[0]


def test_all_probabilities_sum_to_one(model: artifact.Model) -> None:
    (answer,) = answers.answer_papers(model, [("", GALAXY)], top_k=99)
    assert len(answer.ranking) == len(model.classes)
    assert sum(rank.probability for rank in answer.ranking) == pytest.approx(1, abs=1e-4)


def test_a_list_answers_as_its_members_do(model: artifact.Model) -> None:
    asked = [("", ROBOT), ("", GALAXY), ("Title only: galaxy", "")]
    assert answers.answer_papers(model, asked) == [
        answers.answer_papers(model, [one])[0] for one in asked
    ]
    assert answers.answer_papers(model, []) == []


def test_words_of_the_title_count_for_more_than_the_same_words_in_the_abstract(
    model: artifact.Model,
) -> None:
    def chance(title: str, abstract: str) -> float:
        (answer,) = answers.answer_papers(model, [(title, abstract)], top_k=99)
        return next(x.probability for x in answer.ranking if x.category == "astro-ph.GA")

    assert chance("Galaxy halo", ROBOT) > chance("", f"Galaxy halo {ROBOT}")


def test_an_answer_to_an_abstract_is_confident_from_the_probability_on_that_the_card_names(
    model: artifact.Model,
) -> None:
    limits = model.card.limits.confident_from
    assert list(limits) == model.classes
    inside = 0
    for paper, answer in zip(papers(), answers.answer_papers(model, papers()), strict=True):
        limit = limits[answer.category]
        assert answer.confident == (answer.verdict == "sure")
        if answer.scope != "in":
            assert not answer.confident
        elif len(model.text(*paper).split()) >= SHORT:
            inside += 1
            reached = limit is not None and answer.confidence >= limit
            assert answer.confident == reached or abs(answer.confidence - (limit or 0)) < 2e-6
    assert inside > 100


def test_verdicts_scopes_and_shares_are_those_of_the_card(model: artifact.Model) -> None:
    limits = model.card.limits.verdicts
    assert limits is not None
    result = answers.answer_papers(model, [*papers(), ("", ""), ("Title only", "")])
    for answer in result:
        if answer.scope == "in":
            assert answer.reason is None
            assert answer.listed is not None
            assert answer.precision == limits.primary.kept[answer.verdict]
            assert answer.listed.precision == limits.listed.kept[answer.listed.verdict]
        else:
            assert (answer.verdict, answer.precision) == ("open", None)
            assert answer.sentence.endswith(f": {answer.reason}.")
    assert {answer.confident for answer in result} == {True, False}
    assert len({answer.scope for answer in result}) > 1


@pytest.mark.parametrize("least", [0.02, 0.2])
def test_cross_lists_are_the_two_most_probable_other_categories_if_probable_enough(
    model: artifact.Model, least: float
) -> None:
    texts = [model.text(*paper) for paper in papers()]
    probabilities, lists = model.probabilities(texts)
    result = answers.answer_papers(cautious(model, cross_lists_from=least), papers())
    for answer, row, ranked in zip(result, lists, probabilities, strict=True):
        best = [int(place) for place in np.argsort(-row)[:2] if row[place] >= least]
        assert answer.cross_lists == [
            answers.CrossList(
                model.card.listed[place],
                taxonomy.full_name(model.card.listed[place]),
                pytest.approx(row[place], abs=1e-6),
                pytest.approx(ranked[model.numbers[model.card.listed[place]]], abs=1e-6),
            )
            for place in best
        ]
        assert answer.category not in [one.category for one in answer.cross_lists]
    assert len({len(answer.cross_lists) for answer in result}) > 1


def test_a_suggestion_is_at_least_as_probable_as_in_the_ranking(model: artifact.Model) -> None:
    result = answers.answer_queries(
        cautious(model, cross_lists_from=0.0), [PaperQuery(*paper, 99) for paper in papers()]
    )
    for answer in result:
        ranked = {rank.category: rank.probability for rank in answer.ranking}
        assert len(answer.cross_lists) == 2
        for one in answer.cross_lists:
            assert one.primary == ranked[one.category]
            assert one.primary <= one.probability


def test_a_suggested_category_that_is_no_class_has_no_probability_in_the_ranking(
    model: artifact.Model,
) -> None:
    listed = [f"{name}x" for name in model.card.listed]
    given = cautious(model, cross_lists_from=0.0)
    given = dataclasses.replace(given, card=dataclasses.replace(given.card, listed=listed))
    (answer,) = answers.answer_papers(given, [("", ROBOT)])
    assert [one.primary for one in answer.cross_lists] == [None, None]


def test_a_model_that_has_learnt_no_cross_lists_suggests_none(model: artifact.Model) -> None:
    silent = cautious(model, cross_lists_from=None)
    assert all(answer.cross_lists == [] for answer in answers.answer_papers(silent, papers()))


def test_why_names_the_words_that_decided_and_where_they_stand(model: artifact.Model) -> None:
    (plain,) = answers.answer_papers(model, [("Robots", ROBOT)])
    (answer,) = answers.answer_papers(model, [("Robots", ROBOT)], explain=True)
    why = answer.why
    assert why is not None
    assert dataclasses.replace(answer, why=None) == plain
    assert why.category == "cs.RO"
    words = {word.word: word for word in why.words}
    assert words["robot"].weight > 0
    assert [why.text[start:end] for start, end in words["robot"].places] == ["robot"]


def test_a_new_category_of_the_author_is_one_that_the_model_does_not_know(
    model: artifact.Model,
) -> None:
    queries = [PaperQuery("Robots", ROBOT, primary=name) for name in ("cs.NW", "cs.", "CS.ro")]
    new, wrong, known = (answer.primary for answer in answers.answer_queries(model, queries))
    assert (new.category, new.name, new.known, new.rank) == ("cs.NW", "cs.NW", False, None)
    assert (wrong.category, wrong.name, wrong.known, wrong.rank) == ("cs.", "cs.", False, None)
    assert (known.name, known.known, known.rank) == ("Robotics", True, 1)


def test_an_answer_is_written_without_what_was_not_asked_for(model: artifact.Model) -> None:
    queries = [PaperQuery("Robots", ROBOT), PaperQuery("", ROBOT, 2, True, "cs.AI", "7")]
    plain, full = answers.answer_queries(model, queries)
    keys = ["category", "name", "archive", "group", "confidence", "confident", "verdict",
            "precision", "listed", "scope", "reason", "sentence", "ranking",
            "cross_lists"]  # fmt: skip
    assert list(plain.to_json()) == [*keys, "model"]
    assert list(full.to_json()) == [*keys, "why", "primary", "id", "model"]
    assert plain.model == model.version
    written = orjson.loads(orjson.dumps(full.to_json()))
    assert list(written["ranking"][0]) == ["category", "name", "group", "probability"]
    assert list(written["listed"]) == ["verdict", "precision"]
    assert list(written["why"]) == ["category", "margin", "base", "words", "rest", "text"]
    assert list(written["primary"]) == [
        "category", "name", "known", "agrees", "probability", "rank", "others",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_gets_an_answer_that_is_json(
    model: artifact.Model, title: str, abstract: str
) -> None:
    (answer,) = answers.answer_papers(model, [(title, abstract)], explain=True)
    assert orjson.loads(orjson.dumps(answer.to_json()))["category"] in model.classes
