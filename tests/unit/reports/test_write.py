"""The committed report: its page is the one rendered from its committed figures."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from shelfmark.reports.collect import read_page
from shelfmark.reports.write import render_html, rewrite_page
from tests.conftest import ROOT

REPORTS = ROOT / "reports"


@pytest.fixture(scope="module")
def page() -> str:
    return read_page(REPORTS)


def test_the_committed_page_is_what_its_figures_write(page: str, tmp_path: Path) -> None:
    shutil.copytree(REPORTS / "figures", tmp_path / "figures")
    shutil.copy(REPORTS / "README.md", tmp_path)
    rewrite_page(tmp_path)
    assert read_page(tmp_path) == page, "write it again: uv run python reports/report.py page"


def test_the_html_page_embeds_every_picture_and_fetches_nothing(page: str) -> None:
    html = render_html(page, REPORTS)
    assert html.count('src="data:image/png;base64,') == page.count("![")
    assert not re.search(r'<script|<link|(?:src|href)="(?!data:|https://)|<!--|url\(', html)
    assert "<title>Reports</title>" in html
