"""The sample: the same papers everywhere, which need cleaning and are hard to classify."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import Paper, is_foreign, is_withdrawn
from shelfmark.config.load import load_config
from shelfmark.data import sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.sources import sample
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError

PAPERS = 4000
# What the README and the reports speak of: a new value here means new figures there.
SHA256 = "a4486bf19e7024880d0d177caec0d88a42130d46f893ffb3b7ad7307270d0a1f"


@pytest.fixture(scope="module")
def papers() -> list[Paper]:
    return [
        paper
        for paper in sources.read_papers("sample", None, {"papers": PAPERS})
        if isinstance(paper, Paper)
    ]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("sample")
    return prepare_splits(load_config([f'paths.data="{folder}"']))


def test_the_papers_are_pinned() -> None:
    assert sources.source_digest("sample", None, {"papers": PAPERS}) == SHA256


def test_the_papers_do_not_hang_on_the_hash_seed() -> None:
    call = "sources.source_digest('sample', None, {'papers': 500})"
    script = f"from shelfmark.data import sources; print({call})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "20"},
    )
    assert done.stdout.strip() == sources.source_digest("sample", None, {"papers": 500})


def test_fewer_papers_are_the_first_of_more(papers: list[Paper]) -> None:
    assert list(sources.read_papers("sample", None, {"papers": 700})) == papers[:700]


def test_a_path_is_ignored(papers: list[Paper]) -> None:
    assert list(sources.read_papers("sample", Path("nowhere"), {"papers": 5})) == papers[:5]


@pytest.mark.parametrize("number", [0, -5, "abc", 4.5, None, True])
def test_a_number_of_papers_that_is_none(number: Any) -> None:
    with pytest.raises(ShelfmarkError, match=r"^data\.options\.papers: .*whole number"):
        list(sources.read_papers("sample", None, {"papers": number}))


def test_there_are_as_many_papers_as_asked_for(papers: list[Paper]) -> None:
    assert len(papers) == PAPERS
    assert load_config().data.options == {"papers": PAPERS}


def test_every_paper_is_well_formed(papers: list[Paper]) -> None:
    for paper in papers:
        assert parse_identifier(paper.id) == paper.id
        assert set(paper.categories) <= taxonomy.CATEGORIES.keys()
        assert date(1991, 8, 1) <= paper.submitted <= date(2026, 1, 1)
        assert paper.title
        assert paper.comments
        whole = paper.title + paper.abstract
        gaps = [gap for gap in ("x", "y", "z", "a", "A", "n", "who") if f"{{{gap}}}" in whole]
        assert not gaps, "a gap of a template was not filled"


def test_eight_categories_of_several_archives_unevenly(papers: list[Paper]) -> None:
    counts = Counter(paper.categories[0] for paper in papers)
    assert set(counts) == set(sample.WORDS) == set(sample.NEIGHBOURS)
    assert len(counts) == 8
    assert len({taxonomy.group_of(category) for category in counts}) >= 3
    assert min(counts.values()) > 200
    assert max(counts.values()) > 1.5 * min(counts.values())


def test_papers_are_cross_listed_now_and_then(papers: list[Paper]) -> None:
    crossed = Counter(paper.categories[0] for paper in papers if len(paper.categories) > 1)
    assert 0.1 < crossed.total() / PAPERS < 0.5
    assert set(crossed) == set(sample.WORDS)
    assert all(len(set(paper.categories)) == len(paper.categories) <= 3 for paper in papers)


def test_vocabularies_overlap(papers: list[Paper]) -> None:
    words: dict[str, set[str]] = {category: set() for category in sample.WORDS}
    for paper in papers:
        words[paper.categories[0]] |= set(paper.abstract.lower().split())
    for one, other in itertools.combinations(words, 2):
        common = len(words[one] & words[other])
        assert common > 0.25 * min(len(words[one]), len(words[other]))
    for category, neighbours in sample.NEIGHBOURS.items():
        for neighbour in neighbours:
            assert len(words[category] & words[neighbour]) > 0.5 * len(words[category])


def test_titles_and_abstracts_differ(papers: list[Paper]) -> None:
    assert len({paper.abstract for paper in papers}) > 0.97 * PAPERS
    assert len({paper.title for paper in papers}) > 0.9 * PAPERS


def test_some_papers_need_cleaning(papers: list[Paper], splits: Splits) -> None:
    assert any(is_withdrawn(paper.abstract, paper.comments) for paper in papers)
    assert any(is_foreign(paper.comments) for paper in papers)
    assert any("\\" in paper.abstract for paper in papers)
    assert any("$" in paper.abstract for paper in papers)
    reasons = {"withdrawn", "not English", "too short", "duplicate identifier", "duplicate text"}
    assert set(splits.card["dropped"]) == reasons
    assert splits.card["synthetic"] is True
    assert splits.card["kept"] > 0.95 * PAPERS


def test_it_is_neither_trivial_nor_hopeless(splits: Splits) -> None:
    train, test = splits.read("train"), splits.read("test")
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    model = RidgeClassifier(solver="sparse_cg", random_state=7)
    model.fit(vectorizer.fit_transform(train["text"].to_pylist()), train["label"].to_pylist())
    predicted = model.predict(vectorizer.transform(test["text"].to_pylist()))
    pairs = list(zip(predicted, test["label"].to_pylist(), strict=True))
    accuracy = sum(one == other for one, other in pairs) / len(pairs)
    assert 0.60 < accuracy < 0.95, f"{accuracy:.3f} on {len(pairs)} papers"
    assert len(set(predicted)) == 8
