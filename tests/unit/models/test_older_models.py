"""Models trained before the package was divided into rooms: they open, and answer as they did.

`data/` holds three of them with the answers that the code of their time gave (`answers.json`). They
are opened below the check of versions, which would refuse them under other versions of the
libraries: what is tested is that names in their pickles and keys on their cards are still known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.config.schema import Config
from shelfmark.core import pickles
from shelfmark.models import answers, artifact
from shelfmark.models.answers import PaperQuery
from shelfmark.models.boosted.classifier import PIPELINE

DATA = Path(__file__).parent / "data"
OLDER = sorted(folder.name for folder in DATA.iterdir())
# scikit-learn's, where its version is another than theirs.
pytestmark = pytest.mark.filterwarnings("ignore:Trying to unpickle estimator")


@pytest.fixture(scope="module", params=OLDER)
def folder(request: pytest.FixtureRequest) -> Path:
    return DATA / str(request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> artifact.Model:
    monkeypatch = pytest.MonkeyPatch()
    versions = orjson.loads((folder / artifact.CARD).read_bytes())["versions"]
    monkeypatch.setattr(artifact, "versions", lambda kind: versions)
    try:
        return artifact.load(folder, threads=1)
    finally:
        monkeypatch.undo()


def test_an_older_model_answers_as_it_did(folder: Path, model: artifact.Model) -> None:
    cases = orjson.loads((folder / "answers.json").read_bytes())
    asked = [
        PaperQuery(*(case[key] for key in ("title", "abstract", "top_k", "why", "primary", "id")))
        for case in cases
    ]
    for case, answer in zip(cases, answers.answer_queries(model, asked), strict=True):
        written = orjson.loads(orjson.dumps(answer.to_json()))
        assert written.pop("model") == folder.name
        same(written, case["answer"])


def same(result: Any, wanted: Any) -> None:
    """Compare answers: text exactly, numbers to 1e-6, for libraries may sum in another order."""
    if isinstance(wanted, dict):
        assert list(result) == list(wanted)
        for key, value in wanted.items():
            same(result[key], value)
    elif isinstance(wanted, list):
        assert len(result) == len(wanted)
        for one, other in zip(result, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, float):
        assert result == pytest.approx(wanted, abs=1e-6)
    else:
        assert result == wanted


def test_an_older_card_is_read_with_the_present_keys(folder: Path, model: artifact.Model) -> None:
    raw = orjson.loads((folder / artifact.CARD).read_bytes())
    assert "embedding" in raw["config"]["model"]["stack"]["scorers"]
    assert "caution" in raw
    settings = Config.model_validate_json(orjson.dumps(model.card.config))
    assert settings.model.stack is not None
    size = {"reranked": 8}.get(folder.name)
    low_rank = settings.model.stack.scorers.low_rank
    assert (low_rank and low_rank.size) == size
    assert model.card.to_json()["thresholds"] == raw["caution"]


def test_the_older_models_cover_every_class_that_moved() -> None:
    named = b"".join((DATA / name / PIPELINE).read_bytes() for name in OLDER)
    assert not [place for place in pickles.RENAMED if place[0].encode() not in named]
    assert not [place for place in pickles.RENAMED if place[1].encode() not in named]
