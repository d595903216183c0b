"""The figures of `inv bench search` are those of the index that is measured."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.child import run_child
from shelfmark.experiments.benchmarks.search import quality, run, service
from shelfmark.search.filters import Filters
from shelfmark.search.manifest import read_manifest
from shelfmark.search.papers import PaperRow
from tests.support import indexes
from tests.support.indexes import paper_records


def test_an_exact_index_finds_all_that_is_nearest_and_each_title(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(120)), "index=exact")
    figures = quality.measure_index(settings.paths.index, settings.paths.encoders)
    assert figures["papers"] == 120
    assert min(figures["recall"].values()) > 0.97  # but for the rounding to eight bits
    assert figures["known"]["as a user types it"] == [1.0, 1.0]
    times = quality.measure_vectors(settings.paths.index, settings.paths.encoders)
    assert set(times) == {"ours", "encode", "mb", "brute", "brute_mb"}
    size = read_manifest(Path(settings.paths.index)).size
    assert times["brute_mb"] * 2**20 == 120 * 4 * size


def test_codes_that_are_not_rescored_enough_lose_some(folder: Path) -> None:
    few = ["index=codes", "index.bits=64", "index.rescored=1"]
    settings = indexes.build(folder, paper_records(range(300)), *few)
    figures = quality.measure_index(settings.paths.index, settings.paths.encoders)
    assert figures["recall"]["title"] < 0.9


@pytest.mark.skipif(find_spec("faiss") is None, reason="the extra faiss is not installed")
def test_the_earlier_setting_takes_lists_that_its_papers_fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / "index.faiss"
    assert quality.build_seed(2_000, str(file)) == {"lists": 2_000 // quality.PER_LIST}
    assert file.stat().st_size > 2_000 * 4 * quality.SEED_SIZE  # floats, nothing shortened
    assert quality.measure_seed(str(file))["ms"] > 0


def test_added_papers_are_new_and_the_last_has_the_marker(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(20)))
    with indexes.open_index(settings) as index:
        papers = quality.draw_queries(index).papers
    marker = service.write_additions(papers, folder / "more.jsonl", 50)
    records = [orjson.loads(x) for x in (folder / "more.jsonl").read_bytes().splitlines()]
    assert len({one["id"] for one in records}) == 50
    assert len({one["title"] for one in records}) == 50
    assert [marker in one["title"] for one in records] == [False] * 49 + [True]
    assert service.add_command(Path("a"), "b", Path("c"))[-1] == "paths.encoders=b"


def test_percentiles_are_milliseconds() -> None:
    latency = service._summarize([0.001] * 99 + [0.101], 2.0)
    assert (latency.p50, latency.rate) == (pytest.approx(1.0), 50.0)
    assert latency.p50 <= latency.p95 <= latency.p99 < 101


def test_the_paper_of_a_query_is_left_out() -> None:
    assert quality._first(np.array([7, 3, 9]), {3}) == {7, 9}
    assert quality._first(np.arange(20), {0, 15}) == set(range(1, 11))


def test_a_rare_category_still_fills_an_answer(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(120)))
    with indexes.open_index(settings) as index:
        common, rare = quality.choose_categories(index)
        most, least = (
            sum(one.count for one in index.select(Filters(categories=(name,))))
            for name in (common, rare)
        )
    assert most >= least >= quality.K


def test_searches_are_timed_with_filters_and_without() -> None:
    papers = [PaperRow("1", "A title", "An abstract", "", "cs.AI", "2018-04-02", None, 0, False)]
    ways = run._name_searches(papers, "cs.AI", "cs.RO")
    assert ways["a title"] == [{"text": "A title"}]
    assert ways["an abstract, category cs.RO"] == [
        {"abstract": "An abstract", "category": ["cs.RO"]}
    ]


def test_a_part_that_fails_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match=r"^no such part$"):
        run_child([sys.executable, "-c", "raise SystemExit('error: no such part')"])
    with pytest.raises(ShelfmarkError, match=r"^a process ended with 3$"):
        run_child([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_ratio_below_one_is_a_fraction() -> None:
    assert run._compare(2.0, 0.25) == "2.0x the time, 1/4.0 the memory"
