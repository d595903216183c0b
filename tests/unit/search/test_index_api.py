"""The index of the Python interface, and the landscape of an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

import shelfmark
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.landscape.run import draw_index
from tests.support import indexes
from tests.support.indexes import paper_records


@pytest.fixture
def index(folder: Path) -> Iterator[shelfmark.Index]:
    settings = indexes.build(folder, paper_records(range(60)))
    with shelfmark.Index.open(settings.paths.index, settings.paths.encoders) as opened:
        yield opened


def test_an_index_is_searched_from_python(index: shelfmark.Index) -> None:
    assert (index.papers, index.encoder, repr(index)) == (60, "hashed", "<Index: 60 papers>")
    found = index.search("unique7", k=3, category="cs", since="2010", until="2010-12")
    assert len(found.hits) == 3
    both = index.search("unique7", k=3, category="CS.ro , cs.CL", since="2010", until="2010-12")
    assert both.hits == found.hits
    assert all({"cs.RO", "cs.CL"} & set(hit.categories) for hit in found.hits)
    near = index.search(like="1501.00007", k=5)
    assert "1501.00007" not in [hit.id for hit in near.hits]
    assert near.hits[0].why
    assert sum(one.share for one in near.hits[0].why) <= 1.0001


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"k": 0}, "k=0: should be from 1 to 1000"),
        ({"words": 2}, "words=2: should be from 0 to 1"),
        ({"since": "last year"}, "since='last year': should be a day, a month or a year"),
        ({"category": "cs.XX"}, "category: no such category"),
        ({"category": 3}, "category=3: should be a name, or a list of names"),
        ({"like": [None]}, r"like=\[None\]: should be a name, or a list of names"),
        ({"since": 2015}, "since=2015: should be a text, such as 2018-05"),
        ({"title": b"robot"}, "title=b'robot': should be a text"),
        ({"words": "a"}, "words='a': should be from 0 to 1"),
        ({"k": True}, "k=True: should be from 1 to 1000"),
    ],
)
def test_an_invalid_value_is_one_line(
    index: shelfmark.Index, values: dict[str, object], reason: str
) -> None:
    with pytest.raises(ShelfmarkError, match=reason):
        index.search("robot", **values)  # type: ignore[arg-type]
    with pytest.raises(ShelfmarkError, match="nothing to search for"):
        index.search()


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no index in"):
        shelfmark.Index.open(tmp_path)
    with pytest.raises(ShelfmarkError, match="should be a path"):
        shelfmark.Index.open(3)  # type: ignore[arg-type]


def test_the_landscape_of_an_index_lies_beside_it(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(60)))
    path = Path(settings.paths.index)
    written = draw_index(indexes.open_index(settings), path, folder / "reports", 40, "pca", 7)
    assert path / "landscape.json" in written
    drawn = orjson.loads((path / "landscape.json").read_bytes())
    assert len(drawn["papers"]["id"]) == 40
    assert drawn["split"] == "index"
    indexes.build(folder, paper_records(range(70)))
    assert (path / "landscape.json").exists()
