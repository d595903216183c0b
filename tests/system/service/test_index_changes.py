"""Several workers follow the changes of an index, and so do those that replace killed ones."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support import hashed_encoder, indexes
from tests.support.indexed_service import PAPERS, PYTHONPATH, REGISTER, Searchers, add_numbers
from tests.support.indexes import paper_records
from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.serving import free_port, log_of, start, wait_until_ready, workers_of

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are looked up in /proc, and Windows has no signals"
)


def test_all_workers_follow_the_index_without_a_failed_request(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_encoder.register(monkeypatch)
    indexes.save_encoder(tmp_path)
    indexes.build(tmp_path, paper_records(range(PAPERS)))
    port = free_port()
    process = start(
        home, port, "'quick'", "2", before=REGISTER, PYTHONPATH=PYTHONPATH,
        SHELFMARK_INDEX=str(tmp_path / "index"), SHELFMARK_ENCODERS=str(tmp_path / "encoders"),
        SHELFMARK_REQUEST_SECONDS=str(FOREVER),
    )  # fmt: skip
    log, address = log_of(home, port), f"http://127.0.0.1:{port}"

    def served(generation: int) -> int:
        return log.read_text().count(f"generation {generation},")

    try:
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            wait_until_ready(process, client)
            until(lambda: served(1) == 2)
            with Searchers(address) as searchers:
                for generation in (2, 3):
                    papers = searchers.papers[generation - 1]
                    searchers.papers[generation] = papers + 3
                    add_numbers(tmp_path, range(papers, papers + 3))
                    until(lambda: served(generation) == 2)  # noqa: B023
                    searchers.wait_for_answers(10)
            assert searchers.check() == {1, 2, 3}
            os.kill(min(workers_of(process)), signal.SIGKILL)
            until(lambda: served(3) == 3)
            papers_of = f"shelfmark_index_papers {PAPERS + 6}.0"
            until(lambda: papers_of in client.get("/metrics").text)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE)
    assert status == 0
    assert "Traceback" not in log.read_text()
