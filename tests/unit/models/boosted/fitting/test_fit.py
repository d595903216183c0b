"""The model: stopped by validation, the same every time, with clear errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from shelfmark.config.load import load_config
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted import features
from shelfmark.models.boosted.fitting.fit import fit_model
from shelfmark.models.boosted.heads import LinearHead
from tests.support import tables
from tests.support.tables import KINDS, table

WORDS = {"cs.CL": "grammar", "cs.RO": "robot", "quant-ph": "qubit", "q-bio.BM": "protein"}
LABELS = ["cs.CL", "cs.RO", "quant-ph"]
ASKED = ["robot robot word1", "qubit qubit word2", "grammar grammar word3"]
ANSWERS = ["cs.RO", "quant-ph", "cs.CL"]


def papers(labels: list[str], categories: Sequence[Sequence[str]] | None = None) -> pa.Table:
    """Return papers with words that determine their label, among words that do not."""
    rng = np.random.default_rng(1)
    noise = [f"word{number}" for number in range(50)]
    texts = [f"{WORDS[label]} " * 2 + " ".join(rng.choice(noise, 20)) for label in labels]
    return table(labels, texts, categories)


def following(label: str) -> str:
    return LABELS[(LABELS.index(label) + 1) % 3]


def listed_elsewhere(labels: list[str]) -> pa.Table:
    """Return such papers, every other one cross-listed under the next label."""
    lists = [[x, following(x)] if i % 2 else [x] for i, x in enumerate(labels)]
    return papers(labels, lists)


def fit(*overrides: str, validation: pa.Table | None = None) -> artifact.Model:
    unseen = validation if validation is not None else papers(LABELS * 5)
    return tables.fit(papers(LABELS * 20), unseen, "model=xgboost", *overrides)


def best(fitted: artifact.Model, texts: list[str]) -> list[str]:
    return [fitted.classes[number] for number in fitted.probabilities(texts)[0].argmax(axis=1)]


def test_classes_and_probabilities_belong_together() -> None:
    assert best(fit(), ASKED) == ANSWERS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_answers_no_text_and_is_a_pipeline(kind: str) -> None:
    fitted = tables.fit(listed_elsewhere(LABELS * 20), listed_elsewhere(LABELS * 5), *KINDS[kind])
    assert best(fitted, ASKED) == ANSWERS
    texts = [*ASKED, "", "words never seen"]
    probabilities = fitted.probabilities(texts)[0]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert fitted.classifier.pipeline.predict_proba(texts).tobytes() == probabilities.tobytes()


def test_the_same_config_gives_the_same_bytes_and_another_seed_does_not() -> None:
    texts = papers(LABELS * 3)["text"].to_pylist()
    first, second, other = (
        fit("model.subsample=0.5", f"seed={seed}").probabilities(texts)[0].tobytes()
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_validation_stops_the_trees_and_the_best_round_is_kept() -> None:
    # Labels that train contradicts: every further round makes validation worse.
    wrong = table(["cs.RO", "quant-ph", "cs.CL"] * 5, papers(LABELS * 5)["text"].to_pylist())
    losses: list[float] = []
    settings = ["model=xgboost", "model.rounds=60", "model.early_stopping=3"]
    fitted = fit_model(
        load_config([*tables.SETTINGS, *settings]),
        papers(LABELS * 20),
        wrong,
        lambda step, loss: losses.append(loss["validation"]),
    )
    assert len(losses) == 4
    assert fitted.details["rounds"] == int(np.argmin(losses)) + 1 == 1


def test_without_early_stopping_every_round_is_kept() -> None:
    assert fit("model.early_stopping=null", "model.rounds=5").card.rounds == 5


def test_a_label_that_train_never_saw_does_not_stop_the_run() -> None:
    fitted = fit(validation=papers(["cs.CL", "q-bio.BM", "cs.RO", "quant-ph"]))
    assert fitted.classes == LABELS


def test_validation_papers_of_unknown_labels_alone_give_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="validation has no paper of a label in train"):
        fit(validation=papers(["q-bio.BM"] * 3))


def test_a_single_label_to_learn_gives_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="train split has papers of one label alone"):
        tables.fit(papers(["cs.CL"] * 9), papers(LABELS))


def test_dense_and_sparse_rows_of_one_text_would_differ_so_the_pipeline_stays_sparse() -> None:
    fitted = fit()
    texts = papers(LABELS)["text"].to_pylist()
    through = fitted.classifier.pipeline.predict_proba(texts)
    by_hand = fitted.classifier.decision.predict_proba(
        features.transform(fitted.classifier.pipeline.steps[:-1], texts)
    )
    one_by_one = np.vstack([fitted.classifier.pipeline.predict_proba([text]) for text in texts])
    assert through.tobytes() == by_hand.tobytes() == one_by_one.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_two_classes_work(kind: str) -> None:
    pair = papers(LABELS[:2] * 20)
    fitted = tables.fit(pair, pair, *KINDS[kind])
    assert best(fitted, ["grammar grammar", "robot robot"]) == LABELS[:2]


def test_custom_labels_are_reranked_too() -> None:
    own = {"words": ["cs.CL"], "things.moving": ["cs.RO"], "small": ["quant-ph"]}
    gathered = {names[0]: label for label, names in own.items()}
    override = "data.labels=" + str(own).replace("'", "").replace(" ", "")
    train, unseen = (
        some.set_column(1, "label", [[gathered[x] for x in some["label"].to_pylist()]])
        for some in (listed_elsewhere(LABELS * 20), listed_elsewhere(LABELS * 5))
    )
    fitted = tables.fit(train, unseen, *KINDS["reranked"], override)
    assert best(fitted, ASKED) == [gathered[label] for label in ANSWERS]
    assert fitted.card.listed == sorted(own)


def test_trees_that_learn_nothing_leave_the_answers_to_the_scores(log: Callable[[], str]) -> None:
    train, unseen = papers(LABELS * 20), papers(LABELS * 5)
    fitted = tables.fit(train, unseen, *KINDS["reranked"], "model.min_child_weight=1e6")
    assert best(fitted, ASKED) == [*ANSWERS]
    assert isinstance(fitted.classifier.decision.classifier, LinearHead)
    assert "WARNING the model has no trees: a log loss of" in log()


def test_a_parameter_that_xgboost_refuses_gives_one_line() -> None:
    with pytest.raises(
        ShelfmarkError, match="^model: value -1 for Parameter min_split_loss should be greater"
    ) as raised:
        fit("+model.params.gamma=-1")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("crossed", [[], LABELS])
def test_a_validation_split_of_which_no_paper_or_every_one_is_listed_elsewhere_suggests_nothing(
    crossed: list[str],
) -> None:
    train, labels = listed_elsewhere(LABELS * 20), LABELS * 5
    fitted = tables.fit(train, papers(labels, [[x, *crossed] for x in labels]), *KINDS["stacked"])
    assert fitted.card.listed == LABELS
    assert not fitted.probabilities(ASKED)[1].any()


def test_what_papers_are_listed_under_elsewhere_is_suggested() -> None:
    fitted = tables.fit(
        listed_elsewhere(LABELS * 20), listed_elsewhere(LABELS * 5), *KINDS["stacked"]
    )
    lists = fitted.probabilities(ASKED)[1]
    result = [fitted.card.listed[place] for place in lists.argmax(axis=1)]
    assert result == [following(label) for label in ANSWERS]
