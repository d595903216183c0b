"""A second family of models works everywhere that the first does, without a branch elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient

import shelfmark
from shelfmark.config import models as sections
from shelfmark.config.load import load_config, validate_config
from shelfmark.config.schema import Config
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate
from shelfmark.evaluation.behaviour import check_behaviour
from shelfmark.models import artifact, families, predict
from shelfmark.models.scope.detector import DETECTOR, PREFIX
from shelfmark.monitoring import reference
from shelfmark.service.app import create_app
from shelfmark.service.settings import Settings
from shelfmark.training.train import train_model
from tests.conftest import QUICK, paths_in
from tests.support import keyword_family
from tests.support.serving import ROBOT


@pytest.fixture(scope="module", autouse=True)
def _second_family() -> Iterator[None]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setitem(families.MODULES, "keywords", keyword_family.__name__)
    monkeypatch.setitem(sections.MODEL_KINDS, "keywords", keyword_family.KeywordConfig)
    yield
    monkeypatch.undo()


def settings(folder: Path, **model: Any) -> Config:
    values = load_config([*QUICK, "name=words", *paths_in(folder)]).model_dump(mode="json")
    values["model"] = {"kind": "keywords", "words": 40} | model
    return validate_config(Config, values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_model(settings(tmp_path_factory.mktemp("home"))).folder


def test_it_is_trained_measured_and_saved(folder: Path) -> None:
    card = orjson.loads((folder / artifact.CARD).read_bytes())
    assert card["config"]["model"] == {"kind": "keywords", "n_jobs": None, "words": 40}
    assert card["words"] == 40
    assert "rounds" not in card
    assert set(card["versions"]) == {"python", "numpy"}
    assert {name for name in card["files"] if not name.startswith(PREFIX)} == {
        keyword_family.FILE, artifact.REFERENCE, artifact.ABOUT, DETECTOR
    }  # fmt: skip
    assert card["metrics"]["validation"]["accuracy"] > 0.5
    assert card["thresholds"]["cross_lists_from"] is None
    about = (folder / artifact.ABOUT).read_text(encoding="utf-8")
    assert "\nKeywords, by Shelfmark" in about


def test_it_is_opened_only_if_its_files_are_whole(folder: Path, tmp_path: Path) -> None:
    assert artifact.load(folder).classes == list(artifact.load(folder).classifier.classes)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / keyword_family.FILE).write_bytes(b"{}")
    with pytest.raises(ShelfmarkError, match=r"keywords\.json is missing or not the file"):
        artifact.load(copy)


def test_it_predicts_and_explains(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    predict.predict_text(folder, ROBOT, str(out), explain=True)
    line = orjson.loads(out.read_bytes())
    assert line["category"] == "cs.RO"
    assert line["cross_lists"] == []
    words = {word["word"]: word for word in line["why"]["words"]}
    assert line["why"]["margin"] == sum(word["weight"] for word in words.values()) > 0
    start, end = words["robot"]["places"][0]
    assert line["why"]["text"][start:end] == "robot"
    model = shelfmark.load(folder)
    assert model.predict(ROBOT).category == "cs.RO"
    assert set(model.explain(ROBOT).weights) >= {"robot"}
    assert model.predict_proba([ROBOT]).shape == (1, len(model.classes))


def test_it_is_watched_and_evaluated(folder: Path) -> None:
    seen = reference.load_reference(artifact.open_files(folder)[1])
    assert seen.rows["unknown"].isna().all()
    assert (seen.rows["words"] > 0).all()
    model = artifact.load(folder)
    validation = open_splits(Path(model.card.data.folder)).read("validation")
    telling = evaluate.find_telling_terms(model, validation)
    assert "robot" in dict(telling["cs.RO"])
    checks = {check.name: check.passed for check in check_behaviour(model)}
    assert checks["explanations add up to the answer"]
    assert "papers of a class's own words are put in it" not in checks


def test_it_is_served(folder: Path) -> None:
    served = create_app(Settings(models=str(folder.parent), model=folder.name))
    with TestClient(served) as client:
        answer = client.post("/predict", json={"text": ROBOT, "explain": True}).json()
        card = client.get("/model").json()
    assert (answer["category"], answer["model"]) == ("cs.RO", "words")
    assert answer["why"]["words"]
    assert card["name"] == "words"


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            {"kind": "word"},
            "model: kind=word: no such kind of model; there are boosted, transformer, keywords",
        ),
        ({"word": 3}, "model.word: no such key; did you mean model.words?"),
        ({"words": 0}, "model.words: 0: should be at least 1"),
    ],
)
def test_its_section_is_validated_as_its_own(
    tmp_path: Path, model: dict[str, Any], line: str
) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        settings(tmp_path, **model)
    assert str(raised.value) == line


def test_it_has_no_engine_of_its_own() -> None:
    dask = load_config(["engine=dask"]).engine
    with (
        pytest.raises(ShelfmarkError, match="engine=dask: model.kind=keywords trains locally"),
        families.family_of("keywords").open_engine(dask),
    ):
        pass


def test_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="model.kind=boostd: no such kind.*mean boosted"):
        families.family_of("boostd")
