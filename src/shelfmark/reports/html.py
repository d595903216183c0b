"""A report as one page that stands alone: no script, nothing fetched, its pictures inside."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from shelfmark.errors import ShelfmarkError

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
STYLE = """
:root { color-scheme: light dark; --paper: #f5f0e6; --card: #fffdf8; --ink: #27221a;
  --quiet: #635a4b; --line: #d9cfbd; --lamp: #1e5a45; }
@media (prefers-color-scheme: dark) { :root { --paper: #171410; --card: #211d17; --ink: #ebe3d4;
  --quiet: #b5a993; --line: #3d362a; --lamp: #8fcbad; }
  img { filter: invert(.9) hue-rotate(180deg); } }
body { margin: 0 auto; max-inline-size: 72rem; padding: 1.5rem clamp(1rem, 3vw, 3rem);
  background: var(--paper); color: var(--ink); font: 1rem/1.5 Palatino, Georgia, serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.8rem; margin: 0; }
h2 { font-size: 1.4rem; margin-block: 2.5rem .5rem; border-block-end: 2px solid var(--line); }
h3 { font-size: 1.15rem; margin-block: 2rem .5rem; }
h4 { font-size: 1rem; margin-block: 1.5rem .5rem; }
a[href], summary { color: var(--lamp); }
code { font: .85em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
summary { cursor: pointer; padding-block: .5rem; }
.scroll { overflow-x: auto; margin-block: 1rem; }
.scroll code { overflow-wrap: normal; white-space: nowrap; }
table { border-collapse: collapse; background: var(--card); font-size: .92rem; }
th, td { padding: .3rem .7rem; text-align: start; vertical-align: top;
  border-block-end: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { vertical-align: bottom; border-block-end-width: 2px; }
img { max-inline-size: 100%; block-size: auto; border-radius: .3rem; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(text: str, folder: Path) -> str:
    """Return a report in HTML.

    Args:
        text: the report in Markdown.
        folder: where its pictures are.

    Raises:
        ShelfmarkError: a picture is missing, or lies outside the folder.
    """
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(COMMENT.sub("", text))
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                child.attrs["src"] = _inside(str(child.attrs["src"]), folder)
            if child.type == "link_open" and "://" not in str(child.attrs.get("href")):
                child.attrs.pop("href")  # it leads to a file beside, which the page has not
    body = reader.renderer.render(tokens, reader.options, {})
    body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="referrer" content="no-referrer">
<title>{escape(_title(tokens))}</title>
<style>{STYLE}</style>
</head>
<body>
{body.replace("</table>", "</table></div>")}</body>
</html>
"""


def _title(tokens: list[Token]) -> str:
    return next((x.content for x in tokens if x.type == "inline"), "Reports")


def _inside(source: str, folder: Path) -> str:
    """Return a picture as the address that holds it."""
    path = (folder / unquote(source)).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ShelfmarkError(f"{folder / source} is missing: write the report anew, inv report")
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
