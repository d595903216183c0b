"""The evaluator of a fine-tuning: titles of validation papers look up their abstracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shelfmark.config.encoders import SentenceConfig
from shelfmark.embeddings.sentence.pairs import Papers
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )

NAME = "validation"
METRIC = f"{NAME}_cosine_ndcg@10"  # as the evaluator returns it


def choose_rows(papers: Papers, config: SentenceConfig, seed: int) -> list[int]:
    """Return the papers of an evaluation, in random order: the first ones give the titles.

    Raises:
        ShelfmarkError: fewer than two papers have a title and an abstract.
    """
    rows = [row for row, both in enumerate(zip(papers.titles, papers.abstracts, strict=True))
            if all(both)]  # fmt: skip
    if len(rows) < 2:
        raise ShelfmarkError("an evaluation needs two validation papers with title and abstract")
    shuffled = np.random.default_rng([seed, 1]).permutation(rows)
    return [int(row) for row in shuffled[: config.pool]]


def make_evaluator(
    papers: Papers, rows: list[int], config: SentenceConfig
) -> InformationRetrievalEvaluator:
    """Return the evaluator, whose key of nDCG@10 is `METRIC` whatever model it evaluates.

    Args:
        papers: of the validation split.
        rows: the papers to look among, from `choose_rows`.
        config: of the training.
    """
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )
    from sentence_transformers.util import cos_sim

    queries = rows[: config.queries]
    return InformationRetrievalEvaluator(
        queries={str(row): papers.title(row) for row in queries},
        corpus={str(row): papers.abstract(row) for row in rows},
        relevant_docs={str(row): {str(row)} for row in queries},
        score_functions={"cosine": cos_sim},
        main_score_function="cosine",
        batch_size=config.batch,
        name=NAME,
        write_csv=False,
    )
