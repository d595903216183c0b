"""The trees: stopped by validation, the same every time, and honest about what they refuse."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shelfmark import config, features, model
from shelfmark.errors import ShelfmarkError

SETTINGS = (
    "model=xgboost",
    "features.min_df=1",
    "features.max_df=1.0",
    "model.n_jobs=1",
    "model.rounds=8",
    "model.colsample_bytree=1.0",
)


def table(labels: list[str]) -> pa.Table:
    """Return papers whose words tell their label, among words that do not."""
    chance = np.random.default_rng(1)
    noise = [f"word{number}" for number in range(50)]
    texts = [f"{label} " * 2 + " ".join(chance.choice(noise, 20)) for label in labels]
    return pa.table({"text": texts, "label": labels})


def silent(step: int, losses: dict[str, float]) -> None:
    """Ignore the losses."""


def fit(*overrides: str, validation: pa.Table | None = None) -> model.Fitted:
    train = table(["ant", "bee", "cat"] * 20)
    unseen = validation if validation is not None else table(["ant", "bee", "cat"] * 5)
    return model.fit(config.load([*SETTINGS, *overrides]), train, unseen, silent)


def test_classes_and_probabilities_belong_together() -> None:
    fitted = fit()
    texts = ["bee bee word1", "cat cat word2", "ant ant word3"]
    best = fitted.pipeline.predict_proba(texts).argmax(axis=1)
    assert [fitted.classes[number] for number in best] == ["bee", "cat", "ant"]


def test_the_same_config_gives_the_same_bytes_and_another_seed_does_not() -> None:
    texts = table(["ant", "bee", "cat"] * 3)["text"].to_pylist()
    first, second, other = (
        fit("model.subsample=0.5", f"seed={seed}").pipeline.predict_proba(texts).tobytes()
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_validation_stops_the_trees_and_the_best_round_is_kept() -> None:
    # Labels that train contradicts: every further round makes validation worse.
    wrong = pa.table({"text": ["ant", "bee", "cat"] * 5, "label": ["bee", "cat", "ant"] * 5})
    losses: list[float] = []
    fitted = model.fit(
        config.load([*SETTINGS, "model.rounds=60", "model.early_stopping=3"]),
        table(["ant", "bee", "cat"] * 20),
        wrong,
        lambda step, loss: losses.append(loss["validation"]),
    )
    assert len(losses) == 4
    assert fitted.rounds == int(np.argmin(losses)) + 1 == 1


def test_without_early_stopping_every_round_is_kept() -> None:
    assert fit("model.early_stopping=null", "model.rounds=5").rounds == 5


def test_a_label_that_train_never_saw_does_not_stop_the_run() -> None:
    fitted = fit(validation=table(["ant", "dog", "bee", "cat"]))
    assert fitted.classes == ("ant", "bee", "cat")


def test_dense_and_sparse_rows_of_one_text_would_differ_so_the_pipeline_stays_sparse() -> None:
    fitted = fit()
    steps, booster = fitted.pipeline.steps[:-1], fitted.pipeline[-1]
    texts = table(["ant", "bee", "cat"])["text"].to_pylist()
    through = fitted.pipeline.predict_proba(texts)
    by_hand = booster.predict_proba(features.transform(steps, texts))
    one_by_one = np.vstack([fitted.pipeline.predict_proba([text]) for text in texts])
    assert through.tobytes() == by_hand.tobytes() == one_by_one.tobytes()


def test_two_classes_work() -> None:
    pair = table(["ant", "bee"] * 20)
    fitted = model.fit(config.load(SETTINGS), pair, pair, silent)
    assert fitted.pipeline.predict_proba(["ant ant"]).shape == (1, 2)


def test_a_parameter_that_xgboost_refuses_gives_one_line() -> None:
    with pytest.raises(
        ShelfmarkError, match="^model: value -1 for Parameter min_split_loss should be greater"
    ) as raised:
        fit("+model.params.gamma=-1")
    assert "\n" not in str(raised.value)


def test_threads_come_from_the_config() -> None:
    assert fit().pipeline[-1].get_params()["n_jobs"] == 1


def test_a_stack_of_the_linear_model_and_the_trees_learns_too() -> None:
    fitted = fit("model=stacked", "model.stack.folds=3")
    best = fitted.pipeline.predict_proba(["bee bee", "cat cat", "ant ant"]).argmax(axis=1)
    assert [fitted.classes[number] for number in best] == ["bee", "cat", "ant"]
