"""The model card as a page of the service."""

from __future__ import annotations

import functools

from markdown_it import MarkdownIt

from shelfmark.core import pages
from shelfmark.models.artifact import Model

MISSING = "This model is older than model cards: train it again to get one."
# The page's stylesheet and its policy need other markup than the renderer writes.
REPLACEMENTS = {
    "<table>": '<div class="scroll"><table>',
    "</table>": "</table></div>",
    ' style="text-align:right"': ' class="number"',
}


@functools.lru_cache(maxsize=1)
def model_page(model: Model) -> str:
    """Return a model's card as HTML; markup in its text is shown as text.

    The last page is cached: that of a card which is written to be slow takes seconds.
    """
    # The card is a file of the artifact, which may come from anywhere: its HTML is not rendered,
    # so that the template may take the content as safe.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    content = markdown.render(model.about or f"# {model.version}\n\n{MISSING}")
    for rendered, wanted in REPLACEMENTS.items():
        content = content.replace(rendered, wanted)
    return pages.render("service/templates/model.html", name=model.version, content=content)
