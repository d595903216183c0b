"""A report as one page that needs nothing else: the answer first, then a picture of each change."""

from __future__ import annotations

from html import escape
from typing import Any

from shelfmark.monitoring import compare as drift
from shelfmark.monitoring.report import headline, sentence

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --soft: #66727f; --line: #d9dee4;
  --paper: #fff; --old: #8494a5; --new: #c05621; --bad: #b83232; --good: #2f7d4f; --wait: #8a6d1a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #a4b0bc; --line: #3a4550;
  --paper: #14191f; --old: #8494a5; --new: #ed8936; --bad: #f08080; --good: #68c08a;
  --wait: #e0bc5a } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.7rem; line-height: 1.25; border-left: .5rem solid; padding-left: .8rem }
h1.drift { color: var(--bad) } h1.none { color: var(--good) } h1.little { color: var(--wait) }
h2 { font-size: 1.1rem; margin: 2rem 0 .3rem } p.soft, figcaption, small { color: var(--soft) }
ul.moved { font-size: 1.1rem; padding-left: 1.2rem }
figure { margin: .5rem 0 1rem } svg { width: 100%; height: auto; max-width: 44rem }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif }
.old { fill: var(--old) } .new { fill: var(--new) } .still { fill: var(--line) }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line) }
td.n { text-align: right; font-variant-numeric: tabular-nums } td.drift { color: var(--bad) }
blockquote { margin: .6rem 0; padding-left: .8rem; border-left: 3px solid var(--line) }
.wide { overflow-x: auto }
"""
KEY = (
    '<small><span style="color:var(--old)">■</span> reference '
    '<span style="color:var(--new)">■</span> now</small>'
)
CLASSES = {drift.DRIFT: "drift", drift.NONE: "none", drift.TOO_LITTLE: "little"}


def render_page(report: dict[str, Any]) -> str:
    """Return a report as HTML; whatever stands in papers is escaped."""
    alarms = [one for one in report["tests"] if one["status"] == drift.DRIFT]
    alarms.sort(key=lambda one: one["test"] not in ("accuracy", "text"))
    moved = "".join(f"<li>{escape(sentence(one, report['words']))}</li>" for one in alarms)
    parts = [
        f'<h1 class="{CLASSES[report["verdict"]]}">{escape(headline(report))}</h1>',
        f"<p class=soft>{escape(_about(report))}</p>",
        f"<ul class=moved>{moved}</ul>" if moved else "",
        *(_section(one, report) for one in alarms),
        _examples(report["examples"]),
        _table(report["tests"]),
    ]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(headline(report))}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _about(report: dict[str, Any]) -> str:
    window = report["window"]
    span = ""
    if window["first"]:
        span = f" from {window['first'][:16]} to {window['last'][:16]}".replace("T", " ")
    left = "".join(f"; {count:,} {reason} left out" for reason, count in window["left_out"].items())
    if window["seen"] > window["papers"]:
        left += f"; of {window['seen']:,} by chance"
    return (
        f"Model {report['model']}. {window['papers']:,} papers of {window['source']}{span}{left}, "
        f"beside {report['reference']['papers']:,} of validation. "
        f"Made {report['created'][:16].replace('T', ' ')} UTC."
    )


def _section(one: dict[str, Any], report: dict[str, Any]) -> str:
    title = f"<h2>{escape(one['title'][0].upper() + one['title'][1:])}</h2>"
    if one["test"] == "text" and report["words"]:
        rows = [
            (row["word"], row["old"], row["new"])
            for side in ("more", "less") for row in report["words"][side]
        ]  # fmt: skip
        picture = _bars(rows, "Share of papers with a word")
    elif "histogram" in one:
        picture = _histogram(one["histogram"], one["unit"], f"Papers by {one['title']}")
    elif "shares" in one:
        rows = [(row["name"], row["old"], row["new"]) for row in one["shares"]]
        picture = _bars(rows, f"Shares of {one['title']}")
    else:
        picture = _bars([("", one["old"], one["new"])], one["title"])
    return f"{title}<figure>{picture}<figcaption>{KEY}</figcaption></figure>{_course(one)}"


def _svg(width: int, height: int, title: str, inner: str) -> str:
    told = escape(title)
    return (
        f'<svg viewBox="0 0 {width} {height}" role=img aria-label="{told}">'
        f"<title>{told}</title>{inner}</svg>"
    )


def _bars(rows: list[tuple[str, float, float]], title: str) -> str:
    most = max((max(abs(old), abs(new)) for _, old, new in rows), default=0) or 1
    inner = []
    for number, (name, old, new) in enumerate(rows):
        top = 4 + 34 * number
        inner.append(f"<text x=172 y={top + 18} text-anchor=end>{escape(name[:26])}</text>")
        for kind, value, at in (("old", old, top), ("new", new, top + 14)):
            wide = 400 * abs(value) / most
            inner.append(f"<rect class={kind} x=180 y={at} width={wide:.1f} height=12 />")
            inner.append(f"<text x={186 + wide:.1f} y={at + 10}>{value:.1%}</text>")
    return _svg(660, 8 + 34 * len(rows), title, "".join(inner))


def _histogram(bins: dict[str, list[float]], unit: str, title: str) -> str:
    edges, most = bins["edges"], max(*bins["old"], *bins["new"]) or 1
    step, inner = 620 / (len(edges) - 1), []
    for number, (old, new) in enumerate(zip(bins["old"], bins["new"], strict=True)):
        left = 20 + step * number
        for kind, value, at in (("old", old, left), ("new", new, left + step * 0.45)):
            high = 140 * value / most
            inner.append(
                f"<rect class={kind} x={at:.1f} y={150 - high:.1f} width={step * 0.42:.1f} "
                f"height={high:.1f} />"
            )
    for place in (0, len(edges) // 2, len(edges) - 1):
        value = edges[place]
        told = f"{value:.0f}" if unit == "words" else f"{value:.0%}"
        inner.append(f"<text x={20 + step * place:.1f} y=168 text-anchor=middle>{told}</text>")
    return _svg(660, 174, title, "".join(inner))


def _course(one: dict[str, Any]) -> str:
    """Draw how far each part of the window was from the reference: since when."""
    parts = one["parts"]
    if len(parts) < 2:
        return ""
    least = 0.5 if one["test"] == "text" else 0.0
    high = max(max(part["effect"] for part in parts), one["threshold"]) - least or 1
    step, inner = 620 / len(parts), []
    for number, part in enumerate(parts):
        tall = max(1.0, 60 * (part["effect"] - least) / high)
        kind, left = ("new" if part["moved"] else "still"), 20 + step * number
        inner.append(
            f"<rect class={kind} x={left:.1f} y={70 - tall:.1f} width={step * 0.9:.1f} "
            f"height={tall:.1f}><title>{escape(part['start'])}: {part['effect']:.2f}, "
            f"{part['papers']:,} papers</title></rect>"
        )
    for place, part in ((0, parts[0]), (1, parts[-1])):
        said = escape(part["start"][:16].replace("T", " "))
        anchor, left = (("start", 20), ("end", 640))[place]
        inner.append(f"<text x={left} y=86 text-anchor={anchor}>{said}</text>")
    drawn = _svg(660, 92, f"{one['title']}: distance from the reference over time", "".join(inner))
    caption = "Distance from the reference over time; coloured where it counts as moved."
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def _examples(examples: list[dict[str, Any]]) -> str:
    if not examples:
        return ""
    told = []
    for one in examples:
        about = [one["time"] and one["time"][:16].replace("T", " "),
                 f"{one['predicted']} with {one['confidence']:.0%}",
                 one["label"] and f"is {one['label']}"]  # fmt: skip
        said = ", ".join(filter(None, about))
        text = "text not kept in the log" if one["text"] is None else f"{one['text']} …"
        told.append(f"<blockquote>{escape(text)}<br><small>{escape(said)}</small></blockquote>")
    return f"<h2>Examples</h2>{''.join(told)}"


def _table(tests: list[dict[str, Any]]) -> str:
    rows = []
    for one in tests:
        numbers = "".join(
            f"<td class=n>{'' if value is None else format(value, form)}</td>"
            for value, form in (
                (one["papers"], ","), (one["effect"], ".3f"),
                (one["threshold"], "g"), (one["adjusted"], ".2g"),
            )
        )  # fmt: skip
        state = f"<td class={CLASSES.get(one['status'], 'soft')}>{escape(one['status'])}</td>"
        rows.append(f"<tr><td>{escape(one['title'])}</td>{state}{numbers}</tr>")
    heads = ("what", "verdict", "papers", "moved by", "alarm from", "p, corrected")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return f"<h2>All tests</h2><div class=wide><table><tr>{head}</tr>{''.join(rows)}</table></div>"
