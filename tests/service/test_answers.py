"""The answers of the service, and its problems with invalid requests."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import httpx2 as httpx
import orjson
import pytest
from fastapi.testclient import TestClient

from shelfmark.data.sources import sample
from shelfmark.models import answers, artifact
from shelfmark.service import batching
from tests.conftest import ROOT
from tests.support.serving import ROBOT


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
    papers = [(paper.title, paper.abstract) for _, paper in sample.read_records(None, 30)]
    body = {"papers": [{"title": title, "abstract": text} for title, text in papers], "top_k": 3}
    given = client.post("/predict", json=body).json()["predictions"]
    wanted = answers.answer_papers(model, papers, top_k=3)
    assert given == [
        orjson.loads(orjson.dumps(one.to_json() | {"model": "quick"})) for one in wanted
    ]
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


def test_the_documentation_needs_no_other_host(server: httpx.Client) -> None:
    response = server.get("/docs")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    parts = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert len(parts) == 5
    assert [part for part in parts if not part.startswith("./")] == []
    for part in parts:
        assert server.get(f"/{part}").status_code == 200


def test_swagger_ui_is_of_the_version_and_the_digests_that_its_readme_names() -> None:
    folder = ROOT / "src" / "shelfmark" / "service" / "swagger"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `([\w.-]+)` \| `(\w{64})` \|$", readme, re.MULTILINE))
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del files["README.md"]
    assert files == named
    assert {"swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"} <= set(files)


def test_a_file_that_a_browser_has_is_not_sent_again(server: httpx.Client) -> None:
    for path in ("/", "/docs", "/page/swagger-ui-bundle.js"):
        first = server.get(path)
        assert len(first.content) == int(first.headers["content-length"])
        tag = first.headers["etag"]
        for known in (tag, f'"other", W/{tag}'):
            again = server.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
        assert server.get(path, headers={"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "body", "no text: give text, or title and abstract"),
        ({"text": "\u00ad\u200b"}, "body", "no text: give text, or title and abstract"),
        ({"text": "  "}, "body", "no text"),
        ({"text": 3}, "text", "should be text"),
        ({"text": "a", "title": "b"}, "body", "not both"),
        ({"text": "a", "papers": [{"text": "b"}]}, "body", "give one paper, or papers"),
        ({"papers": []}, "papers", "at least 1"),
        ({"papers": [{"text": "a"}] * 257}, "papers", "at most 256 papers"),
        ({"text": "a", "top_k": 0}, "top_k", "should be at least 1"),
        ({"text": "a", "model_path": "/etc"}, "model_path", "no such key"),
        ({"text": "x" * 50_001}, "text", "at most 50,000 characters"),
        ([1], "body", "should be an object"),
    ],
)
def test_an_invalid_request_is_a_problem_that_names_the_field(
    client: TestClient, body: Any, field: str, problem: str
) -> None:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    result = answer.json()
    assert result["status"] == 422
    assert field in [error["field"] for error in result["errors"]]
    assert problem in result["detail"]


def test_broken_json_is_a_problem(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=b"{broken", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "body", "problem": "invalid JSON at character 1"}]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/predict", 405)])
def test_other_errors_are_problems_too(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_internal_error_reveals_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(batching, "answer_queries", fail)
    answer = client.post("/predict", json={"text": ROBOT})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "text", ["a\\u0000b", "\\u202eright to left", "\\\\alpha $x$", "\\u00e9" * 2000, "x" * 50_000]
)
def test_unusual_text_is_classified(client: TestClient, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/predict", content=f'{{"text": "{text}"}}'.encode(), headers=headers)
    assert answer.status_code == 200


def test_an_unpaired_surrogate_is_invalid(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    for field in ("text", "primary"):
        body = {"text": "a robot"} | {field: "\ud800"}
        answer = client.post("/predict", content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


def test_an_invalid_paper_of_a_list_gets_an_error_and_the_others_their_answers(
    client: TestClient,
) -> None:
    papers = [{"text": ROBOT}, {"text": " "}, 3, {"text": "a", "year": 1}, {"title": "x" * 50_001}]
    given = client.post("/predict", json={"papers": papers}).json()["predictions"]
    assert given[0]["category"] == "cs.RO"
    assert [one["field"] for one in given[1:]] == [
        "papers.1", "papers.2", "papers.3.year", "papers.4.title",
    ]  # fmt: skip
    assert all(set(one) == {"error", "field"} for one in given[1:])
    assert given[2]["error"] == "should be an object"
    only_bad = client.post("/predict", json={"papers": [{}]})
    assert only_bad.json()["predictions"][0]["error"].startswith("no text")


def test_the_authors_category_is_compared_and_the_others_ranked(client: TestClient) -> None:
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


def test_an_explanation_adds_up_and_locates_its_words(client: TestClient) -> None:
    answer = client.post("/predict", json={"text": ROBOT, "explain": True}).json()
    why = answer["why"]
    assert why["category"] == answer["category"]
    total = why["base"] + sum(word["weight"] for word in why["words"]) + why["rest"]
    assert total == pytest.approx(why["margin"])
    (start, end), *_ = next(w for w in why["words"] if w["word"] == "robot")["places"]
    assert why["text"][start:end] == "robot"
