"""Answers of a model that was never trained: drawn from a truth that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, logit, softmax

from shelfmark.models.confidence import Answers
from shelfmark.models.limits import Seen
from shelfmark.models.scope.detector import Evidence

CLASSES = ("cs.CL", "cs.CV", "cs.RO", "math.PR", "math.ST", "quant-ph")


def evidence_of(papers: int, subject: float, form: float, rng: np.random.Generator) -> Evidence:
    """Return evidence around a subject and a form."""
    subjects, forms = (rng.normal(middle, 1.5, papers) for middle in (subject, form))
    nothing = np.zeros(papers, np.int64)
    return Evidence(
        subjects.astype(np.float32), forms.astype(np.float32), nothing, nothing, nothing + 40,
        nothing,
    )  # fmt: skip


def answers_of(
    probabilities: Any, right: Any, among: Any, evidence: Evidence, short: bool = False
) -> Answers:
    """Return answers to papers whose true class is the most probable one where it is right."""
    best = probabilities.argmax(axis=1)
    targets = np.where(right, best, (best + 1) % probabilities.shape[1])
    papers = len(best)
    return Answers(
        classes=CLASSES,
        probabilities=probabilities.astype(np.float32),
        targets=targets,
        listed=(),
        lists=np.zeros((papers, 0), np.float32),
        membership=np.zeros((papers, 0), np.uint8),
        named=np.ones(papers, np.int64),
        among=np.asarray(among, np.bool_),
        short=np.full(papers, short),
        evidence=evidence,
    )


def draw(
    papers: int,
    seed: int,
    effects: Any = 0.0,
    short: bool = False,
    subject: float = 4.0,
    form: float = 8.0,
) -> Answers:
    """Return answers that come true as often as they say, or as often as the effect of their class.

    Args:
        papers: how many.
        seed: of the draws.
        effects: logits by which the answers of each class are better than their probability says.
        short: whether the texts are short.
        subject: the mean of the evidence.
        form: likewise.
    """
    rng = np.random.default_rng(seed)
    effects = np.broadcast_to(np.asarray(effects, np.float64), len(CLASSES))
    first = rng.integers(len(CLASSES), size=papers)
    margins = rng.normal(size=(papers, len(CLASSES)))
    margins[np.arange(papers), first] += rng.uniform(1, 8, papers)
    probabilities = softmax(margins, axis=1)
    chance = expit(logit(probabilities.max(axis=1)) + effects[probabilities.argmax(axis=1)])
    right = rng.uniform(size=papers) < chance
    among = right | (rng.uniform(size=papers) < 0.4)
    return answers_of(probabilities, right, among, evidence_of(papers, subject, form, rng), short)


def some_rows(answers: Answers, chosen: Any) -> Answers:
    """Return the answers to some papers."""
    evidence = answers.evidence
    assert evidence is not None
    rows = {name: column[chosen] for name, column in vars(evidence).items()}
    names = ("probabilities", "targets", "lists", "membership", "named", "among", "short")
    columns = {name: getattr(answers, name)[chosen] for name in names}
    return replace(answers, **columns, evidence=Evidence(**rows))


def strangers(papers: int, seed: int) -> Answers:
    """Return answers to papers of other labels, which are never right."""
    drawn = draw(papers, seed, effects=-99.0, subject=-2.0)
    return replace(drawn, among=np.zeros(papers, np.bool_))


def seen(papers: int, seed: int, others: int = 800, **changes: Any) -> Seen:
    """Return what limits are chosen on: papers, their titles, strangers and made texts."""
    own = draw(papers, seed, **changes)
    titles = draw(papers // 2, seed + 1, **changes, short=True)
    made = draw(others, seed + 2, effects=-99.0, form=-6.0)
    return Seen(own, titles, strangers(others, seed + 3), made)
