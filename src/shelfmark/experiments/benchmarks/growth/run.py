"""Measures preprocessing, training and prediction at several numbers of papers."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from loguru import logger

from shelfmark.config.load import load_config
from shelfmark.core import disk
from shelfmark.data import sources
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.child import Usage, measure_child, run_child
from shelfmark.experiments.benchmarks.growth import children
from shelfmark.experiments.benchmarks.row import Row, format_ratio
from shelfmark.models import artifact

SIZE = "papers="  # the word that names the largest number of papers
SIZES = (130_000, 515_560, 2_800_000)  # papers; those below the largest are measured too
BESIDE = 130_000  # papers up to which scikit-learn ends in minutes
FILE_BYTES = 1_600  # of a paper of usual length, in a snapshot
# Of disk for each paper: the file, the splits, the counts and the rows of a training, the answers.
PAPER_BYTES = 7_000
# The overrides that name the papers, which a file of papers replaces.
SOURCE = ("data=", "data.source=", "data.path=", "data.options")
OWN = ("experiment=", "data.labels=", "data.top=", "name=", "paths.")  # set for each row
FIVE = "data.top=5"


def bench_growth(overrides: Sequence[str]) -> list[Row]:
    """Measure up to a number of papers, by default as many as the source has.

    Args:
        overrides: of the configuration, and `papers=N`. A source with fewer papers is spliced.

    Raises:
        ShelfmarkError: N is no number, a command fails, or the disk has too little space.
    """
    words = [word for word in overrides if not word.startswith(SIZE)]
    most = _most_papers([word for word in overrides if word.startswith(SIZE)])
    limit = "" if most is None else str(most + 1)
    known = _run("count", [limit], words)["papers"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = choose_sizes(most or known)
        disk.require_free(Path(folder), sizes[-1] * PAPER_BYTES, "inv bench growth")
        for papers in sizes:
            rows += Growth.open(words, papers, papers == known, Path(folder)).measure()
    return rows


def choose_sizes(most: int) -> list[int]:
    """Return the numbers of papers that are measured, rising up to the largest."""
    return [*(size for size in SIZES if size < most), most]


def _most_papers(sizes: Sequence[str]) -> int | None:
    if not sizes:
        return None
    text = sizes[-1].removeprefix(SIZE)
    if not text.isdecimal() or int(text) < 1:
        raise ShelfmarkError(f"{sizes[-1]}: give a number of papers, as {SIZE}515560")
    return int(text)


def _run(name: str, arguments: Sequence[str], overrides: Sequence[str]) -> dict[str, Any]:
    output = run_child(children.command_of(name, arguments, overrides))
    result: dict[str, Any] = orjson.loads(output.splitlines()[-1])
    return result


@dataclass(frozen=True)
class Trained:
    """A training: what it used, and its figures on validation."""

    used: Usage
    figures: dict[str, Any]


@dataclass(frozen=True)
class Growth:
    """The measurements of one number of papers.

    Args:
        papers: their number.
        files: of the papers.
        words: overrides that select them, and those of the person.
        labels: the override of the labels of the training with few labels.
        folder: for all that is written.
    """

    papers: int
    files: Sequence[str]
    words: Sequence[str]
    labels: str
    folder: Path

    @classmethod
    def open(cls, overrides: Sequence[str], papers: int, whole: bool, folder: Path) -> Growth:
        """Return the measurements of a number of papers, whose file is written first.

        Args:
            overrides: of the configuration.
            papers: their number.
            whole: whether that is all papers of the source, whose own files are then read.
            folder: for all that is written.
        """
        labels = [word for word in overrides if word.startswith(("data.labels=", "data.top="))]
        words = [word for word in overrides if not word.startswith(OWN)]
        files = sources.find_files(load_config(overrides).data)
        if not whole or files == [None]:
            path = folder / "papers.jsonl"
            _run("write", [str(path), str(papers)], overrides)
            words = [word for word in words if not word.startswith(SOURCE)]
            words += ["data=snapshot", f'data.path="{path}"']
            files = [path]
        return cls(papers, [str(file) for file in files], words, (labels or [FIVE])[-1], folder)

    def measure(self) -> list[Row]:
        """Return the rows of the table, each also logged when it is measured."""
        rows = []
        for row in self._rows():
            logger.info("{}", " | ".join(filter(None, row)))
            rows.append(row)
        return rows

    def _rows(self) -> Iterator[Row]:
        yield self._preprocess()
        trained = yield from self._train("all", ["experiment=all"], "experiment=all")
        if self.papers <= BESIDE:
            yield self._beside(trained)
        yield self._predict()
        yield from self._train("few", ["experiment=best", self.labels],
                               f"experiment=best {self.labels}")  # fmt: skip
        for name in ("data", "models", "reports"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _preprocess(self) -> Row:
        alone = self.folder / "alone"
        used = self._measure("data", [*self.words, "experiment=all", f"paths.data={alone}"])
        shutil.rmtree(alone)
        return Row(f"preprocess {self.papers:,} papers", self._show(used))

    def _train(self, name: str, own: Sequence[str], what: str) -> Generator[Row, None, Trained]:
        used = self._measure("train", [*self.words, *own, *self._paths(), f"name={name}"])
        folder = self.folder / "models" / name
        card = artifact.read_card(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        figures = card.metrics["validation"]
        seen = card.data.papers["train"]
        yield Row(f"train {self.papers:,} papers, {what}", self._show(used))
        yield Row(f"  validation, trained on {seen:,}", _show_figures(figures))
        yield Row("  artifact", f"{size / 2**20:,.0f} MB")
        return Trained(used, figures)

    def _beside(self, ours: Trained) -> Row:
        used = measure_child(
            children.command_of("baseline", [], [*self.words, "experiment=all", *self._paths()])
        )
        figures = orjson.loads(used.output.splitlines()[-1])
        gain = 100 * (ours.figures["accuracy"] - figures["accuracy"])
        ratio = (
            f"{format_ratio(used.seconds / ours.used.seconds)} the time, "
            f"{format_ratio(used.peak_mb / ours.used.peak_mb)} the memory, {gain:+.1f} points top-1"
        )
        return Row("  beside scikit-learn's TfidfVectorizer and SGDClassifier", "",
                   f"{self._show(used)}, {_show_figures(figures)}", ratio)  # fmt: skip

    def _predict(self) -> Row:
        answers = self.folder / "answers.jsonl"
        files = [word for file in self.files for word in ("--file", file)]
        own = ["--model", "all", "--models", str(self.folder / "models")]
        used = self._measure("predict", [*files, "--out", str(answers), *own])
        answers.unlink()
        return Row(f"predict --file, {self.papers:,} papers, experiment=all", self._show(used))

    def _measure(self, command: str, words: Sequence[str]) -> Usage:
        return measure_child([sys.executable, "-m", "shelfmark.cli", command, *words])

    def _paths(self) -> list[str]:
        return [f"paths.{name}={self.folder / name}" for name in ("data", "models", "reports")]

    def _show(self, used: Usage) -> str:
        rate = self.papers / used.seconds
        return f"{used.seconds:,.0f} s, {rate:,.0f} papers/s, {used.peak_mb:,.0f} MB"


def _show_figures(figures: dict[str, Any]) -> str:
    return f"top-1 {figures['accuracy']:.4f}, top-5 {figures['top5']:.4f}"
