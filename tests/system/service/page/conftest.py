"""The page in a real browser, before a real server process."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import orjson
import pytest
from playwright.sync_api import Browser, Page

from shelfmark.data import splits
from shelfmark.models import answers, artifact
from tests.support.browser import Open, open_page, run_browser
from tests.support.library import make_library, wait_until_searchable
from tests.support.moments import PATIENCE
from tests.support.serving import free_port, start, wait_until_ready

Paper = tuple[str, str]  # title and abstract
GIBBERISH = "asdf qwer zxcv"


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
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def address(home: Path) -> Iterator[str]:
    with serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def locked(home: Path) -> Iterator[str]:
    with serving(home, SHELFMARK_API_KEY="api-key-of-tests") as address:
        yield address


@pytest.fixture(scope="session")
def papers(model: artifact.Model) -> list[Paper]:
    """The papers of the test split, which are all in scope."""
    table = splits.open_splits(Path(model.card.data.folder)).read("test", ["title", "abstract"])
    return [(row["title"], row["abstract"]) for row in table.to_pylist()]


@pytest.fixture(scope="session")
def strict_home(
    home: Path, model: artifact.Model, papers: list[Paper], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the model, whose limits are so strict that papers get every verdict."""
    folder = tmp_path_factory.mktemp("strict")
    shutil.copytree(home / "models" / "quick", folder / "models" / "quick")
    path = folder / "models" / "quick" / "card.json"
    card = orjson.loads(path.read_bytes())
    make_strict(card["thresholds"]["verdicts"], model, [model.text(*paper) for paper in papers])
    path.write_bytes(orjson.dumps(card))
    return folder


def make_strict(written: dict[str, Any], model: artifact.Model, texts: list[str]) -> None:
    """Raise the limits of verdicts: most of these texts get less than `sure`, some are doubtful."""
    limits = model.card.limits.verdicts
    assert limits is not None
    assert model.scope is not None
    probabilities, _ = model.probabilities(texts)
    best, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    short = np.zeros(len(texts), np.bool_)
    # The shares of the texts below the limits of a likely and of a sure answer.
    for name, shares in (("primary", (30, 60)), ("listed", (15, 45))):
        estimates = getattr(limits, name).estimate(best, confidence, short)
        likely, sure = np.percentile(estimates, shares).tolist()
        kept = {"open": 0.5, "likely": 0.8, "sure": 0.95}
        written[name].update(likely_from=likely, sure_from=sure, kept=kept)
    form = float(np.percentile(model.scope.weigh(texts).form, 10))
    written["scope"].update(form=form, form_outside=-1e9)


@pytest.fixture(scope="session")
def strict_model(strict_home: Path) -> artifact.Model:
    return artifact.load(strict_home / "models" / "quick", threads=1)


@pytest.fixture(scope="session")
def strict(strict_home: Path) -> Iterator[str]:
    """The address of a service with the strict model."""
    with serving(strict_home, SHELFMARK_MODEL="quick") as address:
        yield address


@pytest.fixture(scope="session")
def graded(strict_model: artifact.Model, papers: list[Paper]) -> dict[str, Paper]:
    """A paper of each state of an answer of the strict model, with something that also fits."""
    found: dict[str, Paper] = {
        one.verdict if one.scope == "in" else one.scope: paper
        for paper, one in zip(papers, answers.answer_papers(strict_model, papers), strict=True)
        if one.cross_lists
    }
    states = ("sure", "likely", "open", "doubtful")
    return {state: found[state] for state in states} | {"outside": ("", GIBBERISH)}


@pytest.fixture(scope="session")
def library(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, an encoder, and an index of papers with its landscape."""
    folder = tmp_path_factory.mktemp("library")
    make_library(folder, home / "models")
    return folder


@contextmanager
def serving_index(library: Path, **env: str) -> Iterator[str]:
    with serving(library, **env) as address, httpx.Client(base_url=address) as client:
        wait_until_searchable(client)
        yield address


@pytest.fixture(scope="session")
def searching(library: Path) -> Iterator[str]:
    """The address of a service with an index."""
    with serving_index(library) as address:
        yield address


@pytest.fixture(scope="module")
def locked_search(library: Path) -> Iterator[str]:
    with serving_index(library, SHELFMARK_API_KEY="api-key-of-tests") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as browser:
        yield browser


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
        page = open_page(browser, viewport=viewport, **options)
        contexts.append(page.context)
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
