"""Promotion: a version gets the alias that the service loads, once it has passed every check."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from loguru import logger
from pydantic import ValidationError

from shelfmark.arxiv import taxonomy
from shelfmark.config.schema import Config
from shelfmark.core import files, storage
from shelfmark.core.tables import Table
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import behaviour, evaluate
from shelfmark.evaluation.behaviour import ABSTRACT, Check
from shelfmark.models import aliases
from shelfmark.models.aliases import Alias
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard
from shelfmark.models.registry import Registry

# How far below the version in use a new one may be: about a standard error on 5,000 papers.
# Of those marked True more is better.
TOLERANCES = {
    "accuracy": (True, 0.005),
    "macro_f1": (True, 0.01),
    "log_loss": (False, 0.02),
    "calibration_error": (False, 0.01),
}
SLOWER = 2.0  # times the time of the version in use, for one paper
TURNS = 40


@dataclass(frozen=True)
class Promotion:
    """What was checked before a version may get the alias.

    Args:
        version: the version's own name.
        current: the version that the alias named before, None where there was none.
        checks: each with what it found.
    """

    version: str
    current: str | None
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def table(self) -> Table:
        """Return the checks as a table."""
        rows = [[x.name, "passed" if x.passed else "FAILED", x.told] for x in self.checks]
        title = f"{self.version}, in use: {self.current or 'none'}"
        return Table(["check", "", "found"], rows, title=title)


def promote_version(
    version: str,
    models: str = "models",
    alias: str = aliases.PRODUCTION,
    source: str = "",
    reports: Path = Path("reports"),
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Check a version and give it the alias; nothing changes where a check fails.

    Args:
        version: a name, or an alias such as `latest`.
        models: folder or bucket of the models that the service loads.
        alias: the name it loads by.
        source: folder of the version, if it is not among those models yet; it is copied there.
        reports: folder in which `<version>-promotion/` is written.
        force: whether figures that cannot be compared, or are worse, are no hindrance.
        dry_run: whether to check only.

    Returns:
        What was checked; nothing changed unless every check passed.

    Raises:
        ShelfmarkError: there is no such version, or a place cannot be read or written.
    """
    place = Alias(models, alias)
    if version == alias:
        raise ShelfmarkError(f"{version} is the alias itself: name a version")
    if source and not storage.is_remote(models):
        raise ShelfmarkError("--source is for a bucket: give --models gs://bucket/models")
    folder = Registry(source or models)
    card = folder.card(version)
    version = card.name or version
    current = place.version()
    in_use = None if current is None else (Registry(models), current)
    checks = _checks(folder, version, card, in_use, force)
    promotion = Promotion(version, current, checks)
    target = write_report(version, current, checks, card, reports)
    logger.info("report: {}", target)
    if promotion.passed and not dry_run:
        if source:
            aliases.upload(folder.folder(version), models)
        place.point_at(version)
        logger.info("{}/{} is {} now, before: {}", models, alias, version, current or "none")
    return promotion


def _checks(
    folder: Registry,
    version: str,
    card: ModelCard,
    in_use: tuple[Registry, str] | None,
    force: bool,
) -> list[Check]:
    """Check a version whose digests hold, against the one in use; a bad card ends it early."""
    checks = [Check("digests", True, f"{len(card.files)} files are those of the card")]
    checks.append(_schema(card))
    if not checks[-1].passed:
        return checks
    candidate = folder.open(version)
    current = in_use[0].open(in_use[1]) if in_use else None
    checks += [*_figures(candidate, current, force), *behaviour.check_behaviour(candidate)]
    return [*checks, _latency(candidate, current)]


def roll_back(models: str = "models", alias: str = aliases.PRODUCTION) -> str:
    """Give the alias back to the version that had it before, and return that.

    Raises:
        ShelfmarkError: there was none before, or it is not there any more.
    """
    place = Alias(models, alias)
    version = place.before()
    if version is None:
        raise ShelfmarkError(f"{models}/{alias} has named no other version before")
    Registry(models).check(version)
    place.point_at(version, back=True)
    logger.info("{}/{} is {} again", models, alias, version)
    return version


