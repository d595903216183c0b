"""Single measurements for `inv bench`; each runs in a child process that prints one JSON line."""

from __future__ import annotations

import hashlib
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.arxiv.papers import Paper
from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_config, load_encoder_config
from shelfmark.config.schema import Config
from shelfmark.core import console
from shelfmark.data import sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory
from shelfmark.experiments.benchmarks.encoders import time_encoders
from shelfmark.models import answers, artifact
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.fitting.engine import Engine, open_engine
from shelfmark.models.boosted.fitting.fit import fit_model
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from shelfmark.training import train as training

VECTORIZED = 20_000  # papers, where there are so many
SCORED = 100_000
ONE_BY_ONE = 100
REPEATS = 3
VECTORIZERS: dict[str, Callable[..., TfidfVectorizer]] = {
    "ours": partial(FastTfidfVectorizer, n_jobs=-1),
    "scikit-learn": TfidfVectorizer,
}


def time_preprocessing(settings: Config) -> dict[str, Any]:
    """Time preprocessing from the source file to the Parquet splits."""
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = settings.model_copy(
            update={"paths": settings.paths.model_copy(update={"data": folder})}
        )
        started = time.perf_counter()
        splits = prepare_splits(elsewhere)
        return {"papers": splits.card["read"], "seconds": time.perf_counter() - started}


def time_vectorizer(settings: Config, engine: str, least: str) -> dict[str, Any]:
    """Time an engine's TF-IDF on training papers: fit and transform, transform, one document."""
    table = prepare_splits(settings).read("train", ["text"])
    texts = _sample(table, VECTORIZED)["text"].to_pylist()
    vectorizer = VECTORIZERS[engine](
        ngram_range=(1, 3), min_df=int(least), sublinear_tf=True, dtype=np.float32
    )

    def fit_clone() -> tuple[TfidfVectorizer, Any]:
        cloned = clone(vectorizer)
        return cloned, cloned.fit_transform(texts)

    fit, (fitted, fit_matrix) = _repeat(fit_clone)
    transform, matrix = _repeat(lambda: fitted.transform(texts))
    single = [
        _time_call(partial(fitted.transform, [text]))[0]
        for _ in range(REPEATS)
        for text in texts[:ONE_BY_ONE]
    ]
    return {
        "papers": len(texts),
        "fit": fit,
        "transform": transform,
        "one": statistics.median(single),
        "digest": _digest(fitted, fit_matrix) + _digest(fitted, matrix),
    }


def time_training(settings: Config) -> dict[str, Any]:
    """Time a whole training, from the splits to the saved model, and return its figures."""
    prepare_splits(settings)
    started = time.perf_counter()
    card = artifact.read_card(training.train_model(settings).folder)
    return {
        "papers": card.data.papers["train"],
        "seconds": time.perf_counter() - started,
        "rounds": card.rounds,
        **card.seconds,
        **card.metrics["validation"],
    }


def time_engine(settings: Config, limit: str) -> dict[str, Any]:
    """Time the parts of a fit that the engine does, and count the bytes that they move."""
    splits = prepare_splits(settings)
    papers, validation = _sample(splits.read("train"), int(limit)), splits.read("validation")
    with open_engine(settings.engine) as engine:
        timed = _TimedEngine(engine)
        before = _bytes_moved()
        seconds, _ = _time_call(
            lambda: fit_model(settings, papers, validation, lambda step, losses: None, engine=timed)
        )
        moved = _bytes_moved() - before
    parts = timed.seconds | {"rest": seconds - sum(timed.seconds.values()), "moved": moved}
    return {"papers": papers.num_rows, "seconds": seconds, **parts}


