"""The service, asked over HTTP as a real server process, and in-process for its edges."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark import answers, artifact, service
from shelfmark.sources import sample

ROBOT = "We train a robot arm for grasping with motion planning."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int, **env: str) -> subprocess.Popen[str]:
    """Start the service as `inv serve` does, in a folder with models."""
    serve = f"service.serve('127.0.0.1', {port}, '')"
    code = f"from shelfmark import console, service; console.set_up(); {serve}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=home,
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[httpx.Client]:
    port = free_port()
    process = start(home, port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        wait_until_ready(process, client)
        yield client
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert "serving quick" in log or "serving again" in log
    assert "Traceback" not in log


def wait_until_ready(process: subprocess.Popen[str], client: httpx.Client) -> None:
    for _ in range(600):
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the service did not come up in a minute")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    settings = service.Settings(models=home / "models", model="quick")
    with TestClient(service.create_app(settings), raise_server_exceptions=False) as client:
        yield client


def test_one_text(server: httpx.Client) -> None:
    answer = server.post("/predict", json={"text": ROBOT}).json()
    assert answer["category"] == "cs.RO"
    assert answer["name"] == "Robotics"
    assert (answer["archive"], answer["group"]) == ("cs", "cs")
    assert 0 < answer["confidence"] <= 1
    assert len(answer["ranking"]) == 5
    assert answer["ranking"][0]["probability"] == answer["confidence"]
    assert answer["model"] in ("quick", "again")


def test_the_service_answers_as_the_command_line_does(
    client: TestClient, model: artifact.Model
) -> None:
    papers = [(paper.title, paper.abstract) for _, paper in sample.records(None, 30)]
    body = {"papers": [{"title": title, "abstract": text} for title, text in papers], "top_k": 3}
    given = client.post("/predict", json=body).json()["predictions"]
    wanted = answers.answer(model, papers, top_k=3)
    assert given == [{**one, "model": "quick"} for one in wanted]
    assert any(one["cross_lists"] for one in given)
    assert {one["confident"] for one in given} == {True, False}


def test_title_and_abstract_and_lists_agree(server: httpx.Client) -> None:
    paper = {"title": "Grasping", "abstract": ROBOT}
    one = server.post("/predict", json=paper).json()
    many = server.post(
        "/predict", json={"papers": [paper, {"text": "a galaxy"}], "top_k": 2}
    ).json()
    assert many["predictions"][0]["category"] == one["category"]
    assert many["predictions"][0]["confidence"] == one["confidence"]
    assert many["predictions"][1]["category"] == "astro-ph.GA"
    assert len(many["predictions"][1]["ranking"]) == 2


def test_health_ready_and_the_card(server: httpx.Client) -> None:
    assert server.get("/health").json() == {"status": "alive"}
    assert server.get("/ready").json()["status"] == "ready"
    card = server.get("/model").json()
    assert {"label": "cs.RO", "name": "Robotics"} in card["classes"]
    assert card["data"]["synthetic"] is True
    assert "folder" not in card["data"]
    assert server.get("/docs").status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "body", "no text: give text, or title and abstract"),
        ({"text": "  "}, "body", "no text"),
        ({"text": 3}, "text", "valid string"),
        ({"text": "a", "title": "b"}, "body", "not both"),
        ({"text": "a", "papers": [{"text": "b"}]}, "body", "give one paper, or papers"),
        ({"papers": []}, "papers", "at least 1"),
        ({"papers": [{"text": "a"}] * 257}, "papers", "at most 256"),
        ({"papers": [{"text": "a"}, {"text": ""}]}, "papers.1", "no text"),
        ({"text": "a", "top_k": 0}, "top_k", "greater than or equal to 1"),
        ({"text": "a", "model_path": "/etc"}, "model_path", "not permitted"),
        ({"text": "x" * 50_001}, "text", "at most 50000"),
        ([1], "body", "valid dictionary"),
    ],
)
def test_what_is_not_understood_is_a_problem_that_names_the_field(
    client: TestClient, body: Any, field: str, problem: str
) -> None:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == 422
    assert field in [error["field"] for error in found["errors"]]
    assert problem in found["detail"]


def test_broken_json_is_a_problem(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=b"{broken", headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/predict", 405)])
def test_other_errors_are_problems_too(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_announced_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    answer = server.post("/predict", content=b"x" * (service.MAX_BODY + 1))
    assert answer.status_code == 413
    assert answer.json()["title"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_streamed_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(service.MAX_BODY // 65_536 + 2):
            yield b"x" * 65_536
        yield b'"}'

    headers = {"content-type": "application/json"}
    answer = server.post("/predict", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert server.post("/predict", json={"text": ROBOT}).status_code == 200


def test_a_failure_inside_tells_nothing_of_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(service.answers, "answer", fail)
    answer = client.post("/predict", json={"text": ROBOT})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "text", ["a\\u0000b", "\\u202eright to left", "\\\\alpha $x$", "\\u00e9" * 2000]
)
def test_text_as_it_comes(client: TestClient, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=f'{{"text": "{text}"}}'.encode(), headers=headers)
    assert answer.status_code == 200


def test_a_start_without_a_model_says_what_to_run(tmp_path: Path) -> None:
    process = start(tmp_path, free_port())
    _, log = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "no model in models/latest: train one with inv train" in log.replace("\\", "/")
    assert "Traceback" not in log


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to finish on")
def test_sigterm_ends_it_cleanly_and_port_is_obeyed(home: Path) -> None:
    port = free_port()
    process = start(home, 0, PORT=str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(process, client)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log


def test_a_model_name_is_never_a_path() -> None:
    with pytest.raises(ValueError, match="pattern"):
        service.Settings(model="../elsewhere")


def test_half_a_character_is_not_understood(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=b'{"text": "\\ud800"}', headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "text"
