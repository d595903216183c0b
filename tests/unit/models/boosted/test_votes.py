"""The votes of the nearest training papers: counted, weighted on validation, saved, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import log_softmax

from shelfmark.config.load import load_config, load_encoder_config
from shelfmark.config.schema import Config
from shelfmark.core.arrays import Floats, Ints
from shelfmark.data.labels import learn_targets
from shelfmark.data.splits import TableGroups
from shelfmark.embeddings import artifact as encoders
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.embeddings.static.terms import learn_terms
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.models.boosted import votes as votes_module
from shelfmark.models.boosted.fitting.voters import find_voters, open_encoder
from shelfmark.models.boosted.votes import BLOCK, RARE, ROWS, NeighbourVotes, _find_largest
from tests.support import hashed_encoder, tables

SIZE = 24


def some(begin: int, end: int) -> pa.Table:
    """Return papers of the sample."""
    return tables.papers(300).slice(begin, end - begin)


def make_encoder(texts: pa.ChunkedArray) -> StaticEncoder:
    vectorizer, frequencies = learn_terms(texts, 2, None, 1)
    table = np.random.default_rng(3).standard_normal((len(frequencies), SIZE), np.float32)
    return StaticEncoder.from_table(vectorizer, table / np.sqrt(frequencies)[:, None])


def save_encoder(folder: Path, *overrides: str) -> Path:
    """Save an encoder as `encoders/near`, its card as that of a training with the overrides."""
    settings = load_encoder_config(["encoder=static", *overrides])
    card = EncoderCard(
        name="near", config=settings.model_dump(mode="json"), size=SIZE, sizes=[8],
        details={"terms": 1}, seconds={},
    )  # fmt: skip
    return encoders.save(make_encoder(some(0, 200)["text"]), card, folder)


def overrides(folder: Path, *more: str) -> list[str]:
    return [f"paths.encoders={folder}", "model.neighbours.encoder=near",
            "model.neighbours.papers=9", *more]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    save_encoder(folder)
    return folder


@pytest.fixture(scope="module", params=["stacked", "reranked"])
def voted(request: pytest.FixtureRequest, folder: Path) -> Model:
    """A model with votes."""
    kind = tables.KINDS[request.param]
    return tables.fit(some(0, 200), some(200, 300), *kind, *overrides(folder))


def votes_of(model: Model) -> NeighbourVotes:
    classifier: Any = model.classifier
    votes: NeighbourVotes = classifier.pipeline.votes_
    return votes


def made(rows: int, classes: int = 4, **settings: Any) -> tuple[NeighbourVotes, Floats, Ints]:
    """Return votes of papers with vectors drawn by a seed, the vectors, and the classes."""
    rng = np.random.default_rng(11)
    encoder = make_encoder(some(0, 200)["text"])
    vectors = rng.standard_normal((rows, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    targets = rng.integers(0, classes, rows)
    votes = NeighbourVotes.from_vectors(encoder, vectors, targets, classes=classes, **settings)
    return votes, vectors, targets


def test_the_votes_are_those_of_the_nearest_papers_by_their_cosines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    votes, _, targets = made(ROWS + 300, papers=20, sharpness=7.0)
    texts = some(200, 300)["text"].to_pylist()
    monkeypatch.setattr(votes_module, "COSINES", 7 * len(votes.rows))  # seven texts at a time
    stored = votes.rows * votes.scales[:, None]
    for vector, shares in zip(votes.encoder.encode(texts), votes.shares(texts), strict=True):
        cosines = stored @ vector
        nearest = np.argsort(-cosines)[:20]
        weights = np.exp(7.0 * (cosines[nearest] - cosines[nearest[0]]))
        wanted = np.bincount(targets[nearest], weights, 4) / weights.sum()
        np.testing.assert_allclose(shares, wanted, atol=1e-4)


@pytest.mark.parametrize("count", [1, 5, 30])
@pytest.mark.parametrize("size", [30, BLOCK * 30 - 1, BLOCK * 30, BLOCK * 30 + 7])
def test_the_largest_values_are_found_wherever_they_stand(size: int, count: int) -> None:
    rng = np.random.default_rng(size)
    few = rng.integers(0, 9, size).astype(np.float32)  # with many equal values
    for values in (rng.standard_normal(size).astype(np.float32), np.arange(size) / 7.0, few):
        found = _find_largest(values, count)
        assert len(set(found.tolist())) == count
        np.testing.assert_array_equal(np.sort(values[found]), np.sort(values)[-count:])


def test_eight_bits_keep_the_vectors() -> None:
    votes, vectors, _ = made(500)
    stored = votes.rows * votes.scales[:, None]
    # A number is rounded by at most half a 127th of the largest of its row.
    half = np.abs(vectors).max(axis=1, keepdims=True) / 254
    assert (np.abs(stored - vectors) <= half * 1.001).all()


def test_papers_of_no_class_or_without_a_known_term_do_not_vote() -> None:
    votes, vectors, targets = made(40)
    targets[:10], vectors[10:15] = -1, 0
    kept = NeighbourVotes.from_vectors(votes.encoder, vectors, targets, classes=4)
    np.testing.assert_array_equal(kept.targets, targets[15:])
    np.testing.assert_array_equal(kept.rows, votes.rows[15:])


def test_fewer_papers_than_should_vote_all_vote() -> None:
    votes, _, targets = made(6, papers=100, sharpness=0.0)
    [shares] = votes.shares(["a robot arm learns to grasp objects"])
    np.testing.assert_allclose(shares, np.bincount(targets, minlength=4) / 6, atol=1e-6)


def test_a_text_without_a_known_term_has_no_neighbours() -> None:
    votes, _, _ = made(50)
    alone, beside = votes.shares(["zzzz qqqq"]), votes.shares(["zzzz qqqq", "a robot arm"])
    np.testing.assert_array_equal(alone, np.full((1, 4), 0.25, np.float32))
    np.testing.assert_array_equal(beside[:1], alone)
    assert beside[1].max() > 0.25


def log_loss(margins: Floats, targets: Ints) -> float:
    known = log_softmax(margins.astype(np.float64), axis=1)[np.arange(len(targets)), targets]
    return -float(known.mean())


def test_the_weights_of_the_pool_have_the_lowest_log_loss(folder: Path) -> None:
    train, unseen = some(0, 200), some(200, 300)
    settings = load_config([*tables.SETTINGS, *overrides(folder)])
    targets = learn_targets(train, settings.data, None)
    unseen = unseen.filter(pa.array(targets.encode(unseen) >= 0))
    votes, answers = voters(folder), targets.encode(unseen)
    shape = (len(answers), len(targets.classes))
    margins = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    margins[np.arange(len(answers)), answers] += 1
    texts = unseen["text"].to_pylist()
    votes.fit(margins, votes.log_shares(texts), answers)
    fitted = votes.margin_weight_, votes.vote_weight_
    assert min(fitted) > 0
    best = log_loss(votes.pool(margins, texts), answers)
    assert best < log_loss(margins, answers)
    for step in (-0.02, 0.02):
        for place in range(2):
            votes.margin_weight_, votes.vote_weight_ = (
                weight + step * (place == number) for number, weight in enumerate(fitted)
            )
            assert log_loss(votes.pool(margins, texts), answers) > best


def test_votes_that_say_nothing_get_no_weight() -> None:
    votes, _, _ = made(300, papers=300, sharpness=0.0)
    votes.targets[:] = np.arange(300) % 4
    targets = np.arange(100) % 4
    margins = np.random.default_rng(5).standard_normal((100, 4)).astype(np.float32)
    texts = some(200, 300)["text"].to_pylist()
    votes.fit(margins, votes.log_shares(texts), targets)
    pooled = votes.pool(margins, texts)
    np.testing.assert_allclose(
        pooled - pooled[:, :1], votes.margin_weight_ * (margins - margins[:, :1]), atol=1e-5
    )


def test_a_saved_model_gives_the_same_probabilities(voted: Model, tmp_path: Path) -> None:
    texts = some(200, 300)["text"].to_pylist()
    wanted, lists = voted.probabilities(texts)
    opened = artifact.load(artifact.save(voted, tmp_path / "models"), threads=1)
    again, again_lists = opened.probabilities(texts)
    assert again.tobytes() == wanted.tobytes()
    assert again_lists.tobytes() == lists.tobytes()
    one_by_one = np.vstack([opened.probabilities([text])[0] for text in texts])
    np.testing.assert_allclose(one_by_one, wanted, atol=1e-4)


def test_the_card_names_the_encoder_by_its_digest(
    voted: Model, folder: Path, tmp_path: Path
) -> None:
    card = artifact.load(artifact.save(voted, tmp_path / "models"), threads=1).card
    assert card.details["encoder"] == "near"
    assert card.details["encoder_digest"] == encoders.read_card(folder / "near").digest


def test_the_pipeline_and_the_model_pool_alike(voted: Model) -> None:
    texts = [*some(200, 240)["text"].to_pylist(), "", "zzzz qqqq"]
    classifier: Any = voted.classifier
    probabilities = voted.probabilities(texts)[0]
    assert classifier.pipeline.predict_proba(texts).tobytes() == probabilities.tobytes()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    votes, margins = votes_of(voted), classifier.pipeline.decision_function(texts)
    classifier.pipeline.votes_ = None
    alone = classifier.pipeline.decision_function(texts)
    classifier.pipeline.votes_ = votes
    added = votes.vote_weight_ * np.log(votes.shares(texts) + RARE)
    np.testing.assert_allclose(margins, votes.margin_weight_ * alone + added, atol=1e-4)


def test_an_explanation_adds_the_votes_to_the_words(voted: Model) -> None:
    text = some(200, 201)["text"].to_pylist()[0]
    classifier: Any = voted.classifier
    votes = votes_of(voted)
    added = votes.vote_weight_ * votes.log_shares([text])[0]
    for number, label in enumerate(voted.classes):
        pooled = classifier.explain(text, label)
        classifier.pipeline.votes_ = None
        alone = classifier.explain(text, label)
        classifier.pipeline.votes_ = votes
        wanted = votes.margin_weight_ * alone.margin + added[number]
        assert pooled.margin == pytest.approx(wanted, abs=1e-5)
        assert pooled.base + sum(pooled.weights.values()) == pytest.approx(wanted, abs=1e-4)
        apart = {
            pooled.weights[word] - votes.margin_weight_ * x for word, x in alone.weights.items()
        }
        assert max(map(abs, apart)) < 1e-6


def test_vectors_are_cut_to_one_of_the_sizes_of_the_encoder(folder: Path) -> None:
    settings = [*tables.KINDS["linear"], *overrides(folder, "model.neighbours.size=8")]
    fitted = tables.fit(some(0, 200), some(200, 300), *settings)
    assert votes_of(fitted).rows.shape[1] == 8
    with pytest.raises(ShelfmarkError, match="size 7: vectors of this encoder have 8, 24 numbers"):
        tables.fit(some(0, 200), some(200, 300), *overrides(folder, "model.neighbours.size=7"))


def test_without_an_encoder_the_configuration_is_that_of_older_cards() -> None:
    settings = load_config([])
    written = settings.model_dump(mode="json")
    assert "neighbours" not in written["model"]
    assert Config.model_validate(written) == settings


def voters(folder: Path, *more: str) -> NeighbourVotes:
    train = some(0, 200)
    settings = load_config([*tables.SETTINGS, *overrides(folder, *more)])
    opened = open_encoder(settings)
    assert opened is not None
    return find_voters(
        opened, settings, learn_targets(train, settings.data, None), TableGroups(train)
    )


def test_an_encoder_trained_on_another_split_is_refused(tmp_path: Path) -> None:
    save_encoder(
        tmp_path,
        "data.fractions.train=0.7", "data.fractions.validation=0.2", "data.maths=mask",
    )  # fmt: skip
    with pytest.raises(ShelfmarkError, match=r"another data\.fractions, data\.maths"):
        voters(tmp_path)


def test_a_missing_encoder_and_one_of_another_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ShelfmarkError, match="no encoder in"):
        voters(tmp_path)
    hashed_encoder.register(monkeypatch)
    hashed_encoder.save_encoder(tmp_path, some(0, 200)["text"].to_pylist(), "near")
    with pytest.raises(ShelfmarkError, match="of kind hashed; give one of kind static"):
        voters(tmp_path)


def spoil_targets(votes: NeighbourVotes) -> None:
    votes.targets = votes.targets + np.uint16(votes.classes)


def spoil_scales(votes: NeighbourVotes) -> None:
    votes.scales = votes.scales[1:]


def spoil_classes(votes: NeighbourVotes) -> None:
    votes.classes += 1


def spoil_size(votes: NeighbourVotes) -> None:
    votes.rows = np.tile(votes.rows, 2)


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (spoil_targets, "targets with values"),
        (spoil_scales, "scales of shape"),
        (spoil_classes, r"votes_\.classes with values"),
        (spoil_size, "size with values"),
    ],
)
def test_votes_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, spoil: Any, line: str
) -> None:
    model = tables.fit(some(0, 200), some(200, 300), *tables.KINDS["linear"], *overrides(folder))
    spoil(votes_of(model))
    saved = artifact.save(model, tmp_path / "models")
    with pytest.raises(ShelfmarkError, match=line):
        artifact.load(saved, threads=1)
