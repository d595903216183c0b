"""How robust a model is to realistic input: typos, truncation, keyword stuffing, later papers.

Each changed paper is answered as the service answers it. Every figure of a change stands beside
that of the unchanged papers, with an interval of the difference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
import orjson
from loguru import logger

from shelfmark.core import console, files
from shelfmark.core.arrays import Ints
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate
from shelfmark.experiments.robustness import ageing, changes, charts
from shelfmark.experiments.robustness.changes import Paper
from shelfmark.experiments.robustness.figures import (
    ChangeFigures,
    LanguageShares,
    Predictions,
    Report,
    RivalShares,
    Sample,
    SampleFigures,
    compare,
    make_sample,
    predict_papers,
    resample_rows,
    score,
    score_classes,
)
from shelfmark.experiments.robustness.report import render_report
from shelfmark.models.artifact import Model
from shelfmark.models.traits import text_traits

RIVAL = "rival"  # a class other than the paper's
LANGUAGE = "another language"
ENGLISH = "en"


class Effects(TypedDict):
    """The figures of the unchanged papers, and those after each change."""

    as_is: SampleFigures
    changes: dict[str, ChangeFigures]


def measure_robustness(
    model_folder: Path,
    reports: Path,
    split: str = "validation",
    papers: int = 2000,
    seed: int = 7,
    years: str = "",
) -> Report:
    """Measure a model under every change, and over the years, and write the report.

    Args:
        model_folder: of the model.
        reports: receives the report as `<model>-robustness`, in place of a previous one.
        split: the papers to change.
        papers: the largest number of papers of the split, and of each year.
        seed: of the sample and of the changes.
        years: such as 2013,2014: trains a model to the end of each, and tests it on later years.

    Raises:
        ShelfmarkError: the model or its splits are missing, an argument is invalid, or the report
            cannot be written.
    """
    _check_arguments(papers, seed)
    model, splits = evaluate.open_model_and_splits(model_folder)
    table = splits.read(split)
    # The test split is read only on request.
    pool = ageing.Pool.of(splits, with_test=split == "test") if years else None
    wanted = [] if pool is None else ageing.parse_years(years, pool.papers)
    rows = np.sort(np.random.default_rng(seed).permutation(table.num_rows)[:papers])
    effects = measure_changes(model, splits, make_sample(model, table.take(rows)), seed)
    report: Report = {
        "kind": "robustness",
        "model": model.version,
        "split": split,
        "synthetic": splits.card["synthetic"],
        "papers": len(rows),
        "seed": seed,
        "command": _command(model.version, split, papers, seed, years),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "promised": model.card.limits.min_precision,
        "as_is": effects["as_is"],
        "changes": effects["changes"],
        "years": None,
    }
    if pool is not None:
        years_report = ageing.measure_years(model, splits, pool, wanted, papers, seed)
        report["years"] = years_report["years"]
        report["years_trained"] = years_report["years_trained"]
        report["years_left_out"] = years_report["years_left_out"]
    write_report(report, reports / f"{model.version}-robustness")
    return report


def _check_arguments(papers: int, seed: int) -> None:
    for name, value, least in (("papers", papers, 1), ("seed", seed, 0)):
        if value < least:
            raise ShelfmarkError(f"--{name}: {value}: should be a whole number from {least}")


def _command(model: str, split: str, papers: int, seed: int, years: str) -> str:
    """Return the command that repeats a measurement."""
    words = f"shelfmark robustness --model {model} --split {split} --papers {papers} --seed {seed}"
    return words + f" --years {years}" * bool(years)


def measure_changes(model: Model, splits: Splits, sample: Sample, seed: int) -> Effects:
    """Return the figures of a sample unchanged, and after each change."""
    rivals = _draw_rivals(model, sample, seed)
    changed = _change_papers(model, splits, sample, rivals, seed)
    with console.progress("answering", len(sample.papers) * (1 + len(changed))) as bar:
        before = predict_papers(model, sample, sample.papers, bar)
        after = {
            name: predict_papers(model, sample, papers, bar) for name, papers in changed.items()
        }
    resampled = [score(sample, before, rows) for rows in resample_rows(sample, seed)]
    texts = [model.text(*paper) for paper in sample.papers]
    effects: dict[str, ChangeFigures] = {}
    for name, papers in changed.items():
        figures = score(sample, after[name])
        effects[name] = {
            "accuracy": figures["accuracy"],
            "macro_f1": figures["macro_f1"],
            "abstained": figures["abstained"],
            "confident_precision": figures["confident_precision"],
            "difference": compare(sample, before, after[name], seed, resampled),
            "touched": _share_touched(model, texts, papers),
            "classes": score_classes(sample, after[name]),
        }
    for name in changes.STUFFINGS:
        effects[name]["moved"] = _rival_shares(rivals, before, after[name])
    effects[LANGUAGE]["language"] = _language_shares(model, sample.papers, changed[LANGUAGE])
    as_is: SampleFigures = {
        **score(sample, before), "classes": score_classes(sample, before)
    }  # fmt: skip
    return {"as_is": as_is, "changes": effects}


def _share_touched(model: Model, texts: list[str], papers: list[Paper]) -> float:
    """Return the share of papers whose cleaned text a change alters."""
    pairs = zip(texts, papers, strict=True)
    return sum(model.text(*paper) != text for text, paper in pairs) / len(texts)


def _change_papers(
    model: Model, splits: Splits, sample: Sample, rivals: Ints, seed: int
) -> dict[str, list[Paper]]:
    """Return the papers after each change; stuffing adds the keywords of the rival class."""
    changed = {name: changes.apply_change(name, sample.papers, seed) for name in changes.CHANGES}
    terms = evaluate.find_telling_terms(model, splits.file("validation"))
    keywords = [[term for term, _ in terms[model.classes[rival]]] for rival in rivals]
    for name, stuff in changes.STUFFINGS.items():
        pairs = zip(sample.papers, keywords, strict=True)
        changed[name] = [stuff(*paper, words) for paper, words in pairs]
    return changed


def _draw_rivals(model: Model, sample: Sample, seed: int) -> Ints:
    """Draw for each paper a class other than its label."""
    count = len(model.classes)
    papers = range(len(sample.truth))
    draws = [changes.rng_for(seed, RIVAL, number).random() for number in papers]
    others = [[x for x in range(count) if x != own] for own in sample.truth.tolist()]
    return np.array([x[int(draw * len(x))] for x, draw in zip(others, draws, strict=True)])


def _rival_shares(rivals: Ints, before: Predictions, after: Predictions) -> RivalShares:
    moved = after.labels == rivals
    return {
        "before": float((before.labels == rivals).mean()),
        "after": float(moved.mean()),
        "confidently": float((moved & after.confident).mean()),
    }


def _language_shares(model: Model, before: list[Paper], after: list[Paper]) -> LanguageShares:
    texts = [[model.text(*paper) for paper in side] for side in (before, after)]
    marked = [
        float(np.mean([text_traits(model, text).language != ENGLISH for text in side]))
        for side in texts
    ]
    words = changes.glossary_coverage([" ".join(paper) for paper in before])
    return {"words": words, "marked_before": marked[0], "marked_after": marked[1]}


def write_report(report: Report, folder: Path) -> None:
    """Write metrics.json, the pictures and the page, all of them or nothing.

    Raises:
        ShelfmarkError: the disk does not take them.
    """
    files.clear_leftovers(folder.parent)
    with files.atomic_folder(folder, replace=True) as aside:
        pictures = charts.draw_all(report, aside, folder.name)
        (aside / "metrics.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        (aside / "README.md").write_text(render_report(report, pictures), encoding="utf-8")
    logger.info("report: {}", folder / "README.md")
