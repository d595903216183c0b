"""The bodies of POST /search: what they ask of the index, and what is refused."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shelfmark.search.filters import Filters
from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.messages import InvalidFieldError
from shelfmark.service.search.search_messages import SearchRequest
from shelfmark.service.settings import Settings

SETTINGS = Settings()


def queries(
    body: dict[str, Any], settings: Settings = SETTINGS
) -> list[SearchQuery | InvalidFieldError]:
    return SearchRequest.model_validate(body).queries(settings, {"cs.ZZ"})


def refusal(body: dict[str, Any], settings: Settings = SETTINGS) -> tuple[str, str]:
    with pytest.raises(InvalidFieldError) as caught:
        queries(body, settings)
    return caught.value.field, caught.value.problem


def test_a_text_alone_has_the_defaults() -> None:
    assert queries({"text": "robots"}) == [SearchQuery(text="robots", explain=True)]


def test_the_body_of_the_earlier_project_is_a_search() -> None:
    [query] = queries({"abstract": "We train robots.", "k": 5, "nprobe": 64})
    assert query == SearchQuery(abstract="We train robots.", k=5, effort=64, explain=True)


def test_every_field_reaches_the_index() -> None:
    [query] = queries(
        {
            "title": "Robots", "abstract": "We train.", "like": ["2201.00001"],
            "unlike": ["math/0211000"], "k": 1000, "category": ["CS.ro", "physics", "cs.zz"],
            "exclude": ["cmp-lg", "cs.CL"], "since": "2018", "until": "2020-02", "primary": True,
            "words": 0.25, "shelf": 1, "explain": False, "nprobe": 8,
        }
    )  # fmt: skip
    filters = Filters(
        ("cs.RO", "physics", "cs.ZZ"), ("cs.CL",), date(2018, 1, 1), date(2020, 2, 29), True
    )
    assert query == SearchQuery(
        "", "Robots", "We train.", ("2201.00001",), ("math/0211000",), 1000, filters, 0.25, 1.0,
        False, 8,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({}, "body", "nothing to search for: give text, title and abstract, or like"),
        ({"text": " \n"}, "body", "nothing to search for: give text, title and abstract, or like"),
        ({"unlike": ["2201.00001"]}, "body",
         "nothing to search for: give text, title and abstract, or like"),
        ({"text": "a", "title": "b"}, "body", "give text, or title and abstract, not both"),
        ({"text": "x" * 50_001}, "text", "should have at most 50,000 characters"),
        ({"text": "\ud800"}, "text", "contains a surrogate without its pair"),
        ({"like": ["a", ""]}, "like", "should have identifiers of papers"),
        ({"text": "a", "category": ["cs.RO", "stats.ML"]}, "category.1",
         "no such category, archive or group; did you mean stat.ML?"),
        ({"text": "a", "exclude": ["ü"]}, "exclude.0", "no such category, archive or group"),
        ({"text": "a", "since": "last year"}, "since",
         "should be a day, a month or a year: 2018-05-31, 2018-05 or 2018"),
        ({"text": "a", "until": "2018-02-30"}, "until",
         "no such day; it should be a day, a month or a year: 2018-05-31, 2018-05 or 2018"),
        ({"text": "a", "since": "2019", "until": "2018"}, "until", "is before since"),
        ({"text": "a", "searches": [{"text": "a"}]}, "body",
         "give one search, or searches, not both"),
        ({"k": 5, "searches": [{"text": "a"}]}, "body", "give one search, or searches, not both"),
        ({"searches": [{"text": "a"}] * 65}, "searches", "should have at most 64 entries"),
        ({"searches": [{"text": "a" * 50_000}] * 21}, "searches",
         "should have at most 1,000,000 characters in all texts together"),
        ({"searches": [{"text": "a", "k": 1000}] * 3}, "searches",
         "asks for 3,000 papers, but at most 2,000 are returned"),
    ],
)  # fmt: skip
def test_a_wrong_search_names_its_field(body: dict[str, Any], field: str, problem: str) -> None:
    assert refusal(body) == (field, problem)


@pytest.mark.parametrize(
    "body",
    [{"k": 0}, {"k": 1001}, {"k": 1.5}, {"k": None}, {"words": -0.1}, {"words": 1.1},
     {"words": float("nan")}, {"shelf": 2}, {"nprobe": 0}, {"category": "cs.RO"},
     {"category": ["x" * 65]}, {"category": ["cs"] * 201}, {"like": ["1"] * 101},
     {"like": ["x" * 201]}, {"like": [2201.00001]}, {"since": 2018}, {"primary": "perhaps"},
     {"unlike": ["\ud800"]}, {"exclude": ["\ud800"]}, {"txt": "a"},
     {"searches": []}, {"searches": {}}, {"filters": {}}],
    ids=str,
)  # fmt: skip
def test_a_value_out_of_its_bounds_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SearchRequest.model_validate({"text": "a"} | body)


def test_fewer_results_may_be_allowed() -> None:
    few = Settings(max_results=50)
    assert refusal({"text": "a", "k": 51}, few)[0] == "k"
    assert len(queries({"searches": [{"text": "a"}] * 5}, few)) == 5
    assert refusal({"searches": [{"text": "a"}] * 6}, few)[0] == "searches"


def test_an_invalid_search_of_a_list_has_its_own_error() -> None:
    found = queries(
        {"searches": [{"text": "a"}, {"text": "b", "k": 0}, 7, {"text": ""}, {"txt": 1},
                      {"text": "a", "since": "x"}, {"like": ["2201.00001"], "k": 3}]}
    )  # fmt: skip
    assert found[0] == SearchQuery(text="a", explain=True)
    assert found[6] == SearchQuery(like=("2201.00001",), k=3, explain=True)
    errors = [(one.field, one.problem) for one in found if isinstance(one, InvalidFieldError)]
    assert errors == [
        ("searches.1.k", "should be at least 1"),
        ("searches.2", "should be a mapping"),
        ("searches.3", "nothing to search for: give text, title and abstract, or like"),
        ("searches.4.txt", "no such key"),
        ("searches.5.since", "should be a day, a month or a year: 2018-05-31, 2018-05 or 2018"),
    ]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=64))
def test_a_list_is_accepted_exactly_if_it_asks_for_few_enough_papers(counts: list[int]) -> None:
    body = {"searches": [{"text": "a", "k": count} for count in counts]}
    if sum(counts) > SETTINGS.max_results:
        assert refusal(body)[0] == "searches"
    else:
        found = queries(body)
        assert [one.k for one in found if isinstance(one, SearchQuery)] == counts
