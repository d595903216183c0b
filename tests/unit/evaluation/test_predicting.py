"""Answers to the papers of a split: group by group, by this process and by others alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shelfmark.data import splits
from shelfmark.data.splits import SplitFile, read_rows
from shelfmark.evaluation import predicting
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.models import artifact

PAPERS, GROUP = 60, 13


@pytest.fixture
def file(model: artifact.Model, tmp_path: Path) -> SplitFile:
    """Papers in five row groups."""
    whole = splits.open_splits(Path(model.card.data.folder))
    path = tmp_path / "test.parquet"
    pq.write_table(whole.read("test").slice(0, PAPERS), path, row_group_size=GROUP)
    return SplitFile(path, whole.schema)


def test_processes_answer_as_this_process_does(
    model: artifact.Model, file: SplitFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert len(file.groups) >= predicting.WORTH_SHARING
    shared = predict_papers(model, file)
    alone = predict_papers(model, file.read())
    np.testing.assert_allclose(shared.probabilities, alone.probabilities, atol=1e-6)
    np.testing.assert_allclose(shared.lists, alone.lists, atol=1e-6)
    assert shared.given == alone.given
    for name in ("targets", "membership", "named", "among"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(alone, name))


def test_the_truth_is_that_of_the_papers(model: artifact.Model, file: SplitFile) -> None:
    table, answers = file.read(), predict_papers(model, file.read())
    sets = model.targets.label_sets(table)
    pairs = list(zip(answers.given, sets, strict=True))
    assert answers.targets.tolist() == model.targets.encode(table).tolist()
    assert answers.among.tolist() == [name in names for name, names in pairs]
    assert answers.others.tolist() == [len(names - {name}) for name, names in pairs]
    assert (answers.membership == model.targets.membership(table)).all()


def test_rows_are_read_from_the_groups_that_hold_them(
    file: SplitFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []
    read = SplitFile.read_group
    monkeypatch.setattr(
        SplitFile,
        "read_group",
        lambda self, number, columns: numbers.append(number) or read(self, number, columns),
    )
    rows = np.array([3, 5, GROUP * 3, PAPERS - 1])
    assert read_rows(file, rows, ["id"]).equals(file.read(["id"]).take(rows))
    assert read_rows(file, rows[:0], ["id"]).num_rows == 0
    assert numbers == [0, 3, 4, 0]
