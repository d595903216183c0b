"""The page for people, in a real browser, before a real server process."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from shelfmark import answers, artifact
from shelfmark.sources import sample
from tests.serving import ROBOT, free_port, start, wait_until_ready

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no Chromium"
)

TABLE = """\ufeffid,title,abstract,primary\r
1,=SUM(A1),"A galaxy with a halo, dust
and ""star formation"".",astro-ph.GA\r
2,,,cs.RO\r
3,Grasping,We train a robot arm for grasping with motion planning.,quant-ph\r
4,@home,"Variational inference of the posterior of a Bayesian model.",\r
5,A robot,"not closed
"""
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

Open = Callable[..., Page]


@contextmanager
def serving(home: Path, **env: str) -> Iterator[str]:
    port = free_port()
    process = start(home, port, **env)
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address) as client:
            wait_until_ready(process, client)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def locked(home: Path) -> Iterator[str]:
    with serving(home, SHELFMARK_API_KEY="secret") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def faults() -> list[str]:
    """What went wrong in the browser; a test that means to be refused empties it."""
    return []


@pytest.fixture
def visit(browser: Browser, address: str, faults: list[str]) -> Iterator[Open]:
    """Opens the page; in the end there is no fault, and no request went elsewhere."""
    requests: list[str] = []
    contexts = []

    def opened(address: str = address, width: int = 1280, **options: Any) -> Page:
        viewport = {"width": width, "height": 800}
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda line: faults.append(line.text) if line.type in ("error", "warning") else None,
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    assert requests
    assert [url for url in requests if not re.match(r"(blob:)?http://127\.0\.0\.1:", url)] == []


@pytest.fixture
def page(visit: Open) -> Page:
    return visit()


def ask(page: Page, title: str, abstract: str, primary: str = "") -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_label("Abstract").fill(abstract)
    page.get_by_label("Author’s own category").fill(primary)
    page.get_by_role("button", name="Find its shelf").click()
    expect(page.locator(".verdict")).to_be_visible()


def choose(page: Page, name: str, content: str) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": content.encode()})


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#rows tr > :nth-child({number})").all_inner_texts()


def marked(why: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the runs of characters whose terms weigh the same, as (direction, text)."""
    text, sums = why["text"], [0.0] * len(why["text"])
    for word in why["words"]:
        for begin, end in word["places"]:
            for place in range(begin, end):
                sums[place] += word["weight"]
    edges = [place for place in range(1, len(text)) if sums[place] != sums[place - 1]]
    runs = zip([0, *edges], [*edges, len(text)], strict=True)
    return [
        ("towards" if sums[begin] > 0 else "away", text[begin:end])
        for begin, end in runs
        if sums[begin]
    ]


@pytest.mark.parametrize("confident", [True, False])
def test_one_paper(page: Page, model: artifact.Model, confident: bool) -> None:
    papers = [(paper.title, paper.abstract) for _, paper in sample.records(None, 60)]
    found = answers.answer(model, papers)
    title, abstract = next(
        paper
        for paper, one in zip(papers, found, strict=True)
        if one["confident"] is confident and one["cross_lists"]
    )
    ask(page, title, abstract)
    [wanted] = answers.answer(model, [(title, abstract)], why=True)
    heading = page.locator(".shelf")
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


def test_signs_beyond_the_basic_plane_move_no_mark(page: Page, model: artifact.Model) -> None:
    text = f"𝒜𝒜 🤖 🤖🏽 e\u0301 {ROBOT} 𝒜 <b>galaxy</b> 🌌 robot"
    ask(page, "On 𝒜", text)
    why = answers.answer(model, [("On 𝒜", text)], why=True)[0]["why"]
    marks = page.locator(".text mark").evaluate_all(
        "nodes => nodes.map((node) => [node.className, node.textContent])"
    )
    assert [tuple(mark) for mark in marks] == marked(why)
    assert [text for _, text in marked(why)].count("robot") >= 1
    shown = page.locator(".text p").all_inner_texts()
    assert "\n".join(shown) == why["text"]


