"""The pipeline from texts to probabilities: how its steps fit together, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.pipeline import Pipeline

from shelfmark.core import checks, structure
from shelfmark.core.arrays import Floats
from shelfmark.core.checks import State
from shelfmark.core.npy import ArraySpec
from shelfmark.core.structure import Source, Structured
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.decision import CalibratedClassifier
from shelfmark.models.boosted.features import FastFeatureUnion, join_blocks, transform
from shelfmark.models.boosted.heads import BoosterHead
from shelfmark.models.boosted.network import NetworkBlock
from shelfmark.models.boosted.votes import NeighbourVotes
from shelfmark.models.calibration.softmax import softmax_rows

PIPELINE = "pipeline.pkl"


class TextPipeline(Structured, Pipeline):  # type: ignore[misc]
    """scikit-learn's pipeline with the steps `words`, `joined` and `decision`.

    Attributes:
        votes_: of the nearest training papers, pooled with the margins; None where none vote.
        network_: whose scores are the last features; None without one.
    """

    STATE: ClassVar[State] = {
        "steps": checks.steps(
            [
                ("words", checks.instance(FastFeatureUnion)),
                ("joined", checks.instance(FastFeatureUnion)),
                ("decision", checks.instance(CalibratedClassifier)),
            ]
        ),
        "votes_": checks.optional(checks.instance(NeighbourVotes)),
        "network_": checks.optional(checks.instance(NetworkBlock)),
    }

    votes_: NeighbourVotes | None = None
    network_: NetworkBlock | None = None

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved, with all of its optional parts or none."""
        parts = {"votes_": self.votes_, "network_": self.network_}
        return {"steps": self.steps, **(parts if any(parts.values()) else {})}

    @classmethod
    def check_state(cls, state: Any) -> None:
        """Check the values of a state one by one; older models with votes name no network.

        Raises:
            ValueError: one is missing, unknown or invalid.
        """
        if type(state) is dict and "votes_" in state:
            state = {"network_": None} | state
        super().check_state(state)

    @classmethod
    def from_structure_state(cls, state: dict[str, Any]) -> Self:
        """Return the pipeline of some steps.

        Raises:
            ValueError: they do not fit together.
        """
        pipeline = cls(state["steps"])
        pipeline.votes_ = state.get("votes_")
        pipeline.network_ = state.get("network_")
        pipeline.check_structure()
        return pipeline

    def decision_function(self, texts: Sequence[str]) -> Floats:
        """Return the margin of each class, shape (texts, classes)."""
        return self.margins(self.transform_texts(texts), texts)

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Return the probability of each class, shape (texts, classes)."""
        return softmax_rows(self.decision_function(texts))

    def transform_texts(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Return the features that the decision reads, shape (texts, columns), float32."""
        features = transform(self.steps[:-1], texts)
        if self.network_ is None:
            return features
        return join_blocks([features, self.network_.scores(texts)])

    def margins(self, features: sp.csr_matrix, texts: Sequence[str]) -> Floats:
        """Return the margin of each class, shape (texts, classes).

        Args:
            features: of the texts, as `transform_texts` returns them.
            texts: of the papers, which the votes read.
        """
        margins: Floats = self[-1].decision_function(features)
        return margins if self.votes_ is None else self.votes_.pool(margins, texts)

    def features_of(self, texts: Sequence[str]) -> Floats:
        """Return the features that the decision reads, dense, (texts, columns).

        Without sparse matrices, for whose checks few papers would wait.
        """
        words, joined = (step for _, step in self.steps[:2])
        features: Floats = joined.make_features(words.read_texts(texts))
        if self.network_ is None:
            return features
        return np.concatenate([features, self.network_.scores(texts)], axis=1)

    def margins_of(self, features: Floats, texts: Sequence[str]) -> Floats:
        """Return the margin of each class, as `margins` does, from dense features."""
        margins: Floats = self[-1].margins_of(features)
        return margins if self.votes_ is None else self.votes_.pool(margins, texts)

    def check_structure(self) -> None:
        """Check that each step reads as many columns as the one before it writes.

        Raises:
            ValueError: it does not.
        """
        words, joined = (dict(step.transformer_list) for _, step in self.steps[:2])
        if "text" not in words or "text" in joined:
            raise ValueError("words should be fields of a text, and joined parts of its features")
        terms = sum(len(field.vocabulary_) for field in words.values())
        for name, part in joined.items():
            if part.shape[0] != terms:
                raise ValueError(f"{name} should read {terms} terms, reads {part.shape[0]}")
        scores = joined["scores"].shape[1] if "scores" in joined else 0
        width = sum(part.shape[1] for part in joined.values())
        if self.network_ is not None:
            # Behind the terms, or behind the other scores where no terms are chosen.
            scores += self.network_.columns if scores == width else 0
            width += self.network_.columns
        self._check_decision(width, scores)

    def _check_decision(self, width: int, scores: int) -> None:
        """Check what the last step reads of features of so many columns, the scores first."""
        decision: CalibratedClassifier = self.steps[-1][1]
        head, lists = decision.classifier, decision.cross_lists
        if self.votes_ is not None:
            checks.require_range("votes_.classes", [self.votes_.classes], *[head.classes] * 2)
        reads = head.scores
        if lists is not None:
            checks.require_range("own", [len(lists.own)], head.classes, head.classes)
            reads = max(reads, lists.column + len(lists.categories))
        if reads > scores:
            raise ValueError(f"decision should read {scores} scores, reads {reads}")
        if isinstance(head, BoosterHead):
            head.open_trees(width)


def save_pipeline(pipeline: TextPipeline, folder: Path) -> dict[str, ArraySpec]:
    """Write a pipeline: its structure as a pickle, its arrays and its trees beside it.

    Returns:
        The specification of the array in each .npy file.
    """
    content, arrays = structure.dump(pipeline, lambda name: (folder / name).open("wb"))
    (folder / PIPELINE).write_bytes(content)
    return arrays


def open_pipeline(source: Source, classes: int, listed: tuple[str, ...]) -> TextPipeline:
    """Return the pipeline in the files of an artifact.

    Args:
        source: its files.
        classes: the number of labels on its card.
        listed: the listed categories there.

    Raises:
        ShelfmarkError: a file is damaged or foreign, or does not fit the card.
    """
    try:
        pipeline = structure.load(source.content(PIPELINE), source)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{PIPELINE} was not opened: {error}") from error
    if type(pipeline) is not TextPipeline:
        raise ShelfmarkError(f"{PIPELINE} holds no pipeline but {type(pipeline).__name__}")
    decision: CalibratedClassifier = pipeline[-1]
    if decision.classifier.classes != classes:
        raise ShelfmarkError(f"{PIPELINE} has other classes than the card")
    if decision.cross_lists is not None and decision.cross_lists.categories != listed:
        raise ShelfmarkError(f"{PIPELINE} has other listed categories than the card")
    return pipeline
