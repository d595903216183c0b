"""A paper alone has the answer that it has among others, to the last bit."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.core.arrays import SparseRow
from shelfmark.models import artifact
from shelfmark.models.boosted import classifier, features
from tests.support import tables
from tests.support.odd_texts import ODD, TEXTS
from tests.support.sparse_rows import row_of
from tests.support.tables import fit, papers

KINDS = tables.KINDS | {
    "no title": [*tables.KINDS["stacked"], "features.title_weight=null"],
    "every scorer": [*tables.KINDS["reranked"], "model.stack.scorers.svm={C:0.5}"],
}
PAIR = ("cs.RO", "quant-ph")
MODELS = [*((kind, None) for kind in KINDS), *((kind, PAIR) for kind in KINDS)]
EVERY = pytest.mark.parametrize(("kind", "labels"), MODELS)
TEXT = "We train a robot arm\nto grasp a galaxy of objects with qubits"


@functools.cache
def fitted(kind: str, labels: tuple[str, ...] | None) -> artifact.Model:
    some = papers(420)
    kept = [labels is None or label in labels for label in some["label"].to_pylist()]
    known = some.filter(kept)
    cut = known.num_rows * 3 // 4
    return fit(known.slice(0, cut), known.slice(cut), "features.min_df=2", *KINDS[kind])


def texts() -> list[str]:
    real: list[str] = papers(460)["text"].to_pylist()[420:]
    return [*ODD, *real]


def steps(model: artifact.Model) -> features.Steps:
    classifier: Any = model.classifier
    return classifier.pipeline.steps[:-1]


def assert_same_row(one: SparseRow, wanted: SparseRow) -> None:
    assert one.columns.tolist() == wanted.columns.tolist()
    assert one.values.dtype == wanted.values.dtype
    assert one.values.tobytes() == wanted.values.tobytes()


@EVERY
def test_a_text_has_the_terms_and_the_features_of_its_row(
    kind: str, labels: tuple[str, ...] | None
) -> None:
    (_, words), (_, joined) = steps(fitted(kind, labels))
    several = words.transform(texts())
    together = features.transform([("joined", joined)], several)
    for number, text in enumerate(texts()):
        rows = words.read_texts([text])
        [row] = rows
        assert_same_row(row, row_of(several, number))
        made = joined.make_features(rows)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made, together[number].toarray())


@EVERY
def test_rows_without_a_matrix_are_those_of_the_matrix(
    kind: str, labels: tuple[str, ...] | None
) -> None:
    (_, words), (_, joined) = steps(fitted(kind, labels))
    rows, several = words.read_texts(texts()), words.transform(texts())
    assert len(rows) == len(texts())
    for number, row in enumerate(rows):
        assert_same_row(row, row_of(several, number))
    together = features.transform([("joined", joined)], several)
    np.testing.assert_array_equal(joined.make_features(rows), together.toarray())


@EVERY
def test_parts_and_scorers_give_a_text_the_numbers_of_its_row(
    kind: str, labels: tuple[str, ...] | None
) -> None:
    (_, words), (_, joined) = steps(fitted(kind, labels))
    parts = dict(joined.transformer_list)
    several = words.transform(texts())
    stack = parts.get("scores")
    for number, text in enumerate(texts()):
        row, alone = words.read_texts([text]), several[number]
        if "terms" in parts:
            given = parts["terms"].transform_rows(row)
            np.testing.assert_array_equal(given, parts["terms"].transform(alone).toarray())
        if stack is None:
            continue
        given = stack.transform_rows(row)
        assert given.tobytes() == np.asarray(stack.transform(several)[number]).tobytes()
        for scorer in stack.fitted_:
            given = scorer.score_rows(row)
            assert given.dtype == np.float32
            assert given.tobytes() == scorer.decision_function(several)[number].tobytes()
            assert given.tobytes() == scorer.decision_function(alone)[0].tobytes()


@EVERY
def test_a_text_has_the_margins_of_its_row(kind: str, labels: tuple[str, ...] | None) -> None:
    model: Any = fitted(kind, labels).classifier
    margins = model.pipeline.decision_function(texts())
    for number, text in enumerate(texts()):
        given = model.pipeline.margins_of(model.pipeline.features_of([text]), [text])
        assert given.tobytes() == margins[number].tobytes()


def assert_alike(wanted: Any, given: Any) -> None:
    for one, other in zip(wanted, given, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes()


def joined_parts(parts: list[Any]) -> tuple[Any, Any]:
    """Return the probabilities of lists as if they were of one."""
    return tuple(
        None if several[0] is None else np.concatenate(several)
        for several in zip(*parts, strict=True)
    )  # type: ignore[return-value]


@EVERY
def test_a_text_has_the_same_probabilities_in_a_list_of_any_size(
    kind: str, labels: tuple[str, ...] | None
) -> None:
    model = fitted(kind, labels)
    whole = model.probabilities(texts())
    assert np.isfinite(whole[0]).all()
    many = texts() * (2 + classifier.TOGETHER // len(texts()))
    assert_alike(whole, [None if one is None else one[-len(texts()):]
                         for one in model.probabilities(many)])  # fmt: skip
    for size in (1, 2, 4, 5, 7, 30):
        parts = [texts()[begin : begin + size] for begin in range(0, len(texts()), size)]
        given = joined_parts([model.probabilities(part) for part in parts])
        assert_alike(whole, given)


@settings(max_examples=40)
@given(st.lists(TEXTS, min_size=1, max_size=9), st.randoms(use_true_random=False))
@pytest.mark.parametrize("kind", ["every scorer", "stacked"])
def test_neighbours_in_a_list_change_no_bit(kind: str, some: list[str], chance: Any) -> None:
    model = fitted(kind, None)
    whole = model.probabilities([*some, TEXT])
    alone = joined_parts([model.probabilities([text]) for text in [*some, TEXT]])
    assert_alike(whole, alone)
    order = [*range(len(some) + 1)]
    chance.shuffle(order)
    turned = model.probabilities([[*some, TEXT][place] for place in order])
    assert_alike([None if one is None else one[order] for one in whole], turned)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_gives_the_same_bits(kind: str, tmp_path: Any) -> None:
    model = fitted(kind, None)
    opened = artifact.load(artifact.save(model, tmp_path), threads=1)
    assert_alike(model.probabilities(texts()), opened.probabilities(texts()))
    for text in texts()[:20]:
        assert_alike(model.probabilities([text]), opened.probabilities([text]))
