"""Pairs of texts: which papers give which pairs, in what share, and what does not belong together.

The papers' texts name the papers, so that a pair shows which papers it is from.
"""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pytest

from shelfmark.embeddings.sentence.pairs import KINDS, MOST_OF_SET, Papers, make_pairs

WORDS = " ".join(f"word{number}" for number in range(24))


def papers_of(labels: list[str | None], categories: list[list[str]] | None = None) -> Papers:
    names = categories or [[label] if label else [] for label in labels]
    rows = range(len(labels))
    return Papers(
        [f"title {row}" for row in rows], [f"abstract {row} {WORDS}" for row in rows],
        labels, names, "keep",
    )  # fmt: skip


def rows_of(table: pa.Table) -> list[tuple[int, int]]:
    """Return the numbers of the papers of each pair."""
    return [
        (int(re.findall(r"\d+", pair["anchor"])[0]), int(re.findall(r"\d+", pair["positive"])[0]))
        for pair in table.to_pylist()
    ]


def pairs_of(papers: Papers, kind: str, share: float = 1.0, seed: int = 0) -> pa.Table:
    tables = make_pairs(papers, {kind: share}, seed, negatives=False)
    assert set(tables) <= {kind}
    return tables[kind]


def test_a_title_is_paired_with_its_own_abstract() -> None:
    pairs = pairs_of(papers_of(["a"] * 9), "title_abstract")
    assert sorted(pairs["anchor"].to_pylist()) == [f"title {row}" for row in range(9)]
    assert all(first == second for first, second in rows_of(pairs))


def test_a_paper_without_title_or_abstract_gives_no_pair() -> None:
    papers = Papers(["t", "", "t"], ["", "a", "a"], [None] * 3, [[]] * 3, "keep")
    assert pairs_of(papers, "title_abstract").to_pylist() == [{"anchor": "t", "positive": "a"}]


def test_the_halves_of_an_abstract_are_the_whole_of_it() -> None:
    papers = Papers(["", ""], ["one two three", f"{WORDS} last"], [None] * 2, [[]] * 2, "keep")
    (pair,) = pairs_of(papers, "halves").to_pylist()  # the first is too short
    assert f"{pair['anchor']} {pair['positive']}" == f"{WORDS} last"
    assert [len(pair[name].split()) for name in ("anchor", "positive")] == [13, 12]


def test_two_papers_of_one_category_are_paired_as_often_in_each_category() -> None:
    labels = ["a"] * 40 + ["b"] * 8 + ["c"] + [None] * 5
    pairs = rows_of(pairs_of(papers_of(labels), "category"))
    assert all(first != second and labels[first] == labels[second] for first, second in pairs)
    assert Counter(labels[first] for first, _ in pairs) == {"a": 24, "b": 24}


def test_two_papers_are_paired_by_their_categories_where_few_have_the_same() -> None:
    common = [["x", "y"]] * (MOST_OF_SET + 1)
    rare = [["x", "z"], ["z", "x"], ["x"], ["x"], ["y", "z"]]
    papers = papers_of(["x"] * (len(common) + len(rare)), [*rare, *common])
    ((first, second),) = rows_of(pairs_of(papers, "cross_lists"))
    assert {first, second} == {0, 1}


def test_a_share_is_that_part_of_the_possible_pairs_and_the_seed_chooses_it() -> None:
    papers = papers_of(["a"] * 1000)
    quarter = pairs_of(papers, "title_abstract", 0.25)
    assert quarter.num_rows == 250
    assert quarter == pairs_of(papers, "title_abstract", 0.25)
    assert quarter != pairs_of(papers, "title_abstract", 0.25, seed=1)


def test_each_kind_with_a_share_has_its_own_table() -> None:
    labels, names = ["x"] * 8, [["x", "y"]] * 8
    shares = dict.fromkeys(KINDS, 1.0) | {"halves": 0.0}
    tables = make_pairs(papers_of(labels, names), shares, 0, negatives=False)
    assert set(tables) == {"title_abstract", "cross_lists", "category"}


def test_papers_that_give_no_pairs_give_no_table() -> None:
    assert make_pairs(papers_of(["a", "b"]), {"category": 1.0}, 0, negatives=False) == {}


@pytest.mark.parametrize("kind", ["title_abstract", "category"])
def test_a_negative_has_the_anchor_of_its_pair_and_a_text_that_does_not_belong(kind: str) -> None:
    labels = ["a", "b", "c", "d"] * 20
    (table,) = make_pairs(papers_of(labels), {kind: 1.0}, 0, negatives=True).values()
    belongs = [
        first == second if kind == "title_abstract" else labels[first] == labels[second]
        for first, second in rows_of(table)
    ]
    assert belongs == [label == 1 for label in table["label"].to_pylist()]
    assert 40 < belongs.count(False) <= belongs.count(True) == 80


def test_formulas_are_masked_as_the_data_says() -> None:
    papers = Papers(["of $x$"], ["for $y$"], [None], [[]], "mask")
    assert pairs_of(papers, "title_abstract").to_pylist() == [
        {"anchor": "of  _math_ ", "positive": "for  _math_ "}
    ]
