"""The answers to papers that a model was not trained on, from which its verdicts are learnt."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shelfmark.config.schema import PredictConfig
from shelfmark.data.splits import Splits, TableGroups
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.strangers import made_papers
from shelfmark.models import confidence
from shelfmark.models.artifact import Model
from shelfmark.models.card import Thresholds
from shelfmark.models.limits import Seen, choose_limits
from shelfmark.models.scope.fit import sample_papers

MOST_TITLES = 5000  # papers of which the title alone is answered too


def answer_validation(model: Model, splits: Splits, budget: int | None) -> Seen:
    """Return the answers of a model to the papers of validation, and to what is none of its papers.

    Args:
        model: without thresholds.
        splits: of the data that it was trained on.
        budget: bytes of memory of all processes; None for half of what the machine has.
    """
    papers = splits.file("validation")
    titles = sample_papers(papers, MOST_TITLES, model.card.config["seed"])
    titles = titles.filter(pa.array(np.array(titles["title"].to_pylist()) != ""))
    alone = titles.append_column("text", titles["title"])
    return Seen(
        predict_papers(model, papers, budget),
        predict_papers(model, alone, budget),
        predict_papers(model, splits.outside("validation"), budget),
        predict_papers(model, TableGroups(made_papers(model, splits, "validation")), budget),
    )


def choose_thresholds(seen: Seen, config: PredictConfig) -> Thresholds:
    """Choose on validation how answers are graded, and when a cross-list is suggested."""
    limits = choose_limits(seen, config.min_precision, config.likely_precision)
    own, threshold = seen.own, None
    if own.listed:
        threshold = confidence.list_threshold(own.lists, own.membership, own.others)
    confident_from = limits.primary.confident_from()
    return Thresholds(config.min_precision, confident_from, threshold, limits)
