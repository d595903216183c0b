"""The figures of validation: those of the report on the same papers, under names without sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.encoders.samples import Sample
from shelfmark.evaluation.encoders.subjects import Subject, encode_parts
from shelfmark.evaluation.encoders.tasks import list_tasks, needed_rows
from shelfmark.evaluation.encoders.validation import FIGURES, measure_validation
from tests.support import hashed_encoder
from tests.support.tables import rows_of_splits

TABLE = rows_of_splits(120)
ENCODER = hashed_encoder.fit_rows(
    hashed_encoder.HashedConfig(size=64, buckets=4096), 1, TABLE["text"].to_pylist()
)


def test_the_figures_are_those_of_the_report() -> None:
    figures = measure_validation(ENCODER, TABLE, "keep")
    assert list(figures) == list(FIGURES)
    sample = Sample(TABLE, "keep")
    tasks = list_tasks(sample)
    subject = Subject("hashed", ENCODER.encode, ENCODER.encode, ENCODER.size, None)
    vectors = encode_parts(subject, sample, needed_rows(tasks))
    scores = {
        key: float(values.mean())
        for task in tasks
        for key, values in task.scores(vectors.of(task.queries), vectors.of(task.pool))
    }
    size = len(sample.with_halves)
    assert figures["known_item_mrr"] == scores[f"title_{size}_mrr"]
    assert figures["known_item_r1"] == scores[f"title_{size}_r1"]
    assert figures["half_mrr"] == scores[f"half_{size}_mrr"]
    assert figures["same_shelf_p10"] == scores["same_shelf_p10"]
    assert 0 < figures["known_item_r1"] < figures["known_item_mrr"] < figures["known_item_r10"] <= 1


def test_a_title_among_fewer_papers_is_found_more_often() -> None:
    all_of_them, few = (measure_validation(ENCODER, TABLE, "keep", pool) for pool in (4000, 20))
    assert few["known_item_mrr"] > all_of_them["known_item_mrr"]


def test_papers_without_labels_have_no_shelf() -> None:
    place = TABLE.column_names.index("label")
    bare = TABLE.set_column(place, "label", [[None] * TABLE.num_rows])
    figures = measure_validation(ENCODER, bare.cast(TABLE.schema), "keep")
    assert list(figures) == [name for name in FIGURES if not name.startswith("same_shelf")]


def test_vectors_that_are_no_directions_are_refused() -> None:
    class Long:
        size = 2

        def encode(self, texts: Sequence[str]) -> Floats:
            return np.full((len(texts), 2), 3, np.float32)

    with pytest.raises(ShelfmarkError, match="neither of unit length nor zero"):
        measure_validation(Long(), TABLE, "keep")  # type: ignore[arg-type]
