"""The picture of an embedding landscape: a dot a paper, a colour a group, names in their places.

It is to be read at a glance for five labels and for 150: instead of a legend, the name of each
label stands where its papers are densest, and moves aside where names would overlap.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter

from shelfmark.core.arrays import Doubles, Ints

INCHES = 10.0
MARGIN = 0.02  # of the range of the places
FEW = 12  # labels whose full names are written
# Okabe and Ito (2008): told apart by people with any colour vision.
# Source: https://jfly.uni-koeln.de/color/
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00", "#4d4d4d",
)  # fmt: skip
# The groups of arXiv have the same colours in every picture.
GROUP_COLOURS = dict(
    zip(("physics", "cs", "math", "stat", "q-bio", "eess", "q-fin", "econ"), COLOURS, strict=True)
)
UNKNOWN = "#8c8c8c"  # of categories that arXiv does not list
LIGHTEST, DARKEST = 0.45, -0.35  # of the shades of a group: white or black mixed in
CELLS = 80  # a side of the grid on which the densest place of a label is found
WRAP = 18  # characters of a line of a name
STEPS, TURNS = 60, 16  # of the search for a free place of a name: rings, and places on each


@dataclass(frozen=True)
class Name:
    """The name of a label, as it is written.

    Args:
        text: the name.
        at: the densest place of its papers, in data coordinates.
        size: of the font, in points.
        colour: of the text.
    """

    text: str
    at: tuple[float, float]
    size: float
    colour: str


def choose_colours(labels: Sequence[str], groups: Mapping[str, str]) -> dict[str, str]:
    """Return the colour of each label: few have one each, many a shade of that of their group.

    Args:
        labels: in their order.
        groups: the group of each label.
    """
    families = list(dict.fromkeys(groups[label] for label in labels))
    if len(labels) == len(families):
        return {label: GROUP_COLOURS.get(groups[label], UNKNOWN) for label in labels}
    if len(families) == 1 or len(labels) <= len(COLOURS):
        # Each of the first has a colour of its own; with more labels, shades of these follow.
        families = list(COLOURS[: len(labels)])
        groups = {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(labels)}
    colours = {}
    for family in families:
        members = [label for label in labels if groups[label] == family]
        for number, label in enumerate(members):
            colour = family if family in COLOURS else GROUP_COLOURS.get(family, UNKNOWN)
            colours[label] = _shade(colour, number, len(members))
    return colours


def _shade(colour: str, number: int, count: int) -> str:
    """Return one of several shades of a colour; neighbours in number are far apart in shade."""
    if count == 1:
        return colour
    spread = (number * 0.618034) % 1.0  # the golden ratio fills the range evenly
    turn = 0.03 * (((number * 0.381966) % 1.0) * 2 - 1)
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    turned = np.array(colorsys.hls_to_rgb((hue + turn) % 1.0, lightness, saturation))
    tone = DARKEST + (LIGHTEST - DARKEST) * spread  # mixed with black below 0, with white above
    mixed = turned * (1 + tone) if tone < 0 else turned + (1 - turned) * tone
    red, green, blue = mixed.tolist()
    return to_hex((red, green, blue))


def densest_place(
    places: Doubles, low: Doubles, high: Doubles, reach: float = 2.0
) -> tuple[float, float]:
    """Return the place among points around which most of them lie.

    The median would lie between the clusters of a label that has two.

    Args:
        places: shape (points, 2).
        low: the smallest coordinates of the picture.
        high: the largest.
        reach: of the mean around a place, in cells of the grid.
    """
    bounds = list(zip(low, high, strict=True))
    counts, *edges = np.histogram2d(places[:, 0], places[:, 1], CELLS, bounds)
    smooth = gaussian_filter(counts, reach, mode="constant")
    cell = np.unravel_index(int(smooth.argmax()), smooth.shape)
    x, y = ((edge[k] + edge[k + 1]) / 2 for edge, k in zip(edges, cell, strict=True))
    return float(x), float(y)


def draw_landscape(
    places: Doubles,
    codes: Ints,
    labels: Sequence[str],
    groups: Mapping[str, str],
    title: str,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw papers in a plane, each in the colour of its label.

    Args:
        places: shape (papers, 2), of one seed in a random order.
        codes: the label of each paper, an index of `labels`.
        labels: all labels.
        groups: the group of each label.
        title: of the picture.
        names: what is written for a label; the label itself if not given.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    room = MARGIN * np.maximum(high - low, 1e-9)
    low, high = low - room, high + room
    figure = Figure(figsize=(INCHES, INCHES + 0.4))
    figure.subplots_adjust(0.01, 0.01, 0.99, INCHES / (INCHES + 0.4) - 0.005)
    axes = figure.subplots()
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=13, color="#1f2933", loc="left")
    colours = choose_colours(labels, groups)
    shades = np.array([to_rgb(colours[label]) for label in labels])
    # In one call and a random order: no label covers another because it is drawn last.
    size = float(np.clip(50_000 / len(places), 2, 30))
    x, y = places.T
    axes.scatter(x, y, s=size, c=shades[codes], alpha=0.6, linewidths=0, rasterized=True)
    _write_names(axes, places, codes, labels, colours, names or {}, (low, high))
    if len(labels) > len(COLOURS) and len(families := sorted(set(groups.values()))) > 1:
        _write_groups(axes, families)
    return figure


def _write_groups(axes: Axes, groups: Sequence[str]) -> None:
    """Write the groups in their colours, where labels have shades of them."""
    marks = [
        Line2D([], [], color=GROUP_COLOURS.get(group, UNKNOWN), marker="o", linestyle="")
        for group in groups
    ]
    axes.legend(
        marks, groups, ncols=len(groups), loc="lower right", bbox_to_anchor=(1, -0.005),
        frameon=False, fontsize=10, handletextpad=0.1, columnspacing=1,
    )  # fmt: skip


def _write_names(
    axes: Axes, places: Doubles, codes: Ints, labels: Sequence[str],
    colours: Mapping[str, str], names: Mapping[str, str], bounds: tuple[Doubles, Doubles],
) -> None:  # fmt: skip
    """Write the name of each label that has papers, that of the largest first."""
    counts = np.bincount(codes, minlength=len(labels))
    largest = float(np.interp(len(labels), [8, 30, 150], [15, 11, 8]))
    reach = float(np.interp(len(labels), [8, 30, 150], [7, 4, 2]))
    taken: list[tuple[float, float, float, float]] = []
    for code in np.argsort(-counts, kind="stable"):
        if not counts[code]:
            continue
        label = labels[code]
        at = densest_place(places[codes == code], *bounds, reach)
        size = largest * float(np.clip((counts[code] / counts.max()) ** 0.15, 0.75, 1))
        name = Name(fill(names.get(label, label), WRAP), at, size, _dark(colours[label]))
        _write_name(axes, name, bounds, taken)


def _dark(colour: str) -> str:
    """Return a colour dark enough to be read on white."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, min(lightness, 0.27), saturation))


