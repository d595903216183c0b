"""The features of validation: by this process and by others the same."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from shelfmark.core import memory
from shelfmark.data import splits
from shelfmark.data.splits import SplitFile
from shelfmark.models import artifact
from shelfmark.models.boosted.fitting import validation
from shelfmark.models.boosted.fitting.validation import ValidationPapers

PAPERS, GROUP = 60, 13


def test_processes_transform_as_this_process_does(
    model: artifact.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    whole = splits.open_splits(Path(model.card.data.folder))
    path = tmp_path / "validation.parquet"
    pq.write_table(whole.read("validation").slice(0, PAPERS), path, row_group_size=GROUP)
    held = ValidationPapers.of(SplitFile(path, whole.schema), model.targets)
    assert len(held.kept) >= validation.WORTH_SHARING
    steps = model.classifier.pipeline.steps[:-1]
    alone = held.transform(steps, 0)
    shared = held.transform(steps, memory.used_bytes() + (8 << 30))
    assert alone.shape == shared.shape
    assert alone.shape[0] == len(held.targets) == len(held.texts(slice(None)))
    assert held.texts(slice(None, None, 3)) == held.texts(slice(None))[::3]
    np.testing.assert_array_equal(alone.indptr, shared.indptr)
    np.testing.assert_array_equal(alone.indices, shared.indices)
    np.testing.assert_allclose(alone.data, shared.data, atol=1e-5)


def test_blocks_are_stacked_and_freed() -> None:
    matrix = sp.random(30, 9, 0.3, "csr", np.float32, np.random.default_rng(0))
    blocks = [matrix[:7], matrix[7:7], matrix[7:]]
    stacked = validation.stack_rows(blocks)
    assert blocks == []
    assert (stacked != matrix).nnz == 0
    assert stacked.dtype == np.float32
