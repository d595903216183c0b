"""The picture of the architecture: its names are modules, its arrows are imports."""

from __future__ import annotations

import html
import re
from pathlib import Path

from tests.unit.test_architecture import MODULES, imports_of

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "architecture.dot").read_text(encoding="utf-8")
LABELS = dict(re.findall(r'^    (\w+) .*label = "([^"]+)"\];$', TEXT, re.MULTILINE))
BOXES = {name: label.partition("\\n")[2].replace("\\n", " ").split() for name, label in
         LABELS.items()}  # fmt: skip
ARROWS = [
    (begin, end)
    for begin, end, style in re.findall(r"^    (\w+) -> (\w+)(.*);$", TEXT, re.MULTILINE)
    if "invis" not in style
]


def test_every_name_is_a_module_and_stands_there_once() -> None:
    names = [name for box in BOXES.values() for name in box]
    assert len(BOXES) > 10
    assert len(set(names)) == len(names)
    assert set(names) <= set(MODULES)


def test_every_arrow_is_an_import_and_none_goes_the_other_way() -> None:
    assert len(ARROWS) > 10

    def imported(box: str) -> set[str]:
        return set().union(*(imports_of(MODULES[name]) for name in BOXES[box]))

    for begin, end in ARROWS:
        assert imported(end) & set(BOXES[begin]), (begin, end)
        assert not imported(begin) & set(BOXES[end]), (begin, end)


def test_the_picture_is_that_of_the_text() -> None:
    picture = (DOCS / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    drawn = [html.unescape(line).replace("\xa0", " ") for line in
             re.findall(r"<text [^>]*>([^<]*)</text>", picture)]  # fmt: skip
    assert sorted(drawn) == sorted(line for label in LABELS.values() for line in label.split("\\n"))
    arrows = [tuple(html.unescape(edge).split("->")) for edge in
              re.findall(r'class="edge">\n<title>([^<]*)</title>', picture)]  # fmt: skip
    assert sorted(arrows) == sorted(ARROWS)
