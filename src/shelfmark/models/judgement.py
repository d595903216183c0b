"""The judgement of an answer in words: the one sentence that people read, wherever they read it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Array, Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.models.scope.detector import RARE, Evidence
from shelfmark.models.scope.made_texts import FOREIGN
from shelfmark.models.traits import text_traits
from shelfmark.models.verdicts import (
    FEW_WORDS,
    SCOPES,
    VERDICTS,
    Scope,
    ScopeName,
    Verdict,
    VerdictLimits,
    VerdictName,
    are_short,
)

ENGLISH = "en"
OLDER = "this model is of an older release, which grades by the probability alone"
KNOWLEDGE = {Verdict.SURE: "Sure", Verdict.LIKELY: "Likely", Verdict.OPEN: "Open"}


@dataclass
class Listed:
    """The verdict on whether the paper belongs on the shelf at all, first or cross-listed."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

    verdict: VerdictName
    """sure, likely or open."""
    precision: float | None
    """The share of the answers with this verdict that came true on validation; null if unknown."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer is worth.

    Args:
        scope: whether the text is a paper for the model.
        reason: why it is not `in`, or None.
        verdict: on the class as the paper's primary category.
        precision: share of the answers with this verdict that were right on validation, None if
            that is not known.
        listed: the verdict on the class as one of the paper's categories; None of an older model.
        sentence: all of it, for people.
    """

    scope: ScopeName
    reason: str | None
    verdict: VerdictName
    precision: float | None
    listed: Listed | None
    sentence: str


@dataclass(frozen=True)
class Grades:
    """The verdicts on some answers, an answer a row.

    Args:
        scopes: the `Scope` of each text.
        primary: the `Verdict` on the class as the primary category.
        listed: that on it as one of the paper's categories.
    """

    scopes: Array
    primary: Array
    listed: Array


def grade_answers(
    model: Model, probabilities: Floats, short: Array, evidence: Evidence | None
) -> Grades:
    """Return the verdicts on answers.

    Args:
        model: that gave them.
        probabilities: shape (texts, classes).
        short: whether each text has fewer words than an abstract.
        evidence: what speaks for each text being a paper; None of an older model.
    """
    thresholds = model.card.limits
    best, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    if thresholds.verdicts is None or evidence is None:
        least = [thresholds.confident_from[label] for label in model.classes]
        needed = np.array([2.0 if limit is None else limit for limit in least])[best]
        verdicts = np.where(confidence >= needed, Verdict.SURE, Verdict.OPEN)
        return Grades(np.full(len(best), Scope.IN), verdicts, verdicts)
    limits = thresholds.verdicts
    scopes = limits.scope.scopes(evidence)
    primary, listed = (
        question.grade(question.estimate(best, confidence, short), scopes)
        for question in (limits.primary, limits.listed)
    )
    # A primary category is one of the paper's.
    return Grades(scopes, primary, np.maximum(primary, listed))


def judge_texts(model: Model, texts: Sequence[str], probabilities: Floats) -> list[Judgement]:
    """Return what the answers to cleaned texts are worth.

    Args:
        model: that gave them.
        texts: as `Model.text` returns them.
        probabilities: of the classes, shape (texts, classes).
    """
    evidence = None if model.scope is None else model.scope.weigh(texts)
    grades = grade_answers(model, probabilities, are_short(texts), evidence)
    limits = None if evidence is None else model.card.limits.verdicts
    columns = zip(
        grades.scopes.tolist(), grades.primary.tolist(), grades.listed.tolist(), strict=True
    )
    # In scope, a judgement depends on the verdicts alone: many texts share it.
    in_scope = functools.cache(functools.partial(_judge_in_scope, limits))
    return [
        in_scope(primary, listed)
        if evidence is None or scope == Scope.IN
        else _out_of_scope(Scope(scope), explain_scope(model, texts[number], evidence, number))
        for number, (scope, primary, listed) in enumerate(columns)
    ]


def doubt_author(judgement: Judgement, category: str) -> Judgement:
    """Return the judgement of a paper whose author chose a category that the model lacks."""
    if judgement.scope != SCOPES[Scope.IN]:
        return judgement
    reason = f"the author’s category, {category}, is none of the model’s"
    return _out_of_scope(Scope.DOUBTFUL, reason, judgement.listed is not None)


def _judge_in_scope(limits: VerdictLimits | None, primary: int, listed: int) -> Judgement:
    """Return the judgement of a text in scope; the limits are None of an older model."""
    name, at_all = VERDICTS[Verdict(primary)], VERDICTS[Verdict(listed)]
    word = KNOWLEDGE[Verdict(primary)]
    if limits is None:
        return Judgement(SCOPES[Scope.IN], None, name, None, None, f"{word}: {OLDER}.")
    first, among = limits.primary.kept.get(name), limits.listed.kept.get(at_all)
    sentence = f"{word}: {_shares(first, among)}."
    return Judgement(SCOPES[Scope.IN], None, name, first, Listed(at_all, among), sentence)


def _shares(first: float | None, among: float | None) -> str:
    """Return what was measured: shares of answers with the primary category, and with any."""
    if first is None:
        return "no answer to the validation papers was like this"
    told = f"of answers like this, {100 * first:.0f} in 100 name the primary category"
    if among is None:
        return told
    return f"{told}, and {100 * among:.0f} in 100 a category of the paper"


def _out_of_scope(scope: Scope, reason: str, graded: bool = True) -> Judgement:
    word = "Outside" if scope == Scope.OUTSIDE else "Doubtful"
    listed = Listed(VERDICTS[Verdict.OPEN], None) if graded else None
    sentence = f"{word}: {reason}."
    return Judgement(SCOPES[scope], reason, VERDICTS[Verdict.OPEN], None, listed, sentence)


def explain_scope(model: Model, text: str, evidence: Evidence, number: int) -> str:
    """Return why a text is no paper for a model, or doubtful, in words.

    Args:
        model: with a detector.
        text: as the model cleans it.
        evidence: of some texts.
        number: of this one among them.
    """
    limits = model.card.limits.verdicts
    assert model.scope is not None
    assert limits is not None
    known, unknown = int(evidence.known[number]), int(evidence.unknown[number])
    if not known:
        return "the model knows no word of the text"
    if known + unknown < FEW_WORDS:
        return "the text has too few different words"
    if evidence.form[number] < limits.scope.form:
        language = _identify_language(model, text)
        if language not in (None, ENGLISH):
            return f"the text seems to be in another language than English ({language})"
        if unknown > known:
            share = unknown / (known + unknown)
            return f"the model does not know {share:.0%} of the words"
        kind = model.scope.labels[evidence.kind[number]]
        if kind == FOREIGN:  # but it is not, as far as its words tell
            return "the text does not read like an abstract"
        return f"the text reads like {kind}, not like an abstract"
    if known < FEW_WORDS:
        return "the model knows too few different words of the text"
    other = model.scope.labels[evidence.other[number]]
    if other == RARE:
        return "the text reads like a paper of a category that the model lacks"
    named = taxonomy.full_name(other, model.card.config.get("data", {}).get("categories"))
    shown = other if named == other else f"{other} ({named})"
    likely = "is probably" if evidence.subject[number] < 0 else "may be"
    return f"the paper {likely} one of a category that the model lacks, such as {shown}"


def _identify_language(model: Model, text: str) -> str | None:
    """Return the language of a text; it takes a moment, which answers in scope save."""
    try:
        return text_traits(model, text).language
    except (OSError, ShelfmarkError):  # its table is a file, which a service may not get to open
        return None
