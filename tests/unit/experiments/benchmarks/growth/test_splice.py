"""Papers for the benchmark of growth: the first of a source, or spliced from them."""

from __future__ import annotations

import itertools
import re
from datetime import date
from pathlib import Path

import pytest

from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import load_config
from shelfmark.config.schema import DataConfig
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.growth import splice
from shelfmark.experiments.benchmarks.growth.run import bench_growth, choose_sizes

DAY = date(2020, 2, 3)
PAPERS = [
    Paper("2002.00001", "One two three", "A one. A two. A three.", ("cs.AI", "cs.LG"), DAY),
    Paper("2002.00002", "Four five six", "B one. B two. B three.", ("cs.AI",), DAY),
    Paper("2002.00003", "Far away", "C one. C two. C three.", ("math.PR",), DAY),
]


def source(path: Path | None = None, papers: int = 300) -> DataConfig:
    own = ["data=snapshot", f'data.path="{path}"'] if path else [f"data.options.papers={papers}"]
    return load_config(own).data


def read(path: Path) -> list[Paper]:
    return list(splice.read_papers(source(path)))


def test_sentences_and_titles_of_two_papers_of_one_primary_category_alternate() -> None:
    spliced = list(splice.splice(PAPERS, 60))
    for record in spliced:
        sentences = re.findall(r"([ABC]) (\w+)\.", record["abstract"])
        first, second = sentences[0][0], sentences[1][0]
        assert sentences == [(first, "one"), (second, "one"), (first, "two")]
        primary = record["categories"].split()[0]
        assert {first, second} <= ({"C"} if primary == "math.PR" else {"A", "B"})
    titles = {record["title"] for record in spliced}
    assert {"One two five six", "Four five two three", "Far away away"} <= titles


def test_the_same_papers_give_the_same_result() -> None:
    assert list(splice.splice(PAPERS, 50)) == list(splice.splice(PAPERS, 50))


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_spliced_papers_have_identifiers_of_their_own_and_the_snapshot_reads_them_all(
    count: int, tmp_path: Path
) -> None:
    path = tmp_path / "papers.jsonl"
    splice.write_papers(path, source(papers=300 if count > 300 else count), count)
    papers = read(path)
    assert len({paper.id for paper in papers}) == len(papers) == count


def test_a_source_with_more_papers_gives_its_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    splice.write_papers(path, source(), 40)
    first = list(itertools.islice(splice.read_papers(source()), 40))
    assert [(paper.id, paper.title, paper.abstract, paper.categories, paper.submitted)
            for paper in read(path)] == [
        (paper.id, paper.title, paper.abstract, paper.categories, paper.submitted)
        for paper in first
    ]  # fmt: skip


def test_a_source_without_papers_and_too_many_papers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"id": "2002.00001"}\n')
    with pytest.raises(ShelfmarkError, match="no paper to splice"):
        splice.write_papers(tmp_path / "out.jsonl", source(path), 10)
    with pytest.raises(ShelfmarkError, match="at most 14,399,856 papers"):
        next(splice.splice(PAPERS, 14_399_857))


def test_sizes_rise_up_to_the_largest() -> None:
    assert choose_sizes(2_500) == [2_500]
    assert choose_sizes(130_000) == [130_000]
    assert choose_sizes(2_800_000) == [130_000, 515_560, 2_800_000]


@pytest.mark.parametrize("word", ["papers=", "papers=0", "papers=-3", "papers=many"])
def test_a_number_of_papers_is_a_whole_number(word: str) -> None:
    with pytest.raises(ShelfmarkError, match=f"{word}: give a number of papers"):
        bench_growth([word])