def test_the_authors_own_category(page: Page) -> None:
    ask(page, "", ROBOT, "quant-ph")
    author = page.locator(".author")
    expect(author).to_contain_text("disagrees")
    expect(author).to_contain_text("quant-ph Quantum Physics")
    ask(page, "", ROBOT, " cs.RO ")
    expect(author).to_contain_text("agrees with the author’s category, cs.RO Robotics")
    ask(page, "", ROBOT, "no.such")
    expect(author).to_contain_text("none that this model knows")


def test_by_keyboard_alone(page: Page) -> None:
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_label("Title")).to_be_focused()
    keys.type("Grasping")
    keys.press("Tab")
    keys.type(ROBOT)
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Find its shelf")).to_be_focused()
    keys.press("Enter")
    expect(page.locator(".shelf")).to_be_focused()
    expect(page.locator(".shelf")).to_contain_text("cs.RO")
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


def test_ctrl_enter_asks_and_nothing_is_answered_with_a_sentence(page: Page) -> None:
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
    expect(page.locator(".shelf")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_table_of_many(page: Page, tmp_path: Path) -> None:
    choose(page, "papers.csv", TABLE)
    expect(page.locator("#many-status")).to_contain_text("3 papers answered in")
    assert column(page, 1) == ["2", "4", "5", "6", "7"]
    assert column(page, 2)[0] == "=SUM(A1)"
    assert "no text" in page.locator("#rows tr").nth(1).inner_text()
    assert "not closed" in page.locator("#rows tr").nth(4).inner_text()
    # A row with an error has one wide cell instead.
    assert column(page, 8) == ["astro-ph.GA: agrees", "quant-ph: disagrees", ""]

    page.get_by_role("button", name="Paper").click()
    assert column(page, 2)[:2] == ["@home", "=SUM(A1)"]
    confidence = page.get_by_role("button", name="Confidence")
    confidence.click()
    confidence.click()
    chances = [float(text.split()[0]) for text in column(page, 5)[:3]]
    assert chances == sorted(chances, reverse=True)
    expect(page.get_by_role("columnheader", name="Confidence")).to_have_attribute(
        "aria-sort", "descending"
    )

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "all.csv")
    content = (tmp_path / "all.csv").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == 6
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert list(rows)[:3] == [row["id"] for row in sorted(
        list(rows.values())[:3], key=lambda row: -float(row["confidence"]))]  # fmt: skip
    assert rows["1"]["paper"] == "'=SUM(A1)"
    assert rows["4"]["paper"] == "'@home"
    assert rows["3"]["category"] == "cs.RO"
    assert rows["3"]["agrees"] == "false"
    assert rows["2"]["error"].startswith("no text")
    assert {row["confident"] for row in rows.values()} <= {"true", "false", ""}

    page.get_by_label("Filter").fill("ROBOTICS grasp")
    assert column(page, 2) == ["Grasping"]
    expect(page.locator("#caption")).to_contain_text("1 of 5 papers")
    page.get_by_label("Filter").fill("")
    page.get_by_label("Only not sure").check()
    unsure = [row for row in rows.values() if row["confident"] == "false"]
    assert len(column(page, 1)) == len(unsure)


def test_a_row_opens_with_what_decided(page: Page) -> None:
    choose(page, "one.jsonl", '{"title": "Grasping", "summary": "A robot arm.", "id": 7}\n{"a"\n3')
    expect(page.locator("#rows tr")).to_have_count(3)
    assert "broken JSON" in page.locator("#rows tr").nth(1).inner_text()
    assert "not an object" in page.locator("#rows tr").nth(2).inner_text()
    page.get_by_role("button", name="Grasping").click()
    expect(page.locator(".shelf")).to_be_focused()
    expect(page.get_by_label("Title")).to_have_value("Grasping")
    expect(page.get_by_label("Abstract")).to_have_value("A robot arm.")


def test_a_dropped_file_in_batches(page: Page) -> None:
    content = "".join(f"robot number {number}\n" for number in range(300))
    data = page.evaluate_handle(
        "(text) => { const data = new DataTransfer(); "
        "data.items.add(new File([text], 'many.txt')); return data; }",
        content,
    )
    with page.expect_request("**/predict") as first:
        page.dispatch_event("main", "drop", {"dataTransfer": data})
    assert len(first.value.post_data_json["papers"]) == 64
    expect(page.locator("#many-status")).to_contain_text("300 papers answered in")
    expect(page.locator("#rows tr")).to_have_count(200)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#rows tr")).to_have_count(300)
    assert column(page, 2)[299] == "robot number 299"


