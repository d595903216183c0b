"""The comment on a change of the data: only the differences between two cards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.moments import PATIENCE

SCRIPT = Path(__file__).parents[3] / "scripts" / "data_card_diff.py"
FIELDS = ("source", "config", "splits", "labels", "dropped", "files", "submitted", "schema")


@pytest.fixture
def card(home: Path) -> dict[str, Any]:
    """The card of real splits."""
    (file,) = (home / "data").glob("*/card.json")
    made: dict[str, Any] = json.loads(file.read_text())
    assert set(FIELDS) <= made.keys()
    return made


def put(folder: Path, card: dict[str, Any], name: str = "splits") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "card.json").write_text(json.dumps(card))
    return folder


def diff_page(*places: Path) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def test_the_same_data_differs_in_nothing(card: dict[str, Any], tmp_path: Path) -> None:
    page = diff_page(put(tmp_path / "old", card), put(tmp_path / "new", card))
    assert page == "## What this changes in the data\n\n### sample\n\nNothing differs.\n"


def test_more_papers_and_another_setting_are_reported(card: dict[str, Any], tmp_path: Path) -> None:
    new = json.loads(json.dumps(card))
    new["splits"]["train"] += 100
    new["kept"] += 100
    new["read"] += 120
    new["dropped"]["withdrawn"] = card["dropped"].get("withdrawn", 0) + 20
    new["labels"]["train"]["cs.RO"] += 100
    new["config"]["min_words"] = 30
    page = diff_page(put(tmp_path / "old", card), put(tmp_path / "new", new))
    kept = card["kept"]
    assert f"| kept | {kept:,} | {kept + 100:,} | +100 ({100 / kept:+.1%}) |" in page
    assert "| dropped: withdrawn |" in page
    assert "| cs.RO |" in page
    assert "| min_words | `20` | `30` |  |" in page
    assert "cs.CL" not in page
    assert "min_papers" not in page


def test_an_added_and_a_removed_source_are_reported(card: dict[str, Any], tmp_path: Path) -> None:
    other = {**card, "source": "snapshot"}
    page = diff_page(put(tmp_path / "old", card), put(tmp_path / "new", other))
    assert "### sample\n\nis gone." in page
    assert "### snapshot\n\nis new." in page


def test_other_bytes_of_the_same_numbers_are_reported(card: dict[str, Any], tmp_path: Path) -> None:
    other = {**card, "files": {**card["files"], "train.parquet": "0" * 64}}
    page = diff_page(put(tmp_path / "old", card), put(tmp_path / "new", other))
    assert "the files' digests differ" in page


def test_a_missing_card_is_reported(tmp_path: Path) -> None:
    assert "No data card" in diff_page(tmp_path / "old", tmp_path / "new")


def test_a_damaged_card_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    command = [sys.executable, str(SCRIPT), str(tmp_path / "card.json"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: JSONDecodeError")
