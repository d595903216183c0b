"""The artifact: complete or absent, and opened only if it matches its card."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import xgboost

from shelfmark.core import files, pickles
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted import features
from shelfmark.models.card import ClassLabel
from tests.support.tables import KINDS, fit, papers

TEXT = "we train a robot arm to grasp objects seen by a camera"


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A copy of the trained artifact that a test may spoil."""
    return Path(shutil.copytree(home / "models" / "quick", tmp_path / "copy"))


def change_card(folder: Path, **changes: Any) -> None:
    card = orjson.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(orjson.dumps(card | changes))


def pose_as_pipeline(folder: Path, content: bytes) -> None:
    """Put a file in the pipeline's place, with a card that vouches for it."""
    (folder / "pipeline.pkl").write_bytes(content)
    sums = {name: files.sha256(folder / name) for name in ("pipeline.pkl", "booster.ubj")}
    change_card(folder, files=sums)


def test_the_card_describes_the_model(model: artifact.Model) -> None:
    card = model.card
    assert ClassLabel("cs.RO", "Robotics") in card.classes
    assert set(card.versions) == {"python", "scikit-learn", "xgboost", "numpy", "scipy"}
    files = {"pipeline.pkl", "booster.ubj", "reference.parquet", "MODEL_CARD.md"}
    assert set(card.files) == files
    assert card.data.synthetic is True
    assert len(card.data.card_sha256) == 64
    assert 0.3 < card.metrics["validation"]["accuracy"] < 1
    assert card.config["seed"] == 7
    assert card.seconds["trees"] > 0
    assert card.git_commit is None or len(card.git_commit) == 40


def test_an_empty_card_is_named_by_its_path(copy: Path) -> None:
    (copy / "card.json").write_bytes(b"{}")
    with pytest.raises(ShelfmarkError, match="copy/card.json: the card names no kind of model"):
        artifact.load(copy)


def test_latest_points_at_the_newest(home: Path) -> None:
    assert (home / "models" / "latest").resolve() == (home / "models" / "quick").resolve()


def test_a_saved_model_answers_as_before(model: artifact.Model, home: Path) -> None:
    again = artifact.load(home / "models" / "quick", threads=1)
    for ours, theirs in zip(again.probabilities([TEXT]), model.probabilities([TEXT]), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_the_trees_in_their_stable_form_answer_the_same(model: artifact.Model, home: Path) -> None:
    booster = xgboost.Booster(model_file=home / "models" / "quick" / "booster.ubj")
    known = features.transform(model.classifier.pipeline.steps[:-1], [TEXT])
    given = booster.predict(xgboost.DMatrix(known), output_margin=True)
    np.testing.assert_allclose(
        given, model.classifier.decision.classifier.margins(known), rtol=1e-5
    )


def test_the_pipeline_alone_predicts_what_the_model_does(home: Path) -> None:
    pipeline = pickles.load(home / "models" / "quick" / "pipeline.pkl")
    opened = artifact.load(home / "models" / "quick", threads=1)
    assert pipeline.predict_proba([TEXT]).tobytes() == opened.probabilities([TEXT])[0].tobytes()


def test_the_targets_come_back_from_the_card(model: artifact.Model) -> None:
    assert list(model.targets.classes) == model.classes
    assert list(model.targets.listed) == model.card.listed
    assert model.targets.data.model_dump(mode="json") == model.card.config["data"]


def test_the_terms_are_those_of_the_text_then_those_of_the_title(model: artifact.Model) -> None:
    words = model.classifier.pipeline[0].transform(["Robot\nrobot"])
    assert model.classifier.terms[words.indices].tolist() == ["robot", "robot"]
    assert len(model.classifier.terms) == words.shape[1]


def test_a_malicious_pickle_is_refused_and_nothing_runs(copy: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"

    class Malicious:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(proof),)

    pose_as_pipeline(copy, pickle.dumps(Malicious()))
    with pytest.raises(ShelfmarkError, match=r"was not opened: it uses (posix|nt)\.mkdir"):
        artifact.load(copy)
    assert not proof.exists()
    pickle.loads((copy / "pipeline.pkl").read_bytes())
    assert proof.exists(), "the pickle would have run anywhere else"


@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("sklearn.pipeline", "make_pipeline"),
        ("sklearn.pipeline", "Pipeline.fit"),
        ("sklearn.feature_extraction.text", "np.load"),
    ],
)
def test_only_exact_names_are_found(copy: Path, name: tuple[str, str]) -> None:
    module, attribute = name
    content = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, attribute)
    )
    pose_as_pipeline(copy, content + b"\x93.")
    with pytest.raises(ShelfmarkError, match="was not opened: it uses"):
        artifact.load(copy)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2])])
