"""A fitted network as a classifier: probabilities, explanations, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from shelfmark.core import checks, structure
from shelfmark.core.arrays import Floats
from shelfmark.core.checks import State
from shelfmark.core.npy import ArraySpec
from shelfmark.core.structure import Source, Structured
from shelfmark.errors import ShelfmarkError
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.calibration.softmax import softmax_rows
from shelfmark.models.protocol import WordWeights
from shelfmark.models.transformer.network import NetworkScores

NETWORK = "network.pkl"


class CalibratedNetwork(Structured):
    """Probabilities of a network's scores: the softmax over a temperature, and cross-lists.

    Args:
        network: scores the classes, then the listed categories.
        classes: number of classes.
        temperature: by which the margins of the classes are divided.
        cross_lists: suggests further categories; None for none.
    """

    STATE: ClassVar[State] = {
        "network": checks.instance(NetworkScores),
        "classes": checks.integer(2),
        "temperature": checks.number(1e-3, 1e3),
        "cross_lists": checks.optional(checks.instance(CrossLists)),
    }

    def __init__(
        self,
        network: NetworkScores,
        classes: int,
        temperature: float,
        cross_lists: CrossLists | None,
    ) -> None:
        self.network = network
        self.classes = classes
        self.temperature = temperature
        self.cross_lists = cross_lists
        self.check_structure()

    def check_structure(self) -> None:
        """Check that there is a score for each class and each listed category.

        Raises:
            ValueError: there is not.
        """
        lists = self.cross_lists
        if lists is not None:
            checks.require_range("own", [len(lists.own)], self.classes, self.classes)
            checks.require_range("column", [lists.column], self.classes, self.classes)
        listed = len(lists.categories) if lists is not None else 0
        checks.require_range("scores", [self.network.columns], self.classes + listed, checks.MOST)

    def margins_of(self, scores: Floats) -> Floats:
        """Return the margins of the classes, float32 of shape (texts, classes), from all scores."""
        return scores[:, : self.classes] / np.float32(self.temperature)

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Return the probabilities of the classes and of the listed categories, None without any.

        Shapes: (texts, classes) and (texts, listed).
        """
        scores = self.network.scores(texts)
        classes = softmax_rows(self.margins_of(scores))
        lists = self.cross_lists
        if lists is None:
            return classes, None
        listed = scores[:, lists.column : lists.column + len(lists.categories)]
        return classes, lists.probabilities(listed, classes)


class TransformerClassifier:
    """A calibrated network, and its labels.

    Args:
        calibrated: the network.
        classes: the labels, in the order of the probabilities' columns.
    """

    vocabulary = None  # its tokens are pieces of words, of which no word lacks all

    def __init__(self, calibrated: CalibratedNetwork, classes: tuple[str, ...]) -> None:
        self.calibrated = calibrated
        self.classes = classes
        self.cost = calibrated.network.measure_cost()

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Return the probabilities of the classes and of the listed categories.

        The shapes are (texts, classes) and (texts, listed categories); the second is None where no
        cross-lists are suggested.
        """
        return self.calibrated.probabilities(texts)

    def explain(self, text: str, category: str) -> WordWeights | None:
        """Return what each word adds to the margin of a class, None if that is not finite.

        The margin is that above the mean of all classes: a word that raises all margins alike
        decides nothing.

        Raises:
            ValueError: there is no such class.
        """
        if category not in self.classes:
            raise ValueError(f"{category}: no such class")
        number, network = self.classes.index(category), self.calibrated.network
        slopes = np.zeros(network.columns, np.float32)
        slopes[: len(self.classes)] = -1 / len(self.classes)
        slopes[number] += 1
        slopes /= np.float32(self.calibrated.temperature)
        margin = float(network.scores([text])[0] @ slopes)
        words = network.weigh_words(text, slopes)
        weights = WordWeights(category, margin, margin - sum(words.values()), words)
        return weights if weights.is_finite() else None

    def places(self, text: str, words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Return where each word stands in a text: from which character to before which."""
        return self.calibrated.network.find_places(text, words)

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the network: structure, arrays, graph and tokenizer."""
        content, arrays = structure.dump(self.calibrated, lambda name: (folder / name).open("wb"))
        (folder / NETWORK).write_bytes(content)
        return arrays


def open_classifier(
    source: Source, classes: tuple[str, ...], listed: tuple[str, ...], threads: int | None
) -> TransformerClassifier:
    """Return the classifier in the files of an artifact.

    Args:
        source: its files.
        classes: the labels on its card.
        listed: the listed categories there.
        threads: how many texts are read at a time, None for one a core.

    Raises:
        ShelfmarkError: a file is damaged or foreign, or does not fit the card.
    """
    try:
        calibrated = structure.load(source.content(NETWORK), source)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{NETWORK} was not opened: {error}") from error
    if type(calibrated) is not CalibratedNetwork:
        raise ShelfmarkError(f"{NETWORK} holds no network but {type(calibrated).__name__}")
    if calibrated.classes != len(classes):
        raise ShelfmarkError(f"{NETWORK} has other classes than the card")
    lists = calibrated.cross_lists
    if lists is not None and lists.categories != listed:
        raise ShelfmarkError(f"{NETWORK} has other listed categories than the card")
    calibrated.network.read_by(threads)
    return TransformerClassifier(calibrated, classes)
