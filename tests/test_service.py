"""The service, asked over HTTP as a real server process, and in-process for its edges."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from shelfmark import answers, artifact, batching, prediction_log, service, settings
from shelfmark.settings import Settings
from shelfmark.sources import sample
from tests.conftest import ROOT
from tests.serving import ROBOT, free_port, log_of, running, start, wait_until_ready


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[httpx.Client]:
    with running(home) as client:
        yield client


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    chosen = Settings(models=str(home / "models"), model="quick", admin_key=SecretStr("admin"))
    with TestClient(service.create_app(chosen), raise_server_exceptions=False) as client:
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
    assert given == [json.loads(json.dumps({**one, "model": "quick"})) for one in wanted]
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
        ({"papers": [{"text": "a"}] * 257}, "papers", "at most 256 papers"),
        ({"text": "a", "top_k": 0}, "top_k", "greater than or equal to 1"),
        ({"text": "a", "model_path": "/etc"}, "model_path", "not permitted"),
        ({"text": "x" * 50_001}, "text", "at most 50000 characters"),
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
    assert answer.json()["errors"] == [
        {"field": "body", "problem": "not JSON, from character 1 on"}
    ]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/predict", 405)])
def test_other_errors_are_problems_too(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_announced_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    answer = server.post("/predict", content=b"x" * (Settings().max_body_bytes + 1))
    assert answer.status_code == 413
    assert answer.json()["title"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_streamed_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(Settings().max_body_bytes // 65_536 + 2):
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

    monkeypatch.setattr(batching, "answer_each", fail)
    answer = client.post("/predict", json={"text": ROBOT})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "text", ["a\\u0000b", "\\u202eright to left", "\\\\alpha $x$", "\\u00e9" * 2000, "x" * 50_000]
)
def test_text_as_it_comes(client: TestClient, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=f'{{"text": "{text}"}}'.encode(), headers=headers)
    assert answer.status_code == 200


def test_a_start_without_a_model_says_what_to_run(tmp_path: Path) -> None:
    process = start(tmp_path, free_port())
    assert process.wait(timeout=120) == 1
    (log,) = tmp_path.glob("serve-*.log")
    assert log.read_text() == "error: no model in models/latest: train one with inv train\n"


def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    process = start(tmp_path, free_port(), SHELFMARK_MAX_PAPERS="many")
    assert process.wait(timeout=120) == 1
    (log,) = tmp_path.glob("serve-*.log")
    assert log.read_text().startswith("error: SHELFMARK_MAX_PAPERS: ")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to finish on")
def test_sigterm_ends_it_cleanly_and_port_is_obeyed(home: Path) -> None:
    port = free_port()
    process = start(home, 0, PORT=str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(process, client)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in log_of(home, port).read_text()


def test_a_model_name_is_never_a_path() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Settings(model="../elsewhere")


def test_half_a_character_is_not_understood(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    for field in ("text", "primary"):
        body = {"text": "a robot"} | {field: "\ud800"}
        answer = client.post("/predict", content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


def test_a_bad_paper_of_a_list_has_its_own_error_and_the_others_their_answers(
    client: TestClient,
) -> None:
    papers = [{"text": ROBOT}, {"text": " "}, 3, {"text": "a", "year": 1}, {"title": "x" * 50_001}]
    given = client.post("/predict", json={"papers": papers}).json()["predictions"]
    assert given[0]["category"] == "cs.RO"
    assert [one["field"] for one in given[1:]] == [
        "papers.1", "papers.2", "papers.3.year", "papers.4.title",
    ]  # fmt: skip
    assert all(set(one) == {"error", "field"} for one in given[1:])
    only_bad = client.post("/predict", json={"papers": [{}]})
    assert only_bad.json()["predictions"][0]["error"].startswith("no text")


def test_the_authors_own_category_is_compared_and_the_others_ranked(client: TestClient) -> None:
    body = {"text": ROBOT, "primary": "cs.RO", "top_k": 2}
    agrees = client.post("/predict", json=body).json()["primary"]
    assert (agrees["known"], agrees["agrees"], agrees["rank"]) == (True, True, 1)
    assert "cs.RO" not in [rank["category"] for rank in agrees["others"]]
    assert len(agrees["others"]) == 2
    body["primary"] = "quant-ph"
    answer = client.post("/predict", json=body).json()
    other = answer["primary"]
    assert (other["known"], other["agrees"], other["name"]) == (True, False, "Quantum Physics")
    assert other["rank"] > 1
    assert other["others"][0] == answer["ranking"][0]
    body["primary"] = "no.such"
    unknown = client.post("/predict", json=body).json()["primary"]
    assert (unknown["known"], unknown["agrees"], unknown["rank"]) == (False, False, None)
    assert unknown["probability"] is None


def test_an_explanation_adds_up_and_tells_where_the_words_stand(client: TestClient) -> None:
    answer = client.post("/predict", json={"text": ROBOT, "explain": True}).json()
    why = answer["why"]
    assert why["category"] == answer["category"]
    total = why["base"] + sum(word["weight"] for word in why["words"]) + why["rest"]
    assert total == pytest.approx(why["margin"])
    (start, end), *_ = next(w for w in why["words"] if w["word"] == "robot")["places"]
    assert why["text"][start:end] == "robot"


def test_every_answer_has_a_request_id_and_security_headers(client: TestClient) -> None:
    for path in ("/health", "/nothing", "/", "/page/page.css"):
        answer = client.get(path)
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    given = client.get("/health", headers={"X-Request-ID": "mine-1"})
    assert given.headers["x-request-id"] == "mine-1"
    forged = client.get("/health", headers={"X-Request-ID": "two words"})
    assert len(forged.headers["x-request-id"]) == 32
    assert client.get("/page/..%2Fservice.py").status_code == 404


def test_the_counters_are_those_of_what_was_asked(client: TestClient) -> None:
    def count(line: str) -> float:
        page = client.get("/metrics").text.splitlines()
        return sum(float(x.rpartition(" ")[2]) for x in page if x.startswith(line))

    line = 'shelfmark_requests_total{method="POST",route="/predict",status="200"}'
    before = count(line), count("shelfmark_papers_total")
    client.post("/predict", json={"papers": [{"text": ROBOT}, {"text": ""}]})
    assert (count(line), count("shelfmark_papers_total")) == (before[0] + 1, before[1] + 2)
    assert 'shelfmark_model{version="quick"} 1.0' in client.get("/metrics").text


def test_another_version_is_loaded_by_who_has_the_admin_key(home: Path, client: TestClient) -> None:
    def load(version: str, key: str | None = "admin") -> Any:
        headers = {} if key is None else {"X-Admin-Key": key}
        return client.post("/load", json={"version": version}, headers=headers)

    for key in (None, "", "wrong", "admin2"):
        assert load("quick", key).status_code == 401
    assert load("quick").json() == {"status": "ready", "model": "quick"}
    missing = load("nothing-here")
    assert missing.status_code == 409
    assert str(home) not in missing.text
    assert load("../quick").status_code == 422
    assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "quick"


def test_without_an_admin_key_nothing_is_loaded(server: httpx.Client) -> None:
    answer = server.post("/load", json={"version": "quick"}, headers={"X-Admin-Key": ""})
    assert answer.status_code == 404


def test_an_api_key_is_asked_for_where_one_is_set(home: Path) -> None:
    chosen = Settings(models=str(home / "models"), model="quick", api_key=SecretStr("kéy"))
    with TestClient(service.create_app(chosen)) as client:
        assert client.get("/ready").status_code == 200
        answer = client.post("/predict", json={"text": ROBOT})
        assert answer.status_code == 401
        assert answer.json()["title"] == "Unauthorized"
        wrong = client.post("/predict", json={"text": ROBOT}, headers={"X-API-Key": "key"})
        assert wrong.status_code == 401
        headers = {b"X-API-Key": "kéy".encode()}
        assert client.post("/predict", json={"text": ROBOT}, headers=headers).status_code == 200


def test_other_sites_may_ask_only_if_they_are_listed(home: Path, client: TestClient) -> None:
    here = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in client.get("/health", headers=here).headers
    chosen = Settings(
        models=str(home / "models"), model="quick", cors_origins=["https://example.org"]
    )
    with TestClient(service.create_app(chosen)) as listed:
        allowed = listed.get("/health", headers=here).headers["access-control-allow-origin"]
        assert allowed == "https://example.org"
        other = listed.get("/health", headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


def test_models_of_a_bucket_are_served_and_the_latest_is_the_one_its_file_names(
    home: Path,
) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.put(f"{home}/models/quick", "/shelf/quick", recursive=True)
    bucket.pipe_file("/shelf/latest", b"quick\n")
    with TestClient(service.create_app(Settings(models="memory://shelf"))) as client:
        assert client.get("/ready").json()["model"] == "quick"
        assert client.post("/predict", json={"text": ROBOT}).json()["category"] == "cs.RO"


def test_every_setting_is_told_in_the_documents() -> None:
    told = settings.table()
    for name in Settings.model_fields:
        if name not in ("port", "runtime"):
            assert f"`SHELFMARK_{name.upper()}`" in told
    assert "`PORT`" in told
    assert told in (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def test_answers_are_kept_where_there_is_a_log_and_texts_only_if_asked_for(
    home: Path, tmp_path: Path
) -> None:
    for texts in (False, True):
        folder = tmp_path / str(texts)
        chosen = Settings(
            models=str(home / "models"), model="quick", log_folder=folder, log_texts=texts
        )
        with TestClient(service.create_app(chosen)) as client:
            body = {"papers": [{"text": ROBOT}, {"text": ""}]}
            client.post("/predict", json=body, headers={"X-Request-ID": "r1"})
        (file,) = folder.glob("*.jsonl")
        (line,) = prediction_log.read(file)
        assert (line["request_id"], line["model"], line["category"]) == ("r1", "quick", "cs.RO")
        assert (line["words"], line["language"]) == (9, "en")
        assert 0 < sum(line["probabilities"].values()) <= 1
        assert line.get("text") == (ROBOT if texts else None)


def test_a_log_without_a_folder_to_write_in_is_one_line(home: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    process = start(home, port := free_port(), SHELFMARK_LOG_FOLDER=str(taken))
    assert process.wait(timeout=120) != 0
    log = log_of(home, port).read_text()
    assert "Traceback" not in log
    assert str(taken) in log


@pytest.fixture(scope="module")
def strict(home: Path) -> Iterator[httpx.Client]:
    """A service that works on one request at a time, and on none for long."""
    limits = {"SHELFMARK_MAX_IN_FLIGHT": "1", "SHELFMARK_REQUEST_SECONDS": "2"}
    with running(home, **limits) as client:
        yield client


def test_beyond_its_limit_it_is_busy_and_says_when_to_come_again(strict: httpx.Client) -> None:
    body = {"papers": [{"text": ROBOT}] * 64}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: strict.post("/predict", json=body), range(40)))
        alive = strict.get("/health")
    assert alive.status_code == 200
    found = {answer.status_code for answer in answers}
    assert found == {200, 503}
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert busy.headers["retry-after"] == "1"
    assert busy.headers["content-type"] == "application/problem+json"
    assert strict.post("/predict", json=body).status_code == 200


def test_a_body_that_never_ends_and_an_answer_that_takes_too_long_are_given_up(
    strict: httpx.Client,
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
    with socket.create_connection((strict.base_url.host, strict.base_url.port)) as slow:
        slow.sendall(head)
        slow.settimeout(20)
        assert slow.recv(4096).startswith(b"HTTP/1.1 504 ")
    long = {"papers": [{"text": ROBOT * 100}] * 256, "explain": True}
    late = strict.post("/predict", json=long)
    assert late.status_code == 504
    assert late.json()["detail"] == "The answer took too long."
