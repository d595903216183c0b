"""What a report says of data and models: splits, the models compared, and where each errs."""

from __future__ import annotations

from typing import Any

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.data.splits import SPLITS
from shelfmark.reports.collect import Run, Runs
from shelfmark.reports.tables import ANY, code, folded, made, mark, number, pictures, table

LINEAR = "linear SVM"
MANY = 20  # rows, from which on a table is folded
FIGURES = {
    "accuracy": "accuracy",
    "standard_error": "standard error",
    "top3": "top-3",
    "top5": "top-5",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "confident_share": "coverage at threshold",
    "confident_precision": "selective accuracy",
}
PAIRS = {
    "one_for_other": "first taken for second",
    "other_for_one": "second for first",
    "share": "share of the papers of both",
}
SYNTHETIC = " (synthetic papers)"


def title(run: Run) -> str:
    """Return a heading's words on whom a run is about."""
    return code(run.model) + SYNTHETIC * bool(run.figures.get("synthetic"))


def data(runs: Runs) -> list[str]:
    """Return the section on the papers that the models learnt from and were measured on."""
    lines = ["## Data", ""]
    for run in runs.data:
        card = run.figures
        which = code(run.name.removeprefix("data-")) + SYNTHETIC * card["synthetic"]
        models = ", ".join(map(code, card["models"]))
        days = card["submitted"]
        lines += [
            f"### {which}",
            "",
            mark(run.name, f"{run.name}/submitted"),
            "",
            f"Read by {models}. Of {card['read']:,} papers in the source {card['kept']:,} were "
            f"kept, submitted from {days['first']} to {days['last']}.",
            "",
            *_dropped(run),
            *_labels(run),
            *made(run),
        ]
    return lines if runs.data else []


def _dropped(run: Run) -> list[str]:
    rows = [[code(why), f"{count:,}"] for why, count in run.figures["dropped"].items()]
    if not rows:
        return ["Nothing was dropped.", ""]
    return table([f"{run.name}/dropped"], ["dropped"], {ANY: "papers"}, rows)


def _labels(run: Run) -> list[str]:
    card = run.figures
    labels = sorted({label for counts in card["labels"].values() for label in counts})
    rows = [
        [code(label), full_name(label), *(f"{card['labels'][x].get(label, 0):,}" for x in SPLITS)]
        for label in labels
    ]
    splits = [[code(x), f"{card['splits'][x]:,}"] for x in SPLITS]
    heads = {split: split for split in SPLITS}
    return [
        *table([f"{run.name}/splits"], ["split"], {ANY: "papers"}, splits),
        *_shown("Papers of each label", ["label", "name"], heads, rows, f"{run.name}/labels"),
    ]


def compared(runs: Runs) -> list[str]:
    """Return the section with one row for each model, and one for the baseline beside it."""
    if not runs.evaluations:
        return []
    rows, sources = [], []
    for run in runs.evaluations:
        figures, training = run.figures, runs.trainings.get(run.model)
        seconds = training.figures["seconds"].get("total") if training else None
        note = SYNTHETIC * figures["synthetic"]
        cells = [number(figures.get(key)) for key in FIGURES]
        rows.append([code(run.model) + note, f"{figures['papers']:,}", *cells,
                     number(seconds, ",.0f")])  # fmt: skip
        sources += [run.name, *([f"{training.name}/seconds"] if training else [])]
        if (linear := figures["baselines"].get(LINEAR)) is not None:
            cells = [number(linear.get(key)) for key in FIGURES]
            rows.append([f"{code(LINEAR)} beside {code(run.model)}", "", *cells, ""])
            sources.append(f"{run.name}/baselines")
    heads = {"papers": "papers", **FIGURES, "total": "seconds to train"}
    lines = ["## Models compared", "",
             "Each on the test split of its own data, in shares of the papers; log loss in nats.",
             "", *table(sources, ["model"], heads, rows)]  # fmt: skip
    for run in runs.evaluations:
        lines += made(*([runs.trainings[run.model]] if run.model in runs.trainings else []), run)
    return lines


def errors(runs: Runs) -> list[str]:
    """Return the section on where each model errs: pictures, classes, pairs of classes."""
    lines = ["## Confusion and calibration", ""] if runs.evaluations else []
    for run in runs.evaluations:
        lines += [f"### {title(run)}", "", *pictures(run, code(run.model).strip("`")),
                  *_classes(run), *_pairs(run), *made(run)]  # fmt: skip
    return lines


def _classes(run: Run) -> list[str]:
    rows = [
        [code(label), full_name(label), *(f"{one[x]:.3f}" for x in ("precision", "recall", "f1")),
         f"{one['papers']:,}"]
        for label, one in run.figures["per_class"].items()
    ]  # fmt: skip
    heads = {"precision": "precision", "recall": "recall", "f1": "F1", "papers": "papers"}
    source = f"{run.name}/per_class"
    return _shown("Figures of each class", ["class", "name"], heads, rows, source)


def _pairs(run: Run) -> list[str]:
    found: list[dict[str, Any]] = run.figures.get("confused", [])
    if not found:
        return []
    rows = [
        [f"{code(one['one'])}, {code(one['other'])}", f"{one['one_for_other']:,}",
         f"{one['other_for_one']:,}", f"{one['share']:.3f}"]
        for one in found
    ]  # fmt: skip
    return [
        "#### What cannot be told apart",
        "",
        "The pairs of classes that are taken for one another most often.",
        "",
        *table([f"{run.name}/confused"], ["pair"], PAIRS, rows),
    ]


def _shown(
    summary: str, words: list[str], numbers: dict[str, str], rows: list[list[str]], source: str
) -> list[str]:
    """Return a table, folded where it is long."""
    lines = table([source], words, numbers, rows)
    return folded(summary, lines) if len(rows) > MANY else lines
