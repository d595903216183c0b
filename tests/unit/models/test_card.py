"""The model card: written and read back, also those of older models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.card import REQUIRED, ClassLabel, ModelCard, Thresholds

OLDER = Path(__file__).parent / "data" / "reranked" / artifact.CARD


def test_what_is_written_is_what_is_read(home: Path) -> None:
    values = orjson.loads((home / "models" / "quick" / artifact.CARD).read_bytes())
    card = ModelCard.from_json(values)
    assert card.to_json() == values
    assert list(card.to_json()) == list(values)
    assert (card.rounds, card.kind, card.missing) == (values["rounds"], "boosted", ())
    assert card.labels == [entry["label"] for entry in values["classes"]]


def test_an_older_card_has_the_present_keys() -> None:
    values = orjson.loads(OLDER.read_bytes())
    card = ModelCard.from_json(values)
    assert "caution" in values, "the given values stay unchanged"
    assert card.limits == Thresholds(**values["caution"])
    assert card.kind == "boosted"
    scorers = card.config["model"]["stack"]["scorers"]
    assert scorers["low_rank"]["size"] == 8
    assert "embedding" not in scorers
    assert card.details == {"rounds": 10}


def test_keys_that_are_missing_are_named() -> None:
    values = orjson.loads(OLDER.read_bytes())
    card = ModelCard.from_json({"config": values["config"], "classes": values["classes"]})
    assert set(card.missing) == set(REQUIRED) - {"config", "classes"}
    with pytest.raises(ShelfmarkError, match="its card lacks thresholds; train again"):
        print(card.limits)
    with pytest.raises(ShelfmarkError, match="the card names no kind of model"):
        print(ModelCard(name="a", config={}, classes=[ClassLabel("a", "b")]).kind)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classes", [{"label": "a"}]),
        ("classes", []),
        ("classes", 3),
        ("classes", [{"label": "a", "name": "b", "more": 1}]),
        ("data", []),
        ("caution", {}),
        ("config", 3),
        ("config", {}),
        ("name", "../elsewhere"),
        ("listed", [1]),
        ("files", {"../card.json": "0" * 64}),
        ("files", {"pipeline.pkl": "short"}),
        ("arrays", {"00-a.npy": {"dtype": "|O", "shape": [1]}}),
        ("arrays", {"00-a.npy": {"dtype": "<f4", "shape": [-1]}}),
        ("arrays", {"00-a.npy": {"dtype": "<f4", "shape": [1, 1, 1]}}),
        ("format", 0),
        ("format", "2"),
        ("versions", {"numpy": 2}),
        ("metrics", {"validation": {"accuracy": "high"}}),
        ("metrics", {"validation": {"accuracy": [[]]}}),
        ("files", {f"{number}.npy": "0" * 64 for number in range(201)}),
        ("classes", [{"label": f"{number}", "name": ""} for number in range(1001)]),
    ],
)
def test_a_key_that_holds_something_else_is_named(key: str, value: Any, tmp_path: Path) -> None:
    values = orjson.loads(OLDER.read_bytes()) | {key: value}
    (tmp_path / artifact.CARD).write_bytes(orjson.dumps(values))
    name = {"caution": "thresholds"}.get(key, key)
    with pytest.raises(
        ShelfmarkError, match=rf"card\.json: {name}\b.* is invalid: .*; train again"
    ):
        artifact.read_card(tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"listed": ["a", "a"]}, "should each name a category once"),
        ({"format": 3}, "made by a newer release of Shelfmark"),
        ({"arrays": {"a.npy": {"dtype": "<f4", "shape": []}}}, "arrays should be among the files"),
        ({"classes": [{"label": "a", "name": "A"}]}, "confident_from should name the classes"),
        ({"rounds": []}, "rounds should be a number"),
    ],
)
def test_a_card_whose_parts_do_not_fit_together_is_refused(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ShelfmarkError, match=problem):
        ModelCard.from_json(orjson.loads(OLDER.read_bytes()) | changes)


def present(home: Path) -> dict[str, Any]:
    values: dict[str, Any] = orjson.loads((home / "models" / "quick" / artifact.CARD).read_bytes())
    return values


@pytest.mark.parametrize("question", ["primary", "listed"])
def test_verdicts_of_other_classes_are_refused(home: Path, question: str) -> None:
    values = present(home)
    offsets = values["thresholds"]["verdicts"][question]["offsets"]
    offsets["cs.NW"] = offsets.pop("cs.RO")
    with pytest.raises(ShelfmarkError, match=r"thresholds\.verdicts should name the classes"):
        ModelCard.from_json(values)


def test_limits_of_verdicts_that_are_no_numbers_are_refused(home: Path) -> None:
    values = present(home)
    values["thresholds"]["verdicts"]["scope"]["form"] = "high"
    with pytest.raises(ShelfmarkError, match=r"thresholds\.verdicts\.scope\.form"):
        ModelCard.from_json(values)


def test_thresholds_of_an_older_model_have_no_verdicts(home: Path) -> None:
    values = present(home)
    del values["thresholds"]["verdicts"]
    card = ModelCard.from_json(values)
    assert card.limits.verdicts is None
    assert card.to_json() == values


def test_the_digest_of_a_card_is_the_sha256_of_its_file(home: Path) -> None:
    path = home / "models" / "quick" / artifact.CARD
    card = artifact.read_card(path.parent)
    assert card.digest == files.sha256(path)
    assert "digest" not in card.to_json()


def test_custom_labels_are_those_of_the_classes(home: Path) -> None:
    values = orjson.loads((home / "models" / "quick" / artifact.CARD).read_bytes())
    values["config"]["data"]["labels"] = {"one": ["cs.CL"], "other": ["cs.RO"]}
    with pytest.raises(ShelfmarkError, match=r"classes should be among config\.data\.labels"):
        ModelCard.from_json(values)


def test_a_card_that_no_answer_could_hold_is_refused(home: Path) -> None:
    content = (home / "models" / "quick" / artifact.CARD).read_bytes()
    deep = b'"more": ' + b"[" * 400 + b"]" * 400 + b"}"
    with pytest.raises(ShelfmarkError, match="its values are nested too deeply"):
        ModelCard.from_bytes(content.rstrip().removesuffix(b"}") + b"," + deep)
