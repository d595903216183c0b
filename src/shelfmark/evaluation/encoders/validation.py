"""The figures of an encoder on validation papers, for the record of its training and for sweeps."""

from __future__ import annotations

import re

import pyarrow as pa

from shelfmark.arxiv.text import Maths
from shelfmark.core.output.tables import Table
from shelfmark.embeddings.protocol import Encoder
from shelfmark.evaluation.encoders.samples import Sample
from shelfmark.evaluation.encoders.subjects import Subject, encode_parts
from shelfmark.evaluation.encoders.tasks import POOL, list_tasks, needed_rows

# The figures by the names of tasks and metrics, with their names for people. Unlike the keys of a
# report they do not name the size of the pool, which is smaller where validation is.
FIGURES = {
    "known_item_mrr": "known item MRR",
    "known_item_r1": "known item R@1",
    "known_item_r10": "known item R@10",
    "half_mrr": "half finds half MRR",
    "same_shelf_p10": "same shelf P@10",
    "same_shelf_mrr10": "same shelf MRR@10",
}
TASKS = {"title": "known_item", "half": "half", "same_shelf": "same_shelf"}  # as figures name them
SIZE = re.compile(r"_\d+$")  # of the pool, in the names of tasks


def measure_validation(
    encoder: Encoder, papers: pa.Table, maths: Maths, pool: int = POOL
) -> dict[str, float]:
    """Return the means of the `FIGURES` that the papers allow.

    Args:
        encoder: of any family.
        papers: rows of the validation split.
        maths: what the texts do with formulas.
        pool: of papers that a title is searched among, at most `POOL`.

    Raises:
        ShelfmarkError: a vector is not finite, or neither of unit length nor zero.
    """
    sample = Sample(papers, maths)
    tasks = {SIZE.sub("", task.name): task for task in list_tasks(sample, min(pool, POOL))}
    tasks = {TASKS[name]: task for name, task in tasks.items() if name in TASKS}
    subject = Subject("validation", encoder.encode, encoder.encode, encoder.size, None)
    vectors = encode_parts(subject, sample, needed_rows(list(tasks.values())))
    found = {
        key.replace(task.name, name): float(scores.mean())
        for name, task in tasks.items()
        for key, scores in task.scores(vectors.of(task.queries), vectors.of(task.pool))
    }
    return {key: found[key] for key in FIGURES if key in found}


def figures_table(figures: dict[str, float]) -> Table:
    """Return the figures of `measure_validation` as rows with their names for people."""
    rows = [[FIGURES[key], f"{value:.3f}"] for key, value in figures.items()]
    return Table(("", "validation"), rows)
