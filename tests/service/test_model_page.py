"""The model card as the service serves it."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx


def test_browsers_get_a_page_and_accept_markdown_gets_the_source(
    server: httpx.Client, home: Path
) -> None:
    name = server.get("/model").json()["name"]
    about = (home / "models" / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    page = server.get("/model", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<h1>{name}</h1>" in page.text
    assert page.text.count('<div class="scroll"><table>') == about.count("| --- |")
    assert "style=" not in page.text, "the page's policy allows none"
    source = server.get("/model", headers={"Accept": "text/markdown"})
    assert source.text == about
