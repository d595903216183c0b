"""Training: one call from configuration to artifact, the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.config.load import load_config
from shelfmark.data import splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.models import artifact
from shelfmark.training import train, verdicts
from tests.conftest import QUICK, paths_in


def test_the_model_is_better_than_guessing(home: Path) -> None:
    headline = artifact.read_card(home / "models" / "quick").metrics["validation"]
    assert headline["accuracy"] > 0.5
    assert headline["top3"] > 0.8


def test_the_figures_on_the_card_are_those_of_validation(home: Path, model: artifact.Model) -> None:
    folder = Path(model.card.data.folder)
    table = splits.open_splits(folder).read("validation")
    figures = evaluate.score_answers(predict_papers(model, table), model)
    for name, value in model.card.metrics["validation"].items():
        assert getattr(figures, name) == value


def test_the_thresholds_on_the_card_are_chosen_on_validation(model: artifact.Model) -> None:
    folder = Path(model.card.data.folder)
    seen = verdicts.answer_validation(model, splits.open_splits(folder), None)
    settings = load_config(QUICK).predict
    assert model.card.thresholds == verdicts.choose_thresholds(seen, settings)
    assert model.card.limits.min_precision == settings.min_precision == 0.75
    assert model.card.limits.verdicts is not None
    assert model.card.limits.verdicts.likely_precision == settings.likely_precision
    assert model.card.listed


def test_verdicts_are_learnt_from_papers_titles_and_what_is_no_paper(
    model: artifact.Model,
) -> None:
    opened = splits.open_splits(Path(model.card.data.folder))
    seen, table = verdicts.answer_validation(model, opened, None), opened.read("validation")
    assert seen.own.given == predict_papers(model, table).given
    assert len(seen.titles.best) == table.num_rows
    assert seen.titles.short.all()
    assert not seen.own.short.all()
    assert len(seen.strangers.best) == 0, "all categories of the sample are classes"
    assert len(seen.made.best) == table.num_rows
    assert not seen.made.right.any()
    assert not seen.made.among.any()


def test_training_twice_gives_the_same_predictions(home: Path, model: artifact.Model) -> None:
    again = train.train_model(load_config([*QUICK, "name=again", *paths_in(home)])).folder
    texts = ["a robot arm", "galaxy halo redshift", "prior and posterior of a kernel"]
    twin = artifact.load(again, threads=1)
    for ours, theirs in zip(twin.probabilities(texts), model.probabilities(texts), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_without_trees_and_cross_lists_is_trained_too(tmp_path: Path) -> None:
    linear = ["model=linear", "model.stack.min_listed=null", "name=linear"]
    folder = train.train_model(load_config([*QUICK, *linear, *paths_in(tmp_path)])).folder
    card = artifact.read_card(folder)
    assert card.metrics["validation"]["accuracy"] > 0.5
    assert card.metrics["validation"]["cross_lists_precision"] is None
    assert card.limits.cross_lists_from is None


def test_every_round_is_on_record(home: Path, model: artifact.Model) -> None:
    history = (home / "reports" / "quick" / "history.jsonl").read_bytes().splitlines()
    first, last = orjson.loads(history[0]), orjson.loads(history[-1])
    assert first["step"] == 0
    assert last["train"] < first["train"]


def test_a_taken_name_stops_before_any_work(home: Path) -> None:
    with pytest.raises(ShelfmarkError, match="name=quick: .* exists already"):
        train.train_model(load_config([*QUICK, "name=quick", *paths_in(home)]))


def test_as_a_container_runs_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "shelfmark.cli",
        "train",
        *QUICK,
        "model.rounds=3",
        "name=mine",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert (tmp_path / "models" / "latest" / "pipeline.pkl").exists()
    assert "accuracy" in done.stdout
    assert "synthetic" in done.stdout
    assert "synthetic" in done.stderr
    assert "models/mine" in done.stderr.replace("\\", "/")


def test_a_mistake_is_one_line_and_a_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelfmark.cli", "train", "model.max_dept=3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: model.max_dept: no such key; did you mean model.max_depth?\n"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_encoder_is_an_error_before_splits_are_made(tmp_path: Path) -> None:
    settings = [*QUICK, "model.neighbours.encoder=missing", "name=votes", *paths_in(tmp_path)]
    with pytest.raises(ShelfmarkError, match="no encoder in"):
        train.train_model(load_config([*settings, f'paths.encoders="{tmp_path / "encoders"}"']))
    assert not [*tmp_path.glob("data/*/card.json")]
