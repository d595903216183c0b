"""The answers of POST /search and GET /landscape, and their problems with invalid requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from shelfmark.arxiv import taxonomy
from shelfmark.search.filters import Filters
from shelfmark.search.index import Index
from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.app import create_app
from shelfmark.service.search.search_answers import SearchAnswer, SearchAnswers
from tests.support import hashed_encoder, indexes
from tests.support.indexed_service import index_state, metric, settings_of, wait_for_index
from tests.support.indexes import CATEGORIES, paper_records

PAPERS = 300
RECORDS = paper_records(range(PAPERS))
ABOUT = {"generation": 1, "papers": PAPERS, "encoder": "hashed"}
ABSTRACT = str(RECORDS[7]["abstract"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an index of 300 papers and its encoder."""
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        folder = tmp_path_factory.mktemp("indexed")
        indexes.save_encoder(folder)
        indexes.build(folder, RECORDS)
        yield folder
        indexes.close_all()


@pytest.fixture(scope="module")
def index(folder: Path) -> Index:
    """The index, opened by the test itself."""
    return indexes.open_index(indexes.index_settings(folder))


@pytest.fixture(scope="module")
def client(home: Path, folder: Path) -> Iterator[TestClient]:
    """A service that serves the index."""
    app = create_app(settings_of(home, folder))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_for_index(client)
        yield client


def search(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    SearchAnswer.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def expected(index: Index, query: SearchQuery) -> dict[str, Any]:
    [result] = index.search([query])
    content: dict[str, Any] = orjson.loads(orjson.dumps(result.to_json()))
    return content


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"text": "robot grasp depth"}, SearchQuery("robot grasp depth", explain=True)),
        ({"abstract": ABSTRACT, "k": 3, "nprobe": 64},
         SearchQuery(abstract=ABSTRACT, k=3, explain=True, effort=64)),
        ({"title": "Galaxies", "abstract": "star dust halo", "words": 0, "explain": False},
         SearchQuery(title="Galaxies", abstract="star dust halo", words=0)),
        ({"like": ["1501.00007", "1501.00008"], "unlike": ["1501.00009"], "k": 5},
         SearchQuery(like=("1501.00007", "1501.00008"), unlike=("1501.00009",), k=5,
                     explain=True)),
        ({"text": "https://arxiv.org/abs/1501.00007v2"},
         SearchQuery("https://arxiv.org/abs/1501.00007v2", explain=True)),
        ({"text": "robot", "category": ["physics"], "exclude": ["astro-ph"], "since": "2010-02",
          "until": "2010-08", "primary": True},
         SearchQuery("robot", explain=True, filters=Filters(
             ("physics",), ("astro-ph",), date(2010, 2, 1), date(2010, 8, 31), True))),
    ],
    ids=["text", "the earlier project's", "meaning alone", "papers", "address", "filters"],
)  # fmt: skip
def test_the_service_answers_as_the_index_does(
    client: TestClient, index: Index, body: dict[str, Any], query: SearchQuery
) -> None:
    found = search(client, **body)
    assert found == expected(index, query) | {"index": ABOUT}
    assert found["results"]


def test_a_list_has_the_answers_of_its_searches_and_the_errors_of_invalid_ones(
    client: TestClient,
) -> None:
    texts = [f"robot unique{number}" for number in range(0, 300, 6)]
    searches = [{"text": text, "k": 2} for text in texts]
    invalid = [{"text": ""}, 7, {"text": "a", "category": ["cs.RX"]}, {"text": "a", "k": 0}]
    answer = client.post("/search", json={"searches": [*searches[:3], *invalid, *searches[3:]]})
    assert answer.status_code == 200
    SearchAnswers.model_validate_json(answer.content)
    found = answer.json()
    assert found["index"] == ABOUT
    assert [entry["field"] for entry in found["searches"][3:7]] == [
        "searches.3", "searches.4", "searches.5.category.0", "searches.6.k",
    ]  # fmt: skip
    assert "did you mean cs.R" in found["searches"][5]["error"]
    valid = found["searches"][:3] + found["searches"][7:]
    for body, entry in zip(searches, valid, strict=True):
        alone = search(client, **body)
        del alone["index"]
        assert entry == alone


