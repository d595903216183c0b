"""The state of an unfinished harvest: read back as it was saved, also by an earlier version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from shelfmark.arxiv.harvest_store import HarvestState, SetProgress, open_store
from shelfmark.errors import ShelfmarkError

PROGRESS = SetProgress(
    "cs:cs:AI", "2026-11-01", "2026-11-02", "token", 1.5, "2026-11-03", False, "2026-11-20"
)
STATE = HarvestState("http://host/oai", [PROGRESS, SetProgress("stat", "2026-11-01", "2026-11-01")])


def test_a_saved_state_reads_back(tmp_path: Path) -> None:
    with open_store(tmp_path / "partial") as store:
        assert store.state() is None
        store.save(STATE, [])
        assert store.state() == STATE


def test_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    former = {
        "spec": "cs:cs:AI", "since": "2026-11-01", "start": "2026-11-02", "token": "token",
        "dies": 1.5, "reached": "2026-11-03", "ordered": False, "began": "2026-11-20",
        "done": False,
    }  # fmt: skip
    with open_store(tmp_path / "partial") as store:
        store.save(STATE, [])
    with closing(sqlite3.connect(tmp_path / "partial")) as connection, connection:
        content = orjson.dumps({"url": "http://host/oai", "walks": [former]})
        connection.execute("UPDATE place SET said = ?", (content,))
    with open_store(tmp_path / "partial") as store:
        assert store.state() == HarvestState("http://host/oai", [PROGRESS])


@pytest.mark.parametrize("content", [b"[", b"[]", b"{}", b'{"url": "x", "sets": [{"a": 1}]}'])
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    with open_store(tmp_path / "partial") as store:
        store.save(STATE, [])
    with closing(sqlite3.connect(tmp_path / "partial")) as connection, connection:
        connection.execute("UPDATE place SET said = ?", (content,))
    with (
        pytest.raises(ShelfmarkError, match="damaged .*; remove it to start again"),
        open_store(tmp_path / "partial") as store,
    ):
        store.state()
