"""The landscape of the papers of an index, as a picture to move in and to click into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from playwright.sync_api import Page, expect

from shelfmark.arxiv import taxonomy
from tests.support.browser import Open

SIDE, MARGIN = 10_000, 1.04  # of the landscape; of the picture around it

Landscape = dict[str, Any]


@pytest.fixture(scope="session")
def landscape(library: Path) -> Landscape:
    content: Landscape = orjson.loads((library / "index" / "landscape.json").read_bytes())
    return content


@pytest.fixture
def page(visit: Open, searching: str) -> Page:
    page = visit(f"{searching}/#search")
    expect(page.locator("#map")).to_be_visible()
    expect(page.locator("#legend li").first).to_be_visible()
    page.locator("#map").scroll_into_view_if_needed()
    return page


def place_of(page: Page, landscape: Landscape, paper: int) -> tuple[float, float]:
    """Return where a paper lies on the picture as a whole, in pixels."""
    papers = landscape["papers"]
    width, height = page.locator("#map").evaluate("node => [node.clientWidth, node.clientHeight]")
    scale = min(width, height) / (SIDE * MARGIN)
    left = (papers["x"][paper] - SIDE / 2) * scale + width / 2
    return left, (SIDE / 2 - papers["y"][paper]) * scale + height / 2


def most_isolated(landscape: Landscape) -> int:
    places = np.array([landscape["papers"]["x"], landscape["papers"]["y"]], float).T
    distances = np.linalg.norm(places[:, None] - places, axis=2) + np.diag([np.inf] * len(places))
    free = places[:, 0] < SIDE * 3 / 4  # the buttons lie on the right
    return int(np.where(free, distances.min(axis=1), -1).argmax())


def colour_at(page: Page, left: float, top: float) -> list[int]:
    colour: list[int] = page.locator("#map").evaluate(
        """(node, [left, top]) => {
             const at = (value) => Math.round(value * devicePixelRatio);
             const copy = new OffscreenCanvas(node.width, node.height);
             const pen = copy.getContext("2d", { willReadFrequently: true });
             pen.drawImage(node, 0, 0);
             return [...pen.getImageData(at(left), at(top), 1, 1).data];
           }""",
        [left, top],
    )
    return colour


def test_a_paper_is_named_and_a_click_shows_the_papers_like_it(
    page: Page, landscape: Landscape
) -> None:
    canvas, named = page.locator("#map"), page.locator("#landscape-paper")
    papers = landscape["papers"]
    paper = most_isolated(landscape)
    left, top = place_of(page, landscape, paper)
    canvas.hover(position={"x": left + 3, "y": top - 3})
    category = landscape["categories"][papers["category"][paper]]
    expect(named).to_contain_text(f"{papers['title'][paper]} · {category} ")
    canvas.click(position={"x": left + 3, "y": top - 3})
    expect(page.locator("#set .chip")).to_have_text([f"like {papers['title'][paper]}×"])
    assert page.url.endswith(f"#search?like={papers['id'][paper]}")
    expect(page.locator(".hit")).to_have_count(10)
    page.mouse.move(0, 0)
    expect(named).to_be_empty()


def test_the_papers_of_the_results_stand_out(page: Page, landscape: Landscape) -> None:
    paper = most_isolated(landscape)
    place = place_of(page, landscape, paper)
    red, green, blue, opacity = colour_at(page, *place)
    assert opacity < 255, "it is a dot like others"
    page.get_by_label("Papers about").fill(landscape["papers"]["id"][paper])
    page.keyboard.press("Enter")
    expect(page.locator(".match")).to_be_visible()
    assert colour_at(page, *place)[3] == 255
    page.get_by_label("Papers about").fill("")
    page.keyboard.press("Enter")
    expect(page.locator(".hit")).to_have_count(0)
    assert colour_at(page, *place) == [red, green, blue, opacity]


def test_it_is_moved_by_wheel_drag_buttons_and_keys(page: Page, landscape: Landscape) -> None:
    canvas, named = page.locator("#map"), page.locator("#landscape-paper")
    picture = "node => node.toDataURL()"
    whole = canvas.evaluate(picture)
    page.get_by_role("button", name="Zoom in").click()
    zoomed = canvas.evaluate(picture)
    assert zoomed != whole
    page.get_by_role("button", name="Zoom out").click()
    assert canvas.evaluate(picture) == whole
    paper = most_isolated(landscape)
    left, top = place_of(page, landscape, paper)
    canvas.hover(position={"x": left, "y": top})
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, -300)
    expect(canvas).to_have_class("on-paper zoomed")
    assert page.evaluate("scrollY") == scrolled, "the wheel zooms, and does not scroll"
    canvas.hover(position={"x": left + 1, "y": top})
    expect(named).to_contain_text(landscape["papers"]["title"][paper])
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    assert "like=" not in page.url, "a drag is no click"
    canvas.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(named).to_contain_text(landscape["papers"]["title"][paper])
    page.get_by_role("button", name="Show all").click()
    page.mouse.move(0, 0)
    assert canvas.evaluate(picture) == whole


def test_it_is_used_by_keyboard_alone(page: Page, landscape: Landscape) -> None:
    canvas, named = page.locator("#map"), page.locator("#landscape-paper")
    titles = landscape["papers"]["title"]
    page.locator("#landscape summary").focus()
    page.keyboard.press("Tab")
    expect(canvas).to_be_focused()
    seen = set()
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowRight", "-"):
        page.keyboard.press(key)
        expect(named).not_to_be_empty()
        seen.add(named.inner_text().partition(" · ")[0])
    assert len(seen) > 1
    assert seen <= set(titles)
    title = named.inner_text().partition(" · ")[0]
    page.keyboard.press("Enter")
    expect(page.locator("#set .chip")).to_have_text([f"like {title}×"])


def test_it_has_a_name_that_leads_to_its_text_and_a_legend(
    page: Page, landscape: Landscape
) -> None:
    number = len(landscape["papers"]["id"])
    label = page.locator("#map").get_attribute("aria-label") or ""
    assert label.startswith(f"Landscape of {number} papers")
    assert "list of results" in label
    groups = {taxonomy.group_of(category) or "" for category in landscape["categories"]}
    names = [taxonomy.GROUPS[group] for group in sorted(groups)]
    assert len(names) > 2
    expect(page.locator("#legend li")).to_have_text(names)


def test_an_index_without_a_landscape_shows_none(
    visit: Open, searching: str, library: Path
) -> None:
    file = library / "index" / "landscape.json"
    away = file.rename(library / "landscape.json")
    try:
        page = visit(f"{searching}/#search?text=robot")
        expect(page.locator(".hit")).to_have_count(10)
        expect(page.locator("#landscape")).to_be_hidden()
    finally:
        away.rename(file)
