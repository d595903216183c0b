"""The samples and the tasks: what is drawn and relevant, and encoders whose scores are known."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shelfmark.core.arrays import Doubles, Floats, Ints
from shelfmark.data.splits import SCHEMA
from shelfmark.evaluation.encoders import tasks
from shelfmark.evaluation.encoders.samples import MOST_AUTHORS, MOST_PAPERS, Sample
from shelfmark.evaluation.encoders.tasks import Side, Task, list_tasks, needed_rows
from tests.support.tables import rows_of_splits

TABLE = rows_of_splits(120)
LABELS = sorted(set(TABLE["label"].to_pylist()))


@pytest.fixture
def sample() -> Sample:
    return Sample(TABLE, "keep")


def with_authors(names: list[list[str]], table: pa.Table = TABLE) -> Sample:
    column = pa.array(names, pa.list_(pa.string()))
    return Sample(table.slice(0, len(names)).append_column("authors", column), "keep")


def by_name(sample: Sample, **limits: int) -> dict[str, Task]:
    return {task.name: task for task in list_tasks(sample, **limits)}


def scores(task: Task, vector_of: Callable[[Side, int], list[float]]) -> dict[str, Doubles]:
    def vectors(side: Side) -> Floats:
        rows = np.array([vector_of(side, row) for row in side.rows.tolist()], dtype=np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    return dict(task.scores(vectors(task.queries), vectors(task.pool)))


def one_hot(place: int, size: int) -> list[float]:
    return [float(number == place) for number in range(size)]


def ids(sample: Sample, rows: Ints) -> list[str]:
    names: list[str] = sample.table["id"].take(rows).to_pylist()
    return names


def test_the_papers_drawn_depend_on_identifiers_alone(sample: Sample) -> None:
    shuffled = np.random.default_rng(3).permutation(120)
    turned = pa.array([LABELS[-1 - LABELS.index(x)] for x in TABLE["label"].to_pylist()])
    labels_changed = TABLE.set_column(TABLE.schema.get_field_index("label"), "label", turned)
    for table in (TABLE.take(shuffled), labels_changed):
        other = Sample(table, "keep")
        assert ids(other, other.order) == ids(sample, sample.order)
        assert ids(other, other.with_halves) == ids(sample, sample.with_halves)
    assert ids(sample, sample.order) != TABLE["id"].to_pylist()


def test_papers_added_to_a_pool_change_the_order_of_no_other(sample: Sample) -> None:
    fewer = Sample(TABLE.slice(0, 60), "keep")
    kept = set(fewer.table["id"].to_pylist())
    drawn = [name for name in ids(sample, sample.order) if name in kept]
    assert ids(fewer, fewer.order) == drawn


def test_halves_are_the_whole_abstract(sample: Sample) -> None:
    rows = np.arange(120)
    halves = zip(sample.texts("first half", rows), sample.texts("second half", rows), strict=True)
    for (first, second), abstract in zip(halves, TABLE["abstract"].to_pylist(), strict=True):
        assert f"{first} {second}".split() == abstract.split()
        assert 0 <= len(first.split()) - len(second.split()) <= 1


def test_the_parts_of_a_paper_are_those_that_encoders_read() -> None:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {
        "id": "1", "title": "On $x$", "abstract": "Let $y$ be", "text": "On _math_\nLet _math_ be",
        "submitted": datetime.date(2020, 1, 1),
    }  # fmt: skip
    sample = Sample(pa.Table.from_pylist([row], SCHEMA), "mask")
    first = np.array([0])
    assert sample.texts("title", first) == ["On  _math_ "]
    assert sample.texts("abstract", first) == ["Let  _math_  be"]
    assert sample.texts("paper", first) == ["On _math_\nLet _math_ be"]


def test_a_paper_without_a_label_or_a_title_is_in_no_task_that_needs_it() -> None:
    rows = TABLE.to_pylist()
    rows[0]["label"], rows[1]["title"], rows[2]["abstract"] = None, "", "one"
    sample = Sample(pa.Table.from_pylist(rows, SCHEMA), "keep")
    found = by_name(sample)
    assert 0 not in found["same_shelf"].pool.rows
    assert {1, 2}.isdisjoint(found["title_118"].pool.rows.tolist())
    assert 0 in found["title_118"].pool.rows
    assert {1, 2} <= set(found["same_shelf"].pool.rows.tolist())


def test_the_size_of_a_pool_is_in_its_name(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*by_name(sample)] == ["same_shelf", "shared_category", "title_120", "half_120"]
    monkeypatch.setattr(tasks, "POOL", 50)
    assert [*by_name(sample)][2:] == ["title_50", "title_120", "half_50"]
    assert [*by_name(sample, largest_pool=80)][2:] == ["title_50", "title_80", "half_50"]
    assert [*by_name(sample, largest_pool=30)][2:] == ["title_30", "half_30"]
    found = by_name(sample)
    assert found["title_120"].queries == found["title_50"].queries
    assert found["title_120"].pool.rows[:50].tolist() == found["title_50"].pool.rows.tolist()


def test_a_collapse_into_labels_wins_the_shelf_and_loses_the_known_item(sample: Sample) -> None:
    labels = TABLE["label"].to_pylist()
    found = by_name(sample)

    def label_of(side: Side, row: int) -> list[float]:
        return one_hot(LABELS.index(labels[row]), len(LABELS))

    shelf = scores(found["same_shelf"], label_of)
    assert [*shelf] == [f"same_shelf_{end}" for end in ("p10", "ndcg10", "mrr10", "map")]
    for key in ("same_shelf_ndcg10", "same_shelf_mrr10", "same_shelf_map"):
        assert shelf[key] == pytest.approx(1)
    sizes = [labels.count(labels[row]) for row in found["same_shelf"].queries.rows]
    assert shelf["same_shelf_p10"] == pytest.approx([min(10, size - 1) / 10 for size in sizes])
    known = scores(found["title_120"], label_of)
    assert known["title_120_mrr"] == pytest.approx(
        [1 / labels.count(labels[row]) for row in found["title_120"].queries.rows]
    )


def test_an_encoder_that_knows_the_paper_wins_the_known_item(sample: Sample) -> None:
    found = by_name(sample)
    for name in ("title_120", "half_120"):
        known = scores(found[name], lambda side, row: one_hot(row, 120))
        assert [*known] == [f"{name}_{end}" for end in ("mrr", "r1", "r10")]
        assert all((values == 1).all() for values in known.values())
        lost = scores(found[name], lambda side, row: [1.0])
        assert (lost[f"{name}_mrr"] == 1 / 120).all()
        assert not lost[f"{name}_r10"].any()


def test_a_cross_list_counts_as_a_shared_category() -> None:
    rows = TABLE.slice(0, 3).to_pylist()
    for row, categories in zip(rows, (["a", "b"], ["b"], ["c"]), strict=True):
        row["categories"], row["label"] = categories, "one shelf"
    found = by_name(Sample(pa.Table.from_pylist(rows, SCHEMA), "keep"))["shared_category"]
    shared = scores(found, lambda side, row: one_hot(row, 3))["shared_category_p10"]
    relevant = dict(zip(found.queries.rows.tolist(), shared.tolist(), strict=True))
    assert relevant == {0: 0.1, 1: 0.1, 2: 0.0}


def test_names_of_initials_or_of_many_papers_tell_no_author() -> None:
    names = [["zhang, wei"] for _ in range(MOST_PAPERS + 1)]
    names += [["erdos, paul", "smith, j a"], ["erdos, paul"], ["smith, j a"], []]
    names += [[f"x, name{number}" for number in range(MOST_AUTHORS + 1)]]
    told = with_authors(names).authors
    assert told is not None
    assert [some for some in told if some] == [["erdos, paul"], ["erdos, paul"]]
    assert with_authors(names[1:]).authors[0] == ["zhang, wei"]  # type: ignore[index]


def test_a_shared_author_is_found_among_papers_drawn_with_them() -> None:
    names = [[f"author, number{row % 30}"] for row in range(120)]
    found = by_name(with_authors(names))["shared_author"]
    assert len(found.queries.rows) == 120
    shared = scores(found, lambda side, row: one_hot(row % 30, 30))
    assert [*shared] == ["shared_author_ndcg10", "shared_author_r10"]
    assert all(values == pytest.approx(1) for values in shared.values())


def test_each_query_has_a_paper_of_its_author_in_a_small_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "QUERIES", 6)
    monkeypatch.setattr(tasks, "POOL", 14)
    names = [[f"author, number{row % 60}"] for row in range(120)]
    found = by_name(with_authors(names))["shared_author"]
    assert len(found.queries.rows) == 6
    pool = found.pool.rows.tolist()
    assert len(pool) == len(set(pool)) == 14
    assert all((row + 60) % 120 in pool for row in found.queries.rows.tolist())


def test_without_shared_authors_or_their_column_there_is_no_such_task(sample: Sample) -> None:
    assert sample.authors is None
    assert "shared_author" not in by_name(sample)
    assert "shared_author" not in by_name(with_authors([[f"a, bob{n}"] for n in range(120)]))


def test_only_the_texts_of_the_tasks_are_needed(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "POOL", 50)
    needed = needed_rows(list_tasks(sample, 80))
    counts = {part: len(rows) for part, rows in needed.items()}
    assert counts == {"paper": 50, "title": 50, "abstract": 80, "first half": 50, "second half": 50}
    assert all((np.diff(rows) > 0).all() for rows in needed.values())
