"""The chart of encoders: every name is written, and none over another."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Annotation, Text

from shelfmark.evaluation.encoders.charts import draw_quality
from shelfmark.evaluation.encoders.records import EncoderReport, Figure
from tests.support.encoder_record import encoder_record

# Abstracts a second, and both figures: near one another in speed, in quality, or in both.
PLACES = {
    "static": (12_000, 0.930, 0.360),
    "static:128": (12_000, 0.929, 0.352),
    "static:64": (12_000, 0.928, 0.340),
    "minilm": (22, 0.927, 0.300),
    "sentence": (23, 0.927, 0.300),
    "TF-IDF": (16_000, 0.929, 0.239),
    "LSA": (11_000, 0.929, 0.228),
}


def report_of(names: dict[str, tuple[float, float, float]], **changes: object) -> EncoderReport:
    figures = {
        name: {
            "abstracts_a_second": Figure(value=rate),
            "title_4000_mrr": Figure(value=known, error=0.004),
            "same_shelf_ndcg10": Figure(value=shelf, error=0.008),
        }
        for name, (rate, known, shelf) in names.items()
    }
    encoders = {name: {"kind": "baseline" if name.isupper() else "static"} for name in names}
    return encoder_record().model_copy(update={"figures": figures, "encoders": encoders, **changes})


def names_of(figure: Drawing) -> list[list[Annotation]]:
    FigureCanvasAgg(figure).draw()
    return [[x for x in axes.texts if isinstance(x, Annotation)] for axes in figure.axes]


def test_each_encoder_has_its_name_in_each_panel() -> None:
    for panel in names_of(draw_quality(report_of(PLACES))):
        assert sorted(x.get_text() for x in panel) == [
            "128 numbers", "64 numbers", "LSA", "TF-IDF", "minilm", "sentence", "static",
        ]  # fmt: skip


def test_no_name_is_written_over_another_or_over_the_edge() -> None:
    figure = draw_quality(report_of(PLACES))
    for panel, axes in zip(names_of(figure), figure.axes, strict=True):
        boxes = [Text.get_window_extent(name) for name in panel]  # without its line
        inside = axes.get_window_extent()
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


@pytest.mark.parametrize("synthetic", [False, True])
def test_the_earlier_project_is_laid_beside_real_papers_alone(synthetic: bool) -> None:
    figure = draw_quality(report_of(PLACES, synthetic=synthetic))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("earlier project" in text for text in texts) is not synthetic


def test_papers_without_labels_leave_one_panel() -> None:
    tasks = {"title_4000_mrr": encoder_record().tasks["title_4000_mrr"]}
    assert len(draw_quality(report_of(PLACES, tasks=tasks)).axes) == 1
