"""Tables of papers as the splits hold them, synthetic or of the sample, and fitted models."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.load import load_config
from shelfmark.data.sources import sample
from shelfmark.data.splits import SCHEMA
from shelfmark.models import artifact
from shelfmark.models.boosted.fitting.fit import fit_model
from shelfmark.models.card import ClassLabel, ModelCard

SETTINGS = (
    "features.min_df=1",
    "features.max_df=1.0",
    "model.n_jobs=1",
    "model.rounds=8",
    "model.learning_rate=0.3",
    "model.min_child_weight=1.0",
    "model.colsample_bytree=1.0",
)
# Every kind of model, as small as its parts allow.
KINDS = {
    "trees": ["model=xgboost"],
    "stacked": ["model=stacked", "model.stack.folds=3", "model.stack.min_listed=5"],
    "scores alone": ["model=stacked", "model.stack.folds=3", "features.chosen_terms=0"],
    "linear": ["model=linear"],
    "reranked": [
        "model=reranked",
        "model.stack.folds=3",
        "model.stack.min_listed=5",
        "model.stack.scorers.low_rank.size=8",
        "model.stack.scorers.low_rank.epochs=20",
        "model.stack.scorers.low_rank.hidden=8",
        "model.stack.scorers.low_rank.members=2",
        "model.candidates=3",
    ],
}


def silent(step: int, losses: dict[str, float]) -> None:
    """Ignore the losses."""


def table(
    labels: Sequence[str],
    texts: Sequence[str] | None = None,
    categories: Sequence[Sequence[str]] | None = None,
) -> pa.Table:
    """Return papers of these labels, each filed under its label alone unless another is given."""
    columns = {
        "text": pa.array(texts or [""] * len(labels), pa.string()),
        "label": pa.array(labels, pa.string()),
        "categories": pa.array(categories or [[x] for x in labels], pa.list_(pa.string())),
    }
    return pa.table(columns)


@functools.cache
def papers(count: int) -> pa.Table:
    """Return so many papers of the sample; their labels are categories such as cs.CL."""
    made = [paper for _, paper in sample.read_records(None, count)]
    return table(
        [paper.categories[0] for paper in made],
        [join_texts(clean_text(paper.title), clean_text(paper.abstract)) for paper in made],
        [paper.categories for paper in made],
    )


@functools.cache
def rows_of_splits(count: int) -> pa.Table:
    """Return so many papers of the sample with every column that the splits have."""
    made = [paper for _, paper in sample.read_records(None, count)]
    titles, abstracts = ([clean_text(getattr(x, name)) for x in made]
                         for name in ("title", "abstract"))  # fmt: skip
    columns: dict[str, Any] = {
        "id": [paper.id for paper in made],
        "title": titles,
        "abstract": abstracts,
        "text": [join_texts(*pair) for pair in zip(titles, abstracts, strict=True)],
        "label": [paper.categories[0] for paper in made],
        "categories": [paper.categories for paper in made],
        "submitted": [None] * len(made),
    }
    return pa.Table.from_pydict(columns, SCHEMA)


def fit(train: pa.Table, validation: pa.Table, *overrides: str) -> artifact.Model:
    """Return a model fitted on tables as `shelfmark train` fits one, quickly."""
    settings = load_config([*SETTINGS, *overrides])
    fitted = fit_model(settings, train, validation, silent)
    card = ModelCard(
        name="small",
        config=settings.model_dump(mode="json"),
        classes=[ClassLabel(label, full_name(label)) for label in fitted.classes],
        listed=list(fitted.targets.listed),
        details=fitted.details,
    )
    return artifact.Model(fitted.classifier, card)
