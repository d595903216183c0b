"""On a file of milvus-lite; tests/system/search/test_milvus_server.py runs them on a server too."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")

from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.search.filters import Columns, Filters, Selection
from shelfmark.search.segment import SegmentCard, SegmentFiles
from shelfmark.search.vectors import milvus
from shelfmark.search.vectors.exact import ExactIndex
from shelfmark.search.vectors.milvus import (
    MilvusIndex,
    MilvusMethod,
    express_filters,
    name_collection,
)
from shelfmark.search.vectors.protocol import MISSING, Neighbours
from shelfmark.search.vectors.stored import StoredVectors

SERVER = os.environ.get("TEST_MILVUS_URI")
PAPERS, SIZE, TOPICS = 3000, 32, 30
FIRST = date(2020, 1, 1).toordinal()
NAMES = ["cs.CV", "cs.LG", "math.CO", "hep-th"]


@dataclass(frozen=True)
class Segment:
    vectors: StoredVectors
    columns: Columns
    queries: Floats


@pytest.fixture(scope="module")
def segment() -> Segment:
    """Vectors around some topics, of which some are equal and some are zero."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((TOPICS, SIZE))
    drawn = topics[rng.integers(TOPICS, size=PAPERS)] + rng.standard_normal((PAPERS, SIZE))
    floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    floats[500:900] = floats[100:500]
    floats[rng.choice(PAPERS, 50, replace=False)] = 0
    queries = floats[rng.choice(PAPERS, 100)] + 0.1 * rng.standard_normal((100, SIZE))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    primary = rng.integers(len(NAMES), size=PAPERS).astype(np.uint16)
    cross = rng.integers(len(NAMES), size=PAPERS)
    bits = [(primary == number) | (cross == number) for number in range(len(NAMES))]
    days = (FIRST + rng.integers(2000, size=PAPERS)).astype(np.int32)
    columns = Columns(NAMES, primary, np.packbits(bits, axis=1), days)
    return Segment(StoredVectors.round(floats), columns, queries.astype(np.float32))


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return SERVER or str(tmp_path_factory.mktemp("milvus") / "new" / "milvus.db")


@pytest.fixture(scope="module")
def methods(segment: Segment, uri: str) -> Iterator[dict[bool, MilvusMethod]]:
    """Return what has written a collection of which all are compared, and one of a graph.

    The first was interrupted once.
    """
    methods = {exact: MilvusMethod(uri, 60, exact) for exact in (True, False)}
    interrupt(methods[True], segment, "True")

    def write(exact: bool) -> dict[str, Any]:
        return methods[exact].write(segment.vectors, segment.columns, f"{exact}", Path())

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setattr(milvus, "SENT", 4 * SIZE * 1000)  # several batches
        assert list(pool.map(write, methods)) == [{}, {}]
    yield methods
    for exact, method in methods.items():
        method.remove(f"{exact}", method.settings())


@pytest.fixture(scope="module")
def index(methods: dict[bool, MilvusMethod], segment: Segment) -> Iterator[MilvusIndex]:
    with contextlib.closing(open_index(methods[True], segment, "True")) as index:
        yield index


@pytest.fixture(scope="module")
def graph(methods: dict[bool, MilvusMethod], segment: Segment) -> Iterator[MilvusIndex]:
    with contextlib.closing(open_index(methods[False], segment, "False")) as index:
        yield index


class InterruptedVectors(StoredVectors):
    def blocks(self) -> Iterator[tuple[int, Floats]]:
        begin, block = next(super().blocks())
        yield begin, block[:1000]
        raise KeyboardInterrupt


def interrupt(method: MilvusMethod, segment: Segment, name: str) -> None:
    """Write a part of a collection."""
    vectors = InterruptedVectors(segment.vectors.rows, segment.vectors.scales)
    with pytest.raises(KeyboardInterrupt):
        method.write(vectors, segment.columns, name, Path())


def open_index(method: MilvusMethod, segment: Segment, name: str) -> MilvusIndex:
    card = SegmentCard(papers=PAPERS, size=SIZE, categories=NAMES, files={}, arrays={})
    return method.open(SegmentFiles(Path(), card), segment.vectors, name, method.settings())


def count_equal(found: Neighbours, truth: Neighbours) -> int:
    """Return for how many queries the same papers are found, or others that are as near."""
    equal = np.isclose(found.scores, truth.scores, rtol=0, atol=1e-5) | np.isneginf(truth.scores)
    return int(((found.rows == MISSING) == (truth.rows == MISSING)).all() * equal.all(axis=1).sum())


DELETED = {
    "none": None,
    "few": [*range(0, PAPERS, 1000)],
    "many": [*range(0, PAPERS, 2)],
    "nearly all": [*range(PAPERS - 15)],
}


@pytest.mark.parametrize("deleted", DELETED)
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(categories=("cs",)),
        Filters(categories=("cs.LG", "physics"), primary=True),
        Filters(exclude=("math.CO",), since=date(2021, 2, 3), until=date(2023, 4, 5)),
        Filters(categories=("math",), exclude=("cs.CV", "econ"), since=date(2020, 6, 1)),
        Filters(categories=("econ",)),
    ],
    ids=["no filter", "group", "primary", "dates", "in and out", "a category without papers"],
)
def test_the_papers_found_are_those_of_the_local_index(
    filters: Filters, deleted: str, index: MilvusIndex, segment: Segment
) -> None:
    mask = None
    if (rows := DELETED[deleted]) is not None:
        mask = np.zeros(PAPERS, bool)
        mask[rows] = True
    selection = Selection(segment.columns, filters, deleted=mask, excluded=[3, 500, 501])
    found = index.search(segment.queries, 10, selection)
    truth = ExactIndex(segment.vectors).search(segment.queries, 10, selection)
    assert count_equal(found, truth) >= 99
    assert selection.mask is not None
    assert selection.mask[found.rows[found.rows != MISSING]].all()
    assert all(len({*rows} - {MISSING}) == (rows != MISSING).sum() for rows in found.rows)


