"""Versions and aliases: an alias names a version and the digest of its card."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shelfmark.artifacts.aliases import HISTORY, MOST_ENTRIES, Alias, Entry, Pin
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact, registry
from shelfmark.models.registry import Registry


@pytest.fixture
def models(home: Path, tmp_path: Path) -> Path:
    """A folder of two models, one and two; the alias `production` names one."""
    folder = tmp_path / "models"
    for name in ("one", "two"):
        shutil.copytree(home / "models" / "quick", folder / name)
        change_card(folder / name, name=name)
    point_at(folder, "one")
    return folder


def change_card(folder: Path, **changes: Any) -> None:
    card = orjson.loads((folder / "card.json").read_bytes())
    (folder / "card.json").write_bytes(orjson.dumps(card | changes))


def digest_of(models: Path, version: str) -> str:
    return files.sha256(models / version / "card.json")


def point_at(models: Path, version: str) -> None:
    Alias(str(models)).point_at(version, digest_of(models, version))


def test_an_alias_is_pinned_to_its_version_and_the_recorded_digest(models: Path) -> None:
    versions = Registry(str(models))
    assert versions.pin("production") == Pin("one", digest_of(models, "one"))
    assert versions.pin("two") == Pin("two", digest_of(models, "two"))
    assert versions.open("production").digest == digest_of(models, "one")
    with pytest.raises(ShelfmarkError, match=r"no model in .*three"):
        versions.pin("three")
    with pytest.raises(ShelfmarkError, match=r"\.\./one: not the name of a version"):
        versions.pin("../one")


def test_another_model_under_the_same_name_is_noticed_through_its_alias(models: Path) -> None:
    recorded = digest_of(models, "one")
    change_card(models / "one", key="another")
    versions, problem = (
        Registry(str(models)),
        r"one is another model now: .*point the alias at it again",
    )
    with pytest.raises(ShelfmarkError, match=problem):
        versions.open("production")
    with pytest.raises(ShelfmarkError, match=problem):
        versions.card("production")
    with pytest.raises(ShelfmarkError, match=problem):
        versions.open("one", recorded)
    assert versions.open("one").card.key == "another"
    point_at(models, "one")
    assert versions.open("production").card.key == "another"


def test_a_history_of_an_earlier_release_records_no_digest(models: Path) -> None:
    history = models / f"production{HISTORY}"
    entries = orjson.loads(history.read_bytes())
    del entries[0]["digest"]
    history.write_bytes(orjson.dumps(entries))
    assert Alias(str(models)).history() == [Entry("one", entries[0]["at"], back=False)]
    change_card(models / "one", key="another")
    assert Registry(str(models)).open("production").card.key == "another"


@pytest.mark.parametrize(
    "content", [b"", b" ", b"[]", b"{", b"{}", b"[1]", b'[{"version": 1, "at": "", "back": 0}]']
)
def test_a_damaged_history_is_one_line(models: Path, content: bytes) -> None:
    (models / f"production{HISTORY}").write_bytes(content)
    with pytest.raises(ShelfmarkError, match=r"production\.history\.json is damaged .*: remove it"):
        Registry(str(models)).open("production")


def test_a_history_is_bounded(models: Path) -> None:
    entries = [Entry("one", "then", back=False)] * MOST_ENTRIES
    (models / f"production{HISTORY}").write_bytes(orjson.dumps(entries))
    point_at(models, "two")
    history = Alias(str(models)).history()
    assert len(history) == MOST_ENTRIES
    assert history[-1].version == "two"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_with_numbers_that_are_not_finite_is_not_opened(models: Path, value: float) -> None:
    card = orjson.loads((models / "one" / "card.json").read_bytes())
    [name] = [name for name in card["arrays"] if name.endswith("svm-weights.npy")]
    weights = np.load(models / "one" / name)
    weights[:] = value
    np.save(models / "one" / name, weights)
    sums = card["files"] | {name: files.sha256(models / "one" / name)}
    change_card(models / "one", files=sums)
    with pytest.raises(ShelfmarkError, match="weights_ should be an array of numbers from"):
        Registry(str(models)).open("one")


def test_a_model_that_gives_no_probabilities_is_not_served(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        artifact.Model, "probabilities", lambda model, texts: (np.full((2, 3), np.nan),) * 2
    )
    monkeypatch.setattr(registry.answers, "answer_papers", lambda *given, **named: [])
    with pytest.raises(ShelfmarkError, match="one cannot predict: a probability is not between"):
        Registry(str(models)).open("one")


@pytest.mark.parametrize("reason", [MemoryError(), OSError(24, "Too many"), RuntimeError("a\nb")])
def test_whatever_a_warm_up_raises_is_one_line(
    models: Path, reason: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise reason

    monkeypatch.setattr(registry.answers, "answer_papers", fail)
    with pytest.raises(ShelfmarkError, match="one cannot predict: ") as raised:
        Registry(str(models)).open("one")
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    monkeypatch.setattr(artifact.family_of("boosted"), "load", fail)
    with pytest.raises(ShelfmarkError, match="one cannot be opened: ") as raised:
        Registry(str(models)).open("one")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'[{"version":"../one","at":"","back":false}]', id="a path"),
        pytest.param(b'[{"version":"one","at":"","back":false,"digest":"a"}]', id="no digest"),
        pytest.param(b" " * (1 << 20) + b"[]", id="too large"),
    ],
)
def test_a_history_of_other_makers_is_refused_in_one_line(models: Path, content: bytes) -> None:
    (models / f"production{HISTORY}").write_bytes(content)
    with pytest.raises(ShelfmarkError, match=r"production\.history\.json is damaged .*: remove it"):
        Registry(str(models)).open("production")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_a_history_is_not_waited_for(models: Path) -> None:
    (models / f"production{HISTORY}").unlink()
    os.mkfifo(models / f"production{HISTORY}")
    with pytest.raises(ShelfmarkError, match="cannot be read"):
        Registry(str(models)).open("production")
