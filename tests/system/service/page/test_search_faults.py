"""The search of a service that loads its index, refuses, or requires a key."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.support.browser import Open


def test_a_search_waits_for_the_index(visit: Open, searching: str, faults: list[str]) -> None:
    page = visit(searching)
    detail = "The index of papers is being opened; ask again."
    calls: list[int] = []

    def load_at_first(route: Route) -> None:
        calls.append(1)
        if len(calls) == 1:
            body = {"status": 503, "title": "Service Unavailable", "detail": detail}
            route.fulfill(status=503, headers={"Retry-After": "1"}, json=body)
        else:
            route.continue_()

    page.route("**/search", load_at_first)
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Papers about").fill("robot")
    page.keyboard.press("Enter")
    expect(page.locator("#search-status")).to_have_text(f"{detail} Retrying in 1 s.")
    expect(page.locator(".hit")).to_have_count(10)
    assert len(calls) == 2
    assert len(faults) == 1
    assert "503" in faults.pop()


def test_a_refusal_is_one_line(visit: Open, searching: str, faults: list[str]) -> None:
    page = visit(f"{searching}/#search?text=robot&category=cs.ROO")
    alert = page.locator("#search-problem")
    expect(alert).to_contain_text("no such category, archive or group")
    assert "\n" not in alert.inner_text()
    expect(page.locator(".hit")).to_have_count(0)
    page.get_by_role("button", name="Remove: only cs.ROO").click()
    expect(alert).to_be_empty()
    expect(page.locator(".hit")).to_have_count(10)
    assert all("422" in fault for fault in faults)
    faults.clear()


def test_a_search_that_requires_a_key_gets_it(
    visit: Open, locked_search: str, faults: list[str]
) -> None:
    page = visit(f"{locked_search}/#search?text=robot")
    key = page.get_by_label("API key")
    expect(key).to_be_focused()
    key.fill("api-key-of-tests")
    key.press("Enter")
    expect(page.locator(".hit")).to_have_count(10)
    expect(key).to_be_hidden()
    expect(page.locator("#search-problem")).to_be_empty()
    assert all("401" in fault for fault in faults)
    faults.clear()


def test_an_unreachable_service_is_a_sentence(
    visit: Open, searching: str, faults: list[str]
) -> None:
    page = visit(searching)
    page.get_by_role("link", name="Search", exact=True).click()
    page.route("**/search", lambda route: route.abort())
    page.get_by_label("Papers about").fill("robot")
    page.keyboard.press("Enter")
    expect(page.locator("#search-problem")).to_contain_text("The service does not answer.")
    faults.clear()
