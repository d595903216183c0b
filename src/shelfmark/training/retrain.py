"""Champion and challenger: a new model takes the old one's place only if it is better.

Both are measured on the newest papers of a harvest, which neither was fitted on. The challenger is
trained in `models/challengers/`, where nobody looks for the latest model; it moves to `models/` as
the latest when it wins, and stays where it is when it does not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from loguru import logger

from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import validate_config
from shelfmark.config.schema import Config, DriftConfig
from shelfmark.core import files, provenance
from shelfmark.core.arrays import Ints
from shelfmark.data import sources
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate, metrics
from shelfmark.models import artifact
from shelfmark.models.confidence import Answers
from shelfmark.training import train

CHALLENGERS = "challengers"
RESAMPLES = 1000
FIGURES = ("accuracy", "top3", "macro_f1", "weighted_f1", "log_loss", "calibration_error")


@dataclass(frozen=True)
class Duel:
    """The outcome on papers that neither model was fitted on.

    Args:
        champion: figures of the old model.
        challenger: the same of the new.
        chance: share of resamples of the papers in which the new one has the higher macro-F1.
        won: whether the new one is kept.
    """

    champion: dict[str, float]
    challenger: dict[str, float]
    chance: float
    won: bool


def run(champion: Path, harvest: Path, reports: Path, limits: DriftConfig) -> Path:
    """Train a challenger on a harvest, measure both, and keep the better as the latest.

    Args:
        champion: folder of the old model.
        harvest: papers in arXiv's format, which reach beyond those the old model was trained on.
        reports: folder of the reports.
        limits: which share of the papers is the newest, and how sure the choice must be.

    Returns:
        The folder of the model that is the latest now.

    Raises:
        ShelfmarkError: there are too few papers newer than the champion's, or training fails. The
            latest model is as it was.
    """
    champion = champion.resolve()
    old = artifact.load(champion)
    settings = _settings(old, champion, harvest, limits)
    made = train.train(settings)
    new = artifact.load(made)
    newest = open_splits(Path(new.card["data"]["folder"])).read("test")
    if newest.num_rows < limits.min_papers:
        raise ShelfmarkError(
            f"--harvest: {newest.num_rows:,} papers are newer than those of {old.version}, "
            f"{limits.min_papers:,} are needed; {new.version} stays in {made.parent}"
        )
    duel = compare(old, new, newest, limits)
    winner = champion
    if duel.won:
        winner = champion.parent / new.version
        with files.report_write_errors(winner):
            made.rename(winner)
            (made.parent / artifact.LATEST).unlink(missing_ok=True)  # which named it there
        artifact.point_latest_at(winner)
    _write(old, new, duel, newest, reports / f"{new.version}-duel")
    told = "takes the place of" if duel.won else "does not beat"
    logger.info("{} {} {}: {}", new.version, told, old.version, reports / f"{new.version}-duel")
    return winner


def _settings(old: artifact.Model, champion: Path, harvest: Path, limits: DriftConfig) -> Config:
    """Return the champion's own configuration, its data the harvest, divided by time."""
    files.require_file(harvest, "--harvest")
    days = sorted(_days(harvest))
    known = _last_day(old)
    if not days or days[-1] <= known:
        last = days[-1] if days else "none"
        raise ShelfmarkError(
            f"--harvest: its newest paper is of {last}, {old.version} knows papers up to {known}"
        )
    test = max(days[int(len(days) * (1 - limits.newest))], known + timedelta(1))
    before = [day for day in days if day < test]
    validation = before[int(len(before) * (1 - limits.newest))] if before else test
    values = orjson.loads(orjson.dumps(old.card["config"]))
    values["name"] = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-challenger"
    values["paths"]["models"] = str(champion.parent / CHALLENGERS)
    values["data"] |= {"source": "snapshot", "path": str(harvest), "options": {}, "split": "time"}
    values["data"]["cuts"] = {"validation": validation.isoformat(), "test": test.isoformat()}
    return validate_config(Config, values)


