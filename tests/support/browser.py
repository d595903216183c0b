"""What a person does with the page: asking, choosing a file, reading the table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.moments import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome")
MILLISECONDS = 1000 * PATIENCE
expect.set_options(timeout=MILLISECONDS)

Open = Callable[..., Page]
TABLE = """\ufeffid,title,abstract,primary\r
1,=SUM(A1),"A galaxy with a halo, dust
and ""star formation"".",astro-ph.GA\r
2,,,cs.RO\r
3,Grasping,We train a robot arm for grasping with motion planning.,quant-ph\r
4,@home,"Variational inference of the posterior of a Bayesian model.",\r
5,A robot,"not closed
"""


@contextmanager
def run_browser() -> Iterator[Browser]:
    """Run a browser while the block does; skip the test where none is installed, but not in CI."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=MILLISECONDS
        )
        yield browser
        browser.close()


def open_page(browser: Browser, **options: Any) -> Page:
    """Open an empty page in a context of its own; nothing in it is given up on a slow machine."""
    context = browser.new_context(**options)
    context.set_default_timeout(MILLISECONDS)
    return context.new_page()


def ask(page: Page, title: str, abstract: str, primary: str = "") -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_label("Abstract").fill(abstract)
    page.get_by_label("Author’s category").fill(primary)
    page.get_by_role("button", name="Predict the category").click()
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
