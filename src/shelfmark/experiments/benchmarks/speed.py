"""`inv bench`: speed and memory, each measured in a process of its own, told as ratios."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from rich.table import Table

from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory, scaling

REPEATS = 3
SEED_ROUNDS = 10  # of the seed experiment's thousand: the rest is extrapolated
GROWTH = (5_000, 40_000, 130_000)  # training papers, or as many as there are
SHARED = (5_000, 20_000)  # the same, by this machine and by a cluster
STAGES = ("words", "scores", "trees", "rest")
LINKS = {"1 Gbit/s": 1.25e8, "10 Gbit/s": 1.25e9}  # bytes a second

Row = tuple[str, str, str, str]


def run(names: Sequence[str], overrides: Sequence[str]) -> None:
    """Run benchmarks by name, with the overrides of `inv train`, and print one table.

    Raises:
        ShelfmarkError: the configuration or the data do not allow it.
    """
    load_config(overrides)  # a mistake shows before any measurement
    table = Table(title=f"inv bench {' '.join(overrides)}", title_justify="left")
    for heading in ("", "here", "beside", "ratio"):
        table.add_column(heading)
    with console.progress("measuring", len(names)) as bar:
        for name in names:
            for row in BENCHMARKS[name](overrides):
                table.add_row(*row)
            table.add_section()
            bar.advance()
    console.STDOUT.print(table)


def bench_data(overrides: Sequence[str]) -> list[Row]:
    """Preprocessing, from the source file to the Parquet splits."""
    runs = [_measured("data", overrides) for _ in range(REPEATS)]
    seconds = statistics.median(one["seconds"] for one in runs)
    peak = max(one["peak_mb"] for one in runs)
    speed = f"{runs[0]['papers'] / seconds:,.0f} papers/s, {peak:,.0f} MB"
    return [(f"preprocess {runs[0]['papers']:,} papers", speed, "", "")]


def bench_features(overrides: Sequence[str]) -> list[Row]:
    """The TF-IDF of real abstracts in 1-3-grams, beside scikit-learn's."""
    rows: list[Row] = []
    for least in (1, 5):
        ours, theirs = (
            _measured("vectorize", overrides, engine, str(least))
            for engine in ("ours", "scikit-learn")
        )
        same = "equal to the last bit" if ours["digest"] == theirs["digest"] else "NOT EQUAL"
        what = f"TF-IDF of {ours['papers']:,} papers, 1-3-grams, min_df={least}: "
        rows += [
            (what + "fit_transform", *_beside(ours, theirs, "fit", "scikit-learn")),
            ("  transform", *_beside(ours, theirs, "transform", "scikit-learn")),
            ("  one document", *_beside(ours, theirs, "one", "scikit-learn")),
            ("  peak memory", *_beside(ours, theirs, "peak_mb", "scikit-learn")),
            ("  terms, idf and matrix", same, "", ""),
        ]
    return rows


