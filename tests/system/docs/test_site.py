"""The documentation site: complete, self-contained and accessible."""

from __future__ import annotations

import functools
import http.server
import re
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from scripts import config_page, make_site, reference_pages
from tests.support.browser import open_page, run_browser

ROOT = Path(__file__).parents[3]
LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Links(HTMLParser):
    """The links of a page, the files that it loads, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.leads.append(given["href"])
        canonical = given.get("rel") in ("canonical", "next", "prev")
        self.loads += [given[x] for t, x in LOADED if t == tag and x in given and not canonical]


@pytest.fixture(scope="module")
def links(site: Path) -> dict[Path, Links]:
    return {page: Links(page) for page in site.rglob("*.html")}


def entries(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    for one in nav:
        if isinstance(one, str):
            yield one
        else:
            for value in one.values():
                yield from [value] if isinstance(value, str) else entries(value)


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page(pages: Path) -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    named = list(entries(nav))
    there = {page.relative_to(pages).as_posix() for page in pages.rglob("*.md")}
    assert len(set(named)) == len(named)
    assert set(named) == {page for page in there if not page.startswith("files/")}


def test_every_link_leads_somewhere(site: Path, links: dict[Path, Links]) -> None:
    assert len(links) > 40
    for page, result in links.items():
        if page.name == "404.html":
            continue  # its links are those of whatever page was asked for
        for link in [*result.leads, *result.loads]:
            path, place = urldefrag(link)
            if urlsplit(link).scheme or not (path or place):
                continue
            target = page if not path else (page.parent / unquote(path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            assert target.is_relative_to(site.resolve()), (page, link)
            assert target.exists(), (page, link)
            if place and target.suffix == ".html":
                assert unquote(place) in links[target].places, (page, link)


def test_no_page_loads_anything_from_another_host(links: dict[Path, Links]) -> None:
    for page, result in links.items():
        assert result.loads, page
        assert not [link for link in result.loads if urlsplit(link).netloc], page


def test_a_link_without_a_target_stops_the_build() -> None:
    with pytest.raises(ValueError, match=r"nothing\.py does not exist"):
        make_site.rewrite_links("page.md", "[a](../src/nothing.py)", {})
    assert make_site.rewrite_links("page.md", "```\n[a](../nothing.py)\n```", {}).count("../") == 1


def test_every_key_has_a_type_a_default_and_a_meaning(pages: Path) -> None:
    page = (pages / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \| `(.*)` \| (.*) \|$", page, re.MULTILINE)
    meanings = {key: meaning for key, _, _, meaning in rows}
    base = config_page.compose_values([])
    cloud = config_page.compose_values([config_page.VERTEX])["cloud"]
    wanted = {key for key, _ in config_page.flatten(base)} | {
        f"cloud.{key}" for key, _ in config_page.flatten(cloud)
    }
    # These are described as groups, or in their source.
    wanted -= {"experiment", "cloud", "data.options.papers"}
    assert wanted <= set(meanings)
    assert [key for key, meaning in meanings.items() if not meaning.strip()] == []
    for group, names in config_page.groups.list_groups().items():
        for name in names:
            assert group == "cloud" or f"[`{group}={name}`]" in page, (group, name)


def test_types_and_values_are_those_of_the_schema(pages: Path) -> None:
    page = (pages / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert "| `model.max_depth` | integer from 1 to 20 | `4` | maximum depth of a tree |" in page
    assert "| `features.ngram_range` | pair of integer | `[1,2]` |" in page
    assert "| `data.split` | `hash` or `time` | `hash` |" in page
    assert re.search(r"`experiment=best`.*`model.learning_rate=0.12`", page)


def test_every_variable_that_is_read_is_documented(pages: Path) -> None:
    page = (pages / "environment.md").read_text(encoding="utf-8")
    capitals = re.compile(r"""["'$]\{?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b""")
    own = re.compile(r"^(SHELFMARK|WANDB|XDG|AIP|STORAGE|PROMETHEUS|OMP|DO_NOT|NO_GCE|GCSFS)")
    places = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").iterdir(), ROOT / "tasks.py"]
    read = {
        name
        for file in places
        if file.is_file()
        for name in capitals.findall(file.read_text(encoding="utf-8"))
        if own.match(name)
    } - {"XDG_DATA_HOME"}  # where try-images.sh looks for uv's Pythons
    assert len(read) > 30
    assert {name for name in read if f"`{name}`" not in page} == set()
    for kind in (reference_pages.settings.Settings, reference_pages.MonitorSettings):
        assert reference_pages.settings.settings_table(kind) in page


def test_every_command_is_documented_with_its_options(pages: Path) -> None:
    page = (pages / "reference" / "commands.md").read_text(encoding="utf-8")
    for word in ("train", "promote", "classify-new", "ship-log", "cloud-init", "docs"):
        assert f"\n## {word}\n" in page
    assert "| `--force` |  | Accept metrics that are worse or cannot be compared. |" in page
    assert "| `--split` | `test` | test, validation or train. |" in page
    assert "experiment=all|" not in page  # the groups are described with the keys


def test_every_module_is_in_the_api(site: Path) -> None:
    pages = (site / "reference" / "api").rglob("*.html")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for module in chain.from_iterable(reference_pages.list_rooms().values()):
        assert f'id="shelfmark.{module}"' in text
    assert 'id="shelfmark.models.artifact.load"' in text
    assert "_Composed" not in text


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as browser:
        yield browser


def test_the_search_works_by_keyboard_and_in_dark_mode(browser: Browser, address: str) -> None:
    requests: list[str] = []
    page = open_page(browser, color_scheme="dark")
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{address}/start/")
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", shade)[:3]) < 60
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text(re.compile("Skip to content"))
    page.keyboard.press("Control+k")
    page.keyboard.type("max_depth")
    results = page.get_by_role("option").filter(has_text="Configuration keys")
    expect(results.first).to_be_visible()
    assert [url for url in requests if not url.startswith((address, "blob:", "data:"))] == []
    page.context.close()


@pytest.mark.parametrize("path", ["/", "/start/", "/reference/configuration/", "/architecture/"])
def test_nothing_is_wider_than_a_phone(browser: Browser, address: str, path: str) -> None:
    page = open_page(browser, viewport={"width": 360, "height": 740})
    page.goto(f"{address}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()
