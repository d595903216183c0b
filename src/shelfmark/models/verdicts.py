"""What an answer is worth: the limits of the verdicts, as the card of a model holds them.

Two questions are kept apart. Is this the paper's primary category? And does the paper belong on
this shelf at all, as its primary category or a cross-list? For each, the probability of the class
becomes an estimate of how often such answers are right, which a common limit then grades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field

from shelfmark.artifacts.card import STRICT, Text
from shelfmark.core.arrays import Array, Doubles, Floats, Ints

if TYPE_CHECKING:  # the card is read where no model is
    from shelfmark.models.scope.detector import Evidence

Probability = Annotated[float, Field(ge=0, le=1)]
Logit = Annotated[float, Field(ge=-1e9, le=1e9)]
VerdictName = Literal["sure", "likely", "open"]
ScopeName = Literal["in", "doubtful", "outside"]
SHORT = 20  # words: a text of fewer is a title, or little more
FEW_WORDS = 5  # different known words, without those of grammar: fewer say too little
LARGEST_POWER = 700.0  # of e that is a finite number
LEAST = 1e-6  # probability in a logit: answers round to it


class Verdict(IntEnum):
    """How far an answer may be acted on; `SURE` keeps what `predict.min_precision` promises."""

    OPEN = 0
    LIKELY = 1
    SURE = 2


class Scope(IntEnum):
    """Whether a text is a paper for a model."""

    OUTSIDE = 0
    DOUBTFUL = 1
    IN = 2


VERDICTS: dict[Verdict, VerdictName] = {
    Verdict.OPEN: "open", Verdict.LIKELY: "likely", Verdict.SURE: "sure"
}  # fmt: skip
SCOPES: dict[Scope, ScopeName] = {
    Scope.OUTSIDE: "outside", Scope.DOUBTFUL: "doubtful", Scope.IN: "in"
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """How answers to one question are graded.

    The estimate of a class's answer is a logistic function of the logit of its probability. Its
    offset is that of the class, pooled with those of the other classes of its archive and of all.

    Args:
        intercept: of the estimate.
        slope: of the logit.
        short_intercept: added for a text of fewer than `SHORT` words.
        short_slope: likewise.
        offsets: of each class.
        sure_from: the least estimate of a sure answer, None for never.
        likely_from: that of a likely one.
        kept: the share of the answers of each verdict to validation that were right, None without
            such answers.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    intercept: Logit
    slope: Logit
    short_intercept: Logit
    short_slope: Logit
    offsets: dict[Text, Logit]
    sure_from: Probability | None
    likely_from: Probability | None
    kept: dict[VerdictName, Probability | None]

    @cached_property
    def _offsets(self) -> Doubles:
        return np.array(list(self.offsets.values()))

    def estimate(self, best: Ints, confidence: Floats, short: Array) -> Doubles:
        """Return how often such answers are right.

        Args:
            best: the most probable class of each paper.
            confidence: its probability.
            short: whether the text has fewer than `SHORT` words.
        """
        offsets = self._offsets[best]
        logits = logit(confidence)
        slope = self.slope + self.short_slope * short
        start = self.intercept + self.short_intercept * short
        return _expit(start + offsets + slope * logits)

    def grade(self, estimates: Doubles, scopes: Array) -> Array:
        """Return the `Verdict` of each answer; out of scope, every answer is open."""
        sure, likely = (2.0 if x is None else x for x in (self.sure_from, self.likely_from))
        # As plain numbers: NumPy takes microseconds to read a member of an enumeration.
        at_least_likely, at_least_sure = int(Verdict.LIKELY), int(Verdict.SURE)
        graded = np.maximum(
            at_least_likely * (estimates >= likely), at_least_sure * (estimates >= sure)
        )
        return np.asarray(graded * (scopes == int(Scope.IN)))

    def confident_from(self) -> dict[str, float | None]:
        """Return for each class the least probability of a sure answer to an abstract."""
        if self.sure_from is None or self.slope <= 0:
            return dict.fromkeys(self.offsets)
        wanted = float(logit(np.array([self.sure_from]))[0])
        needed = (wanted - self.intercept - self._offsets) / self.slope
        return dict(zip(self.offsets, _expit(needed).tolist(), strict=True))


@dataclass(frozen=True)
class ScopeLimits:
    """The least evidence of a text in scope, and that of one that is not outside; logits.

    Args:
        subject: of a text in scope: the model's own labels against those of other papers.
        form: of a text in scope: papers against texts that are no abstracts.
        subject_outside: below it a text is outside.
        form_outside: likewise.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    subject: Logit
    form: Logit
    subject_outside: Logit
    form_outside: Logit

    def scopes(self, evidence: Evidence) -> Array:
        """Return the `Scope` of each text, shape (texts,)."""
        inside = (evidence.subject >= self.subject) & (evidence.form >= self.form)
        inside &= evidence.known >= FEW_WORDS
        outside = (evidence.subject < self.subject_outside) | (evidence.known == 0)
        outside |= evidence.form < self.form_outside
        return np.asarray((int(Scope.DOUBTFUL) + inside) * ~outside)


@dataclass(frozen=True)
class VerdictLimits:
    """The limits of all verdicts of a model.

    Args:
        likely_precision: share of the likely answers that is to be right.
        primary: whether the class is the paper's primary category.
        listed: whether it is among the paper's categories at all.
        scope: whether a text is a paper for the model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    likely_precision: Probability
    primary: Question
    listed: Question
    scope: ScopeLimits


def logit(confidence: Any) -> Doubles:
    """Return the logits of probabilities, of the same shape."""
    # Faster than np.clip, for one answer.
    given = np.minimum(np.maximum(np.asarray(confidence, np.float64), LEAST), 1 - LEAST)
    return np.asarray(np.log(given / (1 - given)), np.float64)


def _expit(logits: Doubles) -> Doubles:
    """Return the probabilities of logits, of the same shape."""
    # SciPy's takes a second to import, which commands that read cards alone need not wait for.
    # Below the bound a probability is 0; without it the powers of large logits would overflow.
    return np.asarray(1 / (1 + np.exp(np.minimum(-logits, LARGEST_POWER))))


def are_short(texts: Sequence[str]) -> Array:
    """Return whether each text has fewer than `SHORT` words, shape (texts,)."""
    return np.array([len(text.split(None, SHORT)) < SHORT for text in texts], np.bool_)
