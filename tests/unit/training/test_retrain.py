"""Champion and challenger: the better one becomes the latest, and a loser changes nothing."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.config.load import load_config, load_drift_config
from shelfmark.data.sources import sample
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import metrics
from shelfmark.models import artifact
from shelfmark.training import retrain, train
from tests.conftest import QUICK, paths_in

LIMITS = load_drift_config(["newest=0.25", "min_papers=40"])
NEW = date(2021, 1, 1)


def harvest(path: Path, count: int, first: date = NEW, skip: int = 2000) -> Path:
    """Write papers of the sample as arXiv's snapshot has them, submitted from a day on."""
    with path.open("wb") as file:
        for number, (_, paper) in enumerate(sample.read_records(None, skip + count)):
            if number < skip:
                continue
            day = first + timedelta(days=(number - skip) // 4)
            created = day.strftime("%a, %d %b %Y 00:00:00 GMT")
            file.write(orjson.dumps({
                "id": f"2101.{number:05d}", "title": paper.title, "abstract": paper.abstract,
                "categories": " ".join(paper.categories), "versions": [{"created": created}],
            }) + b"\n")  # fmt: skip
    return path


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A champion that learnt from few papers."""
    folder = tmp_path_factory.mktemp("weak")
    few = ["data.options.papers=250", "data.min_papers=5", "model.rounds=3", "features.min_df=8"]
    return train.train_model(load_config([*QUICK, *few, "name=weak", *paths_in(folder)])).folder


def test_a_better_challenger_becomes_the_latest(weak: Path, tmp_path: Path) -> None:
    file = harvest(tmp_path / "new.jsonl", 1200)
    latest = retrain.retrain_and_compare(weak.parent / "latest", file, tmp_path, LIMITS)
    assert latest.name.endswith("-challenger")
    assert (weak.parent / "latest").resolve() == latest
    assert artifact.load(latest).version == latest.name
    assert not list((weak.parent / "challengers").iterdir())
    (report,) = tmp_path.glob("*-comparison/comparison.json")
    content = orjson.loads(report.read_bytes())
    assert content["latest"] == latest.name
    assert content["challenger"]["macro_f1"] > content["champion"]["macro_f1"]
    assert content["first"] > NEW.isoformat()
    assert content["papers"] >= 40
    assert "it is the latest model now" in (report.parent / "README.md").read_text()
    card = artifact.read_card(latest)
    assert card.config["data"]["cuts"]["test"] <= content["first"]
    artifact.point_latest_at(weak)


def test_a_worse_challenger_changes_nothing_and_stays_to_be_looked_at(
    home: Path, tmp_path: Path
) -> None:
    models = home / "models"
    lines = harvest(tmp_path / "few.jsonl", 260).read_bytes().splitlines(keepends=True)
    named = [str(tmp_path / name) for name in ("first.jsonl", "second.jsonl")]
    for name, part in zip(named, (lines[:150], lines[100:]), strict=True):
        Path(name).write_bytes(b"".join(part))
    before = (models / "latest").resolve()
    assert retrain.retrain_and_compare(before, named, tmp_path, LIMITS) == before
    assert (models / "latest").resolve() == before
    (report,) = tmp_path.glob("*-comparison/comparison.json")
    content = orjson.loads(report.read_bytes())
    assert content["latest"] == before.name
    loser = models / "challengers" / content["challenger"]["model"]
    card = artifact.load(loser).card
    assert (card.name, card.config["data"]["path"]) == (loser.name, named)
    sources = open_splits(Path(card.data.folder)).card["sources"]
    assert [one["file"] for one in sources] == ["first.jsonl", "second.jsonl"]
    assert [one["dropped"].get("duplicate identifier") for one in sources] == [50, None]
    assert not (models / loser.name).exists()


@pytest.mark.parametrize(
    ("count", "first", "said"),
    [
        (60, date(2000, 1, 1), "has papers up to"),
        (120, NEW, "are newer than|change data"),
    ],
)
def test_too_few_new_papers_is_one_line(
    home: Path, tmp_path: Path, count: int, first: date, said: str
) -> None:
    before = (home / "models" / "latest").resolve()
    file = harvest(tmp_path / "papers.jsonl", count, first)
    with pytest.raises(ShelfmarkError, match=said):
        retrain.retrain_and_compare(before, file, tmp_path, LIMITS)
    assert (home / "models" / "latest").resolve() == before


def test_macro_f1_is_over_the_labels_that_are_there() -> None:
    truth, given = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 3])
    # Of 0: 2/3; of 1: 2/3; nobody is a 2, and 3 is a class that the labels do not have.
    assert metrics.macro_f1(truth, given, 3) == pytest.approx(2 / 3)
