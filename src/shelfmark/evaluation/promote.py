"""Promotion: a version that passes every check gets the alias that the service loads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from shelfmark.artifacts.aliases import PRODUCTION, Alias
from shelfmark.core import files, storage
from shelfmark.core.output.tables import Table
from shelfmark.core.pages import render
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import behaviour, evaluate
from shelfmark.evaluation.behaviour import ABSTRACT, Check
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import FIGURES
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard
from shelfmark.models.registry import Registry, upload_version

# How much worse than the version in use a new one may be: about a standard error on 5,000 papers.
# True where larger is better.
TOLERANCES = {
    "accuracy": (True, 0.005),
    "macro_f1": (True, 0.01),
    "log_loss": (False, 0.02),
    "calibration_error": (False, 0.01),
}
MOST_TIME = 2.0  # for one paper, relative to the version in use
TURNS = 40  # of the measurement of time


@dataclass(frozen=True)
class Promotion:
    """The checks of a version.

    Args:
        version: its name.
        current: the version in use before; None for the first.
        checks: the result of each check.
    """

    version: str
    current: str | None
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def table(self) -> Table:
        """Return a row for each check."""
        rows = [[check.name, "passed" if check.passed else "FAILED", check.detail]
                for check in self.checks]  # fmt: skip
        title = f"{self.version}, in use: {self.current or 'none'}"
        return Table(("check", "result", "detail"), rows, title, text_columns=3)


def promote_version(
    version: str,
    models: str = "models",
    alias: str = PRODUCTION,
    source: str = "",
    reports: Path = Path("reports"),
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Check a version and point the alias at it; nothing changes if a check fails.

    Args:
        version: a name, or an alias such as `latest`.
        models: folder or bucket of the models that the service loads.
        alias: the name it loads by.
        source: folder of the version, if it is not among those models yet; it is uploaded there.
        reports: folder in which `<version>-promotion/` is written.
        force: whether to accept figures that are worse or cannot be compared.
        dry_run: whether to check only.

    Raises:
        ShelfmarkError: there is no such version, or a folder or bucket cannot be read or written.
    """
    place = Alias(models, alias)
    if version == alias:
        raise ShelfmarkError(f"{version} is the alias itself: name a version")
    if source and not storage.is_remote(models):
        raise ShelfmarkError("--source is for a bucket: give --models gs://bucket/models")
    folder = Registry(source or models)
    pin = folder.pin(version)
    version = pin.version
    card = folder.card(version, pin.digest)
    named = artifact.read_card(folder.folder(version)).name
    if named != version:
        line = f"{version}: its card has the name {named}; train again, or name the folder {named}"
        raise ShelfmarkError(line)
    current = place.version()
    in_use = None if current is None else (Registry(models), current)
    promotion = Promotion(version, current, _checks(folder, version, card, in_use, force))
    page = _write_report(promotion, card.data.synthetic, reports)
    logger.info("report: {}", page)
    if promotion.passed and not dry_run:
        if source:
            upload_version(folder.folder(version), models)
        place.point_at(version, card.digest)
        logger.info("{}/{} points at {}, before: {}", models, alias, version, current or "none")
    return promotion


def _checks(
    folder: Registry,
    version: str,
    card: ModelCard,
    in_use: tuple[Registry, str] | None,
    force: bool,
) -> list[Check]:
    """Check a version whose digests match, against the one in use; an invalid card ends it."""
    checks = [Check("digests", True, f"{len(card.files)} files are those of the card")]
    checks.append(_schema(card))
    if not checks[-1].passed:
        return checks
    candidate = folder.open(version, card.digest)
    current = in_use[0].open(in_use[1]) if in_use else None
    checks += [*_figures(candidate, current, force), *behaviour.check_behaviour(candidate)]
    return [*checks, _latency(candidate, current)]


def roll_back(models: str = "models", alias: str = PRODUCTION) -> str:
    """Point the alias back at the previous version, and return that version.

    Raises:
        ShelfmarkError: there is no previous version, or it is missing.
    """
    place = Alias(models, alias)
    version = place.previous()
    if version is None:
        raise ShelfmarkError(f"{models}/{alias} has named no other version before")
    # The digest that the alias recorded then: a version that is another model now stays out.
    digest = Registry(models).card(version, place.digest(version)).digest
    place.point_at(version, digest, back=True)
    logger.info("{}/{} points at {} again", models, alias, version)
    return version


def _schema(card: ModelCard) -> Check:
    """Check that a card, whose values are valid, has all that later promotions read."""
    name = "the card"
    if card.missing:
        return Check(name, False, f"lacks {', '.join(sorted(card.missing))}")
    labels = card.labels
    if len(labels) < 2:
        return Check(name, False, "classes should be two or more")
    wrong = [x.label for x in card.classes if x.name != card.name_of(x.label)]
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
    new, old = (model.card.metrics.get("validation", {}) for model in (candidate, in_use))
    if candidate.card.data.card_sha256 != in_use.card.data.card_sha256:
        measured = _remeasure(candidate, in_use)
        if isinstance(measured, str):
            detail = f"not comparable: {measured}" + (", accepted by --force" if force else "")
            return [Check("figures", force, detail)]
        old = measured
    checks = []
    for figure, (more, tolerance) in TOLERANCES.items():
        now, before = new[figure], old.get(figure)
        if now is None or before is None:
            checks.append(Check(FIGURES[figure], force, "unknown of the version in use"))
            continue
        loss = before - now if more else now - before
        detail = f"{now:.4f}, in use {before:.4f}, may lose {tolerance}"
        passed = loss <= tolerance
        forced = ", accepted by --force" if force and not passed else ""
        checks.append(Check(FIGURES[figure], passed or force, detail + forced))
    return checks


def _remeasure(candidate: Model, in_use: Model) -> dict[str, float | None] | str:
    """Return the figures of the version in use on the new version's validation papers, or why not.

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
        return "other papers, and those of the new version are missing here"
    if splits.digest != candidate.card.data.card_sha256:
        return "other papers, and those of the new version are missing here"
    answers = predict_papers(in_use, splits.file("validation"))
    return evaluate.score_answers(answers, in_use).headline()


def _latency(candidate: Model, in_use: Model | None) -> Check:
    """Compare the time for one paper with that of the version in use, in alternation.

    The shortest of all turns counts: what else runs on the machine only adds to it.
    """
    name = "time for one paper"
    new, old = [], []
    text = candidate.text("", ABSTRACT)
    for _ in range(TURNS):
        new.append(_seconds(candidate, text))
        if in_use is not None:
            old.append(_seconds(in_use, text))
    detail = f"{1000 * min(new):.1f} ms"
    if in_use is None:
        return Check(name, True, f"{detail}; nothing is in use to compare with")
    ratio = min(new) / min(old)
    return Check(
        name, ratio <= MOST_TIME, f"{detail}, {ratio:.2f} of the one in use, at most {MOST_TIME}"
    )


def _seconds(model: Model, text: str) -> float:
    started = time.perf_counter()
    model.probabilities([text])
    return time.perf_counter() - started


def _write_report(promotion: Promotion, synthetic: bool, reports: Path) -> Path:
    """Write the checks as Markdown, for a person and a pull request, and return the page."""
    content = render(
        "evaluation/templates/promotion.md",
        version=promotion.version,
        current=promotion.current,
        passed=promotion.passed,
        synthetic=synthetic,
        table=promotion.table().markdown(),
    )
    page = reports / f"{promotion.version}-promotion" / "README.md"
    with files.atomic_write(page) as file:
        file.write(content.encode())
    return page
