"""The pages of a service that stands under the path of a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Open, ask
from tests.support.moments import PATIENCE
from tests.support.proxy import proxying
from tests.system.service.page.conftest import serving

PREFIX = "/shelf"


@pytest.fixture(scope="module")
def rooted(home: Path) -> Iterator[str]:
    with serving(home, SHELFMARK_ROOT_PATH=PREFIX) as address:
        yield address


def use(page: Page, start: str) -> None:
    """Use the page, the model page and the documentation, by their links and their forms."""
    expect(page.locator("#model")).to_contain_text("Model quick")
    ask(page, "A robot", "We train a robot arm for grasping with motion planning.")
    expect(page.locator(".predicted")).to_contain_text("cs.RO")
    page.get_by_role("link", name="Its training data, scores and limits.").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("body"), "the page has a style").to_have_css("margin", "0px")
    page.get_by_role("link", name="Shelfmark").first.click()
    expect(page.get_by_label("Abstract")).to_be_visible()
    page.goto(f"{start.rstrip('/')}/docs")
    try_the_documentation(page, start.rstrip("/"))


def try_the_documentation(page: Page, address: str) -> None:
    """Send a request by the form of the documentation, and see its answer."""
    page.locator("#operations-default-health_health_get").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".request-url")).to_contain_text(f"{address}/health")
    expect(page.locator(".live-responses-table")).to_contain_text("alive")


@pytest.mark.parametrize("tells", [False, True], ids=["untold", "told"])
@pytest.mark.parametrize("prefix", [PREFIX, "/deep/er/shelf-1.0"])
def test_a_proxy_that_removes_its_path(visit: Open, address: str, prefix: str, tells: bool) -> None:
    with proxying(address, prefix, tells=tells) as start:
        use(visit(f"{start}/"), start)


@pytest.mark.parametrize("strips", [True, False], ids=["removed", "kept"])
@pytest.mark.parametrize("end", ["/", ""], ids=["slash", "bare"])
def test_a_service_that_knows_the_path(visit: Open, rooted: str, strips: bool, end: str) -> None:
    with proxying(rooted, PREFIX, strips=strips, bare=True) as start:
        use(visit(start + end), start)


def test_a_proxy_that_tells_its_path_may_pass_it_on_without_a_slash(
    visit: Open, address: str
) -> None:
    with proxying(address, PREFIX, tells=True, bare=True) as start:
        use(visit(start), start)


def test_a_service_that_knows_a_path_is_also_used_without_it(visit: Open, rooted: str) -> None:
    use(visit(rooted), rooted)


def test_a_path_with_a_slash_too_many_stays_under_the_proxy(visit: Open, address: str) -> None:
    with proxying(address, PREFIX) as start:
        page = visit(f"{start}/docs/")
        assert page.url == f"{start}/docs"
        try_the_documentation(page, start)


@pytest.mark.parametrize("tells", [False, True])
def test_the_contract_names_the_path_that_it_is_told(address: str, tells: bool) -> None:
    with proxying(address, PREFIX, tells=tells) as start, httpx.Client(timeout=PATIENCE) as client:
        document = client.get(f"{start}/openapi.json").json()
        assert document.get("servers") == ([{"url": PREFIX}] if tells else None)
        assert client.head(f"{start}/health").status_code == 200


@pytest.mark.parametrize("value", ["//evil.example", "https://evil.example", '/a"><script src=x>'])
def test_no_header_leads_a_browser_to_another_host(address: str, value: str) -> None:
    headers = {"X-Forwarded-Prefix": value, "X-Forwarded-Host": "evil.example"}
    with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE) as client:
        plain = httpx.get(f"{address}/", timeout=PATIENCE)
        assert client.get("/").content == plain.content
        assert "servers" not in client.get("/openapi.json").json()
        assert client.get("/docs/").headers["location"] == "../docs"
