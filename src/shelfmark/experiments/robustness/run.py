"""What a model makes of papers as they come in life: mistyped, cut, stuffed, and of later years.

Each changed paper goes the way of a user's paper, through `answers`. Every figure of a change
stands beside that of the same papers as they are, with an interval of the difference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from loguru import logger

from shelfmark.core import console, files
from shelfmark.core.arrays import Ints
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate
from shelfmark.experiments.robustness import ageing, changes, charts
from shelfmark.experiments.robustness import report as robustness_report
from shelfmark.experiments.robustness.changes import Paper
from shelfmark.experiments.robustness.figures import (
    Sample,
    Told,
    answer,
    by_class,
    differences,
    draws,
    figures,
    sample_of,
)
from shelfmark.models.artifact import Model
from shelfmark.monitoring.fingerprint import text_traits

RIVAL = "rival"  # another class than a paper's own
LANGUAGE = "another language"
ENGLISH = "en"


def run(
    model_folder: Path,
    reports: Path,
    split: str = "validation",
    papers: int = 2000,
    seed: int = 7,
    years: str = "",
) -> dict[str, Any]:
    """Measure an artifact under every change, and over the years, and write the report.

    Args:
        model_folder: the artifact.
        reports: the report goes to `<model>-robustness` in it, in the place of an older one.
        split: whose papers are changed.
        papers: at most so many of them, and of each year.
        seed: settles which, and all changes.
        years: as 2013,2014: to the end of each a model is trained, and tested on later years.

    Raises:
        ShelfmarkError: the model or its splits are not there, an argument is wrong, or the report
            cannot be written.
    """
    for name, value, least in (("papers", papers, 1), ("seed", seed, 0)):
        if value < least:
            raise ShelfmarkError(f"--{name}: {value}: should be a whole number from {least}")
    model, splits = evaluate.open_model_and_splits(model_folder)
    table = splits.read(split)
    # The test split is looked at only when it is asked for.
    pool = ageing.pool(splits, with_test=split == "test") if years else None
    wanted = [] if pool is None else ageing.wanted(years, pool)
    rows = np.sort(np.random.default_rng(seed).permutation(table.num_rows)[:papers])
    report = {
        "kind": "robustness",
        "model": model.version,
        "split": split,
        "synthetic": splits.card["synthetic"],
        "papers": len(rows),
        "seed": seed,
        "command": f"uv run inv robustness --model {model.version} --split {split} "
        f"--papers {papers} --seed {seed}" + f" --years {years}" * bool(years),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **under_changes(model, splits, sample_of(model, table.take(rows)), seed),
        "years": None,
    }
    if pool is not None:
        report |= ageing.over_years(model, splits, pool, wanted, papers, seed)
    write(report, reports / f"{model.version}-robustness")
    return report


def under_changes(model: Model, splits: Splits, sample: Sample, seed: int) -> dict[str, Any]:
    """Return the figures of papers as they are, and after each change."""
    rivals = _rivals(model, sample, seed)
    kinds = _changed(model, splits, sample, rivals, seed)
    with console.progress("answering", len(sample.papers) * (1 + len(kinds))) as bar:
        before = answer(model, sample, sample.papers, bar)
        after = {name: answer(model, sample, papers, bar) for name, papers in kinds.items()}
    resampled = [figures(sample, before, rows) for rows in draws(sample, seed)]
    found: dict[str, dict[str, Any]] = {}
    texts = [model.text(*paper) for paper in sample.papers]
    for name, papers in kinds.items():
        pairs = zip(texts, papers, strict=True)
        touched = sum(model.text(*paper) != text for text, paper in pairs)
        found[name] = {
            **figures(sample, after[name]),
            "difference": differences(sample, before, after[name], seed, resampled),
            "touched": touched / len(texts),
            "classes": by_class(sample, after[name]),
        }
    for name in changes.STUFFINGS:
        found[name]["moved"] = _moved(rivals, before, after[name])
    found[LANGUAGE]["language"] = _language(model, sample.papers, kinds[LANGUAGE])
    return {
        "as_is": {**figures(sample, before), "classes": by_class(sample, before)},
        "changes": found,
    }


def _changed(
    model: Model, splits: Splits, sample: Sample, rivals: Ints, seed: int
) -> dict[str, list[Paper]]:
    """Return the papers after each change; those stuffed got the words of their rival class."""
    kinds = {name: changes.changed(name, sample.papers, seed) for name in changes.CHANGES}
    terms = evaluate.find_telling_terms(model, splits.read("validation"))
    told = [[term for term, _ in terms[model.classes[rival]]] for rival in rivals]
    for name, change in changes.STUFFINGS.items():
        pairs = zip(sample.papers, told, strict=True)
        kinds[name] = [change(*paper, words) for paper, words in pairs]
    return kinds


def _rivals(model: Model, sample: Sample, seed: int) -> Ints:
    """Return for each paper another class than its own, by chance."""
    count = len(model.classes)
    papers = range(len(sample.truth))
    chances = [changes.chance_of(seed, RIVAL, number).random() for number in papers]
    others = [[x for x in range(count) if x != own] for own in sample.truth.tolist()]
    return np.array([x[int(chance * len(x))] for x, chance in zip(others, chances, strict=True)])


def _moved(rivals: Ints, before: Told, after: Told) -> dict[str, float]:
    """Return how many papers are given the class whose words were added, of all papers."""
    return {
        "before": float((before.given == rivals).mean()),
        "after": float((after.given == rivals).mean()),
        "confidently": float(((after.given == rivals) & after.sure).mean()),
    }


def _language(model: Model, before: list[Paper], after: list[Paper]) -> dict[str, float]:
    """Return the share of words replaced, and of papers that the log would mark as not English."""
    texts = [[model.text(*paper) for paper in side] for side in (before, after)]
    marked = [
        float(np.mean([text_traits(model, text).language != ENGLISH for text in side]))
        for side in texts
    ]
    share = changes.share_in_french([" ".join(paper) for paper in before])
    return {"words": share, "marked_before": marked[0], "marked_after": marked[1]}


def write(report: dict[str, Any], folder: Path) -> None:
    """Write metrics.json, pictures and a page, all of them or nothing.

    Raises:
        ShelfmarkError: the disk does not take them.
    """
    files.clear_leftovers(folder.parent)
    with files.atomic_folder(folder, replace=True) as aside:
        names = charts.draw_all(report, aside, folder.name)
        (aside / "metrics.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        page = robustness_report.markdown(report, names)
        (aside / "README.md").write_text(page, encoding="utf-8")
    logger.info("report: {}", folder / "README.md")
