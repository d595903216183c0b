"""The figures of `inv bench search` are those of the index that is measured."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest

from shelfmark.experiments.benchmarks.search import quality, service
from tests.support import indexes
from tests.support.indexes import paper_records


def test_an_exact_index_finds_all_that_is_nearest_and_each_title(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(120)), "index=exact")
    figures = quality.measure_index(settings.paths.index, settings.paths.encoders)
    assert figures["papers"] == 120
    assert min(figures["recall"].values()) > 0.97  # but for the rounding to eight bits
    assert figures["known"]["as a user types it"] == [1.0, 1.0]
    assert set(figures["vectors"]) == {"ours", "brute", "brute_mb"}


def test_codes_that_are_not_rescored_enough_lose_some(folder: Path) -> None:
    few = ["index=codes", "index.bits=64", "index.rescored=1"]
    settings = indexes.build(folder, paper_records(range(300)), *few)
    figures = quality.measure_index(settings.paths.index, settings.paths.encoders)
    assert figures["recall"]["title"] < 0.9


@pytest.mark.skipif(find_spec("faiss") is None, reason="the extra faiss is not installed")
def test_the_earlier_setting_takes_lists_that_its_papers_fill() -> None:
    assert quality.measure_seed(2_000)["lists"] == 2_000 // quality.PER_LIST


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
