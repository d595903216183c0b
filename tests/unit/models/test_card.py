"""The model card: written and read back, also those of older models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

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
    [("classes", [{"label": "a"}]), ("classes", 3), ("data", []), ("caution", {}), ("config", 3)],
)
def test_a_key_that_holds_something_else_is_named(key: str, value: Any, tmp_path: Path) -> None:
    values = orjson.loads(OLDER.read_bytes()) | {key: value}
    (tmp_path / artifact.CARD).write_bytes(orjson.dumps(values))
    name = {"caution": "thresholds"}.get(key, key)
    with pytest.raises(ShelfmarkError, match=rf"card\.json: {name} is invalid; train again"):
        artifact.read_card(tmp_path)
