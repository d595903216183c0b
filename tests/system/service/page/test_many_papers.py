"""A file of papers: the table, its order, filter and download."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from shelfmark.models import answers, artifact
from tests.support.browser import TABLE, Open, choose, column
from tests.system.service.page.conftest import Paper


def test_the_table_is_sorted_filtered_and_downloaded(page: Page, tmp_path: Path) -> None:
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
    probability = page.get_by_role("button", name="Probability")
    probability.click()
    probability.click()
    chances = [float(text.split()[0]) for text in column(page, 5)[:3]]
    assert chances == sorted(chances, reverse=True)
    expect(page.get_by_role("columnheader", name="Probability")).to_have_attribute(
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


def choose_graded(page: Page, papers: list[Paper]) -> None:
    """Choose a file of papers, whose last line has no text."""
    lines = [{"title": title, "abstract": abstract} for title, abstract in [*papers, ("", "")]]
    choose(page, "papers.jsonl", "\n".join(map(json.dumps, lines)))
    expect(page.locator("#many-status")).to_contain_text("answered in")


def test_a_row_has_its_verdict_or_why_it_has_none(
    visit: Open, strict: str, strict_model: artifact.Model, graded: dict[str, Paper]
) -> None:
    page = visit(strict)
    papers = [graded[state] for state in ("open", "outside", "sure", "doubtful", "likely", "open")]
    choose_graded(page, papers)
    expect(page.locator("#caption")).to_have_text(
        "7 papers, 1 sure, 1 likely, 2 open, 1 doubtful, 1 outside, 1 error"
    )
    reasons = [one.reason for one in answers.answer_papers(strict_model, papers) if one.reason]
    shown = page.locator(".state")
    states = ["Open", "Outside", "Sure", "Doubtful", "Likely", "Open"]
    assert shown.all_inner_texts() == states
    assert page.locator("td small").all_inner_texts() == reasons
    titled = page.locator(".graded[title]")
    assert titled.evaluate_all("nodes => nodes.map(({ title }) => title)") == reasons
    markers = shown.evaluate_all(
        "nodes => nodes.map((node) => getComputedStyle(node, '::before').content)"
    )
    assert len(set(markers)) == 5

    page.get_by_label("Only not sure").check()
    assert shown.all_inner_texts() == [state for state in states if state != "Sure"]
    page.get_by_label("Filter").fill(reasons[0])
    assert shown.all_inner_texts() == ["Outside"]
    page.get_by_label("Filter").fill("")
    page.get_by_label("Only not sure").uncheck()
    order = ["Sure", "Likely", "Open", "Open", "Doubtful", "Outside"]
    for wanted in (order, order[::-1]):
        page.get_by_role("button", name="Verdict").click()
        assert shown.all_inner_texts() == wanted
        assert "Error" in page.locator("#rows tr").last.inner_text()


def test_the_download_has_the_verdicts(
    visit: Open,
    strict: str,
    strict_model: artifact.Model,
    graded: dict[str, Paper],
    tmp_path: Path,
) -> None:
    page = visit(strict)
    choose_graded(page, list(graded.values()))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        *rows, refused = csv.DictReader(file)
    names = list(refused)
    assert names[names.index("confident") :][:4] == ["confident", "verdict", "scope", "reason"]
    assert [(row["confident"], row["verdict"], row["scope"], row["reason"]) for row in rows] == [
        (str(one.confident).lower(), one.verdict, one.scope, one.reason or "")
        for one in answers.answer_papers(strict_model, list(graded.values()))
    ]
    assert refused["error"]
    assert refused["verdict"] == refused["scope"] == refused["reason"] == ""


def test_a_click_on_a_row_shows_its_explanation(page: Page) -> None:
    choose(page, "one.jsonl", '{"title": "Grasping", "summary": "A robot arm.", "id": 7}\n{"a"\n3')
    expect(page.locator("#rows tr")).to_have_count(3)
    assert "broken JSON" in page.locator("#rows tr").nth(1).inner_text()
    assert "not an object" in page.locator("#rows tr").nth(2).inner_text()
    page.get_by_role("button", name="Grasping").click()
    expect(page.locator(".predicted")).to_be_focused()
    expect(page.get_by_label("Title")).to_have_value("Grasping")
    expect(page.get_by_label("Abstract")).to_have_value("A robot arm.")


def test_a_dropped_file_is_sent_in_batches(page: Page) -> None:
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


def test_an_unreadable_file_is_refused(page: Page) -> None:
    for name, content, said in (
        ("paper.pdf", "%PDF-1.7", "paper.pdf seems to be a PDF document."),
        ("empty.txt", "", "empty.txt is empty."),
        ("blank.txt", "\n", "contains no paper"),
        ("other.csv", "a,b\n1,2\n", "no column text, title, abstract or summary"),
    ):
        choose(page, name, content)
        expect(page.get_by_role("alert")).to_contain_text(said)


def test_a_file_can_be_cancelled(page: Page) -> None:
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
    expect(page.locator(".predicted")).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#many-status")).to_have_text("Cancelled after 64 of 100 papers.")
    expect(page.locator("#running")).to_be_hidden()
    expect(page.locator("#many-heading")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_empty()


def test_rows_that_arrive_in_batches_are_sorted_a_few_times_each(page: Page) -> None:
    read = page.evaluate(
        """async () => {
          const { createTable } = await import('/page/table.js');
          const table = createTable(() => {});
          const ANSWER = { category: "cs.RO", confidence: 1, scope: "in", verdict: "sure" };
          const counts = [];
          for (const size of [8192, 32768]) {
            let reads = 0;
            table.clear();
            for (let line = 1; line <= size; line += 64) {
              table.add(Array.from({ length: 64 }, (_, number) => ({
                line: line + number, shown: "a robot",
                get answer() { reads++; return ANSWER; },
              })));
            }
            table.draw();
            counts.push(reads);
            const caption = document.getElementById("caption").textContent;
            if (!caption.startsWith(size.toLocaleString("en"))) throw new Error(caption);
          }
          return counts;
        }"""
    )
    assert 0 < read[1] <= 5 * read[0]
