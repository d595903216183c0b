"""One paper: its category, the words that decided, and use by keyboard alone."""

from __future__ import annotations

import re

import orjson
import pytest
from playwright.sync_api import Page, expect

from shelfmark.data.sources import sample
from shelfmark.models import answers, artifact
from tests.support.browser import ask, choose, column, marked
from tests.support.serving import ROBOT


@pytest.mark.parametrize("confident", [True, False])
def test_one_paper(page: Page, model: artifact.Model, confident: bool) -> None:
    papers = [(paper.title, paper.abstract) for _, paper in sample.read_records(None, 60)]
    result = answers.answer_papers(model, papers)
    title, abstract = next(
        paper
        for paper, one in zip(papers, result, strict=True)
        if one.confident is confident and one.cross_lists
    )
    ask(page, title, abstract)
    [answer] = answers.answer_papers(model, [(title, abstract)], explain=True)
    wanted = orjson.loads(orjson.dumps(answer.to_json()))
    heading = page.locator(".predicted")
    expect(heading).to_have_text(f"{wanted['category']} {wanted['name']}")
    expect(heading).to_be_focused()
    expect(page.locator(".verdict")).to_contain_text("Confident." if confident else "Not sure.")
    assert page.locator(".bars .code").all_inner_texts() == [
        rank["category"] for rank in wanted["ranking"]
    ]
    whole = page.locator(".bars .bar").first.bounding_box()
    bar = page.locator(".bars .bar span").first.bounding_box()
    assert whole is not None
    assert bar is not None
    assert bar["width"] / whole["width"] == pytest.approx(wanted["confidence"], abs=0.01)
    assert page.locator(".lists a").all_inner_texts() == [
        one["category"] for one in wanted["cross_lists"]
    ]
    link = page.get_by_role("link", name=f"Recent papers in {wanted['category']}")
    expect(link).to_have_attribute("href", f"https://arxiv.org/list/{wanted['category']}/recent")
    expect(link).to_have_attribute("rel", "noopener")
    marks = page.locator(".text mark")
    assert marks.all_inner_texts() == [text for _, text in marked(wanted["why"])]
    words = page.locator(".weights .word").all_inner_texts()
    assert sorted(words) == sorted(word["word"] for word in wanted["why"]["words"])
    expect(page.locator(".made")).to_contain_text(re.compile(r"Answered in .* by the model \w+\."))


def test_characters_beyond_the_basic_plane_shift_no_mark(page: Page, model: artifact.Model) -> None:
    text = f"𝒜𝒜 🤖 🤖🏽 e\u0301 {ROBOT} 𝒜 <b>galaxy</b> 🌌 robot"
    ask(page, "On 𝒜", text)
    [answer] = answers.answer_papers(model, [("On 𝒜", text)], explain=True)
    why = orjson.loads(orjson.dumps(answer.why))
    marks = page.locator(".text mark").evaluate_all(
        "nodes => nodes.map((node) => [node.className, node.textContent])"
    )
    assert [tuple(mark) for mark in marks] == marked(why)
    assert [text for _, text in marked(why)].count("robot") >= 1
    shown = page.locator(".text p").all_inner_texts()
    assert "\n".join(shown) == why["text"]


def test_the_authors_category(page: Page) -> None:
    ask(page, "", ROBOT, "quant-ph")
    author = page.locator(".author")
    expect(author).to_contain_text("disagrees")
    expect(author).to_contain_text("quant-ph Quantum Physics")
    ask(page, "", ROBOT, " cs.RO ")
    expect(author).to_contain_text("agrees with the author’s category, cs.RO Robotics")
    ask(page, "", ROBOT, "no.such")
    expect(author).to_have_text("The model does not know the author’s category, no.such.")


def test_by_keyboard_alone(page: Page) -> None:
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_label("Title")).to_be_focused()
    keys.type("Grasping")
    keys.press("Tab")
    keys.type(ROBOT)
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Predict the category")).to_be_focused()
    keys.press("Enter")
    expect(page.locator(".predicted")).to_be_focused()
    expect(page.locator(".predicted")).to_contain_text("cs.RO")
    choose(page, "two.txt", f"{ROBOT}\n\na galaxy with a halo\n")
    expect(page.locator("#many-heading")).to_be_focused()
    expect(page.locator("#rows tr")).to_have_count(2)
    header = page.get_by_role("columnheader", name="Category")
    for _ in range(20):
        keys.press("Tab")
        if header.get_by_role("button").evaluate("node => node === document.activeElement"):
            break
    keys.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert column(page, 3) == ["astro-ph.GA", "cs.RO"]
    keys.press("Space")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert column(page, 3) == ["cs.RO", "astro-ph.GA"]


def test_ctrl_enter_submits_and_an_empty_form_gets_a_sentence(page: Page) -> None:
    abstract = page.get_by_label("Abstract")
    abstract.press("Control+Enter")
    expect(page.get_by_role("alert")).to_have_text("Give a title, an abstract, or both.")
    expect(abstract).to_be_focused()
    expect(abstract).to_have_attribute("aria-invalid", "true")
    abstract.fill("🤖" * 50_001)
    abstract.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("longer than 50,000 characters")
    abstract.fill("🤖" * 50_000)
    abstract.press("Control+Enter")
    expect(page.locator(".predicted")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_label_that_arxiv_does_not_have_is_no_link(page: Page) -> None:
    known = page.evaluate(
        "async (labels) => { const { isCategory } = await import('/page/arxiv.js'); "
        "return labels.filter(isCategory); }",
        ["cs.LG", "hep-th", "cond-mat.mes-hall", "physics.ao-ph", "cs", "theory", "cs.LG/../x"],
    )
    assert known == ["cs.LG", "hep-th", "cond-mat.mes-hall", "physics.ao-ph"]
