"""The model card as an HTML page."""

from __future__ import annotations

from shelfmark.models.artifact import Model
from shelfmark.service.model_page import model_page


def test_markup_in_a_card_is_shown_as_text(model: Model) -> None:
    page = model_page(Model(model.classifier, model.card, "# <script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_model_without_a_card_has_a_page_that_names_the_lack(model: Model) -> None:
    assert "older than model cards" in model_page(Model(model.classifier, model.card))


def test_a_page_is_rendered_once(model: Model) -> None:
    own = Model(model.classifier, model.card, "# A card")
    assert model_page(own) is model_page(own)
    assert "Another" in model_page(Model(model.classifier, model.card, "# Another"))
