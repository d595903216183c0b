"""The training of a static encoder: what it learns from, and that it can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.config.encoders import EncoderSettings, PairWeights, StaticConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import Splits
from shelfmark.embeddings.static import pairs
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.embeddings.static.family import FAMILY
from shelfmark.embeddings.static.terms import learn_terms
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.encoders.validation import measure_validation


class KilledError(Exception):
    pass


def fit(
    settings: EncoderSettings, splits: Splits, checkpoint: Checkpoint | None = None,
    callback: Any = lambda *_: None, **changes: Any,
) -> StaticEncoder:  # fmt: skip
    config = settings.encoder.model_copy(update=changes)
    changed = settings.model_copy(update={"encoder": config})
    train, validation = splits.read("train"), splits.read("validation")
    encoder = FAMILY.fit(changed, train, validation, callback, checkpoint).encoder
    assert isinstance(encoder, StaticEncoder)
    return encoder


def test_training_makes_better_vectors_than_its_start(
    settings: EncoderSettings, splits: Splits, encoder: StaticEncoder
) -> None:
    untrained = fit(settings, splits, epochs=1, learning_rate=1e-9)
    train = splits.read("train").slice(0, 300)
    before, after = (measure_validation(one, train, "keep") for one in (untrained, encoder))
    assert after["known_item_mrr"] > 1.5 * before["known_item_mrr"]
    assert after["same_shelf_p10"] > 1.2 * before["same_shelf_p10"]


def test_the_same_training_gives_the_same_table(
    settings: EncoderSettings, splits: Splits, encoder: StaticEncoder
) -> None:
    again = fit(settings, splits)
    np.testing.assert_array_equal(again.rows, encoder.rows)
    np.testing.assert_array_equal(again.scales, encoder.scales)


def test_a_training_that_was_killed_resumes_after_its_last_epoch(
    settings: EncoderSettings, splits: Splits, encoder: StaticEncoder, tmp_path: Path
) -> None:
    def kill(epoch: int, values: dict[str, float]) -> None:
        if epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        fit(settings, splits, Checkpoint(tmp_path), kill)
    resumed: list[int] = []
    again = fit(settings, splits, Checkpoint(tmp_path), lambda epoch, _: resumed.append(epoch))
    assert resumed == [2]
    np.testing.assert_array_equal(again.rows, encoder.rows)


def test_the_loss_of_each_epoch_is_reported(settings: EncoderSettings, splits: Splits) -> None:
    losses: list[float] = []
    fit(settings, splits, callback=lambda _, values: losses.append(values["train"]))
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("kind", ["title_abstract", "halves", "authors", "cross_lists"])
def test_each_kind_of_pairs_trains_alone(
    settings: EncoderSettings, splits: Splits, kind: str
) -> None:
    weights = dict.fromkeys(PairWeights.model_fields, 0.0) | {kind: 0.5}
    encoder = fit(settings, splits, epochs=1, pairs=PairWeights(**weights))
    assert np.isfinite(encoder.scales).all()


@pytest.mark.parametrize(
    "changes",
    [{"start": "lsa"}, {"dropout": None}, {"category_weight": 0.0}, {"whitening": 0.0}],
    ids=str,
)
def test_each_part_of_the_training_may_be_left_out(
    settings: EncoderSettings, splits: Splits, changes: dict[str, Any]
) -> None:
    encoder = fit(settings, splits, epochs=1, **changes)
    assert np.linalg.norm(encoder.encode(["robot grasping"])) == pytest.approx(1, abs=1e-6)


def test_words_too_rare_and_too_many_are_left_out(splits: Splits) -> None:
    texts = splits.read("train")["text"]
    vectorizer, frequencies = learn_terms(texts, 5, 50, 1)
    assert len(vectorizer.vocabulary_) == len(frequencies) == 50
    assert frequencies.min() >= 5
    with pytest.raises(ShelfmarkError, match=r"encoder\.min_df=9999"):
        learn_terms(texts, 9999, None, 1)


def test_a_training_that_diverges_is_an_error(settings: EncoderSettings, splits: Splits) -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(ShelfmarkError, match="diverged: lower encoder.learning_rate"),
    ):
        fit(settings, splits, learning_rate=1e38)


def test_partners_are_different_papers_of_one_group() -> None:
    groups = [np.array([1, 2]), np.array([5, 6, 7])]
    first, second = pairs._draw_partners(groups, 500, np.random.default_rng(7))
    members = {frozenset(group.tolist()) for group in groups}
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert all(
        any({a, b} <= group for group in members)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    )
    assert set(first.tolist()) == {1, 2, 5, 6, 7}


@pytest.mark.parametrize("neighbours", [1, 8])
def test_every_paper_is_in_one_batch_of_an_epoch_at_most(
    settings: EncoderSettings, splits: Splits, neighbours: int
) -> None:
    table = splits.read("train")
    vectorizer, _ = learn_terms(table["text"], 2, None, 1)
    papers = pairs.Papers(table, vectorizer)
    config = settings.encoder.model_copy(update={"batch": 32, "neighbours": neighbours})
    assert isinstance(config, StaticConfig)
    batches = [make() for make in pairs.draw_batches(papers, config, np.random.default_rng(7))]
    rows = np.concatenate([batch.papers[0] for batch in batches])
    assert len(set(rows.tolist())) == len(rows)
    assert len(rows) > len(papers) - len(batches[0].papers[0])
    kinds = [len(set(papers.primaries[batch.papers[0]].tolist())) for batch in batches]
    assert (np.mean(kinds) < 6) == (neighbours == 8)


def test_a_category_counts_with_its_share(settings: EncoderSettings, splits: Splits) -> None:
    table = splits.read("train")
    vectorizer, _ = learn_terms(table["text"], 2, None, 1)
    shares = pairs.Papers(table, vectorizer).categories.toarray()
    np.testing.assert_allclose(shares.sum(axis=1)[shares.any(axis=1)], 1, rtol=1e-6)
    lists = table["categories"].to_pylist()
    crossed = next(row for row, names in enumerate(lists) if len(names) == 2)
    assert sorted(set(shares[crossed].round(3)) - {0}) == [0.333, 0.667]
