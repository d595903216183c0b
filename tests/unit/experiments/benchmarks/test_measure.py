"""The single measurements and their keys; no time is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.experiments.benchmarks import measure
from shelfmark.models import artifact
from tests.conftest import QUICK, paths_in


@pytest.fixture
def settings(home: Path) -> Config:
    return load_config([*QUICK, *paths_in(home)])


def test_both_vectorizers_read_the_same_papers_to_the_same_bits(settings: Config) -> None:
    ours, theirs = (measure.time_vectorizer(settings, name, "2") for name in measure.VECTORIZERS)
    assert ours["papers"] == theirs["papers"] > 1000
    assert ours["digest"] == theirs["digest"]


def test_the_digest_shows_the_smallest_difference(settings: Config) -> None:
    two, three = (measure.time_vectorizer(settings, "ours", least) for least in ("2", "3"))
    assert two["digest"] != three["digest"]


def test_an_answer_is_timed_in_its_parts(
    settings: Config, model: artifact.Model, home: Path
) -> None:
    timings = measure.time_answer(settings, str(home / "models" / "quick"))
    assert set(timings) == {"clean", "features", "score", "explain"}
    assert all(seconds > 0 for seconds in timings.values())


def test_the_prediction_of_a_file_is_timed_as_a_command(
    settings: Config, model: artifact.Model, home: Path
) -> None:
    timings = measure.time_file_prediction(settings, str(home / "models" / "quick"))
    assert timings["papers"] == settings.data.options["papers"]
