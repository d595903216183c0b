"""The last step of a model: calibrated probabilities, and suggestions of cross-lists."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin

from shelfmark.core import checks
from shelfmark.core.arrays import Floats
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.heads import Head, LinearHead, RerankerHead, TreeHead
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.calibration.softmax import softmax_rows


class CalibratedClassifier(Structured, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Probabilities as the softmax of a classifier's margins over a temperature.

    Args:
        classifier: a fitted head.
        temperature: by which all margins are divided; 1 leaves them unchanged.
        cross_lists: suggests further categories; None to disable.
    """

    STATE: ClassVar[State] = {
        "classifier": checks.instance(LinearHead, TreeHead, RerankerHead),
        "temperature": checks.number(1e-3, 1e3),
        "cross_lists": checks.optional(checks.instance(CrossLists)),
    }

    def __init__(
        self,
        classifier: Head,
        temperature: float = 1.0,
        cross_lists: CrossLists | None = None,
    ) -> None:
        self.classifier = classifier
        self.temperature = temperature
        self.cross_lists = cross_lists

    def fit(self, features: object = None, targets: object = None) -> Self:
        """Return itself unchanged: its parts are fitted, but a pipeline requires the method."""
        return self

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the margins over the temperature, shape (papers, classes)."""
        # Without chosen terms a pipeline hands over dense scores.
        return self.classifier.margins(sp.csr_matrix(features)) / np.float32(self.temperature)

    def margins_of(self, features: Floats) -> Floats:
        """Return the same for dense features, shape (papers, columns), 0 where none is stored."""
        return self.classifier.margins_of(features) / np.float32(self.temperature)

    def predict_proba(self, features: sp.csr_matrix) -> Floats:
        """Return the probability of each class, shape (papers, classes)."""
        return softmax_rows(self.decision_function(features))

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: its classifier is fitted."""
        return True
