"""`inv bench`: speed and memory, each measured in a separate process, and their ratios."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shelfmark.config.load import load_config
from shelfmark.config.models import BoostedConfig
from shelfmark.core import console
from shelfmark.core.output.tables import Table
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.child import measure_child
from shelfmark.experiments.benchmarks.growth.run import SIZE, bench_growth
from shelfmark.experiments.benchmarks.row import Row, format_ratio
from shelfmark.experiments.benchmarks.search.run import bench_search
from shelfmark.experiments.benchmarks.serve.run import ALSO, bench_serve

REPEATS = 3
OF_INDEX = "search"  # the benchmark whose overrides are those of an index
OF_GROWTH, OF_SERVE = "growth", "serve"
OWN_WORDS = {OF_GROWTH: SIZE, OF_SERVE: ALSO}  # how a word begins that only this benchmark takes
SEED_ROUNDS = 10  # of the seed experiment's thousand: the rest is extrapolated
SHARED = (5_000, 20_000)  # training papers, by this machine and by a cluster
STAGES = ("words", "scores", "trees", "rest")
LINKS = {"1 Gbit/s": 1.25e8, "10 Gbit/s": 1.25e9}  # bytes a second

MOST_WORKERS = 64  # up to which a break-even point is searched

Measurement = dict[str, Any]  # numbers by name, as the child process prints them
Times = Mapping[str, float]  # seconds of each stage, and the bytes "moved"


@dataclass(frozen=True)
class Scaling:
    """An estimate of how long a training takes on more workers than were measured.

    Each stage follows Amdahl's law through the times of one worker and of two. The bytes moved grow
    by the same amount with each worker as with the second, and pass through one link in sequence.
    Source: Amdahl 1967, Validity of the single processor approach to achieving large scale
    computing capabilities.

    Args:
        one: seconds of each stage by one worker of one thread, and the bytes moved.
        two: the same by two of them.
        most: the largest number of workers that a stage can use, where there is a limit.
        link: bytes a second of the network.
    """

    one: Times
    two: Times
    most: Mapping[str, int]
    link: float

    def seconds(self, workers: int) -> float:
        """Return the estimated seconds for a number of workers of one thread each."""
        stages = [name for name in self.one if name != "moved"]
        moved = self.one["moved"] + (workers - 1) * max(self.two["moved"] - self.one["moved"], 0)
        work = sum(self._stage(name, min(workers, self.most.get(name, workers))) for name in stages)
        return work + moved / self.link

    def break_even(self, alone: float) -> int | None:
        """Return the fewest workers that take less than one machine alone, None if over 64."""
        enough = (count for count in range(1, MOST_WORKERS + 1) if self.seconds(count) < alone)
        return next(enough, None)

    def _stage(self, name: str, workers: int) -> float:
        one, two = self.one[name], self.two[name]
        shared = min(max(2 * (one - two), 0), one)
        return one - shared + shared / workers


def run_benchmarks(names: Sequence[str], overrides: Sequence[str]) -> Table:
    """Run benchmarks by name, with the overrides of `shelfmark train`.

    Args:
        names: keys of `BENCHMARKS`.
        overrides: of the configuration, and words that one of the benchmarks takes.

    Returns:
        The columns of `Row`, a row for each measurement.

    Raises:
        ShelfmarkError: a name is unknown, or the configuration or the data do not allow it.
    """
    own = [word for word in overrides if not word.startswith(tuple(OWN_WORDS.values()))]
    words = dict.fromkeys(names, own)
    for name, beginning in OWN_WORDS.items():
        taken = [word for word in overrides if word.startswith(beginning)]
        if taken and name not in names:
            raise ShelfmarkError(f"{taken[0]}: only for inv bench {name}")
        words |= {name: [*own, *taken]}
    if set(names) != {OF_INDEX}:  # which has other sections
        load_config(own)  # a mistake shows before any measurement
    rows: list[Row] = []
    with console.progress("measuring", len(names)) as bar:
        for name in names:
            rows += BENCHMARKS[name](words[name])
            bar.advance()
    title = " ".join(["inv bench", *names, *overrides])
    return Table(("", "here", "beside", "ratio"), rows, title=title)


def bench_data(overrides: Sequence[str]) -> list[Row]:
    """Measure preprocessing, from the source file to the Parquet splits."""
    runs = [_measure("data", overrides) for _ in range(REPEATS)]
    seconds = statistics.median(one["seconds"] for one in runs)
    peak = max(one["peak_mb"] for one in runs)
    speed = f"{runs[0]['papers'] / seconds:,.0f} papers/s, {peak:,.0f} MB"
    return [Row(f"preprocess {runs[0]['papers']:,} papers", speed)]


def bench_features(overrides: Sequence[str]) -> list[Row]:
    """Measure the TF-IDF of real abstracts in 1-3-grams, beside scikit-learn's."""
    rows: list[Row] = []
    for least in (1, 5):
        ours, theirs = (
            _measure("vectorize", overrides, engine, str(least))
            for engine in ("ours", "scikit-learn")
        )
        same = "equal to the last bit" if ours["digest"] == theirs["digest"] else "NOT EQUAL"
        what = f"TF-IDF of {ours['papers']:,} papers, 1-3-grams, min_df={least}: "
        rows += [
            Row(what + "fit_transform", *_compare(ours, theirs, "fit", "scikit-learn")),
            Row("  transform", *_compare(ours, theirs, "transform", "scikit-learn")),
            Row("  one document", *_compare(ours, theirs, "one", "scikit-learn")),
            Row("  peak memory", *_compare(ours, theirs, "peak_mb", "scikit-learn")),
            Row("  terms, idf and matrix", same),
        ]
    return rows


