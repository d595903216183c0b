"""The page fits the screen, has enough contrast and names its controls."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import TABLE, Open, ask, choose
from tests.system.service.page.conftest import Paper

# The contrast of every piece of text on the page with what it stands on, as WCAG 2 computes it.
CONTRASTS = """() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+(e-\\d+)?/g).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    const [red, green, blue, alpha = 1] = numbers;
    return [red * scale, green * scale, blue * scale, alpha];
  };
  const over = ([r, g, b, a], under) =>
    [r, g, b].map((value, place) => value * a + under[place] * (1 - a));
  const background = (node) => node
    ? over(parse(getComputedStyle(node).backgroundColor), background(node.parentElement))
    : [255, 255, 255];
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const found = [];
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const typed = node.matches("input:not([type=checkbox], [type=file]), textarea");
    if (!(own || typed) || !node.checkVisibility() || node.closest("svg, datalist")) continue;
    const under = background(node);
    const colors = [getComputedStyle(node).color];
    if (node.placeholder) colors.push(getComputedStyle(node, "::placeholder").color);
    for (const color of colors) {
      const name = `${node.tagName}.${node.className}: ${node.textContent.slice(0, 30)}`;
      found.push([name, ratio(over(parse(color), under), under)]);
    }
  }
  for (const node of document.querySelectorAll(".bar span")) {
    const color = getComputedStyle(node).backgroundColor;
    found.push(["bar", 1.5 * ratio(parse(color).slice(0, 3), background(node.parentElement))]);
  }
  return found;
}"""


def full(page: Page) -> None:
    """Bring all that the page can show onto it."""
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator(".verdict")).to_be_visible()
    choose(page, "papers.csv", TABLE)
    expect(page.locator("#many-status")).to_contain_text("answered in")
    choose(page, "x.pdf", "")
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.locator("#key").evaluate("node => { node.hidden = false; }")


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_nothing_is_wider_than_the_screen(visit: Open, width: int) -> None:
    page = visit(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    full(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(visit: Open, scheme: str) -> None:
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    contrasts = page.evaluate(CONTRASTS)
    full(page)
    contrasts += page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert [(name, ratio) for name, ratio in contrasts if ratio < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_an_answer_fits_and_has_enough_contrast(
    visit: Open, strict: str, graded: dict[str, Paper], scheme: str
) -> None:
    page = visit(strict, width=320, color_scheme=scheme, reduced_motion="reduce")
    contrasts = []
    for state, paper in graded.items():
        ask(page, *paper)
        expect(page.locator(f".verdict.{state}")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        contrasts += page.evaluate(CONTRASTS)
    lines = [json.dumps({"title": title, "abstract": text}) for title, text in graded.values()]
    choose(page, "papers.jsonl", "\n".join(lines))
    expect(page.locator(".state")).to_have_count(len(graded))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    caption, region = (page.locator(part).bounding_box() for part in ("#caption", ".scroll"))
    assert caption is not None
    assert region is not None
    assert caption["width"] <= region["width"]
    contrasts += page.evaluate(CONTRASTS)
    assert [(name, ratio) for name, ratio in contrasts if ratio < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_model_card_fits_and_has_enough_contrast(visit: Open, scheme: str) -> None:
    page = visit(width=360, color_scheme=scheme)
    page.get_by_role("link", name="Its training data").click()
    expect(page.get_by_role("heading", name="Limits")).to_be_visible()
    page.wait_for_load_state()  # its style too
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    assert [(name, ratio) for name, ratio in contrasts if ratio < 4.5] == []


def test_every_control_has_a_name_and_the_table_a_caption(page: Page) -> None:
    full(page)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "button", "checkbox", "combobox", "form", "heading", "link", "progressbar", "searchbox",
        "table", "textbox",
    }  # fmt: skip
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert {role for role, _ in seen} >= roles - {"progressbar", "searchbox"}
    assert [role for role, name in seen if not name.strip()] == []
    assert page.locator("html[lang=en] h1").count() == 1
