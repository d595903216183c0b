"""Two models for the tests of a running service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

VERSIONS = ("one", "two")


@pytest.fixture(scope="module")
def house(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models that never agree: the second has the classes in reverse."""
    house = tmp_path_factory.mktemp("house")
    for name in VERSIONS:
        folder = house / "models" / name
        shutil.copytree(home / "models" / "quick", folder)
        card = orjson.loads((folder / "card.json").read_bytes())
        card["name"] = name
        card["classes"] = card["classes"][:: 1 if name == "one" else -1]
        from_ = card["thresholds"]["confident_from"]
        labels = [entry["label"] for entry in card["classes"]]
        card["thresholds"]["confident_from"] = {label: from_[label] for label in labels}
        if name == "two":
            _make_older(folder, card)
        (folder / "card.json").write_bytes(orjson.dumps(card))
    return house


def _make_older(folder: Path, card: dict[str, Any]) -> None:
    """Make a model one of an older release, whose detector cannot tell it the classes' order."""
    del card["thresholds"]["verdicts"]
    for file in folder.glob("scope*"):
        file.unlink()
        del card["files"][file.name]
        card["arrays"].pop(file.name, None)
