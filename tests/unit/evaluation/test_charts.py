"""The pictures: drawn for five classes and for 150, each a real image of a sensible size."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from shelfmark.arxiv import taxonomy
from shelfmark.evaluation import charts, metrics
from shelfmark.evaluation.records import CoveragePoint, EvaluationReport
from shelfmark.models import confidence


def report(count: int) -> EvaluationReport:
    """Return a synthetic evaluation of so many classes."""
    classes = list(taxonomy.CATEGORIES)[:count]
    chance = np.random.default_rng(0)
    probabilities = chance.dirichlet(np.full(count, 0.1), 1000).astype(np.float32)
    targets = probabilities.argmax(axis=1)[::-1]
    terms = {label: [(f"term {i}", 9.0 - i) for i in range(8)] for label in classes}
    terms[classes[0]] = []  # a class that nothing points to
    return EvaluationReport(
        model="five",
        split="test",
        **dict(metrics.score_probabilities(targets, probabilities, classes)),
        confident_share=0.2 if count > 2 else 0.0,
        confident_precision=0.9 if count > 2 else None,
        coverage=[CoveragePoint(**x) for x in confidence.coverage(targets, probabilities)],
        telling_terms=terms,
        created="2026-11-22T10:00:00+00:00",
    )


@pytest.mark.parametrize("count", [2, 5, 149])
def test_every_picture_is_an_image_that_fits_a_screen_or_scrolls_one_way(
    count: int, tmp_path: Path
) -> None:
    names = charts.draw_charts(report(count), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names:
        image = matplotlib.image.imread(tmp_path / name)
        assert image[..., :3].std() > 0.01, f"{name} is blank"
        assert 200 < image.shape[1] < 3600
        assert 100 < image.shape[0] < 7000


def test_a_picture_names_its_run(tmp_path: Path) -> None:
    folder = tmp_path / "five-test"
    folder.mkdir()
    for name in charts.draw_charts(report(2), folder):
        with Image.open(folder / name) as image:
            assert image.info[charts.RUN] == "five-test"
            assert image.info[charts.CREATED] == "2026-11-22T10:00:00+00:00"


def test_numbers_stand_in_the_cells_only_while_they_can_be_read() -> None:
    assert charts.CELLS_WITH_NUMBERS < 149
