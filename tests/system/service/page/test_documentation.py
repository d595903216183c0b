"""The documentation of the API in a browser that reaches no other host."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.support.browser import Open


def test_the_documentation_works_without_the_internet(
    visit: Open, address: str, page: Page
) -> None:
    elsewhere: list[str] = []

    def block(route: Route) -> None:
        if not route.request.url.startswith(f"{address}/"):
            elsewhere.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.context.route("**/*", block)
    page.goto(f"{address}/docs")
    expect(page.get_by_role("heading", name="Shelfmark")).to_be_visible()
    expect(page.locator(".opblock")).to_have_count(9)
    operation = page.locator("#operations-default-predict_predict_post")
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("textbox").last.fill('{"text": "We train a robot arm for grasping."}')
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text('"category"')
    size = page.locator(".swagger-ui .info .title").evaluate("e => getComputedStyle(e).fontSize")
    assert size == "36px", "the style of Swagger UI is there"
    assert elsewhere == []