def _schema(card: ModelCard) -> Check:
    """See whether a card says all that the service and later promotions read in it."""
    name = "the card"
    if card.missing:
        return Check(name, False, f"lacks {', '.join(sorted(card.missing))}")
    try:
        Config.model_validate_json(orjson.dumps(card.config))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        return Check(name, False, f"config.{place}: {error.errors()[0]['msg']}")
    labels = card.labels
    if len(set(labels)) != len(labels) or len(labels) < 2:
        return Check(name, False, "classes should be two or more, each once")
    wrong = [x.label for x in card.classes if x.name != taxonomy.full_name(x.label)]
    if wrong:
        return Check(name, False, f"classes: {wrong[0]} has another name in the taxonomy")
    figures = card.metrics.get("validation", {})
    if lacking := [figure for figure in TOLERANCES if figures.get(figure) is None]:
        return Check(name, False, f"metrics.validation lacks {', '.join(lacking)}")
    return Check(name, True, f"{len(labels)} classes, every key")


def _figures(candidate: Model, in_use: Model | None, force: bool) -> list[Check]:
    """Compare the figures on validation with those of the version in use, on the same papers."""
    if in_use is None:
        return [Check("figures", True, "nothing is in use to compare with")]
    new, old = (model.card.metrics["validation"] for model in (candidate, in_use))
    if candidate.card.data.card_sha256 != in_use.card.data.card_sha256:
        measured = _measured_again(candidate, in_use)
        if isinstance(measured, str):
            told = f"not comparable: {measured}" + (", let pass by --force" if force else "")
            return [Check("figures", force, told)]
        old = measured
    checks = []
    for figure, (more, tolerance) in TOLERANCES.items():
        loss = old[figure] - new[figure] if more else new[figure] - old[figure]
        told = f"{new[figure]:.4f}, in use {old[figure]:.4f}, may lose {tolerance}"
        passed = loss <= tolerance
        forced = ", let pass by --force" if force and not passed else ""
        checks.append(Check(evaluate.FIGURES[figure], passed or force, told + forced))
    return checks


def _measured_again(candidate: Model, in_use: Model) -> dict[str, Any] | str:
    """Return the figures of the version in use on the validation papers of the new one, or why not.

    With split=hash a paper's split depends on its identifier alone: the version in use has not
    been trained on them either.
    """
    if candidate.classes != in_use.classes:
        return "other classes"
    data, before = candidate.card.config["data"], in_use.card.config["data"]
    if any(data[key] != before[key] for key in ("split", "fractions", "cuts")):
        return "other splits, so that one may have learnt from the other's validation papers"
    try:
        splits = open_splits(Path(candidate.card.data.folder))
    except ShelfmarkError:
        return "other papers, and those of the new version are not here"
    if splits.digest != candidate.card.data.card_sha256:
        return "other papers, and those of the new version are not here"
    return evaluate.score_answers(evaluate.predict_table(in_use, splits.read("validation")), in_use)


def _latency(candidate: Model, in_use: Model | None) -> Check:
    """Compare the time for one paper with that of the version in use, by turns in one run."""
    name = "time for one paper"
    new, old = [], []
    text = candidate.text("", ABSTRACT)
    for _ in range(TURNS):
        new.append(_seconds(candidate, text))
        if in_use is not None:
            old.append(_seconds(in_use, text))
    told = f"{1000 * statistics.median(new):.1f} ms"
    if in_use is None:
        return Check(name, True, f"{told}; nothing is in use to compare with")
    ratio = statistics.median(new) / statistics.median(old)
    return Check(name, ratio <= SLOWER, f"{told}, {ratio:.2f} of the one in use, at most {SLOWER}")


def _seconds(model: Model, text: str) -> float:
    started = time.perf_counter()
    model.probabilities([text])
    return time.perf_counter() - started


def write_report(
    version: str, current: str | None, checks: list[Check], card: ModelCard, reports: Path
) -> Path:
    """Write the checks as Markdown, for a person and a pull request, and return the page."""
    came = "Every check passed." if all(check.passed for check in checks) else "Not promoted."
    synthetic = card.data.synthetic
    note = " Its papers are synthetic: the figures say nothing of real ones." * synthetic
    lines = [
        f"# Promotion of {version}",
        "",
        f"In use: {current or 'none'}. {came}{note}",
        "",
        "| check | | found |",
        "| --- | --- | --- |",
        *(f"| {x.name} | {'passed' if x.passed else '**failed**'} | {x.told} |" for x in checks),
    ]
    page = reports / f"{version}-promotion" / "README.md"
    with files.atomic_write(page) as file:
        file.write("\n".join([*lines, ""]).encode())
    return page
