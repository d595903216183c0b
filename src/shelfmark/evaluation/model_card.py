"""The model card: what a person should know before trusting a model, as Markdown in its folder.

The sections are those of Mitchell et al., "Model Cards for Model Reporting" (2019). All figures are
of validation: the test split is measured once, on request.
"""

from __future__ import annotations

import re
from typing import Any

from shelfmark import __version__
from shelfmark.core.output.tables import Table
from shelfmark.core.pages import render
from shelfmark.evaluation.records import FIGURES, ClassScores, ConfusedPair, Scores
from shelfmark.models.card import ModelCard
from shelfmark.models.families import family_of

CONFUSED_PAIRS = 5
NAMED_FILES = 20
WEAKEST_CLASSES = 5
UNKNOWN_SPAN = {"first": "an unknown day", "last": "an unknown day"}
SOURCES = {
    "sample": "synthetic papers made by the project",
    "snapshot": "arXiv's metadata, https://www.kaggle.com/datasets/Cornell-University/arxiv",
    "csv": "a CSV file of arXiv papers",
}


def render_model_card(card: ModelCard, scores: Scores) -> str:
    """Return the page.

    Args:
        card: of the model, with its thresholds.
        scores: on validation.
    """
    data = card.data
    return render(
        "evaluation/templates/model_card.md",
        card=card,
        config=card.config,
        scores=scores,
        source=SOURCES.get(data.source, data.source),
        files=_files(data.sources or []),
        papers=", ".join(f"{count:,} {split}" for split, count in data.papers.items()),
        submitted=data.submitted or UNKNOWN_SPAN,
        figures=_figure_table(scores).markdown(),
        classes=_class_table(scores.per_class, card).markdown(),
        outside=(data.outside or {}).get("train", 0),
        promises=_promise_lines(card, scores),
        weakest=_weakest(scores.per_class),
        confused=_confused(scores.confused),
        version=__version__,
        commit=card.git_commit or "unknown",
        technique=family_of(card.kind).description,
    )


def _files(sources: list[dict[str, Any]]) -> str:
    """Return the names of several files with their counts, as a cell of a table."""
    named = [
        f"`{' '.join(re.sub('[`|]', ' ', one['file']).split())}` "
        f"({one['kept']:,} of {one['read']:,} records)"
        for one in sources[:NAMED_FILES]
    ]
    more = len(sources) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _figure_table(scores: Scores) -> Table:
    rows = [
        [FIGURES[name], f"{value:.4f}"]
        for name, value in scores.headline().items()
        if value is not None
    ]
    return Table(("", ""), rows)


def _class_table(per_class: dict[str, ClassScores], card: ModelCard) -> Table:
    limits = card.limits.confident_from
    rows = [
        [label, card.name_of(label), *(f"{x:.3f}" for x in (row.precision, row.recall, row.f1)),
         f"{row.papers:,}", _threshold(limits[label])]
        for label, row in per_class.items()
    ]  # fmt: skip
    columns = ("class", "name", "precision", "recall", "F1", "papers", "sure from")
    return Table(columns, rows, text_columns=2)


def _promise_lines(card: ModelCard, scores: Scores) -> list[str]:
    """Return a sentence for each verdict: what it promises, and how often it is given."""
    questions = {"primary": "name the primary category", "listed": "name a category of the paper"}
    return [
        f"**{one.verdict}**: {one.promised:.0%} of such answers {questions[one.question]}; on "
        f"validation {one.kept:.1%} did, {one.share:.0%} of the papers"
        for one in scores.promises
        if one.kept is not None
    ]


def _threshold(limit: float | None) -> str:
    return "never" if limit is None or limit > 1 else f"{limit:.3f}"


def _weakest(per_class: dict[str, ClassScores]) -> str:
    weak = sorted(per_class.items(), key=lambda pair: pair[1].f1)[:WEAKEST_CLASSES]
    return ", ".join(f"{label} ({row.f1:.2f})" for label, row in weak)


def _confused(pairs: list[ConfusedPair]) -> str:
    return "; ".join(
        f"{pair.one} and {pair.other} ({pair.share:.0%} of their papers)"
        for pair in pairs[:CONFUSED_PAIRS]
    )
