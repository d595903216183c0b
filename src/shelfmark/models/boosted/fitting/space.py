"""The disk that a training needs, estimated and checked before it begins."""

from __future__ import annotations

import os

from shelfmark.config.schema import Config
from shelfmark.core import disk
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models.boosted.fitting.part_files import rows_bytes
from shelfmark.models.boosted.stacking import CrossFittedScores
from shelfmark.tfidf.corpus.learn import spilled_bytes

NEW_TERMS = 8  # that a paper adds to the vocabulary at most, where rare ones are left out
TERM_BYTES = 64  # of a term in the vocabulary: its text and its numbers


def require_space(
    config: Config,
    papers: int,
    columns: int,
    stack: CrossFittedScores | None,
    checkpoint: Checkpoint,
) -> None:
    """Check that the disk of a checkpoint takes what the training has still to write.

    Args:
        config: of the training.
        papers: the number of training papers.
        columns: the number of classes and of listed categories.
        stack: unfitted; None for no scores.
        checkpoint: whose files of an earlier run count as written.

    Raises:
        ShelfmarkError: the disk has less free space.
    """
    needed = disk_bytes(config, papers, columns, stack)
    written = sum(path.stat().st_size for path in checkpoint.folder.rglob("*") if path.is_file())
    disk.require_free(checkpoint.folder, max(needed - written, 0), "the training")


def disk_bytes(config: Config, papers: int, columns: int, stack: CrossFittedScores | None) -> int:
    """Return about how many bytes a training writes: counts, rows, models and the artifact."""
    most = NEW_TERMS * papers
    terms = min(config.features.max_terms or most, most)
    model, working = TERM_BYTES * terms, 0
    if stack is not None:
        fits = 1 + stack.count_folds(papers)[1]
        for _, scorer in stack.scorers:
            model += scorer.disk(terms, columns)
            working += scorer.working_disk(terms, fits, os.cpu_count() or 1)
    counts = rows = 0
    if config.engine.kind == "local":  # those of a cluster are on its workers
        counts, rows = spilled_bytes(papers), rows_bytes(papers)
    # The counts are removed before there are rows. The artifact repeats models of the checkpoint.
    return max(counts, rows + working + 2 * model)
