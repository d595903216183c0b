"""The parts of the benchmark that compute: each is a process that prints one JSON line."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
from sklearn.feature_extraction.text import TfidfVectorizer
from xgboost import XGBClassifier

from shelfmark.core import console
from shelfmark.experiments.benchmarks.child import run_child
from shelfmark.experiments.benchmarks.serve import papers, plain_app
from shelfmark.models.answers import answer_papers
from shelfmark.models.registry import Registry

TERMS = 10_000
ROUNDS = 60
BINS = 32  # of a feature's values: the default of 256 takes minutes, for trees of the same size
PASSES = 3  # over the papers whose answers are timed


def fit_plain(model: str, folder: str) -> dict[str, float]:
    """Fit the plain app's model on the papers that a model was trained on.

    Args:
        model: folder of the model.
        folder: for the file that the app loads.

    Returns:
        The accuracy on validation.
    """
    splits = papers.open_splits(Path(model))
    train, held = (splits.read(name, ["text", "label"]) for name in ("train", "validation"))
    labels, numbers = np.unique(train["label"].to_pylist(), return_inverse=True)
    vectorizer = TfidfVectorizer(max_features=TERMS, ngram_range=(1, 2))
    classifier = XGBClassifier(n_estimators=ROUNDS, max_bin=BINS)
    classifier.fit(vectorizer.fit_transform(train["text"].to_pylist()), numbers)
    joblib.dump((vectorizer, classifier, labels.tolist()), Path(folder, plain_app.FILE))
    answers = classifier.predict(vectorizer.transform(held["text"].to_pylist()))
    return {"accuracy": float(np.mean(labels[answers] == held["label"].to_pylist()))}


def time_answers(models: str, name: str, count: str) -> dict[str, float]:
    """Time answers to one paper at a time, by a model as the service opens it.

    Args:
        models: folder of the models.
        name: of the model.
        count: of papers.

    Returns:
        Median milliseconds of an answer without and with the words that decided.
    """
    model = Registry(models).open(name)
    asked = [(one["title"], one["abstract"]) for one in papers.read(Path(models, name), int(count))]
    milliseconds: dict[bool, list[float]] = {False: [], True: []}
    for paper in asked * PASSES:
        for explain, times in milliseconds.items():
            start = time.perf_counter()
            answer_papers(model, [paper], explain=explain)
            times.append(1e3 * (time.perf_counter() - start))
    answer, explained = map(statistics.median, milliseconds.values())
    return {"answer": answer, "explained": explained}


CHILDREN: dict[str, Callable[..., dict[str, float]]] = {"fit": fit_plain, "time": time_answers}


def run(name: str, *arguments: str) -> dict[str, float]:
    """Run a part in a process of its own.

    Args:
        name: a key of `CHILDREN`.
        arguments: of its function.

    Raises:
        ShelfmarkError: it fails.
    """
    output = run_child([sys.executable, "-m", __name__, name, *arguments])
    result: dict[str, Any] = orjson.loads(output.splitlines()[-1])
    return result


def main(name: str, arguments: Sequence[str]) -> None:
    """Run a part and print its result as one JSON line."""
    console.configure_logging("WARNING")
    with console.one_line_errors():
        print(orjson.dumps(CHILDREN[name](*arguments)).decode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
