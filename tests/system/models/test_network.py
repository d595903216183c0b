"""The network that is served: its scores, what each word adds, and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.protocol import Classifier
from shelfmark.models.transformer.classifier import (
    NETWORK,
    CalibratedNetwork,
    TransformerClassifier,
    open_classifier,
)
from shelfmark.models.transformer.network import NetworkScores
from tests.support.bert import SIZE
from tests.support.networks import (
    MOST,
    graph_files,
    linear_layer,
    small_network,
    sums_in_numpy,
    tokens_of,
)

CLASSES, LISTED = ("cs.LG", "cs.RO"), ("stat.ML",)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> NetworkScores:
    return small_network(tmp_path_factory.mktemp("network"))


def cross_lists() -> CrossLists:
    random = np.random.default_rng(2)
    lists = CrossLists(2, LISTED, [-1, -1])
    membership = random.integers(0, 2, (400, 1)).astype(np.uint8)
    scores = (membership + random.normal(size=(400, 1))).astype(np.float32)
    probabilities = random.dirichlet([1, 1], 400).astype(np.float32)
    lists.learn_habits(np.arange(400) % 2, membership)
    return lists.fit(scores, probabilities, membership)


@pytest.fixture(scope="module")
def classifier(network: NetworkScores) -> TransformerClassifier:
    return TransformerClassifier(CalibratedNetwork(network, 2, 1.5, cross_lists()), CLASSES)


def save(classifier: Classifier, folder: Path) -> DigestedFiles:
    arrays = classifier.save(folder)
    digests = {path.name: files.sha256(path) for path in folder.iterdir()}
    return DigestedFiles(folder, digests, arrays)


@pytest.mark.parametrize("text", ["a robot arm", "dark matter halo of the robot", ""])
def test_scores_are_the_linear_layer_on_the_mean_of_the_rows(
    network: NetworkScores, text: str
) -> None:
    wanted = sums_in_numpy(tokens_of(text))
    np.testing.assert_allclose(network.scores([text])[0], wanted, rtol=1e-3, atol=1e-4)


def test_a_text_has_the_same_scores_alone_among_others_and_on_several_threads(
    network: NetworkScores, tmp_path: Path
) -> None:
    texts = ["a robot arm", "dark matter", "", "the arm of a robot grasps matter"]
    together = network.scores(texts)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(
        together, np.concatenate([network.scores([text]) for text in texts])
    )
    parallel = small_network(tmp_path, threads=3)
    np.testing.assert_array_equal(together, parallel.scores(texts))


def test_what_follows_the_last_token_of_a_long_text_is_not_read(network: NetworkScores) -> None:
    long = " ".join(["robot arm"] * 3000)
    short = " ".join(["robot arm"] * (MOST // 2 - 1))
    np.testing.assert_array_equal(network.scores([long]), network.scores([short]))
    assert network.find_places(long, ["arm"])["arm"][-1][1] == len(short)


def test_a_word_weighs_what_the_score_loses_without_it(network: NetworkScores) -> None:
    text = "Dark matter, and the ROBOT: dark halo."
    slopes = np.array([1.0, -0.5, 0.25], np.float32)
    weights = network.weigh_words(text, slopes)
    assert [*weights] == ["dark", "matter", "robot", "halo"], "no sign, and no word of all texts"
    whole = float(network.scores([text])[0] @ slopes)
    for word, shorter in {
        "robot": "Dark matter, and the : dark halo.",
        "dark": " matter, and the ROBOT:  halo.",
    }.items():
        lost = whole - float(network.scores([shorter])[0] @ slopes)
        assert weights[word] == pytest.approx(lost, abs=1e-4)


def test_places_are_those_of_whole_words(network: NetworkScores) -> None:
    text = "Dark matter, and the ROBOT: dark halo."
    places = network.find_places(text, ["dark", "robot", "arm"])
    assert {word: [text[slice(*one)] for one in found] for word, found in places.items()} == {
        "dark": ["Dark", "dark"],
        "robot": ["ROBOT"],
        "arm": [],
    }


@pytest.mark.parametrize("kind", ["metaspace", "bytes"])
def test_words_are_those_of_the_text_whatever_the_tokenizer_joins(
    tmp_path: Path, kind: str
) -> None:
    model, _ = graph_files(tmp_path, words=40)
    text = "The robot, a Robot (arm). Of, the (robot) halo."
    tokenizer = joining_tokenizer(kind, text)
    network = NetworkScores(model, tokenizer, MOST, *linear_layer(3))
    slopes = np.ones(3, np.float32)
    assert [*network.weigh_words(text, slopes)] == ["robot", "arm", "halo"]
    assert network.weigh_words("", slopes) == network.weigh_words(" \ud800", slopes) == {}
    places = network.find_places(text, ["robot", "arm"])
    assert {word: [text[slice(*one)] for one in found] for word, found in places.items()} == {
        "robot": ["robot", "Robot", "robot"],
        "arm": ["arm"],
    }


def joining_tokenizer(kind: str, text: str) -> bytes:
    """Return a tokenizer whose words have blanks or signs: SentencePiece's kind, or of bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    split: Any = {
        "metaspace": pre_tokenizers.Metaspace(),
        "bytes": pre_tokenizers.ByteLevel(add_prefix_space=False),
    }[kind]
    pieces = [piece for piece, _ in split.pre_tokenize_str(text)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(["[UNK]", *pieces]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = split
    if kind == "bytes":
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return str(tokenizer.to_str()).encode()


def test_a_lone_surrogate_is_a_sign_as_any_other(network: NetworkScores) -> None:
    assert np.isfinite(network.scores(["robot \ud800 arm"])).all()
    assert network.find_places("\ud800 arm", ["arm"]) == {"arm": [(2, 5)]}
    assert network.weigh_words("", np.ones(3, np.float32)) == {}


def test_an_explanation_adds_up_to_the_margin(classifier: TransformerClassifier) -> None:
    text = "a robot arm grasps dark matter"
    found = [classifier.explain(text, category) for category in CLASSES]
    probabilities, lists = classifier.probabilities([text])
    margins = []
    for weights in found:
        assert weights is not None
        assert weights.base + sum(weights.weights.values()) == pytest.approx(weights.margin)
        margins.append(weights.margin)
    odds = float(np.log(probabilities[0, 0] / probabilities[0, 1]))
    assert margins[0] - margins[1] == pytest.approx(odds, abs=1e-4)
    assert sum(margins) == pytest.approx(0, abs=1e-4), "they are measured from their mean"
    assert lists is not None
    assert lists.shape == (1, 1)
    with pytest.raises(ValueError, match="math.AG: no such class"):
        classifier.explain(text, "math.AG")


def test_a_saved_classifier_gives_the_same_answers(
    classifier: TransformerClassifier, tmp_path: Path
) -> None:
    opened = open_classifier(save(classifier, tmp_path), CLASSES, LISTED, 1)
    texts = ["a robot arm", ""]
    for before, after in zip(
        classifier.probabilities(texts), opened.probabilities(texts), strict=True
    ):
        assert before is not None
        assert after is not None
        assert before.tobytes() == after.tobytes()
    assert {path.name for path in tmp_path.iterdir()} >= {NETWORK, "model.onnx", "tokenizer.json"}


def test_a_longer_text_and_an_explanation_cost_more(classifier: TransformerClassifier) -> None:
    cost = classifier.cost
    assert cost.of(10, False) < cost.of(30, False) < cost.of(64, False) == cost.of(9000, False)
    assert cost.of(30, True) > cost.of(30, False)


@pytest.mark.parametrize(
    ("labels", "listed", "message"),
    [
        (("a", "b", "c"), LISTED, "network.pkl has other classes than the card"),
        (CLASSES, ("cs.CL",), "network.pkl has other listed categories than the card"),
    ],
)
def test_a_classifier_of_another_card_is_one_line(
    classifier: TransformerClassifier,
    tmp_path: Path,
    labels: tuple[str, ...],
    listed: tuple[str, ...],
    message: str,
) -> None:
    opened = save(classifier, tmp_path)
    with pytest.raises(ShelfmarkError) as caught:
        open_classifier(opened, labels, listed, 1)
    assert str(caught.value) == message


def test_a_graph_and_a_layer_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model, tokenizer = graph_files(tmp_path)
    weights, constants = linear_layer(3)
    with pytest.raises(ValueError, match=r"weights of shape \(24, 3\)"):
        NetworkScores(model, tokenizer, MOST, weights[1:], constants)
    with pytest.raises(ShelfmarkError, match="does not take 64 tokens of the"):
        NetworkScores(model, tokenizer, 64, weights, constants)
    with pytest.raises(ShelfmarkError, match="no ONNX model, or cut off"):
        NetworkScores(model[:100], tokenizer, MOST, weights, constants)
    with pytest.raises(ShelfmarkError, match="tokenizer.json: no tokenizer"):
        NetworkScores(model, b"{}", MOST, weights, constants)


def test_a_graph_of_vectors_of_texts_is_refused(tmp_path: Path) -> None:
    from shelfmark.embeddings.onnx.graph import build_graph
    from tests.support.bert import HEADS, small_weights

    _, tokenizer = graph_files(tmp_path)
    pooled = build_graph(small_weights(), HEADS).SerializeToString()
    with pytest.raises(ShelfmarkError) as caught:
        NetworkScores(pooled, tokenizer, MOST, *linear_layer(3))
    assert str(caught.value) == (
        "model.onnx gives the vectors of texts, not of tokens: the pooling is wrong"
    )


def test_scores_that_lack_a_class_are_refused(network: NetworkScores) -> None:
    with pytest.raises(ValueError, match="scores"):
        CalibratedNetwork(network, 4, 1.0, None)
    lists: Any = cross_lists()
    lists.column = 1
    with pytest.raises(ValueError, match="column"):
        CalibratedNetwork(network, 2, 1.0, lists)
    assert network.weights.shape == (SIZE, 3)
