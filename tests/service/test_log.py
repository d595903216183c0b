"""The prediction log of a running service."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark.monitoring import prediction_log
from shelfmark.service.app import create_app
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE, until
from tests.support.serving import ROBOT, free_port, log_of, start, wait_until_ready, workers_of


def test_answers_are_logged_and_texts_only_on_request(home: Path, tmp_path: Path) -> None:
    for texts in (False, True):
        folder = tmp_path / str(texts)
        chosen = Settings(
            models=str(home / "models"), model="quick", log_folder=folder, log_texts=texts
        )
        with TestClient(create_app(chosen)) as client:
            body = {"papers": [{"text": ROBOT, "id": "2401.00001"}, {"text": ""}]}
            answer = client.post("/predict", json=body, headers={"X-Request-ID": "r1"})
        assert answer.json()["predictions"][0]["id"] == "2401.00001"
        (file,) = folder.glob("*.jsonl")
        (line,) = prediction_log.read_lines(file)
        assert (line["request_id"], line["model"], line["category"]) == ("r1", "quick", "cs.RO")
        assert (line["words"], line["language"], line["id"]) == (9, "en", "2401.00001")
        assert 0 < sum(line["probabilities"].values()) <= 1
        assert line.get("text") == (ROBOT if texts else None)


def test_an_unwritable_log_folder_is_one_line(home: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    process = start(home, port := free_port(), SHELFMARK_LOG_FOLDER=str(taken))
    assert process.wait(timeout=PATIENCE) != 0
    log = log_of(home, port).read_text()
    assert "Traceback" not in log
    assert str(taken) in log


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit() sets the limits of another process")
def test_a_full_disk_drops_lines_that_are_counted_and_no_answer(home: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    folder = tmp_path / "log"
    port = free_port()
    process = start(home, port, SHELFMARK_LOG_FOLDER=str(folder))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            wait_until_ready(process, client)

            def asked(wanted: str) -> None:
                assert client.post("/predict", json={"text": ROBOT}).status_code == 200
                until(lambda: wanted in client.get("/metrics").text)

            asked('shelfmark_log_lines{outcome="written"} 1.0')
            (worker,) = workers_of(process)
            soft = resource.prlimit(worker, resource.RLIMIT_FSIZE)
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (1, soft[1]))
            asked('shelfmark_log_lines{outcome="dropped"} 1.0')
            resource.prlimit(worker, resource.RLIMIT_FSIZE, soft)
            asked('shelfmark_log_lines{outcome="written"} 2.0')
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    lines = [line for file in folder.glob("*.jsonl") for line in prediction_log.read_lines(file)]
    assert [line["category"] for line in lines] == ["cs.RO", "cs.RO"]
