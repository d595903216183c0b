"""The search fits the screen, and axe finds nothing that keeps anybody from using it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.browser import Open
from tests.system.service.page.test_looks import CONTRASTS

QUERY = "#search?text=robot&category=cs&since=2012&shelf=0.3"


def full(page: Page) -> None:
    """Bring all that the search can show onto the page."""
    expect(page.locator(".hit")).to_have_count(10)
    page.locator("details").evaluate_all("nodes => nodes.forEach((node) => { node.open = true; })")
    expect(page.locator("#legend li").first).to_be_visible()
    page.locator(".hit").nth(2).get_by_role("button", name="Less like this").click()
    page.locator(".hit").nth(1).get_by_role("button", name="Add to set").click()
    expect(page.locator("#set .chip")).to_have_count(2)
    expect(page.locator(".hit")).to_have_count(10)
    page.locator(".hit details").evaluate_all(
        "nodes => nodes.forEach((node) => { node.open = true; })"
    )


def violations(page: Page, *left_out: str) -> list[str]:
    options = {"rules": {rule: {"enabled": False} for rule in left_out}}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_it_fits_has_contrast_and_is_open_to_all(
    visit: Open, searching: str, width: int, scheme: str
) -> None:
    page = visit(f"{searching}/{QUERY}", width=width, color_scheme=scheme, reduced_motion="reduce")
    full(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [(name, ratio) for name, ratio in contrasts if ratio < 4.5] == []


def test_the_classification_is_open_to_all_too(visit: Open, searching: str) -> None:
    page = visit(searching)
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator(".nearest")).to_be_visible()
    assert violations(page) == []


def test_the_colours_of_a_system_take_nothing_away(visit: Open, searching: str) -> None:
    page = visit(f"{searching}/{QUERY}", width=768, forced_colors="active")
    full(page)
    assert violations(page, "color-contrast") == []  # the colours are not those of the page
    swatches = page.locator(".swatch").evaluate_all(
        "nodes => nodes.map((node) => getComputedStyle(node).backgroundColor)"
    )
    assert len(set(swatches)) == len(swatches) > 1