def bench_models(overrides: Sequence[str]) -> list[Row]:
    """Measure training: the best model beside the linear one and the earlier project's setting."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"paths.models={folder}/models", f"paths.reports={folder}/reports"]
        best = _measure("train", [*overrides, *paths, "experiment=best", "name=best"])
        linear = _measure("train", [*overrides, *paths, "model=linear", "name=linear"])
        short = [f"model.rounds={SEED_ROUNDS}", "model.early_stopping=null", "name=seed"]
        seed = _measure("train", [*overrides, *paths, "experiment=seed", *short])
        whole = load_config(["experiment=seed"]).model.max_rounds
        seed["seconds"] += seed["trees"] * (whole / SEED_ROUNDS - 1)
        rows = [
            Row(f"train {best['papers']:,} papers, experiment=best", _summarize(best)),
            Row("  beside model=linear", "", _summarize(linear), _ratio(linear, best, "seconds")),
            Row(f"  beside experiment=seed, {whole:,} rounds by {SEED_ROUNDS}", "",
                f"{seed['seconds']:,.0f} s", _ratio(seed, best, "seconds")),
            Row("  peak memory", f"{best['peak_mb']:,.0f} MB"),
        ]  # fmt: skip
        return rows + _bench_answers(overrides, f"{folder}/models/best")


def _bench_answers(overrides: Sequence[str], model: str) -> list[Row]:
    file = _measure_median("predict", overrides, model)
    one = _measure("latency", overrides, model)
    parts = " + ".join(f"{1000 * one[name]:.1f} {name}" for name in ("clean", "features", "score"))
    total = 1000 * sum(one[name] for name in ("clean", "features", "score"))
    speed = f"{file['papers'] / file['seconds']:,.0f} papers/s, {file['peak_mb']:,.0f} MB"
    return [
        Row(f"shelfmark predict --file, {file['papers']:,} papers", speed),
        Row("one prediction, one thread", f"{total:.1f} ms", parts),
        Row("  its explanation", f"{1000 * one['explain']:.1f} ms"),
    ]


def bench_encoders(overrides: Sequence[str]) -> list[Row]:
    """Measure the default encoder on one thread, beside what a user would run instead."""
    run = _measure("encode", overrides)
    (name, rate), *others = run["rates"].items()
    what = f"encode {run['papers']:,} abstracts, one thread: {name}, of {run['fitted']:,} papers"
    seconds = {one: {"seconds": 1 / speed} for one, speed in run["rates"].items()}
    return [
        Row(what, f"{rate:,.0f} abstracts/s"),
        *(Row(f"  beside {one}", "", f"{speed:,.0f} abstracts/s",
              _ratio(seconds[one], seconds[name], "seconds")) for one, speed in others),
    ]  # fmt: skip


def bench_cluster(overrides: Sequence[str]) -> list[Row]:
    """Measure a training by this machine and by a cluster of one and two workers; estimate more."""
    kept = [word for word in overrides if not word.startswith(("data.labels", "engine"))]
    kept += [] if any(word.startswith("experiment=") for word in kept) else ["experiment=all"]
    model = load_config(kept).model
    stack = model.stack if isinstance(model, BoostedConfig) else None
    most = {"scores": (stack.folds or 0) + 1} if stack else {}
    return [row for count in SHARED for row in _bench_shares(kept, count, most)]


def _bench_shares(overrides: Sequence[str], count: int, most: dict[str, int]) -> list[Row]:
    one_thread = [*overrides, "engine=dask", "engine.threads=1"]
    alone = _measure("share", overrides, str(count))
    one, two = (
        _measure("share", [*one_thread, f"engine.workers={workers}"], str(count))
        for workers in (1, 2)
    )
    rows = [
        Row(f"train {alone['papers']:,} papers, this machine", *_stages(alone)),
        Row(
            "  a cluster of 1 worker with 1 thread",
            *_stages(one),
            _ratio(alone, one, "seconds"),
        ),
        Row("  of 2 workers", *_stages(two), _ratio(alone, two, "seconds")),
    ]
    for name, link in LINKS.items():
        first, second = ({part: run[part] for part in (*STAGES, "moved")} for run in (one, two))
        law = Scaling(first, second, most, link)
        estimate = ", ".join(
            f"{law.seconds(workers):,.0f} s of {workers}" for workers in (4, 8, 16)
        )
        enough = law.break_even(alone["seconds"])
        rows.append(Row(f"  estimated, over {name}", estimate, "",
                        f"faster from {enough} workers" if enough else "never faster"))  # fmt: skip
    return rows


def _stages(run: Measurement) -> tuple[str, str]:
    parts = " + ".join(f"{run[name]:,.1f} {name}" for name in STAGES)
    return f"{run['seconds']:,.1f} s", f"{parts}; {run['moved'] / 1e6:,.0f} MB moved"


def _summarize(run: Measurement) -> str:
    return f"{run['seconds']:,.0f} s, accuracy {run['accuracy']:.4f}, F1 {run['macro_f1']:.4f}"


def _ratio(slow: Measurement, fast: Measurement, name: str) -> str:
    return format_ratio(slow[name] / fast[name])


def _compare(ours: Measurement, other: Measurement, name: str, whose: str) -> tuple[str, str, str]:
    unit, scale = {"one": ("ms", 1000), "peak_mb": ("MB", 1)}.get(name, ("s", 1))
    here, there = (
        f"{run[name] * scale:,.{2 if scale == 1000 else 1}f} {unit}" for run in (ours, other)
    )
    return here, f"{there} {whose}", _ratio(other, ours, name)


def _measure_median(name: str, overrides: Sequence[str], *arguments: str) -> Measurement:
    """Repeat a measurement and return the median of each of its numbers."""
    runs = [_measure(name, overrides, *arguments) for _ in range(REPEATS)]
    return {
        key: value if isinstance(value, str) else statistics.median(run[key] for run in runs)
        for key, value in runs[0].items()
    }


def _measure(name: str, overrides: Sequence[str], *arguments: str) -> Measurement:
    """Run one measurement in a new process, so that no other shares its memory and caches."""
    command = [
        sys.executable,
        "-m",
        "shelfmark.experiments.benchmarks.measure",
        name,
        ",".join(arguments),
        *overrides,
    ]
    used = measure_child(command)
    result: Measurement = orjson.loads(used.output.splitlines()[-1])
    return result | {"peak_mb": max(used.peak_mb, result["own_mb"])}


BENCHMARKS: dict[str, Callable[[Sequence[str]], list[Row]]] = {
    "data": bench_data,
    "features": bench_features,
    "models": bench_models,
    OF_GROWTH: bench_growth,
    "encoders": bench_encoders,
    OF_INDEX: bench_search,
    OF_SERVE: bench_serve,
    "cluster": bench_cluster,
}
