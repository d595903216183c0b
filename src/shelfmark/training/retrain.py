"""Retraining: a challenger replaces the champion only if it is better.

Both are measured on the newest papers of a harvest, on which neither was fitted. The challenger is
trained in `models/challengers/`, so that it is not the latest model; it moves to `models/` as the
latest if it wins, and stays there if it loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from loguru import logger

from shelfmark.artifacts.aliases import LATEST, Alias
from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import validate_config
from shelfmark.config.schema import Config, DriftConfig
from shelfmark.core import files, pages, provenance
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.core.output.tables import Table
from shelfmark.data import inputs, sources
from shelfmark.data.inputs import Setting
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import metrics
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import FIGURES
from shelfmark.models import artifact
from shelfmark.models.confidence import Answers
from shelfmark.training import train

CHALLENGERS = "challengers"
RESAMPLES = 1000
COMPARED_FIGURES = ("accuracy", "top3", "macro_f1", "weighted_f1", "log_loss", "calibration_error")


@dataclass(frozen=True)
class Comparison:
    """Two models on papers on which neither was fitted.

    Args:
        champion: figures of the old model.
        challenger: figures of the new model.
        chance: share of the resamples in which the challenger has the higher macro-F1.
        won: whether the challenger replaces the champion.
    """

    champion: dict[str, float]
    challenger: dict[str, float]
    chance: float
    won: bool


def retrain_and_compare(
    champion: Path, harvest: Setting, reports: Path, limits: DriftConfig
) -> Path:
    """Train a challenger on a harvest, measure both models, and make the better one the latest.

    Args:
        champion: folder of the old model.
        harvest: files of papers in arXiv's format, some newer than those of the old model.
        reports: folder of the reports.
        limits: the share of the newest papers, and the required chance of the challenger.

    Returns:
        The folder of the latest model.

    Raises:
        ShelfmarkError: too few papers are newer than the champion's, or training fails. The latest
            model is unchanged.
    """
    champion = champion.resolve()
    old = artifact.load(champion)
    folder = train.train_model(_challenger_config(old, champion, harvest, limits)).folder
    new = artifact.load(folder)
    newest = open_splits(Path(new.card.data.folder)).read("test")
    if newest.num_rows < limits.min_papers:
        raise ShelfmarkError(
            f"--harvest: {newest.num_rows:,} papers are newer than those of {old.version}, "
            f"{limits.min_papers:,} are needed; {new.version} stays in {folder.parent}"
        )
    comparison = compare_models(old, new, newest, limits)
    winner = _promote(folder, champion.parent) if comparison.won else champion
    report = reports / f"{new.version}-comparison"
    _write_report(old, new, comparison, newest, report)
    outcome = "replaces" if comparison.won else "does not beat"
    logger.info("{} {} {}: {}", new.version, outcome, old.version, report)
    return winner


def _promote(challenger: Path, models: Path) -> Path:
    """Move a challenger to the models as the latest, and return its new folder."""
    winner = models / challenger.name
    with files.report_write_errors(winner):
        challenger.rename(winner)
        Alias(str(challenger.parent), LATEST).remove()  # it named the challenger
    artifact.point_latest_at(winner)
    return winner


def _challenger_config(
    old: artifact.Model, champion: Path, harvest: Setting, limits: DriftConfig
) -> Config:
    """Return the champion's configuration with the harvest as its data, split by time."""
    paths = inputs.find_files(harvest, "--harvest")
    days = sorted(_days(paths))
    known = _last_day(old)
    if not days or days[-1] <= known:
        last = days[-1] if days else "no day"
        raise ShelfmarkError(
            f"--harvest: its newest paper is of {last}, {old.version} has papers up to {known}"
        )
    test = max(days[int(len(days) * (1 - limits.newest))], known + timedelta(1))
    before = [day for day in days if day < test]
    validation = before[int(len(before) * (1 - limits.newest))] if before else test
    values = orjson.loads(orjson.dumps(old.card.config))
    values["name"] = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-challenger"
    values["paths"]["models"] = str(champion.parent / CHALLENGERS)
    named = [str(path) for path in paths]
    values["data"] |= {"source": "snapshot", "path": named if len(named) > 1 else named[0]}
    values["data"] |= {"options": {}, "split": "time"}
    values["data"]["cuts"] = {"validation": validation.isoformat(), "test": test.isoformat()}
    return validate_config(Config, values)


