"""Models of the older format: they are converted, and then answer as they did.

`data/` holds three of them with the answers that the code of their time gave (`answers.json`). They
are converted below the check of versions, which would refuse them under other versions of the
libraries: what is tested is that names in their pickles and keys on their cards are still known.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import run
from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.models.answers import PaperQuery
from shelfmark.models.boosted import older
from shelfmark.models.boosted.pipeline import PIPELINE
from shelfmark.models.convert import convert_model

DATA = Path(__file__).parent / "data"
NEWER = {"precision", "listed", "scope", "reason", "sentence"}  # of answers
OLDER = sorted(folder.name for folder in DATA.iterdir())
# scikit-learn's, where its version is another than theirs.
pytestmark = pytest.mark.filterwarnings("ignore:Trying to unpickle estimator")


@pytest.fixture(scope="module", params=OLDER)
def folder(request: pytest.FixtureRequest) -> Path:
    return DATA / str(request.param)


@pytest.fixture(scope="module")
def versions(folder: Path) -> Iterator[dict[str, str]]:
    """The versions that made the model, as if they were installed."""
    monkeypatch = pytest.MonkeyPatch()
    made: dict[str, str] = orjson.loads((folder / artifact.CARD).read_bytes())["versions"]
    monkeypatch.setattr(artifact, "versions", lambda kind: made)
    yield made
    monkeypatch.undo()


@pytest.fixture
def copy(folder: Path, versions: dict[str, str], tmp_path: Path) -> Path:
    """A copy of the model in a folder of models, where `latest` names it."""
    path = Path(shutil.copytree(folder, tmp_path / "models" / folder.name))
    (path / "answers.json").unlink()
    (path.parent / "latest").symlink_to(path.name)
    return path


@pytest.fixture(scope="module")
def model(
    folder: Path, versions: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> artifact.Model:
    copied = Path(shutil.copytree(folder, tmp_path_factory.mktemp("models") / folder.name))
    return artifact.load(convert_model(copied), threads=1)


def test_a_converted_model_answers_as_it_did(folder: Path, model: artifact.Model) -> None:
    cases = orjson.loads((folder / "answers.json").read_bytes())
    asked = [
        PaperQuery(*(case[key] for key in ("title", "abstract", "top_k", "why", "primary", "id")))
        for case in cases
    ]
    for case, answer in zip(cases, answers.answer_queries(model, asked), strict=True):
        written = orjson.loads(orjson.dumps(answer.to_json()))
        assert written.pop("model") == folder.name
        lacking = answer.primary is not None and not answer.primary.known
        assert answer.scope == ("doubtful" if lacking else "in")
        assert written.pop("verdict") == ("sure" if answer.confident else "open")
        ranked = {one["category"]: one["probability"] for one in written["ranking"]}
        for one in written["cross_lists"]:
            assert one["primary"] == ranked.get(one["category"], one["primary"])
            del one["primary"]
        wanted = case["answer"] | ({"confident": False} if lacking else {})
        same({key: value for key, value in written.items() if key not in NEWER}, wanted)


def test_an_older_model_is_not_opened_but_names_the_command(copy: Path) -> None:
    before = digests(copy)
    for path in (copy, copy.parent / "latest"):
        with pytest.raises(ShelfmarkError, match=f"run shelfmark convert-model {copy.name}; or"):
            artifact.load(path)
    assert digests(copy) == before


def test_a_model_is_converted_in_place(copy: Path) -> None:
    card = artifact.read_card(copy)
    reference = (copy / artifact.REFERENCE).read_bytes()
    assert convert_model(copy.parent / "latest") == copy
    converted = artifact.load(copy.parent / "latest")
    assert converted.card.config == card.config
    assert (converted.card.format, card.format) == (2, 1)
    assert converted.about == (copy / artifact.ABOUT).read_text(encoding="utf-8")
    assert (copy / artifact.REFERENCE).read_bytes() == reference
    assert {path.name for path in copy.iterdir()} == {*converted.card.files, artifact.CARD}
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, "latest"}
    with pytest.raises(ShelfmarkError, match="is of the present format already"):
        convert_model(copy)


def test_the_command_names_what_it_trusts(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["convert-model", copy.name, "--models", str(copy.parent)]
    assert run(shelfmark, arguments, "shelfmark") == 0
    out, err = capsys.readouterr()
    assert f"{copy}: its pickle is opened, which can run code: its maker is trusted" in err
    assert out == f"converted {copy}: it gives the same answers, and opening it runs nothing\n"
    with pytest.raises(SystemExit, match="1"):
        run(shelfmark, arguments, "shelfmark")
    assert "is of the present format already" in capsys.readouterr().err


def test_a_model_that_answers_otherwise_is_not_replaced(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(copy)
    load = artifact.load

    def load_another(folder: Path) -> artifact.Model:
        model = load(folder)
        model.classifier.decision.temperature *= 2
        return model

    monkeypatch.setattr(artifact, "load", load_another)
    with pytest.raises(ShelfmarkError, match="answers otherwise; nothing was changed"):
        convert_model(copy)
    assert digests(copy) == before
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, "latest"}


def test_a_damaged_pickle_is_one_line(copy: Path) -> None:
    path = copy / PIPELINE
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ShelfmarkError, match=r"pipeline\.pkl is missing or not the file"):
        convert_model(copy)
    card = orjson.loads((copy / artifact.CARD).read_bytes())
    card["files"][PIPELINE] = files.sha256(path)
    (copy / artifact.CARD).write_bytes(orjson.dumps(card))
    with pytest.raises(ShelfmarkError, match="its pickle holds no pipeline of ours ") as raised:
        convert_model(copy)
    assert "\n" not in str(raised.value)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: files.sha256(path) for path in folder.iterdir()}


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
    moved = [place for places in older.OURS.values() for place in places]
    assert not [place for place in moved if place[0].encode() not in named]
    assert not [place for place in moved if place[1].encode() not in named]