def _days(harvest: Path) -> list[date]:
    """Return the day of submission of every readable paper."""
    records = sources.records("snapshot", harvest, {})
    days = []
    for chunk in iter(lambda: list(itertools.islice(records, 2048)), []):
        found = sources.understand("snapshot", chunk)
        days += [paper.submitted for paper in found if isinstance(paper, Paper)]
    return days


def _last_day(old: artifact.Model) -> date:
    """Return the day of the newest paper that a model may have been fitted on."""
    submitted = old.card["data"].get("submitted")
    if submitted is None:  # a card of before
        submitted = open_splits(Path(old.card["data"]["folder"])).card["submitted"]
    return date.fromisoformat(submitted["last"])


def compare(
    old: artifact.Model, new: artifact.Model, papers: pa.Table, limits: DriftConfig
) -> Duel:
    """Measure two models on the same labelled papers.

    The challenger must have the higher macro-F1 in `limits.chance` of the resamples of the papers,
    drawn for both alike (the paired bootstrap, Efron and Tibshirani 1993), and no higher log loss.
    """
    names = sorted(set(pc.unique(papers["label"]).to_pylist()))
    truth = np.array([names.index(label) for label in papers["label"].to_pylist()], np.int64)
    both = [evaluate.predict_table(one, papers) for one in (old, new)]
    figures = [
        {name: float(value) for name, value in metrics.score_probabilities(
            one.targets, one.probabilities, list(one.classes)).items() if name in FIGURES}
        for one in both
    ]  # fmt: skip
    given = [_numbered(one, names) for one in both]
    for one, answers in zip(figures, given, strict=True):
        one["macro_f1"] = metrics.macro_f1(
            truth, answers, len(names)
        )  # over the same labels for both
    chance = np.random.default_rng(0)
    better = 0
    for _ in range(RESAMPLES):
        rows = chance.integers(0, len(truth), len(truth))
        first, second = (metrics.macro_f1(truth[rows], one[rows], len(names)) for one in given)
        better += second > first
    share = better / RESAMPLES
    won = share >= limits.chance and figures[1]["log_loss"] <= figures[0]["log_loss"]
    return Duel(figures[0], figures[1], share, won)


def _numbered(answers: Answers, names: list[str]) -> Ints:
    """Return each answer as a number among the names, or the number after the last."""
    place = [names.index(label) if label in names else len(names) for label in answers.classes]
    return np.asarray(np.array(place, np.int64)[answers.probabilities.argmax(axis=1)])


def _write(
    old: artifact.Model, new: artifact.Model, duel: Duel, papers: pa.Table, folder: Path
) -> None:
    span = pc.min_max(papers["submitted"]).as_py()
    report = {
        "kind": "duel",
        **provenance.stamp(),
        "synthetic": new.card["data"]["synthetic"],
        "champion": {"model": old.version, **duel.champion},
        "challenger": {"model": new.version, **duel.challenger},
        "papers": papers.num_rows,
        "first": span["min"],
        "last": span["max"],
        "chance_challenger_is_better": duel.chance,
        "latest": new.version if duel.won else old.version,
    }
    lines = [
        f"# {old.version} and {new.version} on {papers.num_rows:,} new papers",
        "",
        f"Submitted from {span['min']} to {span['max']}; neither model was fitted on them.",
        "",
        f"| | champion {old.version} | challenger {new.version} |",
        "| --- | ---: | ---: |",
        *(f"| {evaluate.FIGURES[name]} | {duel.champion[name]:.4f} | {duel.challenger[name]:.4f} |"
          for name in FIGURES),
        "",
        f"The challenger has the higher macro F1 in {duel.chance:.1%} of {RESAMPLES:,} resamples: "
        f"{'it is the latest model now' if duel.won else 'the champion stays'}.",
        "",
    ]  # fmt: skip
    with files.atomic_write(folder / "duel.json") as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    with files.atomic_write(folder / "README.md") as file:
        file.write("\n".join(lines).encode())
