"""The answers of a model to the papers of a split, read and answered group by group."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Generator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from shelfmark.core import console, files, memory, parallel
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups, as_groups
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.models.confidence import Answers
from shelfmark.models.scope.detector import Evidence
from shelfmark.models.verdicts import are_short

BATCH = 2048  # papers
MODEL_BYTES = 500 << 20  # of memory, for a batch and what a process does not share with others
WORTH_SHARING = 4  # groups of papers: fewer do not repay the start of processes

Predicted = tuple[Floats, Floats, Array, Evidence | None]  # of the texts of a group


def predict_papers(
    model: Model, papers: PaperGroups | pa.Table, budget: int | None = None
) -> Answers:
    """Return the model's answers to papers, with the true labels.

    Several groups are shared among processes, which map the files of the model.

    Args:
        model: gives the answers.
        papers: with text, label and categories.
        budget: bytes of memory of all processes; None for half of what the machine has.

    Raises:
        ShelfmarkError: a file cannot be read, the disk does not take the model that the processes
            open, or one of them was killed.
    """
    groups, targets = as_groups(papers), model.targets
    total = sum(groups.groups)
    probabilities = np.empty((total, len(targets.classes)), np.float32)
    lists = np.empty((total, len(targets.listed)), np.float32)
    numbers: list[Ints] = []
    membership, named, among = [], [], []
    short, evidence = [], []
    row = 0
    with (
        console.progress("predicting", total) as bar,
        contextlib.closing(_predict_groups(model, groups, budget)) as predicted,
    ):
        for number, (own, others, brief, found) in enumerate(predicted):
            short.append(brief)
            evidence.append(found)
            probabilities[row : row + len(own)], lists[row : row + len(own)] = own, others
            row += len(own)
            table = groups.read_group(number, ["label", "categories"])
            numbers.append(targets.encode(table))
            membership.append(targets.membership(table))
            counts, hits = _compare_labels(targets, table, own)
            named.append(counts)
            among.append(hits)
            bar.advance(len(own))
    empty = np.zeros(0, np.int64)
    return Answers(
        targets.classes,
        probabilities,
        np.concatenate([empty, *numbers]),
        targets.listed,
        lists,
        np.concatenate([np.zeros((0, len(targets.listed)), np.uint8), *membership]),
        np.concatenate([empty, *named]).astype(np.int64),
        np.concatenate([empty, *among]).astype(np.bool_),
        np.concatenate([empty, *short]).astype(np.bool_),
        Evidence.join([one for one in evidence if one is not None]) if model.scope else None,
    )


def _compare_labels(
    targets: Targets, papers: pa.Table, probabilities: Floats
) -> tuple[list[int], list[bool]]:
    """Return how many labels each paper has, and whether the class given is one of them."""
    sets = targets.label_sets(papers)
    given = [targets.classes[best] for best in probabilities.argmax(axis=1)]
    hits = [name in names for name, names in zip(given, sets, strict=True)]
    return [len(names) for names in sets], hits


def _predict_groups(
    model: Model, groups: PaperGroups, budget: int | None
) -> Generator[Predicted, None, None]:
    """Yield what the model says of the papers of each group."""
    numbers = range(len(groups.groups))
    most = memory.budget_bytes(None) if budget is None else budget
    workers = memory.fitting_processes(most, MODEL_BYTES)
    if len(numbers) < WORTH_SHARING or workers < 2:
        for number in numbers:
            yield _predict_group(model, groups, number)
        return
    with tempfile.TemporaryDirectory(prefix="shelfmark-") as folder:
        opened = Path(folder) / model.version
        with files.report_write_errors(opened):
            opened.mkdir()
            artifact.write_files(model, opened)
        work = partial(_predict_in_process, opened, groups)
        yield from parallel.map_in_order(work, numbers, workers)


def _predict_group(model: Model, groups: PaperGroups, number: int) -> Predicted:
    texts = groups.read_group(number, ["text"])["text"].to_pylist()
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    own, others = (
        np.concatenate(blocks)
        for blocks in zip(*(model.probabilities(batch) for batch in batches), strict=True)
    )
    return own, others, are_short(texts), model.scope.weigh(texts) if model.scope else None


def _predict_in_process(folder: Path, groups: PaperGroups, number: int) -> Predicted:
    with threadpool_limits(1):  # the others have the other cores
        return _predict_group(_open_once(folder), groups, number)


@functools.cache
def _open_once(folder: Path) -> Model:
    """Return the model in a folder, which each process opens once."""
    return artifact.load(folder, threads=1)
