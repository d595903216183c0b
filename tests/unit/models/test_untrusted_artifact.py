"""Artifacts of other makers, each part valid by itself: none costs or answers what it may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shelfmark.artifacts.digested import MOST_BYTES
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.scorers import MOST_SCORES
from tests.support.boosters import open_by_xgboost
from tests.support.tables import KINDS, fit, papers

TEXT = "we train a robot arm to grasp objects seen by a camera"
Change = Callable[[BoostedClassifier], None]


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Model:
    """A trained model that a test may spoil."""
    folder = shutil.copytree(home / "models" / "quick", tmp_path / "own")
    return artifact.load(folder, threads=1)


@pytest.fixture(scope="module")
def reranked() -> Model:
    some = papers(240)
    return fit(some.slice(0, 180), some.slice(180), *KINDS["reranked"])


def written(model: Model, models: Path) -> Path:
    return artifact.save(replace(model, card=replace(model.card, name="spoilt")), models)


def parts(classifier: Any) -> dict[str, Any]:
    return dict(classifier.pipeline[1].transformer_list)


def widen(scorer: Any) -> None:
    terms, columns = scorer.weights_.shape[0], MOST_SCORES + 1
    scorer.weights_ = np.resize(scorer.weights_, (terms, columns)).astype(np.float32)
    scorer.intercept_ = np.zeros(columns, np.float32)


def set_value(name: str, value: float) -> Callable[[Any], None]:
    """Return a change of the first number of an array."""

    def change(part: Any) -> None:
        array = getattr(part, name).copy()
        array.flat[0] = value
        setattr(part, name, array)

    return change


CHANGES: dict[str, tuple[Change, str]] = {
    "a weight whose products are infinite": (
        lambda own: set_value("weights_", 1e7)(parts(own)["scores"].fitted_[0]),
        "Svm: weights_ should be an array of numbers from",
    ),
    "a negative idf": (
        lambda own: set_value("idf_", -1)(own._vectorizer._tfidf),
        "idf should be .* numbers from 0 to 1000",
    ),
    "a largest value of zero": (
        lambda own: set_value("largest_", 0)(parts(own)["terms"]),
        "ChosenTerms: largest_ should be an array of numbers from",
    ),
    "a negative deviation": (
        lambda own: set_value("deviations_", -1)(parts(own)["scores"]),
        "CrossFittedScores: deviations_ should be an array of numbers from 0",
    ),
    "a weight of the title": (
        lambda own: own.pipeline[0].transformer_weights.update(title=1e9),
        "FastFeatureUnion: transformer_weights should be .* from 0 to 1000",
    ),
    "an intercept of the cross-lists": (
        lambda own: setattr(own.decision.cross_lists, "intercept_", -1e300),
        "CrossLists: intercept_ should be a finite number from",
    ),
    "more scores than there are labels": (
        lambda own: widen(parts(own)["scores"].fitted_[0]),
        f"Svm: should be columns with values from 1 to {MOST_SCORES}",
    ),
    "cross-lists that are no scores": (
        lambda own: setattr(own.decision.cross_lists, "column", parts(own)["scores"].shape[1]),
        r"TextPipeline: decision should read \d+ scores, reads",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_parts_that_could_spoil_an_answer_are_refused(
    own: Model, tmp_path: Path, name: str
) -> None:
    change, problem = CHANGES[name]
    change(own.classifier)  # type: ignore[arg-type]
    with pytest.raises(ShelfmarkError, match=problem):
        artifact.load(written(own, tmp_path))


RERANKED: dict[str, tuple[Change, str]] = {
    "candidates": (
        lambda own: setattr(own.decision.classifier, "candidates", 101),
        "RerankerHead: candidates should be an integer from 2 to 100",
    ),
    "blocks behind the scores": (
        lambda own: setattr(own.decision.classifier, "blocks", [0, own.pipeline[0].terms]),
        r"TextPipeline: decision should read \d+ scores, reads",
    ),
    "blocks that do not begin with the first scores": (
        lambda own: setattr(own.decision.classifier, "blocks", [1]),
        "RerankerHead: blocks should name the scores of one scorer or more, the first at 0",
    ),
    "rank": (
        lambda own: set_rank(parts(own)["scores"].fitted_[0], 4097),
        "LowRankLinear: size should be an integer from 1 to 4096",
    ),
}


def set_rank(scorer: Any, rank: int) -> None:
    scorer.size = rank
    scorer.terms_ = np.zeros((len(scorer.terms_), rank), np.float32)
    scorer.labels_ = np.zeros((rank, len(scorer.intercept_)), np.float32)


@pytest.mark.parametrize("name", RERANKED)
def test_parts_that_cost_more_than_their_files_are_refused(
    reranked: Model, tmp_path: Path, name: str
) -> None:
    own = artifact.load(written(reranked, tmp_path / "own"))
    change, problem = RERANKED[name]
    change(own.classifier)  # type: ignore[arg-type]
    with pytest.raises(ShelfmarkError, match=problem):
        artifact.load(written(own, tmp_path))


def test_an_explanation_that_is_not_finite_is_not_given(own: Model, tmp_path: Path) -> None:
    classifier: Any = own.classifier
    head, scores = classifier.decision.classifier, parts(classifier)["scores"]
    trees = orjson.loads(open_by_xgboost(head.booster_.content).save_raw("json"))
    for tree in trees["learner"]["gradient_booster"]["model"]["trees"]:
        leaves = np.array(tree["left_children"]) < 0
        margins = np.where(leaves, 1e28, 1) * tree["split_conditions"]
        tree["split_conditions"] = margins.tolist()
    head.keep_trees(open_by_xgboost(orjson.dumps(trees)))
    words = classifier.pipeline[0].transform([TEXT])
    svm = scores.fitted_[0]
    svm.intercept_ = svm.intercept_ - svm.decision_function(words)[0]
    scores.means_ = np.nextafter(scores.transform(words)[0], np.float32(1))
    scores.deviations_ = np.zeros_like(scores.means_)
    spoilt = artifact.load(written(own, tmp_path), threads=1)
    probabilities, lists = spoilt.probabilities([TEXT])
    assert np.isfinite(probabilities).all()
    assert np.isfinite(lists).all()
    with np.errstate(all="ignore"):
        given = [spoilt.classifier.explain(TEXT, label) for label in spoilt.classes]
    assert None in given
    assert all(one is None or one.is_finite() for one in given)


@pytest.mark.skipif(os.name == "nt", reason="would fill the disk")
def test_a_sparse_file_is_refused_unread(own: Model, tmp_path: Path) -> None:
    folder = written(own, tmp_path)
    os.truncate(folder / "booster.ubj", MOST_BYTES + 1)
    with pytest.raises(ShelfmarkError, match="has at most 17,179,869,184 bytes, .*; train again"):
        artifact.load(folder)
