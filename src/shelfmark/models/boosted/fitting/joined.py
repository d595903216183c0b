"""The features of the trees: cross-fitted scores of linear models beside the chosen terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Ints
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models.boosted.features import ChosenTerms, FastFeatureUnion, Steps, join_blocks
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine
from shelfmark.models.boosted.fitting.rows import Mask, TrainingRows
from shelfmark.models.boosted.stacking import CrossFittedScores, PaperScores


@dataclass(frozen=True)
class JoinedFeatures:
    """The fitted parts, and the features of the training papers that the trees learn from.

    Args:
        union: scores and chosen terms, fitted.
        papers: the numbers of the papers, rising.
        features: shape (papers, columns), float32; the scores come first.
    """

    union: FastFeatureUnion
    papers: Ints
    features: sp.csr_matrix


def fit_joined(
    chosen: int | None,
    stack: CrossFittedScores | None,
    rows: TrainingRows,
    checkpoint: Checkpoint,
    engine: Engine = LOCAL,
) -> JoinedFeatures:
    """Fit the stack's scores and the choice of terms on the rows of the training papers.

    Args:
        chosen: how many terms, None for all.
        stack: unfitted; None for no scores.
        rows: of the papers.
        checkpoint: where what is finished is kept.
        engine: fits the stack's models.
    """
    parts: Steps = []
    blocks = []
    papers = np.arange(rows.shape[0])
    if stack is not None:
        scored: PaperScores = stack.fit_rows(rows, checkpoint, engine)
        papers = scored.papers
        blocks.append(scored.scores)
        parts.append(("scores", stack))
    if chosen != 0:
        best = ChosenTerms(min(chosen or rows.shape[1], rows.shape[1])).fit_rows(rows)
        blocks.append(_transform(best, rows, papers))
        parts.append(("terms", best))
    return JoinedFeatures(FastFeatureUnion(parts), papers, join_blocks(blocks))


def _transform(best: ChosenTerms, rows: TrainingRows, papers: Ints) -> sp.csr_matrix:
    """Return the chosen terms of some papers, in their order."""
    wanted: Mask = np.zeros(rows.shape[0], np.bool_)
    wanted[papers] = True
    numbers, blocks = [], []
    for block in rows.blocks():
        block = block.select(wanted)
        numbers.append(block.papers)
        blocks.append(best.transform(block.features))
    order = np.argsort(np.concatenate(numbers))
    return sp.csr_matrix(sp.vstack(blocks, format="csr")[order])
