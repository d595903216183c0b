"""A prediction log in a bucket, read as one in a folder."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pandas as pd
import pytest

from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.monitoring import shipping, windows
from tests.support.logs import line, write


def test_a_log_in_a_bucket_reads_as_one_here(model: Model, tmp_path: Path, gcs: str) -> None:
    now = time.time()
    write(tmp_path / "a.jsonl", *(line(model, now - x) for x in range(5)))
    write(tmp_path / "b.jsonl", line(model, now, model="other"))
    here = windows.from_log(str(tmp_path), model.card, "1d", 10)
    assert shipping.ship_log(tmp_path, f"{gcs}/logs") == 2
    there = windows.from_log(f"{gcs}/logs", model.card, "1d", 10)
    pd.testing.assert_frame_equal(there.rows, here.rows)
    assert there.left_out == here.left_out == {"another model": 1}
    one = windows.from_log(f"{gcs}/logs/a.jsonl", model.card, "1d", 10)
    pd.testing.assert_frame_equal(one.rows, here.rows)
    filesystem, path = storage.filesystem_for(f"{gcs}/kept.log")
    filesystem.pipe_file(path, orjson.dumps(line(model, now)) + b"\n")
    assert len(windows.from_log(f"{gcs}/kept.log", model.card, "1d", 10).rows) == 1
    with pytest.raises(ShelfmarkError, match=r"gs://bucket/nothing: does not exist"):
        windows.from_log(f"{gcs}/nothing", model.card, "", 10)