def test_what_is_no_pipeline_gives_one_line(copy: Path, content: bytes) -> None:
    pose_as_pipeline(copy, content)
    with pytest.raises(ShelfmarkError) as raised:
        artifact.load(copy)
    assert "pipeline.pkl" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["pipeline.pkl", "booster.ubj"])
def test_a_changed_byte_is_noticed_before_anything_is_opened(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ShelfmarkError, match=f"{name} is missing or not the file its card names"):
        artifact.load(copy)


def test_a_missing_file_is_noticed(copy: Path) -> None:
    (copy / "booster.ubj").unlink()
    with pytest.raises(ShelfmarkError, match="booster.ubj is missing"):
        artifact.load(copy)


def test_other_versions_are_refused_with_what_to_do(copy: Path) -> None:
    card = artifact.read_card(copy)
    change_card(copy, versions=card.versions | {"scikit-learn": "0.1"})
    with pytest.raises(ShelfmarkError, match=r"made with scikit-learn 0\.1, here is .*train again"):
        artifact.load(copy)


def test_a_folder_without_a_model_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no model in .*: train one with shelfmark train"):
        artifact.load(tmp_path / "latest")


@pytest.mark.parametrize("card", [b"{broken", b"[]"])
def test_a_damaged_card_gives_one_line(copy: Path, card: bytes) -> None:
    (copy / "card.json").write_bytes(card)
    with pytest.raises(ShelfmarkError, match=r"card\.json .*train again"):
        artifact.load(copy)


def test_a_name_is_never_written_over(model: artifact.Model, home: Path) -> None:
    before = files.sha256(home / "models" / "quick" / "card.json")
    with pytest.raises(ShelfmarkError, match="exists already"):
        artifact.save(model, home / "models")
    assert files.sha256(home / "models" / "quick" / "card.json") == before


def test_a_save_that_fails_half_way_leaves_nothing(model: artifact.Model, tmp_path: Path) -> None:
    unwritable = artifact.Model(
        model.classifier, replace(model.card, details={"unwritable": object()})
    )
    with pytest.raises(TypeError):
        artifact.save(unwritable, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_threads_are_settled_at_load(home: Path) -> None:
    opened = artifact.load(home / "models" / "quick", threads=2)
    config = orjson.loads(opened.classifier.decision.classifier.booster_.save_config())
    assert config["learner"]["generic_param"]["nthread"] == "2"


# --- every kind of model


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_saved_and_opened_again(kind: str, tmp_path: Path) -> None:
    some = papers(240)
    made = fit(some.slice(0, 180), some.slice(180), *KINDS[kind])
    opened = artifact.load(artifact.save(made, tmp_path), threads=1)
    for ours, theirs in zip(opened.probabilities([TEXT, ""]), made.probabilities([TEXT, ""]),
                            strict=True):  # fmt: skip
        assert ours.tobytes() == theirs.tobytes()
    grown = "booster.ubj" in opened.card.files
    assert (
        grown == (opened.classifier.decision.classifier.booster_ is not None) == (kind != "linear")
    )
