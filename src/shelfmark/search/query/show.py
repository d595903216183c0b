"""Shows the answer to a search in a terminal."""

from __future__ import annotations

import textwrap

from shelfmark.search.query.search_query import Hit, SearchResult

WIDTH = 96  # characters of a line


def show_result(result: SearchResult) -> str:
    """Return the papers of an answer, each in a few lines, and what there is to say of them."""
    blocks = [_show_hit(number, hit) for number, hit in enumerate(result.hits, 1)]
    if result.unknown:
        blocks.append(f"Not in the index: {', '.join(result.unknown)}.")
    if result.note:
        blocks.append(result.note)
    blocks.append(f"{result.selected:,} of {result.papers:,} papers were searched.")
    return "\n\n".join(blocks)


def _show_hit(number: int, hit: Hit) -> str:
    indent = " " * 4
    title = textwrap.wrap(
        hit.title, WIDTH, initial_indent=f"{number:>2}  ", subsequent_indent=indent
    )
    near = "" if hit.similarity is None else f"similarity {hit.similarity:.2f}, "
    lines = [
        *title,
        indent + textwrap.shorten(hit.authors, WIDTH - 4, placeholder=" …"),
        f"{indent}{hit.categories[0]}, {near}{hit.submitted}, https://arxiv.org/abs/{hit.id}",
    ]
    if hit.why:
        words = ", ".join(f"{one.word} {one.share:.0%}" for one in hit.why)
        lines.append(f"{indent}because of: {words}")
    return "\n".join(lines)
