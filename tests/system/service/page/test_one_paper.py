"""One paper: its category, the words that decided, and use by keyboard alone."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from playwright.sync_api import Page, expect

from shelfmark.models import answers, artifact
from tests.support.browser import Open, ask, choose, column, marked
from tests.support.serving import ROBOT
from tests.system.service.page.conftest import GIBBERISH, Paper

STATES = ("sure", "likely", "open", "doubtful", "outside")
NUMBER = "(?:< )?[0-9]+[.][0-9]\u00a0%"


def answered(model: artifact.Model, paper: Paper) -> dict[str, Any]:
    """Return the answer that the page is to show."""
    [answer] = answers.answer_papers(model, [paper], explain=True)
    wanted: dict[str, Any] = orjson.loads(orjson.dumps(answer.to_json()))
    return wanted


@pytest.mark.parametrize("state", STATES)
def test_one_paper(
    visit: Open, strict: str, strict_model: artifact.Model, graded: dict[str, Paper], state: str
) -> None:
    page = visit(strict)
    ask(page, *graded[state])
    wanted = answered(strict_model, graded[state])
    heading = page.locator(".predicted")
    question = "Nearest category: " if state == "outside" else ""
    expect(heading).to_have_text(f"{question}{wanted['category']} {wanted['name']}")
    expect(heading).to_be_focused()
    expect(heading).to_have_accessible_description(wanted["sentence"])
    assert page.locator(".bars .code").all_inner_texts() == [
        rank["category"] for rank in wanted["ranking"]
    ]
    whole = page.locator(".bars .bar").first.bounding_box()
    bar = page.locator(".bars .bar span").first.bounding_box()
    assert whole is not None
    assert bar is not None
    assert bar["width"] / whole["width"] == pytest.approx(wanted["confidence"], abs=0.01)
    link = page.get_by_role("link", name=f"Recent papers in {wanted['category']}")
    expect(link).to_have_attribute("href", f"https://arxiv.org/list/{wanted['category']}/recent")
    expect(link).to_have_attribute("rel", "noopener")
    marks = page.locator(".text mark")
    assert marks.all_inner_texts() == [text for _, text in marked(wanted["why"])]
    words = page.locator(".weights .word").all_inner_texts()
    assert sorted(words) == sorted(word["word"] for word in wanted["why"]["words"])
    expect(page.locator(".made")).to_contain_text(re.compile(r"Answered in .* by the model \w+\."))


@pytest.mark.parametrize("state", STATES)
def test_the_verdict_is_the_sentence_of_the_service(
    visit: Open, strict: str, strict_model: artifact.Model, graded: dict[str, Paper], state: str
) -> None:
    page = visit(strict)
    ask(page, *graded[state])
    wanted = answered(strict_model, graded[state])
    verdict = page.locator(".verdict")
    expect(verdict).to_have_text(wanted["sentence"])
    expect(verdict).to_have_class(f"verdict {state}")
    expect(verdict.locator("strong")).to_have_text(f"{state.capitalize()}:")
    assert wanted["confident"] is (state == "sure")
    shown = page.locator("#answer").inner_text().lower()
    assert not re.search("confiden|act on|best guess", shown)
    assert ("sure:" in shown) is (state == "sure")


def test_the_states_differ_in_more_than_colour(
    visit: Open, strict: str, graded: dict[str, Paper]
) -> None:
    page = visit(strict, forced_colors="active")
    borders = set()
    for state, paper in graded.items():
        ask(page, *paper)
        verdict = page.locator(f".verdict.{state}")
        expect(verdict).to_be_visible()
        borders.add(
            verdict.evaluate(
                "node => { const { borderLeftStyle, borderTopStyle } = getComputedStyle(node); "
                "return `${borderLeftStyle} ${borderTopStyle}`; }"
            )
        )
    assert len(borders) == len(STATES)


def test_gibberish_is_outside_and_gets_no_answer_that_shouts(
    page: Page, papers: list[Paper]
) -> None:
    size = "node => parseFloat(getComputedStyle(node).fontSize)"
    ask(page, *papers[0])
    heading = page.locator(".predicted")
    expect(page.locator(".verdict")).to_have_class("verdict sure")
    large = heading.evaluate(size)
    ask(page, "", GIBBERISH)
    expect(page.locator(".verdict")).to_have_text("Outside: the model knows no word of the text.")
    expect(heading).to_contain_text("Nearest category:")
    assert heading.evaluate(size) < large
    expect(heading.locator(".spine")).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    expect(page.locator(".listed")).to_have_count(0)
    expect(page.get_by_role("heading", name="The words that decided")).to_have_count(0)
    also = page.get_by_role("heading", name="Also fits")
    expect(also.locator("xpath=following-sibling::*")).to_have_text(
        "No other category is probable enough to suggest."
    )


def test_a_category_that_also_fits_has_the_number_of_the_ranking_too(
    visit: Open, strict: str, strict_model: artifact.Model, papers: list[Paper]
) -> None:
    page = visit(strict)
    both = 0
    for paper in papers[:12]:
        wanted = answered(strict_model, paper)
        ask(page, *paper)
        expect(page.locator(".text")).to_have_text(wanted["why"]["text"].replace("\n", ""))
        names, numbers = (page.locator(f".bars .{part}") for part in ("code", "number"))
        ranked = dict(zip(names.all_inner_texts(), numbers.all_inner_texts(), strict=True))
        rows = page.locator(".lists li").all_inner_texts()
        for row, one in zip(rows, wanted["cross_lists"], strict=True):
            category, name = one["category"], one["name"]
            found = re.fullmatch(
                f"{re.escape(category)} {re.escape(name)}: ({NUMBER}) listed there · "
                f"({NUMBER}) as the primary category",
                row,
            )
            assert found, row
            listed, primary = found.groups()
            assert primary == ranked.get(category, primary)
            assert number(primary) <= number(listed)
            assert number(listed) == pytest.approx(100 * one["probability"], abs=0.051)
            both += category in ranked
    assert both > 0


def number(shown: str) -> float:
    return float(shown.removeprefix("< ").removesuffix("\u00a0%"))


def test_each_list_says_which_question_it_answers(
    visit: Open, strict: str, graded: dict[str, Paper]
) -> None:
    page = visit(strict)
    ask(page, *graded["sure"])
    for name, said in (
        (
            "Ranking",
            "Which category is the primary one? The probabilities of all categories add up",
        ),
        ("Also fits", "Is the paper listed there too? A paper may have several categories"),
    ):
        heading = page.get_by_role("heading", name=name)
        expect(heading.locator("xpath=following-sibling::*[1]")).to_contain_text(said)


def test_a_better_verdict_on_any_of_the_papers_categories_is_a_line(
    visit: Open, strict: str, strict_model: artifact.Model, papers: list[Paper]
) -> None:
    page = visit(strict)
    result = answers.answer_papers(strict_model, papers)
    verdicts: list[tuple[str, str] | None] = [
        (one.verdict, one.listed.verdict) if one.listed and one.scope == "in" else None
        for one in result
    ]
    for pair in (("likely", "sure"), ("open", "likely")):
        place = verdicts.index(pair)
        ask(page, *papers[place])
        expect(page.locator(".listed")).to_have_text(
            f"The verdict on {result[place].category} as one of the paper’s categories, primary "
            f"or cross-listed, is {pair[1]}."
        )
    for other in (("sure", "sure"), ("open", "open"), None):
        place = verdicts.index(other)
        ask(page, *papers[place])
        expect(page.locator(".verdict")).to_have_text(result[place].sentence)
        expect(page.locator(".listed")).to_have_count(0)


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


def test_the_authors_category(page: Page, model: artifact.Model, papers: list[Paper]) -> None:
    result = answers.answer_papers(model, papers)
    paper = papers[[one.category for one in result].index("cs.RO")]
    ask(page, *paper, "quant-ph")
    author = page.locator(".author")
    expect(author).to_contain_text("disagrees")
    expect(author).to_contain_text("quant-ph Quantum Physics")
    ask(page, *paper, " cs.RO ")
    expect(author).to_contain_text("agrees with the author’s category, cs.RO Robotics")
    expect(page.locator(".verdict")).to_have_class("verdict sure")
    ask(page, *paper, "no.such")
    expect(author).to_have_text("The model does not know the author’s category, no.such.")
    expect(page.locator(".verdict")).to_have_class("verdict doubtful")
    expect(page.locator(".verdict")).to_contain_text("Doubtful: the author’s category, no.such,")
    # Outside, the model has no opinion.
    ask(page, "", GIBBERISH, "cs.RO")
    expect(author).to_have_text(
        re.compile(
            r"The model ranks the author’s category, cs\.RO Robotics, \d(st|nd|rd|th), at .*\s%\."
        )
    )


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