def _days(paths: Sequence[Location]) -> list[date]:
    """Return the day of submission of each readable paper of a harvest, once for all its records.

    Args:
        paths: the files of the harvest.
    """
    days = {}
    for path in paths:
        for paper in sources.read_papers("snapshot", path, {}):
            if isinstance(paper, Paper):
                days[paper.id] = paper.submitted
    return list(days.values())


def _last_day(old: artifact.Model) -> date:
    """Return the day of the newest paper of a model's splits."""
    submitted = old.card.data.submitted
    if submitted is None:  # an older card
        submitted = open_splits(Path(old.card.data.folder)).card["submitted"]
    return date.fromisoformat(submitted["last"])


def compare_models(
    old: artifact.Model, new: artifact.Model, papers: pa.Table, limits: DriftConfig
) -> Comparison:
    """Measure two models on the same labelled papers.

    The challenger wins if its macro-F1 is higher in `limits.chance` of the resamples of the papers,
    drawn for both alike (the paired bootstrap, Efron and Tibshirani 1993), and its log loss is no
    higher.
    """
    names = sorted(set(pc.unique(papers["label"]).to_pylist()))
    truth = np.array([names.index(label) for label in papers["label"].to_pylist()], np.int64)
    both = [predict_papers(model, papers) for model in (old, new)]
    predicted = [_encode_labels(answers, names) for answers in both]
    champion, challenger = (_figures(answers) for answers in both)
    for figures, labels in zip((champion, challenger), predicted, strict=True):
        figures["macro_f1"] = metrics.macro_f1(truth, labels, len(names))  # over the same labels
    chance = _chance_second_is_better(truth, predicted[0], predicted[1], len(names))
    won = chance >= limits.chance and challenger["log_loss"] <= champion["log_loss"]
    return Comparison(champion, challenger, chance, won)


def _figures(answers: Answers) -> dict[str, float]:
    figures = metrics.score_probabilities(
        answers.targets, answers.probabilities, list(answers.classes)
    )
    return {name: getattr(figures, name) for name in COMPARED_FIGURES}


def _chance_second_is_better(truth: Ints, first: Ints, second: Ints, labels: int) -> float:
    """Return the share of resamples in which the second one has the higher macro-F1."""
    rng, better = np.random.default_rng(0), 0
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(truth), len(truth))
        scores = [metrics.macro_f1(truth[rows], one[rows], labels) for one in (first, second)]
        better += scores[1] > scores[0]
    return better / RESAMPLES


def _encode_labels(answers: Answers, names: list[str]) -> Ints:
    """Return each predicted label as a number among the names, `len(names)` for another label."""
    numbers = [names.index(label) if label in names else len(names) for label in answers.classes]
    return np.asarray(np.array(numbers, np.int64)[answers.probabilities.argmax(axis=1)])


def _write_report(
    old: artifact.Model,
    new: artifact.Model,
    comparison: Comparison,
    papers: pa.Table,
    folder: Path,
) -> None:
    span = pc.min_max(papers["submitted"]).as_py()
    report = {
        "kind": "comparison",
        **provenance.stamp(),
        "synthetic": new.card.data.synthetic,
        "champion": {"model": old.version, **comparison.champion},
        "challenger": {"model": new.version, **comparison.challenger},
        "papers": papers.num_rows,
        "first": span["min"],
        "last": span["max"],
        "chance_challenger_is_better": comparison.chance,
        "latest": new.version if comparison.won else old.version,
    }
    page = pages.render(
        "training/templates/comparison.md",
        champion=old.version,
        challenger=new.version,
        papers=papers.num_rows,
        first=span["min"],
        last=span["max"],
        table=comparison_table(old.version, new.version, comparison).markdown(),
        chance=comparison.chance,
        resamples=RESAMPLES,
        won=comparison.won,
    )
    with files.atomic_write(folder / "comparison.json") as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    with files.atomic_write(folder / "README.md") as file:
        file.write(page.encode())


def comparison_table(champion: str, challenger: str, comparison: Comparison) -> Table:
    """Return the figures of both models, a row for each figure."""
    return Table(
        ("", f"champion {champion}", f"challenger {challenger}"),
        [
            (
                FIGURES[name],
                f"{comparison.champion[name]:.4f}",
                f"{comparison.challenger[name]:.4f}",
            )
            for name in COMPARED_FIGURES
        ],
    )
