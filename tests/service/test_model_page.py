"""The model card as the service serves it."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx

from shelfmark.models.artifact import Model
from shelfmark.service.model_page import model_page


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


def test_markup_in_a_card_is_shown_as_text(model: Model) -> None:
    page = model_page(Model(model.classifier, model.card, "# <script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_model_without_a_card_gets_a_page_that_says_so(model: Model) -> None:
    assert "older than model cards" in model_page(Model(model.classifier, model.card))
