"""The answers of POST /embed, and which encoder gives them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from shelfmark.embeddings import artifact
from shelfmark.service.app import create_app
from shelfmark.service.search.embed_messages import Embedding, Embeddings
from tests.support import hashed_encoder
from tests.support.indexed_service import settings_of
from tests.support.moments import until

TEXTS = ["We train a robot arm.", "Star formation in a galaxy with dust."]
WHOLE, CUT = 64, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two encoders, the second of which is the latest, and no index."""
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        folder = tmp_path_factory.mktemp("encoders")
        for name, seed in (("first", 1), ("second", 2)):
            settings = hashed_encoder.make_settings(size=WHOLE, seed=seed)
            hashed_encoder.save_encoder(
                folder / "encoders", TEXTS, name, sizes=[CUT], settings=settings
            )
        yield folder


@pytest.fixture(scope="module")
def client(home: Path, folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings_of(home, folder))) as client:
        until(lambda: client.post("/search", json={"text": "a"}).status_code == 404)
        yield client


def vectors_of(folder: Path, texts: list[str], size: int = WHOLE, name: str = "second") -> Any:
    encoder = artifact.load(folder / "encoders" / name)
    return encoder.encode([encoder.text("", text) for text in texts], size)


def test_a_text_has_the_vector_of_the_latest_encoder(client: TestClient, folder: Path) -> None:
    answer = client.post("/embed", json={"text": TEXTS[0]})
    Embedding.model_validate_json(answer.content)
    found = answer.json()
    digest = artifact.read_card(folder / "encoders" / "second").digest
    assert {name: found[name] for name in ("encoder", "digest", "size")} == {
        "encoder": "second", "digest": digest, "size": WHOLE,
    }  # fmt: skip
    assert np.array_equal(np.float32(found["vector"]), vectors_of(folder, TEXTS)[0])


def test_base64_holds_the_bytes_of_floats(client: TestClient, folder: Path) -> None:
    body = {"papers": [{"text": text} for text in TEXTS], "encoding": "base64"}
    answer = client.post("/embed", json=body)
    Embeddings.model_validate_json(answer.content)
    vectors = [np.frombuffer(base64.b64decode(one), "<f4") for one in answer.json()["vectors"]]
    assert np.array_equal(vectors, vectors_of(folder, TEXTS))


def test_title_and_abstract_are_one_text(client: TestClient, folder: Path) -> None:
    paper = {"title": "Robots", "abstract": TEXTS[0]}
    found = client.post("/embed", json=paper).json()["vector"]
    encoder = artifact.load(folder / "encoders" / "second")
    text = encoder.text(paper["title"], paper["abstract"])
    assert np.array_equal(np.float32(found), encoder.encode([text])[0])


def test_vectors_are_cut_to_a_size_of_the_encoder(client: TestClient, folder: Path) -> None:
    found = client.post("/embed", json={"text": TEXTS[0], "size": CUT}).json()
    assert found["size"] == CUT
    assert np.array_equal(np.float32(found["vector"]), vectors_of(folder, TEXTS, CUT)[0])
    wrong = client.post("/embed", json={"text": TEXTS[0], "size": 17})
    assert wrong.status_code == 422
    problem = "size 17: vectors of this encoder have 16, 64 numbers"
    assert wrong.json()["errors"] == [{"field": "size", "problem": problem}]


def test_a_list_has_its_vectors_in_order_and_the_errors_of_invalid_papers(
    client: TestClient, folder: Path
) -> None:
    papers = [{"text": TEXTS[0]}, {"text": " "}, {"text": TEXTS[1]}, [], {"txt": ""}]
    found = client.post("/embed", json={"papers": papers}).json()["vectors"]
    assert np.array_equal(np.float32([found[0], found[2]]), vectors_of(folder, TEXTS))
    error = "no text: give text, or title and abstract"
    assert found[1] == {"error": error, "field": "papers.1"}
    assert [found[3]["field"], found[4]["field"]] == ["papers.3", "papers.4.txt"]
    one = client.post("/embed", json={"papers": [{"text": ""}]}).json()
    assert one["vectors"] == [{"error": error, "field": "papers.0"}]


@pytest.mark.parametrize(
    "body",
    [{}, {"text": ""}, {"text": "a", "title": "b"}, {"text": "a", "encoding": "int8"},
     {"text": "a", "size": 0}, {"text": "a", "papers": [{"text": "a"}]}, {"papers": []},
     {"papers": [{"text": "a"}] * 65}, {"text": "x" * 50_001}],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_an_invalid_request_is_a_problem(client: TestClient, body: Any) -> None:
    answer = client.post("/embed", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_settings_choose_the_encoder(home: Path, folder: Path) -> None:
    with TestClient(create_app(settings_of(home, folder, encoder="first"))) as client:
        found = client.post("/embed", json={"text": TEXTS[0]}).json()
    assert found["encoder"] == "first"
    wanted = vectors_of(folder, TEXTS, name="first")[0]
    assert np.array_equal(np.float32(found["vector"]), wanted)


def test_a_service_without_an_encoder_says_so(home: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_of(home, tmp_path))) as client:
        until(lambda: client.post("/search", json={"text": "a"}).status_code == 404)
        answer = client.post("/embed", json={"text": "a"})
        assert answer.status_code == 404
        assert "shelfmark train-encoder" in answer.json()["detail"]


def test_an_encoder_that_does_not_open_is_tried_again(home: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_of(home, tmp_path, encoder="first"))) as client:
        refused = client.post("/embed", json={"text": "a"})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert str(tmp_path) not in refused.text
        with pytest.MonkeyPatch.context() as patch:
            hashed_encoder.register(patch)
            hashed_encoder.save_encoder(tmp_path / "encoders", TEXTS, "first")
            until(lambda: client.post("/embed", json={"text": "a"}).status_code == 200)
