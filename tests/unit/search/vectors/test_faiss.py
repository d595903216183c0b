from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.config.load import load_index_config
from shelfmark.config.search import FaissConfig
from shelfmark.core.arrays import Array, Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.search import segment
from shelfmark.search.filters import Columns, Filters, Selection
from shelfmark.search.vectors.protocol import MISSING, Neighbours
from shelfmark.search.vectors.stored import StoredVectors

faiss = pytest.importorskip("faiss", reason="the extra faiss is not installed")

from shelfmark.search.vectors.faiss import (  # noqa: E402
    FILE,
    FaissIndex,
    FaissMethod,
    fit_factory,
)

PAPERS, SIZE, TOPICS = 12_000, 32, 40
FIRST = date(2020, 1, 1).toordinal()
NAMES = ["cs.CV", "cs.LG", "math.CO"]


@pytest.fixture(scope="module")
def vectors() -> StoredVectors:
    """Vectors around some topics; a hundred of them are zero."""
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((TOPICS, SIZE))
    drawn = topics[rng.integers(TOPICS, size=PAPERS)] + rng.standard_normal((PAPERS, SIZE))
    floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    floats[rng.choice(PAPERS, 100, replace=False)] = 0
    return StoredVectors.round(floats)


@pytest.fixture(scope="module")
def columns() -> Columns:
    """A sixth of the papers is of mathematics; a day has ten papers."""
    primary = np.array([0, 0, 0, 1, 1, 2] * (PAPERS // 6), np.uint16)
    bits = np.packbits([primary == number for number in range(3)], axis=1)
    return Columns(NAMES, primary, bits, (FIRST + np.arange(PAPERS) // 10).astype(np.int32))


@pytest.fixture(scope="module")
def queries(vectors: StoredVectors) -> Floats:
    rng = np.random.default_rng(1)
    near = vectors.take(np.arange(0, PAPERS, 300)) + 0.1 * rng.standard_normal((40, SIZE))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def ivf(
    vectors: StoredVectors, columns: Columns, tmp_path_factory: pytest.TempPathFactory
) -> FaissIndex:
    return write_and_open("IVF100,SQ8", vectors, columns, tmp_path_factory.mktemp("ivf"))


@pytest.fixture(scope="module")
def graph(
    vectors: StoredVectors, columns: Columns, tmp_path_factory: pytest.TempPathFactory
) -> FaissIndex:
    folder = tmp_path_factory.mktemp("graph")
    return write_and_open("HNSW8", vectors, columns, folder, ef_search=1)


def configure(factory: str, **values: Any) -> FaissConfig:
    config = load_index_config(["index=faiss"]).index
    assert isinstance(config, FaissConfig)
    return config.model_copy(update={"factory": factory, "nprobe": 8} | values)


def write_and_open(
    factory: str, vectors: StoredVectors, columns: Columns, folder: Path, **values: Any
) -> FaissIndex:
    method = FaissMethod(configure(factory, **values), seed=1)
    method.write(vectors, columns, "a", folder)
    return open_index(method, vectors, folder)


def open_index(method: FaissMethod, vectors: StoredVectors, folder: Path) -> FaissIndex:
    if not (folder / segment.CARD).exists():
        segment.write_card(
            folder, {}, papers=len(vectors), size=vectors.size, categories=NAMES, method="faiss"
        )
    card, _ = segment.read_card(folder)
    return method.open(segment.SegmentFiles(folder, card), vectors, "a", method.settings())


def find_truth(vectors: StoredVectors, queries: Floats, k: int, selection: Selection) -> Neighbours:
    scores = queries @ vectors.take(np.arange(len(vectors))).T
    if selection.mask is not None:
        scores[:, ~selection.mask] = -np.inf
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Neighbours(rows, np.take_along_axis(scores, rows, axis=1))


def share_found(found: Neighbours, truth: Neighbours) -> float:
    """Return the share of results that are as near as those that are truly nearest."""
    return float(np.mean(found.scores >= truth.scores[:, -1:] - 1e-5))


@pytest.mark.parametrize(
    "factory", ["IVF100,Flat", "IVF100,SQ8", "HNSW16", "IVF100,PQ16x4fs", "RR32,IVF100,Flat"]
)
def test_each_kind_of_index_finds_the_nearest_papers(
    factory: str, vectors: StoredVectors, columns: Columns, queries: Floats, tmp_path: Path
) -> None:
    index = write_and_open(factory, vectors, columns, tmp_path, nprobe=20)
    for filters in (Filters(), Filters(categories=("math.CO",))):
        selection = Selection(columns, filters, excluded=[0, 5])
        found = index.search(queries, 10, selection)
        assert selection.mask is not None
        assert selection.mask[found.rows].all()
        assert share_found(found, find_truth(vectors, queries, 10, selection)) > 0.85


def test_scores_are_the_cosines_of_the_stored_vectors(
    ivf: FaissIndex, vectors: StoredVectors, columns: Columns, queries: Floats
) -> None:
    found = ivf.search(queries, 20, Selection(columns))
    for query, rows, scores in zip(queries, *found, strict=True):
        assert scores == pytest.approx(vectors.scores(query[None], rows)[0], abs=1e-6)
        assert (np.diff(scores) <= 0).all()
        assert len({*rows.tolist()}) == 20


def test_all_lists_are_as_good_as_a_comparison_with_all_vectors(
    vectors: StoredVectors, columns: Columns, queries: Floats, tmp_path: Path
) -> None:
    index = write_and_open("IVF100,Flat", vectors, columns, tmp_path)
    selection = Selection(columns)
    truth = find_truth(vectors, queries, 10, selection)
    assert share_found(index.search(queries, 10, selection, effort=100), truth) == 1
    assert share_found(index.search(queries, 10, selection, effort=1), truth) < 1


@pytest.mark.parametrize("kind", ["ivf", "graph"])
@pytest.mark.parametrize("k", [1, 1000, 1999, 2000])
def test_any_filter_keeps_as_many_papers_as_pass_it(
    kind: str, k: int, columns: Columns, queries: Floats, request: pytest.FixtureRequest
) -> None:
    index = request.getfixturevalue(kind)
    for filters in (
        Filters(categories=("math.CO",)),
        Filters(exclude=("cs",)),
        Filters(categories=("math",), since=date(2020, 1, 1), until=date(2030, 1, 1)),
    ):
        selection = Selection(columns, filters)
        assert selection.count == 2000
        found = index.search(queries[:2], k, selection, effort=1)
        assert (found.rows != MISSING).all()
        assert all(len({*rows}) == k for rows in found.rows.tolist())
        assert selection.mask is not None
        assert selection.mask[found.rows].all()


def test_no_more_papers_than_are_selected_are_found(
    ivf: FaissIndex, vectors: StoredVectors, columns: Columns, queries: Floats
) -> None:
    one_day = Filters(since=date(2020, 1, 2), until=date(2020, 1, 2))
    selection = Selection(columns, one_day, excluded=[12])
    found = ivf.search(queries[:3], 12, selection)
    truth = find_truth(vectors, queries[:3], 12, selection)
    assert (found.rows[:, :9] == truth.rows[:, :9]).all()
    assert (found.rows[:, 9:] == MISSING).all()
    assert (found.scores[:, 9:] == -np.inf).all()


def test_deleted_papers_are_never_found(ivf: FaissIndex, columns: Columns, queries: Floats) -> None:
    before = ivf.search(queries, 5, Selection(columns)).rows
    deleted = np.zeros(PAPERS, bool)
    deleted[before] = True
    after = ivf.search(queries, 5, Selection(columns, deleted=deleted)).rows
    assert not np.isin(after, before).any()
    assert (after != MISSING).all()


def test_the_effort_of_a_search_is_that_of_no_other(
    ivf: FaissIndex, columns: Columns, queries: Floats
) -> None:
    selection = Selection(columns)
    alone = {effort: ivf.search(queries, 10, selection, effort).rows for effort in (1, 3, 100)}
    default = ivf.search(queries, 10, selection).rows
    assert not np.array_equal(alone[1], alone[100])
    barrier = threading.Barrier(4)

    def search(effort: int | None) -> list[Array]:
        barrier.wait()
        return [ivf.search(queries, 10, selection, effort).rows for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(search, [1, 3, 100, None]))
    for same, expected in zip(results, [*alone.values(), default], strict=True):
        assert all(np.array_equal(rows, expected) for rows in same)


def test_a_search_leaves_the_number_of_threads_as_it_is(
    ivf: FaissIndex, columns: Columns, queries: Floats
) -> None:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        ivf.search(queries, 10, Selection(columns))
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


@pytest.fixture
def trees() -> Any:
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((400, 8))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    return xgboost.XGBClassifier(n_estimators=20, max_depth=3, n_jobs=2).fit(rows, labels), rows


def test_faiss_and_xgboost_work_in_one_process(
    trees: Any, ivf: FaissIndex, columns: Columns, queries: Floats, vectors: StoredVectors
) -> None:
    booster, rows = trees
    predicted = booster.predict_proba(rows)
    found = ivf.search(queries, 10, Selection(columns))

    def predict(_: int) -> bool:
        return np.array_equal(booster.predict_proba(rows), predicted)

    def search(_: int) -> bool:
        return np.array_equal(ivf.search(queries, 10, Selection(columns)).rows, found.rows)

    with ThreadPoolExecutor(4) as pool:
        same = [one for job in (predict, search) for one in pool.map(job, range(10))]
    assert all(same)
    assert share_found(found, find_truth(vectors, queries, 10, Selection(columns))) > 0.85


def test_the_same_seed_writes_the_same_file(
    vectors: StoredVectors, columns: Columns, tmp_path: Path
) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        config = configure("IVF20,SQ8", train_papers=2000)
        FaissMethod(config, seed).write(vectors, columns, name, tmp_path / name)
        contents.append((tmp_path / name / FILE).read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(
    ("factory", "papers", "fitted"),
    [
        ("IVF4096,SQ8", 200_000, "IVF4096,SQ8"),
        ("IVF4096,SQ8", 39_000, "IVF1000,SQ8"),
        ("IVF4096_HNSW32,Flat", 3_900, "IVF100_HNSW32,Flat"),
        ("IVF4096,SQ8", 77, "Flat"),
        ("IVF4096,PQ96x4fs", 39_000, "IVF1000,PQ96x4fs"),
        ("IVF4096,PQ96", 3_900, "Flat"),
        ("OPQ16,IVF64,PQ16", 100, "Flat"),
        ("HNSW32", 7, "HNSW32"),
        ("HNSW32_SQ8", 7, "HNSW32_SQ8"),
        ("Flat", 7, "Flat"),
    ],
)
def test_a_small_segment_has_fewer_lists(factory: str, papers: int, fitted: str) -> None:
    assert fit_factory(factory, papers) == fitted


@pytest.mark.parametrize("factory", ["IVF4096,SQ8", "IVF4096,PQ16", "HNSW32"])
@pytest.mark.parametrize("papers", [1, 100])
def test_a_segment_of_few_papers_is_searched_whole(
    factory: str,
    papers: int,
    vectors: StoredVectors,
    queries: Floats,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    few = StoredVectors(np.asarray(vectors.rows[:papers]), vectors.scales[:papers])
    days = np.full(papers, FIRST, np.int32)
    columns = Columns(NAMES, days.astype(np.uint16), np.zeros((3, 13), np.uint8), days)
    index = write_and_open(factory, few, columns, tmp_path)
    found = index.search(queries, 10, Selection(columns))
    truth = find_truth(few, queries, 10, Selection(columns))
    assert (found.rows[:, : min(papers, 10)] == truth.rows).all()
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("factory", "part"),
    [
        ("IVF128,Foo", "could not parse code description Foo in IVF128,Foo"),
        ("nonsense", "could not parse index string nonsense"),
        ("IVF10,PQ7", "should be a multiple of the number of subquantizers"),
        ("PQ16x4fs", "FAISS has no filters for it"),
        ("IDMap,Flat", "FAISS has no filters for it"),
        ("PCA16,IVF10,Flat", "PCA subtracts the mean of the vectors"),
    ],
)
def test_an_index_that_faiss_does_not_make_is_refused_before_any_work(
    factory: str, part: str
) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        FaissMethod(configure(factory), 0).check(SIZE)
    assert str(caught.value).startswith(f"index.factory={factory}")
    assert part in str(caught.value)
    assert "cpp" not in str(caught.value)


def test_a_file_with_another_digest_is_not_opened(
    vectors: StoredVectors, columns: Columns, tmp_path: Path
) -> None:
    method = FaissMethod(configure("IVF10,SQ8"), 0)
    method.write(vectors, columns, "a", tmp_path)
    open_index(method, vectors, tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ShelfmarkError, match="index.faiss is damaged: not the file its card names"):
        open_index(method, vectors, tmp_path)


def test_a_file_that_is_no_index_is_one_line(vectors: StoredVectors, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no index at all")
    with pytest.raises(ShelfmarkError, match="index.faiss cannot be opened: "):
        open_index(FaissMethod(configure("IVF10,SQ8"), 0), vectors, tmp_path)


def test_an_index_of_other_vectors_is_refused(
    vectors: StoredVectors, columns: Columns, tmp_path: Path
) -> None:
    method = FaissMethod(configure("IVF10,SQ8"), 0)
    method.write(vectors, columns, "a", tmp_path)
    fewer = StoredVectors(np.asarray(vectors.rows[:50]), vectors.scales[:50])
    with pytest.raises(ShelfmarkError, match="has other vectors; build the index again"):
        open_index(method, fewer, tmp_path)


def test_a_full_disk_is_one_line(vectors: StoredVectors, columns: Columns, tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to("/dev/full")
    with pytest.raises(ShelfmarkError, match="cannot write .*index.faiss: .*No space left") as one:
        FaissMethod(configure("IVF10,SQ8"), 0).write(vectors, columns, "a", tmp_path)
    assert "\n" not in str(one.value)
