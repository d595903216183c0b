"""Measures the service over HTTP, beside what a person would write first and an empty app."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shelfmark.config.load import load_config
from shelfmark.experiments.benchmarks.child import run_child
from shelfmark.experiments.benchmarks.row import Row
from shelfmark.experiments.benchmarks.serve import apps, children, equality, papers, rows, wrk
from shelfmark.experiments.benchmarks.serve.rounds import Case, Plan, measure
from shelfmark.experiments.benchmarks.serve.wrk import Figures, Load
from shelfmark.models import artifact

ALSO = "also="  # the word that names a second model
NAME = "measured"  # of the model that is trained for the benchmark, if it has no name
LENGTH = 64  # papers of a list
OURS, PLAIN, EMPTY, SECOND = "shelfmark serve", "the plain app", "the empty app", "the second model"
CORES = os.cpu_count() or 1
SEVERAL = f", {CORES} workers"  # of the names of services with a process for each core


@dataclass(frozen=True)
class Subject:
    """A model that is served: its name, and the folder of the models."""

    models: str
    name: str

    @property
    def folder(self) -> Path:
        """The folder of the model."""
        return Path(self.models, self.name)


def bench_serve(overrides: Sequence[str], plan: Plan | None = None) -> list[Row]:
    """Measure the service with the model `name` of `paths.models`; without one, one is trained.

    Args:
        overrides: of the configuration, and `also=NAME`, a second model of `paths.models`.
        plan: how long is measured.

    Raises:
        ShelfmarkError: wrk is missing, the configuration or the data do not allow it, a service
            does not start, or it does not answer a request.
    """
    wrk.require_wrk()
    plan = plan or Plan()
    words = [word for word in overrides if not word.startswith(ALSO)]
    seconds = [word.removeprefix(ALSO) for word in overrides if word.startswith(ALSO)]
    models = load_config(words).paths.models
    second = Subject(models, seconds[-1]) if seconds else None
    if second:
        artifact.read_card(second.folder)  # a mistake shows before any measurement
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subject = _find_model(words) or _train(words, folder)
        accuracy = children.run("fit", str(subject.folder), temporary)["accuracy"]
        return [
            _describe(subject, accuracy),
            *_measure_services(subject, second, folder, plan),
            *_measure_in_process(subject, plan),
        ]


def _find_model(overrides: Sequence[str]) -> Subject | None:
    """Return the model that the overrides name, None if there is none of the name."""
    config = load_config(overrides)
    if config.name is None or not Path(config.paths.models, config.name).exists():
        return None
    return Subject(config.paths.models, config.name)


def _train(overrides: Sequence[str], folder: Path) -> Subject:
    """Train a model in a process of its own."""
    models, name = str(folder / "models"), load_config(overrides).name or NAME
    own = [f"name={name}", f"paths.models={models}", f"paths.reports={folder / 'reports'}"]
    run_child([sys.executable, "-m", "shelfmark.cli", "train", *overrides, *own])
    return Subject(models, name)


def _describe(subject: Subject, plain: float) -> Row:
    card = artifact.read_card(subject.folder)
    ours = card.metrics["validation"]["accuracy"]
    assert ours is not None
    what = f"{subject.name}, {card.data.papers['train']:,} training papers: accuracy"
    points = f"{100 * (ours - plain):+.1f} points"
    return Row(what, f"{ours:.4f}", f"{plain:.4f}, {PLAIN}", points)


def _measure_services(
    subject: Subject, second: Subject | None, folder: Path, plan: Plan
) -> list[Row]:
    """Run all services at the same time, and return their figures."""
    asked = papers.read(subject.folder, max(plan.papers, plan.compared))
    single = papers.write(asked[: plan.papers], folder / "single.jsonl")
    lists = papers.divide(asked[: plan.compared], LENGTH)
    loads = _Loads.of(single, papers.write(lists, folder / "lists.jsonl"))
    with contextlib.ExitStack() as stack:
        urls = {
            OURS: stack.enter_context(apps.start_ours(subject.models, subject.name, folder)),
            PLAIN: stack.enter_context(apps.start_plain(folder)),
            EMPTY: stack.enter_context(apps.start_empty(folder)),
        }
        if CORES > 1:
            urls[OURS + SEVERAL] = stack.enter_context(
                apps.start_ours(subject.models, subject.name, folder, CORES)
            )
            urls[PLAIN + SEVERAL] = stack.enter_context(apps.start_plain(folder, CORES))
        if second:
            urls[SECOND] = stack.enter_context(apps.start_ours(second.models, second.name, folder))
        for name in urls.keys() - {EMPTY}:
            apps.require_answers(name, urls[name], "/predict", single)
        differences = equality.count_differences(
            urls[OURS], subject.models, subject.name, asked[: plan.compared], lists
        )
        figures = measure(urls, loads.cases(second is not None), plan)
    return [
        *loads.show(figures),
        *([_describe_second(second, figures[SECOND, loads.predict[0]])] if second else []),
        rows.describe_equality(len(asked[: plan.compared]), differences),
    ]


@dataclass(frozen=True)
class _Loads:
    """What the services get."""

    health: Sequence[Load]
    predict: Sequence[Load]
    lists: Load

    @classmethod
    def of(cls, single: Path, lists: Path) -> _Loads:
        """Return the loads of files of bodies: one paper each, and a list each."""
        return cls(
            [Load("/health", connections) for connections in (1, 32)],
            [Load("/predict", connections, single) for connections in (1, 8, 32)],
            Load("/predict", 4, lists),
        )

    @property
    def several(self) -> Sequence[Load]:
        """What services with a process for each core get; nothing on one core."""
        return self.predict[1:] if CORES > 1 else []

    def cases(self, second: bool) -> list[Case]:
        """Return what each service gets; those that are compared get it one after the other."""
        return [
            *((name, load) for load in self.health for name in (OURS, EMPTY)),
            *((name, load) for load in self.predict for name in (OURS, PLAIN)),
            (OURS, self.lists),
            *((name + SEVERAL, load) for load in self.several for name in (OURS, PLAIN)),
            *([(OURS + SEVERAL, self.lists)] if self.several else []),
            *([(SECOND, self.predict[0])] if second else []),
        ]

    def show(self, figures: Mapping[Case, Figures]) -> list[Row]:
        """Return the lines of the table."""
        beside = [(load, EMPTY) for load in self.health] + [(load, PLAIN) for load in self.predict]
        pairs = [(load, OURS, other, "") for load, other in beside]
        pairs += [(load, OURS + SEVERAL, PLAIN + SEVERAL, SEVERAL) for load in self.several]
        most = max(figures[PLAIN, load].rate for load in self.predict)
        lists = [("", OURS), *([(SEVERAL, OURS + SEVERAL)] if self.several else [])]
        return [
            *(row for load, ours, other, more in pairs
              for row in rows.compare(f"{load}{more}", figures[ours, load], figures[other, load],
                                      other)),
            *(row for more, ours in lists
              for row in rows.describe_lists(f"{self.lists}{more}", LENGTH,
                                             figures[ours, self.lists], most, PLAIN)),
        ]  # fmt: skip


def _describe_second(second: Subject, figures: Figures) -> Row:
    categories = len(artifact.read_card(second.folder).labels)
    what = f"POST /predict, 1 connection: {second.name}, {categories} categories"
    return Row(what, f"p50 {rows.show(figures.p50)}, p99 {rows.show(figures.p99)}")


def _measure_in_process(subject: Subject, plan: Plan) -> list[Row]:
    times = children.run("time", subject.models, subject.name, str(plan.papers))
    return [
        Row("one paper in process, one thread", rows.show(times["answer"])),
        Row("  with the words that decided", rows.show(times["explained"])),
    ]
