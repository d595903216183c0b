"""The model card as a page of the service."""

from __future__ import annotations

from html import escape

from markdown_it import MarkdownIt

from shelfmark.models.artifact import Model

NONE = "This model was trained before there were model cards: train again, and it has one."
# What the renderer makes, as the page's own style and its policy want it.
FITTED = {
    "<table>": '<div class="scroll"><table>',
    "</table>": "</table></div>",
    ' style="text-align:right"': ' class="number"',
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}: model card</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/page.css">
</head>
<body>
<main class="about">
<p><a href="/">Shelfmark</a></p>
{content}
</main>
</body>
</html>
"""


def page(model: Model) -> str:
    """Return a model's card as HTML; whatever markup its text may hold is shown as text."""
    # A file of the artifact, which may come from anywhere: no HTML of its own.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    content = markdown.render(model.about or f"# {model.version}\n\n{NONE}")
    for made, ours in FITTED.items():
        content = content.replace(made, ours)
    return PAGE.format(name=escape(model.version), content=content)
