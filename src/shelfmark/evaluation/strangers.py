"""Texts that are no papers of a model: papers of other labels, and made texts."""

from __future__ import annotations

import pyarrow as pa

from shelfmark.data.splits import Splits
from shelfmark.models.artifact import Model
from shelfmark.models.scope.fit import made_of, sample_papers

MOST_MADE = 6000  # texts


def made_papers(model: Model, splits: Splits, split: str) -> pa.Table:
    """Return texts that are no abstracts, made from papers of a split; their kinds are the labels.

    Args:
        model: that is to answer them; only its configuration is read.
        splits: of the data that it was trained on.
        split: name of the split.
    """
    config = model.card.config
    maths, seed = config["data"]["maths"], config["seed"]
    own, other = (
        sample_papers(papers, MOST_MADE, seed)
        for papers in (splits.file(split), splits.outside(split))
    )
    made = made_of(pa.concat_tables([own, other]), MOST_MADE, maths, seed, split)
    nothing = pa.array([[]] * len(made.texts), pa.list_(pa.string()))
    return pa.table({"text": made.texts, "label": made.labels, "categories": nothing})