def test_a_list_of_invalid_searches_has_their_errors(client: TestClient) -> None:
    found = client.post("/search", json={"searches": [{}]}).json()
    error = "nothing to search for: give text, title and abstract, or like"
    assert found["searches"] == [{"error": error, "field": "searches.0"}]


def test_the_category_that_the_classifier_predicts_is_weighed_where_it_is_asked_for(
    client: TestClient,
) -> None:
    paper = {"title": "Grasping", "abstract": "We train a robot arm for grasping."}
    predicted = client.post("/predict", json=paper).json()
    assert search(client, **paper)["shelf"] is None
    shelf = search(client, **paper, shelf=0.5)["shelf"]
    assert (shelf["weight"], shelf["category"]) == (0.5, predicted["category"])
    assert shelf["probability"] == pytest.approx(predicted["confidence"], abs=1e-6)


def test_unknown_identifiers_are_named(client: TestClient) -> None:
    found = search(client, like=["1501.00007", "9901.00001"])
    assert found["unknown"] == ["9901.00001"]
    assert "1501.00007" not in [paper["id"] for paper in found["results"]]


def test_a_filter_that_no_paper_passes_is_named(client: TestClient) -> None:
    found = search(client, text="robot", since="2031")
    assert (found["results"], found["selected"]) == ([], 0)
    assert "2031" in found["note"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "body: nothing to search for: give text, title and abstract, or like"),
        ({"text": "a", "k": 0}, "k: should be at least 1"),
        ({"text": "a", "category": ["stats.ML"]},
         "category.0: no such category, archive or group; did you mean stat.ML?"),
        ({"text": "a", "since": "31.5.2018"},
         "since: should be a day, a month or a year: 2018-05-31, 2018-05 or 2018"),
        ({"text": "a", "txt": "b"}, "txt: no such key"),
        ({"text": "a", "words": 2}, "words: should be less than or equal to 1"),
        ([], "body: should be an object"),
    ],
)  # fmt: skip
def test_an_invalid_search_is_a_problem_that_names_its_field(
    client: TestClient, body: Any, detail: str
) -> None:
    answer = client.post("/search", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == detail.replace("less than or equal to", "at most")
    assert answer.json()["errors"][0]["field"] == detail.partition(": ")[0]


def test_bodies_are_bounded_as_those_of_predictions(client: TestClient) -> None:
    large = client.post("/search", content=b"x" * (2 << 20) + b"x")
    assert large.status_code == 413
    assert client.post("/search", content=b"text=a").status_code == 415
    many = client.post("/search", json={"text": "a", "like": [["x"] * 100_000]})
    assert many.status_code == 422
    assert "values" in many.json()["detail"]
    assert client.get("/search").status_code == 405


def test_searches_and_embeddings_require_the_api_key(home: Path, folder: Path) -> None:
    app = create_app(settings_of(home, folder, api_key=SecretStr("the key of the tests")))
    with TestClient(app) as client:
        wait_for_index(client)
        for path in ("/search", "/embed"):
            assert client.post(path, json={"text": "robot"}).status_code == 401
            headers = {"X-API-Key": "the key of the tests"}
            answer = client.post(path, json={"text": "robot"}, headers=headers)
            assert answer.status_code == 200


def test_answers_count_against_the_memory_budget(home: Path, folder: Path) -> None:
    with TestClient(create_app(settings_of(home, folder, buffer_bytes=20_000))) as client:
        wait_for_index(client)
        large = client.post("/search", json={"text": "robot", "k": 200})
        assert large.status_code == 503
        assert large.headers["retry-after"] == "1"
        assert client.post("/search", json={"text": "robot", "k": 2}).status_code == 200


def test_searches_are_counted(client: TestClient) -> None:
    names = [f'shelfmark_searches_total{{by="{by}"}}' for by in ("text", "papers", "refused")]
    names += ["shelfmark_search_seconds_count", "shelfmark_search_results_sum"]
    before = [metric(client, name) for name in names]
    client.post(
        "/search",
        json={"searches": [{"text": "robot", "k": 3}, {"like": ["1501.00007"], "k": 4}, {}]},
    )
    after = [metric(client, name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1, 2, 7]
    assert metric(client, "shelfmark_index_papers") == PAPERS
    assert metric(client, "shelfmark_index_generation") == 1


def test_the_state_shows_the_index(client: TestClient) -> None:
    assert index_state(client) == {"status": "ready", **ABOUT, "landscape": False}


NAMES = st.lists(st.sampled_from([*CATEGORIES, "cs", "physics", "math"]), max_size=3)
DAYS = st.dates(date(2009, 12, 1), date(2010, 12, 1)).map(str)


def passes(record: dict[str, Any], day: str, body: dict[str, Any]) -> bool:
    """Whether a paper passes filters, by the meaning of their words."""
    categories = record["categories"].split()

    def within(category: str, names: list[str]) -> bool:
        places = {category, taxonomy.archive_of(category), taxonomy.group_of(category)}
        return bool(places & set(names))

    wanted = categories[:1] if body["primary"] else categories
    return (
        (not body["category"] or any(within(one, body["category"]) for one in wanted))
        and not any(within(one, body["exclude"]) for one in categories)
        and body["since"] <= day <= body["until"]
    )


@settings(max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    category=NAMES, exclude=NAMES, days=st.tuples(DAYS, DAYS).map(sorted), primary=st.booleans(),
    words=st.sampled_from([0, 0.5]), k=st.integers(1, 40),
)  # fmt: skip
def test_any_filter_keeps_k_papers_while_so_many_pass_it(
    client: TestClient, category: list[str], exclude: list[str], days: list[str], primary: bool,
    words: float, k: int,
) -> None:  # fmt: skip
    body = {"category": category, "exclude": exclude, "since": days[0], "until": days[1],
            "primary": primary}  # fmt: skip
    passing = {
        record["id"]
        for number, record in enumerate(RECORDS)
        if passes(record, str(date.fromordinal(indexes.FIRST_DAY.toordinal() + number)), body)
    }
    found = search(client, text="robot star group market gene", k=k, words=words, **body)
    assert found["selected"] == len(passing)
    assert len(found["results"]) == min(k, len(passing))
    assert {paper["id"] for paper in found["results"]} <= passing
    assert bool(found["note"]) == (len(passing) < k)


def test_the_landscape_is_served_with_its_tag(home: Path, folder: Path) -> None:
    path = folder / "index" / "landscape.json"
    with TestClient(create_app(settings_of(home, folder))) as client:
        missing = client.get("/landscape")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/problem+json"
        try:
            content = orjson.dumps({"points": list(range(100_000))})
            path.write_bytes(content)
            first = client.get("/landscape")
            assert (first.content, first.headers["content-type"]) == (content, "application/json")
            tag = first.headers["etag"]
            again = client.get("/landscape", headers={"If-None-Match": f'"other", W/{tag}'})
            assert (again.status_code, again.content) == (304, b"")
            head = client.head("/landscape")
            assert head.headers["content-length"] == str(len(content))
            assert head.content == b""
            path.write_bytes(b"{}")
            changed = client.get("/landscape", headers={"If-None-Match": tag})
            assert (changed.status_code, changed.json()) == (200, {})
            assert changed.headers["etag"] != tag
        finally:
            path.unlink()
        path.mkdir()  # which is no file
        assert client.get("/landscape").status_code == 404
        path.rmdir()