def _write_name(
    axes: Axes, name: Name, bounds: tuple[Doubles, Doubles],
    taken: list[tuple[float, float, float, float]],
) -> None:  # fmt: skip
    """Write a name as near its place as is free, with a line to the place if it moved far."""
    low, high = bounds
    unit = (high - low) / (INCHES * 72)  # data units of a point of the page
    width = 0.7 * name.size * max(map(len, name.text.split("\n"))) * unit[0]
    height = 1.15 * name.size * (1 + name.text.count("\n")) * unit[1]
    box = _free_box(name, (width, height), bounds, taken, unit)
    taken.append(box)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    moved = max(abs(x - name.at[0]) / width, abs(y - name.at[1]) / height)
    if moved > 0.8:
        axes.plot([name.at[0], x], [name.at[1], y], color=name.colour, linewidth=0.6, alpha=0.8)
    axes.text(
        x, y, name.text, fontsize=name.size, color=name.colour, ha="center", va="center",
        fontweight="bold", linespacing=1.05,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )  # fmt: skip


def _free_box(
    name: Name, size: tuple[float, float], bounds: tuple[Doubles, Doubles],
    taken: Sequence[tuple[float, float, float, float]], unit: Doubles,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Return the box of a name around the nearest place where it covers no other name."""
    others = np.array(taken).reshape(-1, 4)
    (width, height), (low, high) = size, bounds
    best, least = None, np.inf
    for step in range(STEPS):
        for turn in range(TURNS if step else 1):
            angle = 2 * np.pi * (turn / TURNS + 0.5 * (step % 2) / TURNS)
            reach = 0.35 * name.size * step
            x = np.clip(name.at[0] + reach * np.cos(angle) * unit[0] * 1.6,
                        low[0] + width / 2, high[0] - width / 2)  # fmt: skip
            y = np.clip(name.at[1] + reach * np.sin(angle) * unit[1],
                        low[1] + height / 2, high[1] - height / 2)  # fmt: skip
            box = (
                float(x - width / 2),
                float(y - height / 2),
                float(x + width / 2),
                float(y + height / 2),
            )
            covered = _overlap(box, others)
            if covered == 0:
                return box
            if covered < least:
                best, least = box, covered
    assert best is not None
    return best


def _overlap(box: tuple[float, float, float, float], others: Doubles) -> float:
    """Return the area that a box shares with others."""
    wide = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    high = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    return float((np.maximum(wide, 0) * np.maximum(high, 0)).sum())