def bench_models(overrides: Sequence[str]) -> list[Row]:
    """Training: the model to ship beside the linear one and the earlier project's setting."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"paths.models={folder}/models", f"paths.reports={folder}/reports"]
        best = _measured("train", [*overrides, *paths, "experiment=best", "name=best"])
        linear = _measured("train", [*overrides, *paths, "model=linear", "name=linear"])
        short = [f"model.rounds={SEED_ROUNDS}", "model.early_stopping=null", "name=seed"]
        seed = _measured("train", [*overrides, *paths, "experiment=seed", *short])
        whole = load_config(["experiment=seed"]).model.rounds
        seed["seconds"] += seed["trees"] * (whole / SEED_ROUNDS - 1)
        rows = [
            (f"train {best['papers']:,} papers, experiment=best", _told(best), "", ""),
            ("  beside model=linear", "", _told(linear), _ratio(linear, best, "seconds")),
            (f"  beside experiment=seed, {whole:,} rounds by {SEED_ROUNDS}", "",
             f"{seed['seconds']:,.0f} s", _ratio(seed, best, "seconds")),
            ("  peak memory", f"{best['peak_mb']:,.0f} MB", "", ""),
        ]  # fmt: skip
        return rows + _answers(overrides, f"{folder}/models/best")


def _answers(overrides: Sequence[str], model: str) -> list[Row]:
    file = _median("predict", overrides, model)
    one = _measured("latency", overrides, model)
    parts = " + ".join(f"{1000 * one[name]:.1f} {name}" for name in ("clean", "features", "score"))
    total = 1000 * sum(one[name] for name in ("clean", "features", "score"))
    speed = f"{file['papers'] / file['seconds']:,.0f} papers/s, {file['peak_mb']:,.0f} MB"
    return [
        (f"inv predict --file, {file['papers']:,} papers", speed, "", ""),
        ("one prediction, one thread", f"{total:.1f} ms", f"{parts}", ""),
        ("  its explanation", f"{1000 * one['explain']:.1f} ms", "", ""),
    ]


def bench_growth(overrides: Sequence[str]) -> list[Row]:
    """Training on more and more papers, all their categories to choose from."""
    kept = [word for word in overrides if not word.startswith(("data.labels", "experiment="))]
    runs = [_measured("grow", [*kept, "experiment=all"], str(count)) for count in GROWTH]
    first = runs[0]
    return [
        (f"train {one['papers']:,} papers, experiment=all", f"{one['seconds']:,.0f} s",
         f"{one['peak_mb']:,.0f} MB", f"{one['papers'] / first['papers']:.1f}x the papers, "
         f"{one['seconds'] / first['seconds']:.1f}x the time")
        for one in runs
    ]  # fmt: skip


def bench_cluster(overrides: Sequence[str]) -> list[Row]:
    """The same training by this machine, by a cluster of one and of two workers, and estimates."""
    kept = [word for word in overrides if not word.startswith(("data.labels", "engine"))]
    kept += [] if any(word.startswith("experiment=") for word in kept) else ["experiment=all"]
    stack = load_config(kept).model.stack
    most = {"scores": (stack.folds or 0) + 1} if stack else {}
    return [row for count in SHARED for row in _shared(kept, count, most)]


def _shared(overrides: Sequence[str], count: int, most: dict[str, int]) -> list[Row]:
    one_thread = [*overrides, "engine=dask", "engine.threads=1"]
    alone = _measured("share", overrides, str(count))
    one, two = (
        _measured("share", [*one_thread, f"engine.workers={workers}"], str(count))
        for workers in (1, 2)
    )
    rows = [
        (f"train {alone['papers']:,} papers, this machine", *_parts(alone), ""),
        ("  a cluster of 1 worker with 1 thread", *_parts(one), _ratio(alone, one, "seconds")),
        ("  of 2 workers", *_parts(two), _ratio(alone, two, "seconds")),
    ]
    for name, link in LINKS.items():
        first, second = ({part: run[part] for part in (*STAGES, "moved")} for run in (one, two))
        law = scaling.Scaling(first, second, most, link)
        guess = ", ".join(f"{law.seconds(workers):,.0f} s of {workers}" for workers in (4, 8, 16))
        pays = law.pays_from(alone["seconds"])
        rows.append((f"  estimated, over {name}", guess, "",
                     f"pays from {pays} workers" if pays else "never pays"))  # fmt: skip
    return rows


def _parts(run: dict[str, Any]) -> tuple[str, str]:
    parts = " + ".join(f"{run[name]:,.1f} {name}" for name in STAGES)
    return f"{run['seconds']:,.1f} s", f"{parts}; {run['moved'] / 1e6:,.0f} MB moved"


def _told(run: dict[str, Any]) -> str:
    return f"{run['seconds']:,.0f} s, accuracy {run['accuracy']:.4f}, F1 {run['macro_f1']:.4f}"


def _ratio(slow: dict[str, Any], fast: dict[str, Any], name: str) -> str:
    ratio = slow[name] / fast[name]
    return f"{ratio:.1f}x" if ratio >= 1 else f"1/{1 / ratio:.1f}"


def _beside(
    ours: dict[str, Any], other: dict[str, Any], name: str, whose: str
) -> tuple[str, str, str]:
    unit, scale = {"one": ("ms", 1000), "peak_mb": ("MB", 1)}.get(name, ("s", 1))
    here, there = (
        f"{run[name] * scale:,.{2 if scale == 1000 else 1}f} {unit}" for run in (ours, other)
    )
    return here, f"{there} {whose}", _ratio(other, ours, name)


def _median(name: str, overrides: Sequence[str], *arguments: str) -> dict[str, Any]:
    """Repeat a measurement and return the median of each of its numbers."""
    runs = [_measured(name, overrides, *arguments) for _ in range(REPEATS)]
    return {
        key: value if isinstance(value, str) else statistics.median(run[key] for run in runs)
        for key, value in runs[0].items()
    }


def _measured(name: str, overrides: Sequence[str], *arguments: str) -> dict[str, Any]:
    """Run one measurement in a fresh process, so that memory and caches are its own."""
    command = [
        sys.executable,
        "-m",
        "shelfmark.experiments.benchmarks.measure",
        name,
        ",".join(arguments),
        *overrides,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with memory.watched(process) as watch:
        out, complaints = process.communicate()
    if process.returncode:
        raise ShelfmarkError(complaints.strip().splitlines()[-1].removeprefix("error: "))
    result: dict[str, Any] = orjson.loads(out.splitlines()[-1])
    return result | {"peak_mb": max(watch.peak_mb, result["own_mb"])}


BENCHMARKS: dict[str, Callable[[Sequence[str]], list[Row]]] = {
    "data": bench_data,
    "features": bench_features,
    "models": bench_models,
    "growth": bench_growth,
    "cluster": bench_cluster,
}
