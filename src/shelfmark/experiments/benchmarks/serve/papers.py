"""The papers of the benchmark: those of the training, and those that the services are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from shelfmark.data.splits import Splits, open_recorded_splits
from shelfmark.models import artifact

SPLIT = "test"  # whose papers are asked about

Body = dict[str, Any]


def open_splits(model: Path) -> Splits:
    """Return the splits of the papers that a model was trained on.

    Args:
        model: folder of the model.

    Raises:
        ShelfmarkError: there is no such model, or its splits are missing or others now.
    """
    card = artifact.read_card(model)
    return open_recorded_splits(Path(card.data.folder), card.data.card_sha256, card.name)


def read(model: Path, count: int) -> list[Body]:
    """Return the titles and abstracts of the first papers of a model's test split.

    Args:
        model: folder of the model.
        count: of papers; all, if the split has fewer.

    Raises:
        ShelfmarkError: as `open_splits`.
    """
    table = open_splits(model).read(SPLIT, ["title", "abstract"])
    papers: list[Body] = table.slice(0, count).to_pylist()
    return papers


def divide(papers: Sequence[Body], length: int) -> list[Body]:
    """Return papers as the bodies of requests that hold lists, the last one maybe shorter."""
    starts = range(0, len(papers), length)
    return [{"papers": list(papers[start : start + length])} for start in starts]


def write(bodies: Iterable[Body], path: Path) -> Path:
    """Write bodies as JSON lines, and return the path of their file."""
    path.write_bytes(b"".join(orjson.dumps(body) + b"\n" for body in bodies))
    return path
