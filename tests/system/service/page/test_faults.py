"""The page of a service that is busy, refuses, requires a key or has stopped."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import Open, choose, column


def test_requests_to_a_busy_service_are_repeated(page: Page, faults: list[str]) -> None:
    times: list[int] = []

    def busy_at_first(route: Route) -> None:
        times.append(1)
        if len(times) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
        else:
            route.continue_()

    page.route("**/predict", busy_at_first)
    page.get_by_label("Title").fill("A robot")
    page.get_by_role("button", name="Predict the category").click()
    expect(page.locator("#status")).to_have_text("The service is busy. Retrying in 1 s.")
    expect(page.locator(".predicted")).to_be_visible()
    assert len(times) == 2
    assert len(faults) == 1
    assert "503" in faults.pop()


def test_a_refused_batch_is_halved_until_the_paper_is_alone(page: Page, faults: list[str]) -> None:
    def refuse(route: Route) -> None:
        if any(paper["text"] == "too much" for paper in route.request.post_data_json["papers"]):
            route.fulfill(status=413, json={"title": "Content Too Large", "detail": "Too large."})
        else:
            route.continue_()

    page.route("**/predict", refuse)
    choose(page, "five.txt", "a robot\na galaxy\ntoo much\na qubit\na prior\n")
    expect(page.locator("#many-status")).to_contain_text("5 papers answered in")
    assert column(page, 3)[2] == "Error: Too large."
    assert [text for text in column(page, 3) if "Error" in text] == ["Error: Too large."]
    assert all("413" in fault for fault in faults)
    faults.clear()


def test_an_unreachable_service_is_a_sentence(page: Page, faults: list[str]) -> None:
    page.route("**/predict", lambda route: route.abort())
    page.get_by_role("button", name="Try an example").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    faults.clear()


@pytest.mark.parametrize("many", [False, True])
def test_a_service_that_requires_a_key_gets_it(
    locked: str, visit: Open, faults: list[str], many: bool
) -> None:
    page = visit(locked)
    if many:
        choose(page, "many.txt", "a robot\n" * 70)
    else:
        page.get_by_role("button", name="Try an example").click()
    key = page.get_by_label("API key")
    expect(key).to_be_focused()
    key.fill("wrong")
    key.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The service does not accept this key.")
    key.fill("api-key-of-tests")
    key.press("Enter")
    if many:
        expect(page.locator("#many-status")).to_contain_text("70 papers answered in")
        expect(page.locator("#rows tr")).to_have_count(70)
        expect(page.locator("#many-heading")).to_be_focused()
    else:
        expect(page.locator(".predicted")).to_be_focused()
    expect(key).to_be_hidden()
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert all("401" in fault for fault in faults)
    faults.clear()
