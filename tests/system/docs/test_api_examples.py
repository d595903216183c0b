"""Every example of docs/api.md, run against a real service with a small model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Page

from tests.support.browser import open_page, run_browser
from tests.support.library import make_library, wait_until_searchable
from tests.support.moments import PATIENCE
from tests.support.serving import running

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "localhost:8000"
KEYS = {"SHELFMARK_API_KEY": "api key of the tests", "SHELFMARK_ADMIN_KEY": "admin-key-of-tests"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, dict[str, str]]:
    """Return the examples of each section by their language; `json` is what they print."""
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return {
        title: dict(BLOCK.findall(text))
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


EXAMPLES = [
    pytest.param(code, section["json"], language, title, id=f"{title}: {language}")
    for title, section in sections().items()
    for language, code in section.items()
    if language != "json"
]


@pytest.fixture(scope="module")
def library(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, an encoder, and an index of papers with its landscape."""
    folder = tmp_path_factory.mktemp("library")
    make_library(folder, home / "models")
    assert (folder / "models" / "latest").exists()
    return folder


@pytest.fixture(scope="module")
def free(library: Path) -> Iterator[httpx.Client]:
    """A service that asks for no API key."""
    with running(library, SHELFMARK_ADMIN_KEY=KEYS["SHELFMARK_ADMIN_KEY"]) as client:
        wait_until_searchable(client)
        yield client


@pytest.fixture(scope="module")
def locked(library: Path) -> Iterator[httpx.Client]:
    with running(library, **KEYS) as client:
        yield client


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with run_browser() as browser:
        yield open_page(browser)


def run(code: str, language: str, page: Page | None, address: str) -> str:
    """Return what an example prints."""
    env = {**os.environ, **KEYS}
    if page is not None:
        printed: list[str] = []
        page.goto(f"http://{address}/health")
        page.on("console", lambda line: printed.append(line.text) if line.type == "log" else None)
        page.evaluate(f"globalThis.process = {{env: {json.dumps(KEYS)}}}")
        page.evaluate(f"(async () => {{\n{code}\n}})()")
        return printed[-1]
    command = {
        "bash": ["bash", "-euc", code],
        "python": [sys.executable, "-W", "error", "-c", code],
    }
    done = subprocess.run(
        command[language], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alike(shown: Any, real: Any, place: str = "") -> None:
    """Fail unless both have the same keys, and values of the same kind, all the way down."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), place
        assert list(shown) == list(real), place
        for key in shown:
            alike(shown[key], real[key], f"{place}.{key}")
    elif isinstance(shown, list):
        assert isinstance(real, list), place
        for number, (one, other) in enumerate(zip(shown, real, strict=False)):
            alike(one, other, f"{place}.{number}")
    elif isinstance(shown, float | int) and not isinstance(shown, bool):
        assert isinstance(real, float | int), place
    else:
        assert real is None or isinstance(real, type(shown)), place


@pytest.mark.parametrize(("code", "shown", "language", "title"), EXAMPLES)
def test_an_example_prints_what_the_page_shows(
    request: pytest.FixtureRequest, code: str, shown: str, language: str, title: str
) -> None:
    client = request.getfixturevalue("locked" if title.startswith("Keys") else "free")
    address = f"127.0.0.1:{client.base_url.port}"
    page = request.getfixturevalue("page") if language == "javascript" else None
    assert ADDRESS in code
    printed = json.loads(run(code.replace(ADDRESS, address), language, page, address))
    expected = json.loads(shown)
    alike(expected, printed)
    for name in ("predictions", "results", "searches"):
        if name in expected:
            assert len(printed[name]) == len(expected[name])
    if "status" in expected:
        assert printed["status"] == expected["status"]


def test_there_are_three_of_almost_everything() -> None:
    languages = [set(section) for section in sections().values()]
    assert languages.count({"bash", "python", "javascript", "json"}) >= 5
    assert all({"bash", "python", "json"} <= section for section in languages)
