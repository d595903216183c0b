"""The properties of the splits that training reads, on the sample."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import BrokenRecord, is_foreign, is_withdrawn
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.load import load_config
from shelfmark.data import sources
from shelfmark.data.cleaning import text_key
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.sources import sample
from shelfmark.data.splits import SCHEMA, SPLITS, Splits

NUMBER = 12_000


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("splits")
    overrides = [f"data.options.papers={NUMBER}", f'paths.data="{folder}"']
    return prepare_splits(load_config(overrides))


@pytest.fixture(scope="module")
def tables(splits: Splits) -> dict[str, pa.Table]:
    return {split: splits.read(split) for split in SPLITS}


@pytest.fixture(scope="module")
def rows(tables: dict[str, pa.Table]) -> list[dict[str, Any]]:
    return [row | {"split": split} for split in SPLITS for row in tables[split].to_pylist()]


def overlap(tables: dict[str, pa.Table], key: Callable[[dict[str, Any]], Any]) -> int:
    """Count how many of some key come more than once, within or across the splits."""
    counts = Counter(key(row) for split in SPLITS for row in tables[split].to_pylist())
    return sum(number > 1 for number in counts.values())


def test_every_split_has_the_schema_and_no_gaps(tables: dict[str, pa.Table]) -> None:
    for table in tables.values():
        assert table.schema.equals(SCHEMA)
        assert all(column.null_count == 0 for column in table.columns)


def test_every_split_holds_its_share(tables: dict[str, pa.Table]) -> None:
    sizes = {split: table.num_rows for split, table in tables.items()}
    whole = sum(sizes.values())
    assert whole > 0.95 * NUMBER
    assert sizes["train"] / whole == pytest.approx(0.8, abs=0.015)
    assert sizes["validation"] / whole == pytest.approx(0.1, abs=0.011)
    assert sizes["test"] / whole == pytest.approx(0.1, abs=0.011)


def test_no_paper_is_in_two_splits_or_twice_in_one(tables: dict[str, pa.Table]) -> None:
    assert overlap(tables, lambda row: row["id"]) == 0


def test_no_text_is_in_two_splits_or_twice_in_one(tables: dict[str, pa.Table]) -> None:
    assert overlap(tables, lambda row: row["text"]) == 0
    assert overlap(tables, lambda row: text_key(row["title"], row["abstract"])) == 0


def test_every_identifier_is_one_without_a_version(rows: list[dict[str, Any]]) -> None:
    assert all(parse_identifier(row["id"]) == row["id"] for row in rows)


def test_every_label_is_a_category_of_today(rows: list[dict[str, Any]]) -> None:
    assert {row["label"] for row in rows} == set(sample.WORDS)
    assert {row["label"] for row in rows} <= taxonomy.CATEGORIES.keys()


def test_categories_stand_beside_the_label_which_is_the_first(rows: list[dict[str, Any]]) -> None:
    assert all(row["categories"][0] == row["label"] for row in rows)
    assert all(taxonomy.current_name(name) == name for row in rows for name in row["categories"])
    assert any(len(row["categories"]) > 1 for row in rows)


def test_every_label_is_in_every_split(tables: dict[str, pa.Table]) -> None:
    for table in tables.values():
        counts = Counter(table["label"].to_pylist())
        assert set(counts) == set(sample.WORDS)
        assert min(counts.values()) >= 30


def test_label_shares_of_each_split_are_those_of_the_whole(rows: list[dict[str, Any]]) -> None:
    """Within one point, or within what chance does to a split as small as this one."""
    whole = Counter(row["label"] for row in rows)
    large = [label for label, number in whole.items() if number >= 500]
    assert len(large) == 8
    for split in SPLITS:
        counts = Counter(row["label"] for row in rows if row["split"] == split)
        for label in large:
            share = whole[label] / whole.total()
            chance = math.sqrt(share * (1 - share) / counts.total())
            allowed = 0.01 if split == "train" else max(0.01, 4 * chance)
            assert counts[label] / counts.total() == pytest.approx(share, abs=allowed)


def test_label_shares_of_the_sample_as_it_is_built_in(tmp_path: Path) -> None:
    folder = (tmp_path / "data").as_posix()
    labels = prepare_splits(load_config([f'paths.data="{folder}"'])).card["labels"]
    whole = sum((Counter(counts) for counts in labels.values()), Counter[str]())
    large = [label for label, number in whole.items() if number >= 500]
    assert len(large) == 3
    for counts in labels.values():
        for label in large:
            share = counts[label] / sum(counts.values())
            assert share == pytest.approx(whole[label] / whole.total(), abs=0.01)


def test_days_are_of_this_arxiv_and_agree_with_the_card(
    rows: list[dict[str, Any]], splits: Splits
) -> None:
    days = [row["submitted"] for row in rows]
    assert all(date(1991, 8, 1) <= day < date(2026, 1, 1) for day in days)
    days_of_card = splits.card["submitted"]
    assert days_of_card == {"first": min(days).isoformat(), "last": max(days).isoformat()}
    assert (max(days) - min(days)).days > 365


def test_splits_by_hash_cover_the_same_years(rows: list[dict[str, Any]]) -> None:
    years = {
        split: {row["submitted"].year for row in rows if row["split"] == split} for split in SPLITS
    }
    assert years["train"] == years["validation"] == years["test"]


def test_texts_are_plain_and_made_of_title_and_abstract(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert clean_text(row["title"]) == row["title"] != ""
        assert clean_text(row["abstract"]) == row["abstract"]
        assert row["text"] == join_texts(row["title"], row["abstract"])


def test_nothing_is_left_that_cleaning_leaves_out(rows: list[dict[str, Any]]) -> None:
    least = load_config().data.min_words
    for row in rows:
        assert len(row["abstract"].split()) >= least
        assert not is_withdrawn(row["abstract"], "")
    unwanted = {
        paper.id
        for paper in sources.read_papers("sample", None, {"papers": 2000})
        if not isinstance(paper, BrokenRecord)
        and (is_foreign(paper.comments) or is_withdrawn("", paper.comments))
    }
    assert unwanted
    assert not unwanted & {row["id"] for row in rows}


def test_labels_do_not_stand_in_the_texts(rows: list[dict[str, Any]]) -> None:
    assert not any(label in row["text"] for row in rows for label in sample.WORDS)


def test_the_card_agrees_with_the_files(rows: list[dict[str, Any]], splits: Splits) -> None:
    card = splits.card
    assert card["read"] == NUMBER == card["kept"] + sum(card["dropped"].values())
    assert card["kept"] == len(rows)
    for split in SPLITS:
        labels = Counter(row["label"] for row in rows if row["split"] == split)
        assert card["labels"][split] == labels
        assert card["splits"][split] == labels.total()