def test_more_papers_are_found_than_a_batch_has(index: MilvusIndex, segment: Segment) -> None:
    selection = Selection(segment.columns)
    found = index.search(segment.queries[:2], PAPERS, selection)
    assert [sorted(rows) for rows in found.rows.tolist()] == 2 * [[*range(PAPERS)]]


def test_a_graph_finds_nearly_all_of_the_nearest_papers(
    graph: MilvusIndex, segment: Segment
) -> None:
    for filters in (Filters(), Filters(categories=("math.CO",), primary=True)):
        selection = Selection(segment.columns, filters, excluded=[3])
        truth = ExactIndex(segment.vectors).search(segment.queries, 10, selection)
        found = graph.search(segment.queries, 10, selection, effort=200)
        assert np.mean(found.scores >= truth.scores[:, -1:] - 1e-5) > 0.95
        assert (found.rows != MISSING).all()


def test_several_threads_search_at_a_time(
    methods: dict[bool, MilvusMethod], index: MilvusIndex, segment: Segment
) -> None:
    fresh = open_index(methods[True], segment, "True")  # the first search connects
    selection = Selection(segment.columns, Filters(categories=("cs",)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fresh.search(segment.queries, 5, selection), range(8)))
    expected = index.search(segment.queries, 5, selection)
    assert all(count_equal(one, expected) == len(segment.queries) for one in found)
    fresh.close()


def test_a_collection_that_is_unfinished_or_removed_is_no_index(uri: str, segment: Segment) -> None:
    method = MilvusMethod(uri, 60)
    interrupt(method, segment, "unfinished")
    selection = Selection(segment.columns)
    for rows in (r"[\d,]+", "0"):
        index = open_index(method, segment, "unfinished")
        line = f"Milvus has {rows} of the 3,000 papers of shelfmark_unfinished_.*; build the index"
        with pytest.raises(ShelfmarkError, match=line):
            index.search(segment.queries, 10, selection)
        index.close()
        method.remove("unfinished", method.settings())  # once more is no error


def test_segments_of_one_name_in_two_indexes_have_two_collections(segment: Segment) -> None:
    vectors, columns = segment.vectors, segment.columns
    other = StoredVectors(vectors.rows, vectors.scales[::-1])
    names = {
        name_collection("000001", vectors, columns),
        name_collection("000001", other, columns),
        name_collection("000002", vectors, columns),
        name_collection("000001", vectors, Columns(NAMES[::-1], *list(vars(columns).values())[1:])),
    }
    assert len(names) == 4
    assert all(name.startswith("shelfmark_00000") and name.isidentifier() for name in names)


@pytest.mark.parametrize(
    ("filters", "expression"),
    [
        (Filters(), ""),
        (Filters(categories=("cs",)), "array_contains_any(categories, [0, 1])"),
        (Filters(categories=("math",), primary=True), "primary in [2]"),
        (Filters(exclude=("econ",)), ""),
        (
            Filters(exclude=("hep-th",), since=date(2020, 1, 1), until=date(2020, 1, 2)),
            "not array_contains_any(categories, [3]) and days >= 737425 and days <= 737426",
        ),
    ],
)
def test_filters_as_an_expression(filters: Filters, expression: str, segment: Segment) -> None:
    assert express_filters(segment.columns, filters) == expression


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that stays bound, and at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_does_not_answer_is_one_line_without_the_token(
    closed_port: int,
    segment: Segment,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SHELFMARK_MILVUS_TOKEN", "root:very-secret")
    method = MilvusMethod(f"http://127.0.0.1:{closed_port}", 0.5)
    index = open_index(method, segment, "a")

    def search() -> Any:
        return index.search(segment.queries, 10, Selection(segment.columns))

    def write() -> Any:
        return method.write(segment.vectors, segment.columns, "a", Path())

    for action in (search, write, lambda: method.check(SIZE)):
        with pytest.raises(ShelfmarkError) as caught:
            action()
        line = str(caught.value)
        assert line.startswith(f"engine.uri=http://127.0.0.1:{closed_port}: Milvus does not answer")
        assert "SHELFMARK_MILVUS_TOKEN" in line
        assert "secret" not in line
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(SERVER is not None, reason="there is no file")
def test_a_file_that_another_process_has_open_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import fcntl  # Windows has neither

    place = tmp_path / "milvus.db"
    place.mkdir()
    with (place / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ShelfmarkError, match="milvus.db: Milvus cannot use the file; one"):
            MilvusMethod(str(place), 5).check(SIZE)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("index/milvus", "a file of Milvus ends in .db"),
        ("ftp://host:19530", "a server of Milvus is http://host:19530"),
        ("http://", "a server of Milvus is http://host:19530"),
        ("http://[half", "a server of Milvus is http://host:19530"),
        ("http://user:hidden@host:19530", "holds a user or a password"),
        ("http://user:hidden@[half", "holds a user or a password"),
    ],
)
def test_a_uri_that_milvus_has_not_is_refused(uri: str, part: str) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        MilvusMethod(uri, 1)
    assert part in str(caught.value)
    assert "hidden" not in str(caught.value)