def test_a_file_that_is_none_is_refused(page: Page) -> None:
    for name, content, said in (
        ("paper.pdf", "x", "no .txt, .jsonl or .csv"),
        ("empty.txt", "\n", "holds no paper"),
        ("other.csv", "a,b\n1,2\n", "no column text, title, abstract or summary"),
    ):
        choose(page, name, content)
        expect(page.get_by_role("alert")).to_contain_text(said)


def test_many_can_be_cancelled(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        if len(route.request.post_data_json.get("papers", ())) == 36:
            held.append(route)
        else:
            route.continue_()

    page.route("**/predict", hold)
    choose(page, "many.txt", "a robot\n" * 100)
    expect(page.locator("#rows tr")).to_have_count(64)
    # A paper asked about meanwhile ends nothing.
    page.locator("#rows").get_by_role("button").first.click()
    expect(page.locator(".shelf")).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#many-status")).to_have_text("Cancelled after 64 of 100 papers.")
    expect(page.locator("#running")).to_be_hidden()
    expect(page.locator("#many-heading")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_busy_service_is_asked_again(page: Page, faults: list[str]) -> None:
    times: list[int] = []

    def busy_at_first(route: Route) -> None:
        times.append(1)
        if len(times) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
        else:
            route.continue_()

    page.route("**/predict", busy_at_first)
    page.get_by_label("Title").fill("A robot")
    page.get_by_role("button", name="Find its shelf").click()
    expect(page.locator("#status")).to_have_text("The service is busy. Asking again in 1 s.")
    expect(page.locator(".shelf")).to_be_visible()
    assert len(times) == 2
    assert len(faults) == 1
    assert "503" in faults.pop()


def test_a_refused_batch_is_halved_until_the_paper_stands_alone(
    page: Page, faults: list[str]
) -> None:
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


def test_a_service_that_is_gone_is_a_sentence(page: Page, faults: list[str]) -> None:
    page.route("**/predict", lambda route: route.abort())
    page.get_by_role("button", name="Try an example").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    faults.clear()


@pytest.mark.parametrize("many", [False, True])
def test_a_service_with_a_key_is_given_it(
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
    key.fill("secret")
    key.press("Enter")
    if many:
        expect(page.locator("#many-status")).to_contain_text("70 papers answered in")
        expect(page.locator("#rows tr")).to_have_count(70)
        expect(page.locator("#many-heading")).to_be_focused()
    else:
        expect(page.locator(".shelf")).to_be_focused()
    expect(key).to_be_hidden()
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert all("401" in fault for fault in faults)
    faults.clear()


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
def test_all_text_stands_out(visit: Open, scheme: str) -> None:
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    found = page.evaluate(CONTRASTS)
    full(page)
    found += page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [(name, ratio) for name, ratio in found if ratio < 4.5] == []


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


@pytest.mark.parametrize(
    "text",
    [
        'a,b\r\n1,"x, ""y""\nz"\r\n',
        'a\n"",\n"1"2,3',
        'a,b\n\n1\n,\n"one\r\ntwo",3',
        'a "quoted" word,b',
    ],
)
def test_the_page_reads_csv_as_python_does(page: Page, text: str) -> None:
    read = page.evaluate(
        "async (text) => (await import('/page/csv.js')).parse(text).map(({cells}) => cells)", text
    )
    assert read == [row for row in csv.reader(text.splitlines(keepends=True)) if row]


def test_a_label_that_arxiv_does_not_have_is_no_link(page: Page) -> None:
    known = page.evaluate(
        "async (labels) => { const { isCategory } = await import('/page/arxiv.js'); "
        "return labels.filter(isCategory); }",
        ["cs.LG", "hep-th", "cond-mat.mes-hall", "physics.ao-ph", "cs", "theory", "cs.LG/../x"],
    )
    assert known == ["cs.LG", "hep-th", "cond-mat.mes-hall", "physics.ao-ph"]
