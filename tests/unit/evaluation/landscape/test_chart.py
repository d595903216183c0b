"""Pictures of landscapes: a colour for each label, and names that cover no other name."""

from __future__ import annotations

import itertools
from colorsys import rgb_to_hls

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Doubles, Ints
from shelfmark.evaluation.landscape import chart

CATEGORIES = sorted(taxonomy.CATEGORIES)
GROUPS = {name: taxonomy.group_of(name) or "other" for name in CATEGORIES}


def scattered(labels: int, seed: int = 0) -> tuple[Doubles, Ints]:
    """Return 20 papers of each label around a place of its own, in a random order."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(labels), 20))
    places = rng.random((labels, 2))[codes] * 1000 + rng.normal(0, 15, (len(codes), 2))
    return places, codes


def draw(labels: list[str]) -> Figure:
    places, codes = scattered(len(labels))
    return chart.draw_landscape(places, codes, labels, GROUPS, "title")


@pytest.mark.parametrize("count", [2, 5, 20, len(CATEGORIES)])
def test_each_label_is_named_once_and_few_names_overlap(count: int) -> None:
    labels = CATEGORIES[:: max(1, len(CATEGORIES) // count)][:count]
    figure = draw(labels)
    [axes] = figure.axes
    names = [text.get_text() for text in axes.texts]
    assert sorted(names) == sorted(labels)
    canvas = FigureCanvasAgg(figure)
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    covered = [one.overlaps(other) for one, other in itertools.combinations(boxes, 2)]
    assert sum(covered) <= count // 50


@pytest.mark.parametrize("labels", [["cs.AI", "cs.CL", "cs.CV"], ["cs", "math", "physics"]])
def test_few_labels_have_the_colours_that_anyone_tells_apart(labels: list[str]) -> None:
    groups = {label: taxonomy.group_of(label) or "other" for label in labels}
    colours = chart.choose_colours(labels, groups)
    assert len(set(colours.values())) == 3
    assert set(colours.values()) <= set(chart.COLOURS)


def test_many_labels_have_shades_of_the_colour_of_their_group() -> None:
    colours = chart.choose_colours(CATEGORIES, GROUPS)
    assert len(set(colours.values())) == len(CATEGORIES)
    for label, colour in colours.items():
        nearest = min(chart.GROUP_COLOURS.values(), key=lambda base: _hue_distance(base, colour))
        own = chart.GROUP_COLOURS[GROUPS[label]]
        assert _hue_distance(own, colour) <= _hue_distance(nearest, colour) + 0.05, label


def _hue_distance(one: str, other: str) -> float:
    (a, _, vivid), (b, _, other_vivid) = rgb_to_hls(*to_rgb(one)), rgb_to_hls(*to_rgb(other))
    if not vivid or not other_vivid:  # grey
        return float(bool(vivid or other_vivid))
    return min(abs(a - b), 1 - abs(a - b))


def test_a_name_stands_in_the_larger_cluster_of_its_label() -> None:
    rng = np.random.default_rng(0)
    large, small = rng.normal((20, 20), 2, (80, 2)), rng.normal((90, 90), 2, (40, 2))
    x, y = chart.densest_place(np.concatenate([large, small]), np.zeros(2), np.full(2, 100.0))
    assert abs(x - 20) < 5
    assert abs(y - 20) < 5
