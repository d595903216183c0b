"""The moderators' table as a page that stands alone: no script, nothing fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #f5f0e6; --card: #fffdf8; --ink: #27221a;
  --quiet: #635a4b; --line: #d9cfbd; --lamp: #1e5a45; --away: #9a3a10; --unsure: #79480a; }
@media (prefers-color-scheme: dark) { :root { --paper: #171410; --card: #211d17; --ink: #ebe3d4;
  --quiet: #b5a993; --line: #3d362a; --lamp: #8fcbad; --away: #f2a37c; --unsure: #ebc274; } }
body { margin: 0; padding: 1.5rem clamp(1rem, 3vw, 3rem); background: var(--paper);
  color: var(--ink); font: 1rem/1.5 Palatino, Georgia, serif; }
h1 { font-size: 1.6rem; margin: 0; }
p, caption { color: var(--quiet); }
caption { text-align: start; padding-block: .5rem; }
a { color: var(--lamp); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; inline-size: 100%; background: var(--card); }
th, td { padding: .5rem .7rem; text-align: start; vertical-align: top;
  border-block-end: 1px solid var(--line); }
thead th { white-space: nowrap; border-block-end-width: 2px; }
tbody th { font-weight: 400; min-inline-size: 16rem; }
.code, .number { white-space: nowrap; }
.number { text-align: end; font-variant-numeric: tabular-nums; }
.verdict { white-space: nowrap; font-weight: 600; }
.disagrees .verdict { color: var(--away); }
.agrees .verdict { color: var(--lamp); }
.not-sure .verdict { color: var(--unsure); }
small { display: block; color: var(--quiet); font-size: .88rem; white-space: normal; }
"""
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>Papers for moderators</title>
"""
COLUMNS = ("Paper", "Author’s", "Our shelf", "Sure", "Verdict", "Cross-lists to add", "Words")
SIGNS = {"disagrees": "✗", "not sure": "?", "agrees": "✓"}  # not by colour alone


def page(rows: Sequence[tuple[dict[str, str], str]], said: str) -> str:
    """Return the page of a table.

    Args:
        rows: for each paper the cells of its row, and the full name of its shelf.
        said: a line on where the papers and the shelves come from.
    """
    counts = Counter(cells["verdict"] for cells, _ in rows)
    told = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in SIGNS)
    heads = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    body = "\n".join(_row(*row) for row in rows)
    return f"""{HEAD}<style>{STYLE}</style>
</head>
<body>
<h1>Papers for moderators</h1>
<p>{escape(said)}</p>
<div class="scroll"><table>
<caption>{len(rows):,} papers: {told}. Those that need an eye come first.</caption>
<thead><tr>{heads}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
<p>Not sure: the model is not confident enough to agree or disagree, or does not know the author’s
category. Words: those that spoke most for the shelf. Thank you to arXiv for use of its open access
interoperability.</p>
</body>
</html>
"""


def _row(cells: dict[str, str], name: str) -> str:
    cell = {column: escape(text) for column, text in cells.items()}
    verdict = cells["verdict"]
    note = f"<small>{cell['note']}</small>" if cells["note"] else ""
    return (
        f'<tr class="{verdict.replace(" ", "-")}">'
        f'<th scope="row">{cell["title"]} '
        f'<a class="code" href="{cell["link"]}">{cell["id"]}</a></th>'
        f'<td class="code">{cell["primary"]}</td>'
        f'<td class="code">{cell["shelf"]}<small>{escape(name)}</small></td>'
        f'<td class="number">{float(cells["confidence"]):.1%}</td>'
        f'<td class="verdict">{SIGNS[verdict]} {verdict}{note}</td>'
        f"<td>{cell['cross_lists']}</td><td>{cell['words']}</td></tr>"
    )
