"""The detector: its evidence, and its files, of which none but its own are opened."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.core import files, npy
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.models.boosted.heads import LinearHead
from shelfmark.models.scope import detector as detector_module
from shelfmark.models.scope import features
from shelfmark.models.scope.detector import (
    DETECTOR,
    PREFIX,
    Evidence,
    ScopeDetector,
    open_detector,
)
from tests.support import detectors
from tests.support.detectors import OWN
from tests.support.structures import dump

Arrays = dict[str, npy.ArraySpec]


def same(one: Evidence, other: Evidence) -> bool:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in columns)


def test_the_evidence_is_the_logit_of_one_group_of_labels_against_another() -> None:
    detector, texts = detectors.detector(), [*detectors.texts(own=True)[:20], "", "http://a.org"]
    scores = detector.network.decision_function(
        features.read_bag(texts, detector.vocabulary).matrix
    )
    own, others, kinds = scores[:, :2], scores[:, 2:8], scores[:, 8:]
    evidence = detector.weigh(texts)
    subject = logsumexp(own, axis=1) - logsumexp(others, axis=1)
    form = logsumexp(scores[:, :8], axis=1) - logsumexp(kinds, axis=1)
    np.testing.assert_allclose(evidence.subject, subject, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(evidence.form, form, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(evidence.other, others.argmax(axis=1) + 2)
    np.testing.assert_array_equal(evidence.kind, kinds.argmax(axis=1) + 8)


def test_different_known_and_unknown_words_are_counted() -> None:
    texts = ["the of and", "corpus of galaxy qwxzk vvkkq, corpus qwxzk", ""]
    evidence = detectors.detector().weigh(texts)
    assert evidence.known.tolist() == [0, 2, 0]
    assert evidence.unknown.tolist() == [0, 2, 0]


def test_no_texts_have_no_evidence() -> None:
    assert [len(column) for column in vars(detectors.detector().weigh([])).values()] == [0] * 6
    assert [len(column) for column in vars(Evidence.join([])).values()] == [0] * 6


def test_evidence_is_joined_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, texts = detectors.detector(), detectors.texts(own=True)[:25]
    whole = detector.weigh(texts)
    monkeypatch.setattr(detector_module, "BATCH", 7)
    for one, other in zip(vars(whole).values(), vars(detector.weigh(texts)).values(), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=100), max_size=4))
def test_any_text_has_finite_evidence(texts: list[str]) -> None:
    evidence = detectors.detector().weigh(texts)
    assert np.isfinite(evidence.subject).all()
    assert np.isfinite(evidence.form).all()
    assert len(evidence.known) == len(texts)


# --- in files


def opened(folder: Path, arrays: Arrays) -> DigestedFiles:
    digests = {path.name: files.sha256(path) for path in folder.iterdir()}
    return DigestedFiles(folder, digests, arrays)


def test_what_is_saved_and_opened_gives_equal_evidence_to_the_bit(tmp_path: Path) -> None:
    detector = detectors.detector()
    arrays = detector.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {DETECTOR, *arrays}
    assert all(name.startswith(PREFIX) for name in arrays)
    again = open_detector(opened(tmp_path, arrays), OWN)
    texts = detectors.texts(own=True) + detectors.made().texts
    assert same(again.weigh(texts), detector.weigh(texts))
    assert again.labels == detector.labels


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    arrays = detectors.detector().save(tmp_path)
    path = tmp_path / DETECTOR
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ShelfmarkError, match="^scope.pkl was not opened: it is damaged or "):
        open_detector(opened(tmp_path, arrays), OWN)


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_a_foreign_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / DETECTOR).write_bytes(pickle.dumps(Runs(tmp_path / "made")))
    with pytest.raises(ShelfmarkError, match="^scope.pkl was not opened: ") as caught:
        open_detector(opened(tmp_path, {}), OWN)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_another_object_of_ours_is_no_detector() -> None:
    content, beside = dump(LinearHead(3))
    beside[DETECTOR] = content
    with pytest.raises(ShelfmarkError, match="^scope.pkl holds no detector but LinearHead$"):
        open_detector(beside, OWN)


@pytest.mark.parametrize("classes", [("cs.CL", "astro-ph.GA"), ("cs.CL",), (*OWN, "cs.CV")])
def test_a_detector_of_other_classes_is_refused(classes: tuple[str, ...]) -> None:
    content, beside = dump(detectors.detector())
    beside[DETECTOR] = content
    with pytest.raises(ShelfmarkError, match="^scope.pkl has other classes than the card$"):
        open_detector(beside, classes)


def changed(**values: Any) -> ScopeDetector:
    return ScopeDetector(**(vars(detectors.detector()) | values))


SPOILT: dict[str, tuple[Callable[[], ScopeDetector], str]] = {
    "a short vocabulary": (
        lambda: changed(vocabulary=np.zeros(100, np.uint8)), "vocabulary of shape"
    ),
    "a label too few": (lambda: changed(labels=detectors.detector().labels[:-1]), "labels"),
    "more own labels than labels of papers": (lambda: changed(own=9), "own"),
    "no label of texts": (lambda: changed(own=2, papers=14), "papers"),
    "labels that are numbers": (lambda: changed(labels=tuple(range(14))), "labels"),
    "no network": (lambda: changed(network=LinearHead(3)), "network"),
    "no own label": (lambda: changed(own=0), "own"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_parts_that_do_not_fit_together_are_refused(name: str) -> None:
    make, problem = SPOILT[name]
    content, beside = dump(make())
    beside[DETECTOR] = content
    with pytest.raises(ShelfmarkError, match=f"ScopeDetector: .*{problem}") as caught:
        open_detector(beside, OWN)
    assert "\n" not in str(caught.value)


# --- in a model


def saved(model: artifact.Model, scope: ScopeDetector | None, models: Path) -> Path:
    card = replace(model.card, name="other")
    return artifact.save(replace(model, card=card, scope=scope), models)


def test_a_model_keeps_its_detector(model: artifact.Model, tmp_path: Path) -> None:
    assert model.scope is not None
    again = artifact.load(saved(model, model.scope, tmp_path))
    assert again.scope is not None
    texts = detectors.texts(own=True)
    assert same(again.scope.weigh(texts), model.scope.weigh(texts))


def test_an_older_model_without_a_detector_is_opened(model: artifact.Model, tmp_path: Path) -> None:
    thresholds = replace(model.card.limits, verdicts=None)
    older = replace(model, card=replace(model.card, thresholds=thresholds))
    assert artifact.load(saved(older, None, tmp_path)).scope is None


def test_a_detector_of_another_model_is_one_line(model: artifact.Model, tmp_path: Path) -> None:
    folder = saved(model, detectors.detector(), tmp_path)
    with pytest.raises(ShelfmarkError, match="scope.pkl has other classes than the card; train"):
        artifact.load(folder)


def test_a_damaged_detector_is_one_line(model: artifact.Model, tmp_path: Path) -> None:
    folder = saved(model, model.scope, tmp_path)
    content = (folder / DETECTOR).read_bytes()
    (folder / DETECTOR).write_bytes(content[:-1] + b"?")
    with pytest.raises(ShelfmarkError, match=r"scope\.pkl is missing or not the file") as caught:
        artifact.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lost", ["the detector", "the limits"])
def test_limits_without_a_detector_are_refused_and_so_is_the_reverse(
    home: Path, tmp_path: Path, lost: str
) -> None:
    copy = Path(shutil.copytree(home / "models" / "quick", tmp_path / "quick"))
    card = orjson.loads((copy / "card.json").read_bytes())
    if lost == "the limits":
        del card["thresholds"]["verdicts"]
    else:
        for name in [name for name in card["files"] if name.startswith("scope")]:
            del card["files"][name]
            card["arrays"].pop(name, None)
            (copy / name).unlink()
    (copy / "card.json").write_bytes(orjson.dumps(card))
    missing = "thresholds.verdicts" if lost == "the limits" else "scope.pkl"
    with pytest.raises(ShelfmarkError, match=f"{missing} is missing: answers would be graded by "):
        artifact.load(copy)


@pytest.mark.parametrize(
    ("words", "scope"), [(["robot"], "robot"), (["robot", "gripper"], "two words")]
)
def test_a_few_words_are_never_in_scope_however_often_they_stand(
    model: artifact.Model, words: list[str], scope: str
) -> None:
    (answer,) = answers.answer_papers(model, [("", " ".join(words * 60))])
    assert answer.scope != "in", scope
    assert not answer.confident
