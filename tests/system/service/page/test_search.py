"""The search of papers: its results, its filters, its weights, and the address that holds them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Open, ask
from tests.support.moments import PATIENCE

ROBOT = "a robot arm for grasping with motion planning"
Searched = Callable[..., dict[str, Any]]


@pytest.fixture
def page(visit: Open, searching: str) -> Page:
    return visit(f"{searching}/#search")


@pytest.fixture(scope="session")
def answered(searching: str) -> Searched:
    """Returns what the service answers to a search."""

    def search(**body: Any) -> dict[str, Any]:
        response = httpx.post(f"{searching}/search", json=body, timeout=PATIENCE)
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer

    return search


def look_for(page: Page, text: str) -> None:
    page.get_by_label("Papers about").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("#search-status")).to_contain_text("result")


def expect_results(page: Page, answer: dict[str, Any]) -> None:
    """Expect the papers of an answer on the page, in their order."""
    titles = [hit["title"] for hit in answer["results"]]
    expect(page.locator(".hit h3")).to_have_text(titles)


def remove(page: Page, text: str) -> None:
    page.locator(".chip", has_text=text).get_by_role("button").click()


def test_results_are_those_of_the_service(page: Page, answered: Searched) -> None:
    look_for(page, ROBOT)
    answer = answered(text=ROBOT)
    expect_results(page, answer)
    assert len(answer["results"]) == 10
    expect(page.locator("#search-status")).to_contain_text("10 results among 594 papers, in ")
    for entry, hit in zip(page.locator(".hit").all(), answer["results"], strict=True):
        day = date.fromisoformat(hit["submitted"])
        expect(entry.locator(".authors")).to_have_text(hit["authors"])
        expect(entry.locator(".spine")).to_have_text(hit["category"])
        expect(entry.locator("time")).to_have_text(f"{day:%b} {day.day}, {day.year}")
        expect(entry.locator(".similarity")).to_have_text(f"similarity {hit['similarity']:.2f}")
        abstract = entry.locator(".abstract")
        expect(abstract).to_be_hidden()
        expect(abstract).to_have_text(hit["abstract"])
        for name, address in (("arXiv", hit["url"]), ("PDF", hit["pdf"])):
            link = entry.get_by_role("link", name=f"{name}: {hit['title']}")
            expect(link).to_have_attribute("href", address)
            expect(link).to_have_attribute("rel", "noopener")
    first = page.locator(".hit").first
    first.get_by_text("Abstract", exact=True).click()
    expect(first.locator(".abstract")).to_be_visible()
    expect(page.locator(".hit .shelf").first).to_contain_text("Robotics")


def test_the_words_that_decided_are_marked_wherever_they_occur(
    page: Page, answered: Searched
) -> None:
    look_for(page, ROBOT)
    hits = answered(text=ROBOT)["results"]
    for entry, hit in zip(page.locator(".hit").all(), hits, strict=True):
        shares = [
            f"{one['word']} {math.floor(100 * one['share'] + 0.5)}\u00a0%" for one in hit["why"][:6]
        ]
        assert [text.replace("−", "-") for text in entry.locator(".why li").all_inner_texts()] == (
            shares
        )
        text = f"{hit['title']}\n{hit['abstract']}".lower()
        words = {one["word"].lower() for one in hit["why"]}
        occurring = {word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}
        marks = entry.locator("h3 mark, .abstract mark").evaluate_all(
            "nodes => nodes.map((node) => node.textContent.toLowerCase())"
        )
        assert set(marks) <= words
        # A word that stands only within a longer one that decided is marked as a part of that.
        assert all(any(word in mark for mark in marks) for word in occurring)
    assert hits[0]["why"]


def test_the_address_holds_the_query(page: Page, visit: Open, answered: Searched) -> None:
    look_for(page, "galaxy")
    look_for(page, "qubit")
    assert page.url.endswith("/#search?text=qubit")
    expect_results(page, answered(text="qubit"))
    page.go_back()
    expect(page.get_by_label("Papers about")).to_have_value("galaxy")
    expect_results(page, answered(text="galaxy"))
    page.go_forward()
    expect_results(page, answered(text="qubit"))
    page.reload()
    expect_results(page, answered(text="qubit"))
    assert page.title() == "qubit · Search · Shelfmark"
    shared = page.url + "&category=quant-ph,cs.LG&since=2014-05&words=0.2&k=20&primary=true"
    wanted = {"category": ["quant-ph", "cs.LG"], "since": "2014-05", "words": 0.2, "k": 20}
    answer = answered(text="qubit", primary=True, **wanted)
    assert len(answer["results"]) == 20
    expect_results(visit(shared), answer)


def test_no_request_names_the_query_in_its_address(visit: Open, searching: str) -> None:
    page = visit()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{searching}/#search?text=unmistakable")
    page.reload()
    expect(page.locator("#search-status")).to_contain_text("result")
    assert f"{searching}/search" in requests
    assert [url for url in requests if "unmistakable" in url.partition("#")[0]] == []


def test_filters_are_chips_that_are_removed_one_by_one(page: Page, answered: Searched) -> None:
    look_for(page, "network")
    page.get_by_label("Category, archive or group").fill("cs")
    page.keyboard.press("Enter")
    expect(page.locator("#filters .chip")).to_have_text(["only cs Computer Science×"])
    page.get_by_label("Category, archive or group").fill("cs.LG")
    page.get_by_role("button", name="Without").click()
    page.get_by_label("Submitted since").fill("2014")
    page.get_by_label("until").fill("2017-06")
    page.get_by_label("Its primary category").check()
    chips = [
        "only cs Computer Science×", "without cs.LG Machine Learning×", "since 2014×",
        "until 2017-06×", "only its primary category×",
    ]  # fmt: skip
    expect(page.locator("#filters .chip")).to_have_text(chips)
    filters: dict[str, Any] = {
        "category": ["cs"], "exclude": ["cs.LG"], "since": "2014", "until": "2017-06",
        "primary": True,
    }  # fmt: skip
    answer = answered(text="network", **filters)
    expect_results(page, answer)
    expect(page.locator("#search-status")).to_contain_text(f"among {answer['selected']} of 594")
    assert 0 < answer["selected"] < 594
    for text, name in [("2014", "since"), ("cs.LG", "exclude"), ("its primary", "primary")]:
        remove(page, text)
        del filters[name]
        expect_results(page, answered(text="network", **filters))
    expect(page.get_by_label("Submitted since")).to_have_value("")
    expect(page.locator("#filters .chip")).to_have_text([chips[0], chips[3]])


def test_the_filter_that_empties_the_answer_is_named(page: Page, answered: Searched) -> None:
    look_for(page, "robot")
    page.get_by_label("Submitted since").fill("2999")
    page.keyboard.press("Enter")
    note = answered(text="robot", since="2999")["note"]
    assert "since 2999" in note
    expect(page.locator("#note")).to_have_text(note)
    expect(page.locator(".hit")).to_have_count(0)
    remove(page, "2999")
    expect(page.locator("#note")).to_be_empty()
    expect(page.locator(".hit")).to_have_count(10)


def test_a_slider_goes_from_words_to_meaning(page: Page, answered: Searched) -> None:
    look_for(page, ROBOT)
    slider = page.get_by_label("Match by")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "65\u00a0% words, 35\u00a0% meaning")
    expect(slider).to_be_focused()
    expect_results(page, answered(text=ROBOT, words=0.65))
    slider.press("End")
    expect_results(page, answered(text=ROBOT, words=0))
    assert page.url.endswith("&words=0")
    slider.press("Home")
    expect(page.locator("#mix")).to_have_text("100\u00a0% words, 0\u00a0% meaning")
    expect_results(page, answered(text=ROBOT, words=1))


def test_the_weight_of_the_shelf_is_shown(page: Page, answered: Searched) -> None:
    look_for(page, ROBOT)
    expect(page.locator("#shelf-note")).to_be_empty()
    slider = page.get_by_label("Raise the query’s own shelf")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    answer = answered(text=ROBOT, shelf=0.1)
    expect_results(page, answer)
    shelf = answer["shelf"]
    assert shelf["category"] == "cs.RO"
    chance = math.floor(100 * shelf["probability"] + 0.5)
    expect(page.locator("#shelf-note")).to_have_text(
        f"The shelf of the query is cs.RO Robotics, at {chance}\u00a0%; it weighs 10\u00a0%."
    )


def test_papers_like_a_set_and_unlike_others(page: Page, answered: Searched) -> None:
    look_for(page, ROBOT)
    ids = [hit["id"] for hit in answered(text=ROBOT)["results"]]
    page.get_by_role("link", name="More like this").first.click()
    answer = answered(like=ids[:1])
    expect_results(page, answer)
    assert ids[0] not in [hit["id"] for hit in answer["results"]]
    expect(page.locator("#results-heading")).to_be_focused()
    expect(page.get_by_label("Papers about")).to_have_value("")
    second, other = answer["results"][0]["id"], answer["results"][3]["id"]
    page.locator(".hit").nth(3).get_by_role("button", name="Less like this").click()
    expect_results(page, answered(like=ids[:1], unlike=[other]))
    page.goto(page.url.replace(f"like={ids[0]}", f"like={ids[0]},{second}", 1))
    expect_results(page, answered(like=[ids[0], second], unlike=[other]))
    third = answered(like=[ids[0], second], unlike=[other])["results"][0]["id"]
    page.locator(".hit").first.get_by_role("button", name="Add to set").click()
    wanted = answered(like=[ids[0], second, third], unlike=[other])
    expect_results(page, wanted)
    page.reload()
    shown = (ids[0], second, third, other)
    by_id = [answered(text=paper, k=1)["results"][0]["title"] for paper in shown]
    words = ["like", "like", "like", "unlike"]
    chips = [f"{word} {title}×" for word, title in zip(words, by_id, strict=True)]
    expect(page.locator("#set .chip")).to_have_text(chips)
    remove(page, by_id[0])
    expect_results(page, answered(like=[second, third], unlike=[other]))


def test_a_paper_that_the_index_lacks_is_named(visit: Open, searching: str) -> None:
    page = visit(f"{searching}/#search?like=2101.99999")
    expect(page.locator("#note")).to_contain_text("no paper 2101.99999")
    expect(page.locator(".chip")).to_have_text("like 2101.99999×")


def test_an_identifier_finds_its_paper_first(page: Page, answered: Searched) -> None:
    [hit] = answered(text="galaxy", k=1)["results"]
    look_for(page, f"https://arxiv.org/abs/{hit['id']}")
    expect(page.locator(".hit h3").first).to_have_text(hit["title"])
    expect(page.locator(".hit").first).to_contain_text("The paper of this identifier")


def test_more_results_follow_the_first(page: Page, answered: Searched) -> None:
    look_for(page, "galaxy")
    for k in (20, 50, 100):
        page.get_by_role("button", name="Show more").click()
        expect_results(page, answered(text="galaxy", k=k))
        assert page.url.endswith(f"&k={k}")
    expect(page.locator(".hit").nth(50)).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_by_keyboard_alone(visit: Open, searching: str) -> None:
    page = visit(searching)
    expect(page.get_by_role("navigation")).to_be_visible()
    keys = page.keyboard
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Search", exact=True)).to_be_focused()
    keys.press("Enter")
    line, hits = page.get_by_label("Papers about"), page.locator(".hit")
    expect(line).to_be_focused()
    keys.type("galaxy")
    keys.press("Enter")
    expect(hits).to_have_count(10)
    for key, place in [("ArrowDown", 0), ("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0)]:
        keys.press(key)
        expect(hits.nth(place)).to_be_focused()
    keys.press("Enter")
    expect(hits.first.locator(".abstract")).to_be_visible()
    keys.press("Escape")
    expect(hits.first.locator(".abstract")).to_be_hidden()
    keys.press("Tab")
    expect(hits.first.locator("h3 a")).to_be_focused()
    keys.press("j")
    expect(hits.nth(1)).to_be_focused()
    keys.press("Escape")
    expect(line).to_be_focused()
    keys.type(" j k")
    expect(line).to_have_value("galaxy j k")


def test_a_classification_shows_the_nearest_papers_of_its_shelf(
    visit: Open, searching: str, answered: Searched
) -> None:
    page = visit(searching)
    ask(page, "", ROBOT)
    expect(page.locator(".predicted")).to_contain_text("cs.RO")
    titles = [hit["title"] for hit in answered(text=ROBOT, category=["cs.RO"], k=5)["results"]]
    links = page.locator(".nearest li > a")
    expect(links).to_have_text(titles)
    page.get_by_role("link", name="Search on from this paper").click()
    expect(page.locator("#filters .chip")).to_have_text(["only cs.RO Robotics×"])
    expect_results(page, answered(text=ROBOT, category=["cs.RO"]))
    page.go_back()
    expect(page.locator(".predicted")).to_be_visible()
    page.get_by_role("link", name="More like").first.click()
    expect(page.locator("#set .chip")).to_have_text([f"like {titles[0]}×"])
    page.get_by_role("link", name="Classify").click()
    ask(page, titles[0], "")
    expect(links).to_have_count(5)
    expect(links.get_by_text(titles[0], exact=True)).to_have_count(0)


def test_without_an_index_the_page_classifies_alone(visit: Open, address: str) -> None:
    page = visit(f"{address}/#search?text=robot")
    expect(page.get_by_role("alert")).to_have_text("This service has no index to search.")
    expect(page.get_by_role("navigation")).to_be_hidden()
    ask(page, "", ROBOT)
    expect(page.locator(".nearest")).to_have_count(0)