class _TimedEngine:
    """An engine that adds up the seconds of each kind of work."""

    def __init__(self, engine: Engine) -> None:
        self.seconds = {"words": 0.0, "scores": 0.0, "trees": 0.0}
        self.learn_vocabulary = self._timing("words", engine.learn_vocabulary)
        self.make_rows = self._timing("words", engine.make_rows)
        self.fit_to_checkpoint = self._timing("scores", engine.fit_to_checkpoint)
        self.grow = self._timing("trees", engine.grow)
        self.worth_distributing, self.budget = engine.worth_distributing, engine.budget

    def _timing(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run_timed(*arguments: Any, **named: Any) -> Any:
            seconds, result = _time_call(partial(work, *arguments, **named))
            self.seconds[name] += seconds
            return result

        return run_timed


def _bytes_moved() -> int:
    """Return the bytes that this machine has sent to itself, 0 where they are not counted."""
    table = Path("/proc/net/dev")
    lines = table.read_text(encoding="ascii").splitlines() if table.exists() else []
    counters = [line.partition(":")[2].split() for line in lines if line.strip().startswith("lo:")]
    return int(counters[0][0]) if counters else 0


def time_file_prediction(settings: Config, folder: str) -> dict[str, Any]:
    """Time `shelfmark predict --file` as a user runs it, on papers of the source."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "papers.jsonl")
        papers = itertools.islice(_papers(settings), SCORED)
        lines = [orjson.dumps({"title": p.title, "abstract": p.abstract}) + b"\n" for p in papers]
        file.write_bytes(b"".join(lines))
        command = [sys.executable, "-m", "shelfmark.cli", "predict", "--file", str(file), "--out",
                   str(Path(place, "out.jsonl")), "--models", str(Path(folder).parent), "--model",
                   Path(folder).name]  # fmt: skip
        seconds, _ = _time_call(lambda: subprocess.run(command, check=True, capture_output=True))
    return {"papers": len(lines), "seconds": seconds}


def time_answer(settings: Config, folder: str) -> dict[str, Any]:
    """Time the parts of a single answer, with one thread, as the service gives it.

    Raises:
        ShelfmarkError: the parts of the answers of this kind of model are not known.
    """
    model = artifact.load(Path(folder), threads=1)
    papers = list(itertools.islice(_papers(settings), ONE_BY_ONE))
    texts = [model.text(paper.title, paper.abstract) for paper in papers]
    boosted, label = model.classifier, model.classes[0]
    if not isinstance(boosted, BoostedClassifier):
        raise ShelfmarkError(f"{folder}: the parts of its answers are not known")
    rows = [boosted.pipeline.features_of([text]) for text in texts]
    work: dict[str, Callable[[int], Any]] = {
        "clean": lambda i: model.text(papers[i].title, papers[i].abstract),
        "features": lambda i: boosted.pipeline.features_of([texts[i]]),
        "score": lambda i: boosted.pipeline.margins_of(rows[i], [texts[i]]),
        "explain": lambda i: answers.explain_text(model, texts[i], label),
    }
    return {
        name: statistics.median(_time_call(partial(part, i))[0] for i in range(len(texts)))
        for name, part in work.items()
    }


def time_encoding(settings: EncoderSettings) -> dict[str, Any]:
    """Time an encoder beside what a user would run instead."""
    return time_encoders(settings, prepare_splits(settings))


def _papers(settings: Config) -> Iterator[Paper]:
    """Return the papers of a configuration's source, as they come."""
    for _, chunk in sources.read_chunks(settings.data, sources.find_files(settings.data), 2048):
        for paper in sources.parse_records(settings.data.source, chunk):
            if isinstance(paper, Paper):
                yield paper


def _sample(table: pa.Table, count: int | None) -> pa.Table:
    """Return a random sample of a table's papers, the same on every call."""
    if count is None or count >= table.num_rows:
        return table
    return table.take(np.random.default_rng(0).permutation(table.num_rows)[:count])


def _time_call(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _repeat(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median time of some runs and the last result, holding one at a time."""
    seconds = []
    result = None
    for _ in range(REPEATS):
        result = None
        taken, result = _time_call(work)
        seconds.append(taken)
    return statistics.median(seconds), result


def _digest(vectorizer: TfidfVectorizer, matrix: Any) -> str:
    """Return a digest of the terms, their idf and the matrix, down to the last bit."""
    matrix.sort_indices()
    parts = [
        "\n".join(vectorizer.get_feature_names_out()).encode(),
        *(x.tobytes() for x in (vectorizer.idf_, matrix.data)),
        *(x.astype(np.int64).tobytes() for x in (matrix.indices, matrix.indptr)),
    ]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "data": time_preprocessing,
    "vectorize": time_vectorizer,
    "train": time_training,
    "share": time_engine,
    "predict": time_file_prediction,
    "latency": time_answer,
}
OF_ENCODERS: dict[str, Callable[..., dict[str, Any]]] = {"encode": time_encoding}


def main(name: str, arguments: str, overrides: Sequence[str]) -> None:
    """Make one measurement and print it as one JSON line."""
    with console.one_line_errors():
        measurements, load = (
            (OF_ENCODERS, load_encoder_config)
            if name in OF_ENCODERS
            else (MEASUREMENTS, load_config)
        )
        result = measurements[name](load(overrides), *filter(None, arguments.split(",")))
        print(orjson.dumps(result | {"own_mb": memory.own_peak_mb()}).decode())


if __name__ == "__main__":
    console.configure_logging("WARNING")
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
