"""The committed report: its page is the one rendered from its committed figures."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import orjson
import pytest

from shelfmark.reports.check import check_report
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


def test_splits_of_several_files_list_them(tmp_path: Path) -> None:
    shutil.copytree(REPORTS / "figures", tmp_path / "figures")
    shutil.copy(REPORTS / "README.md", tmp_path)
    figures = next(tmp_path.glob("figures/data-*/metrics.json"))
    values = orjson.loads(figures.read_bytes())
    sources = [
        {
            "file": f"{name}.zip",
            "sha256": "0" * 64,
            "read": number,
            "kept": number - 7,
            "dropped": {"too short": 7},
        }
        for name, number in (("a", 71234), ("b|c", 81234))
    ]
    figures.write_bytes(orjson.dumps(values | {"sources": sources}))
    rewrite_page(tmp_path)
    page = read_page(tmp_path)
    assert "| `a.zip` | 71,234 | 71,227 |" in page
    assert "81,234 | 81,227 |" in page
    assert check_report(tmp_path) == []
    wrong = page.replace("71,227", "71,228")
    (tmp_path / "README.md").write_text(wrong, encoding="utf-8")
    assert len(check_report(tmp_path)) == 1
