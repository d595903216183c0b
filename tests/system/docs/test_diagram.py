"""The diagram of the architecture: its boxes are the rooms, its arrows their imports."""

from __future__ import annotations

import html
import re
from pathlib import Path

import grimp
import pytest

DOCS = Path(__file__).parents[3] / "docs"
SOURCE = DOCS.parent / "src" / "shelfmark"
TEXT = (DOCS / "architecture.dot").read_text(encoding="utf-8")
LABELS = dict(re.findall(r'^    (\w+) .*label = "([^"]+)"\];$', TEXT, re.MULTILINE))
ARROWS = set(re.findall(r"^    (\w+) -> (\w+);$", TEXT, re.MULTILINE))


@pytest.fixture(scope="module")
def imports() -> set[tuple[str, str]]:
    """The imports between rooms, as import-linter sees them."""
    graph = grimp.build_graph("shelfmark")

    def room(module: str) -> str:
        return ".".join(module.split(".")[1:2])

    pairs = {
        (room(module), room(imported))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    }
    return {(one, other) for one, other in pairs if one != other and {one, other} <= LABELS.keys()}


def reached_from(room: str) -> set[str]:
    """Return the rooms that the arrows lead to from a room."""
    ends = {end for begin, end in ARROWS if begin == room}
    return ends.union(*map(reached_from, ends))


def test_the_boxes_are_the_rooms() -> None:
    rooms = {file.parent.name for file in SOURCE.glob("*/__init__.py")}
    assert {*LABELS} == rooms
    assert {name: label.partition("\\n")[0] for name, label in LABELS.items()} == {
        room: room for room in rooms
    }


def test_every_arrow_is_an_import_and_every_import_a_way_along_arrows(
    imports: set[tuple[str, str]],
) -> None:
    assert ARROWS - imports == set()
    assert {(one, other) for one, other in imports if other not in reached_from(one)} == set()


def test_the_picture_is_drawn_from_the_text() -> None:
    picture = (DOCS / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    lines = [html.unescape(line).replace("\xa0", " ") for line in
             re.findall(r"<text [^>]*>([^<]*)</text>", picture)]  # fmt: skip
    assert sorted(lines) == sorted(line for label in LABELS.values() for line in label.split("\\n"))
    arrows = [tuple(html.unescape(edge).split("->")) for edge in
              re.findall(r'class="edge">\n<title>([^<]*)</title>', picture)]  # fmt: skip
    assert sorted(arrows) == sorted(ARROWS)
