"""Draws the embedding landscape of an encoder: its vectors of a split's papers, in a plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from loguru import logger

from shelfmark.arxiv import taxonomy
from shelfmark.core import console, files, provenance
from shelfmark.core.arrays import Floats
from shelfmark.data.splits import Splits, open_recorded_splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.evaluation.charts import save_figure
from shelfmark.evaluation.landscape import chart
from shelfmark.evaluation.landscape.projection import Method, project
from shelfmark.evaluation.landscape.records import (
    LEVELS,
    LONGEST_TITLE,
    OTHER,
    Landscape,
    Papers,
    scale_places,
)
from shelfmark.search.filters import Filters
from shelfmark.search.index import Index

FOLDER = "encoders"  # of the reports
DATA = "landscape.json"
MOST_PAPERS = 50_000
BATCH = 1024  # papers
COLUMNS = ["id", "title", "text", "categories"]
PLURALS = {"group": "groups", "archive": "archives", "category": "categories"}


def draw_landscape(
    located: LocatedEncoder, reports: Path, split: str, papers: int, method: Method, seed: int
) -> list[Path]:
    """Draw papers of a split in a plane, and write the pictures and their data.

    They are `reports/encoders/<name>-<split>/landscape-<level>.png`, for each of group, archive and
    category that tells papers apart, and `landscape.json` beside them.

    Args:
        located: the encoder.
        reports: folder of the reports.
        split: name of the split.
        papers: the most that are drawn; more are sampled.
        method: pca or tsne.
        seed: of the sample and of t-SNE.

    Returns:
        The files written.

    Raises:
        ShelfmarkError: the encoder or its splits are missing, there are too few papers, or the
            disk does not take the files.
    """
    encoder = artifact.load(located.folder, digest=located.digest)
    data = encoder.card.data
    splits = open_recorded_splits(Path(data.folder), data.card_sha256, encoder.name)
    return write_landscape(compute_landscape(encoder, splits, split, papers, method, seed), reports)


def draw_index(
    index: Index, folder: Path, reports: Path, papers: int, method: Method, seed: int
) -> list[Path]:
    """Draw papers of an index in a plane, as `draw_landscape`, and put the data beside the index.

    The service answers `GET /landscape` with them, and its page draws them.

    Args:
        index: that is open.
        folder: of the index.
        reports: folder of the reports, where the pictures go.
        papers: the most that are drawn; more are sampled.
        method: pca or tsne.
        seed: of the sample and of t-SNE.

    Returns:
        The files written.

    Raises:
        ShelfmarkError: there are too few papers, or the disk does not take the files.
    """
    every = np.concatenate([one.every() for one in index.select(Filters())])
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(every))[:papers]
    found = index.read(rows)
    drawn = Drawn(
        [paper.id for paper in found],
        [paper.title for paper in found],
        [paper.categories.split()[0] for paper in found],
        index.vectors_of(rows),
    )
    landscape = place_papers(drawn, index.encoder, "index", index.synthetic, method, seed)
    with files.atomic_write(folder / DATA) as file:
        file.write(landscape.to_json())
    return [*write_landscape(landscape, reports), folder / DATA]


class Drawn(NamedTuple):
    """The papers that are drawn: identifier, title, primary category and vector of each."""

    ids: list[str]
    titles: list[str]
    primary: list[str]
    vectors: Floats


def compute_landscape(
    encoder: OpenEncoder, splits: Splits, split: str, papers: int, method: Method, seed: int
) -> Landscape:
    """Return the places of papers of a split.

    Raises:
        ShelfmarkError: the split is unknown, or has too few papers.
    """
    table = splits.read(split, COLUMNS)
    rows = np.random.default_rng(seed).permutation(table.num_rows)[:papers]
    chosen = table.take(rows)
    drawn = Drawn(
        chosen["id"].to_pylist(),
        chosen["title"].to_pylist(),
        [names[0] for names in chosen["categories"].to_pylist()],
        _encode(encoder, chosen["text"].to_pylist()),
    )
    return place_papers(drawn, encoder, split, splits.card["synthetic"], method, seed)


def place_papers(
    drawn: Drawn, encoder: OpenEncoder, split: str, synthetic: bool, method: Method, seed: int
) -> Landscape:
    """Return the places of papers; those without a vector are left out.

    Raises:
        ShelfmarkError: there are too few papers.
    """
    some = np.flatnonzero(drawn.vectors.any(axis=1))
    with console.progress(f"placing {len(some):,} papers"):
        places = scale_places(project(drawn.vectors[some], method, seed))
    categories = sorted({drawn.primary[row] for row in some})
    index = {name: place for place, name in enumerate(categories)}
    return Landscape(
        encoder=encoder.name,
        digest=encoder.digest,
        split=split,
        method=method,
        seed=seed,
        **provenance.stamp(),
        synthetic=synthetic,
        left_out=len(drawn.ids) - len(some),
        categories=categories,
        papers=Papers(
            id=[drawn.ids[row] for row in some],
            title=[drawn.titles[row][:LONGEST_TITLE] for row in some],
            x=places[:, 0].tolist(),
            y=places[:, 1].tolist(),
            category=[index[drawn.primary[row]] for row in some],
        ),
    )


def _encode(encoder: OpenEncoder, texts: Sequence[str]) -> Floats:
    vectors = np.zeros((len(texts), encoder.size), np.float32)
    with console.progress("encoding", len(texts)) as bar:
        for start in range(0, len(texts), BATCH):
            part = encoder.encode(texts[start : start + BATCH])
            vectors[start : start + len(part)] = part
            bar.advance(len(part))
    return vectors


def write_landscape(landscape: Landscape, reports: Path) -> list[Path]:
    """Write the pictures of a landscape and its data, and return their paths.

    Raises:
        ShelfmarkError: the disk is full, or the folder cannot be written.
    """
    folder = reports / FOLDER / f"{landscape.encoder}-{landscape.split}"
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, drawn in draw_levels(landscape).items():
        written.append(folder / name)
        save_figure(drawn, written[-1], folder.name, landscape.created or "")
    with files.atomic_write(folder / DATA) as file:
        file.write(landscape.to_json())
    logger.info("landscape: {}", ", ".join(map(str, written)))
    return [*written, folder / DATA]


def draw_levels(landscape: Landscape) -> dict[str, Any]:
    """Return a picture, by its file name, for each level whose labels no coarser one has."""
    drawn, seen = {}, {1}
    for level in LEVELS:
        codes, labels = landscape.labels_at(level)
        if len(labels) in seen:  # a single label, or the same ones again
            continue
        seen.add(len(labels))
        groups = {label: taxonomy.group_of(label) or OTHER for label in labels}
        names = _full_names(labels) if len(labels) <= chart.FEW else {}
        title = (
            f"{len(codes):,} {'synthetic ' * landscape.synthetic}papers of {landscape.split} in "
            f"{len(labels)} {PLURALS[level]}, as {landscape.encoder} places them"
        )
        drawn[f"landscape-{level}.png"] = chart.draw_landscape(
            landscape.places, codes, labels, groups, title, names
        )
    return drawn


def _full_names(labels: Sequence[str]) -> dict[str, str]:
    """Return the full names of labels; two categories are called Machine Learning."""
    names = {label: taxonomy.full_name(label) for label in labels}
    counts = Counter(names.values())
    return {x: f"{name} ({x})" if counts[name] > 1 else name for x, name in names.items()}
