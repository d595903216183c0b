"""The parts of the benchmark that are no commands, each run in a process of its own."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.core import console
from shelfmark.data.prepare import prepare_splits
from shelfmark.experiments.benchmarks.growth.splice import read_papers, write_papers


def count_papers(settings: Config, most: str) -> dict[str, int]:
    """Return the number of papers of a source, counted up to `most` if it is given."""
    papers = itertools.islice(read_papers(settings.data), int(most) if most else None)
    return {"papers": sum(1 for _ in papers)}


def write_size(settings: Config, path: str, count: str) -> dict[str, int]:
    """Write a file of so many papers."""
    write_papers(Path(path), settings.data, int(count))
    return {"papers": int(count)}


def train_baseline(settings: Config) -> dict[str, float]:
    """Train scikit-learn's TF-IDF and a logistic regression by SGD, with all papers in memory.

    Returns:
        The shares of validation papers whose label is the first, and among the first five.
    """
    splits = prepare_splits(settings)
    train, held = (splits.read(name, ["text", "label"]) for name in ("train", "validation"))
    terms = TfidfVectorizer(ngram_range=(1, 2), min_df=5, sublinear_tf=True, dtype=np.float32)
    rows = terms.fit_transform(train["text"].to_pylist())
    # The best of three penalties on validation; its default, 1e-4, answers 36% right.
    model = SGDClassifier(loss="log_loss", alpha=1e-6, n_jobs=-1, random_state=0)
    model.fit(rows, train["label"].to_pylist())
    scores = model.decision_function(terms.transform(held["text"].to_pylist()))
    best = model.classes_[np.argsort(-scores, axis=1)[:, :5]]
    right = best == np.array(held["label"].to_pylist())[:, None]
    return {"accuracy": float(right[:, 0].mean()), "top5": float(right.any(axis=1).mean())}


CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "count": count_papers,
    "write": write_size,
    "baseline": train_baseline,
}


def command_of(name: str, arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the command that runs a part.

    Args:
        name: a key of `CHILDREN`.
        arguments: of its function.
        overrides: of the configuration.
    """
    return [sys.executable, "-m", __name__, name, str(len(arguments)), *arguments, *overrides]


def main(name: str, count: str, *words: str) -> None:
    """Run a part and print its result as one JSON line."""
    console.configure_logging("WARNING")
    with console.one_line_errors():
        arguments, overrides = words[: int(count)], words[int(count) :]
        print(orjson.dumps(CHILDREN[name](load_config(overrides), *arguments)).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
