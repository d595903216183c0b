"""Chooses the limits of the verdicts on validation: what they promise has to hold on other papers.

A class with twenty papers teaches little on its own. So the classes share one curve from
probability to precision and one limit, and each moves away from its archive's and from all as far
as its own papers show (partial pooling by a ridge penalty). A limit counts as kept if the lower end
of an interval of the precision keeps it, so that a lucky sample does not lower it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.special import betaincinv
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from shelfmark.arxiv.taxonomy import archive_of
from shelfmark.core.arrays import Array, Doubles, Ints
from shelfmark.models.confidence import Answers
from shelfmark.models.scope.detector import Evidence
from shelfmark.models.verdicts import (
    VERDICTS,
    Question,
    Scope,
    ScopeLimits,
    Verdict,
    VerdictLimits,
    VerdictName,
    logit,
)

TRUST = 0.6  # of a share that is promised: the one-sided interval of Jeffreys
# Shares of the papers of other labels, and of the texts that are no abstracts, that may be sure. On
# other papers than those of validation they are about a sixth higher: the limits are chosen there.
MOST_STRANGERS, MOST_MADE = 0.008, 0.003
MOST_LOST = 0.02  # share of the model's own papers that may be taken for no abstracts
OUTSIDE_SUBJECT, OUTSIDE_FORM = 0.01, 0.002  # shares of own papers that are outside
# Variances of a class's offset from its archive's, and of that from all, as logits: the best is
# chosen by cross-validation. Without offsets, answers rank as by one limit of the probability.
POOLED = (0.05, 0.3)
SHARED = 10.0  # scale of the inputs that are not pooled: their penalty vanishes
FOLDS, ORDER, MOST_COMPARED = 5, "roc_auc", 20_000
STEPS = 200  # limits that are tried
FEWEST = 30  # answers below which no limit is kept


@dataclass(frozen=True)
class Seen:
    """The answers on which limits are chosen.

    Args:
        own: to the papers of validation.
        titles: to titles of such papers, without the abstracts.
        strangers: to papers of other labels; there may be none.
        made: to texts that are no abstracts.
    """

    own: Answers
    titles: Answers
    strangers: Answers
    made: Answers

    @property
    def knows_strangers(self) -> bool:
        """Whether the model has learnt to tell papers of other labels from its own."""
        evidence = self.strangers.evidence
        return evidence is not None and bool((evidence.other >= 0).any())


def choose_limits(seen: Seen, min_precision: float, likely_precision: float) -> VerdictLimits:
    """Choose the limits of a model's verdicts.

    Args:
        seen: its answers to papers that it was not trained on.
        min_precision: share of the sure answers that is to be right.
        likely_precision: share of the likely answers that is to be right.
    """
    primary = fit_question(seen, [seen.own.right, seen.titles.right])
    listed = fit_question(seen, [seen.own.among, seen.titles.among])
    scope = choose_scope(seen, primary, min_precision)
    promised, own = (min_precision, likely_precision), _graded(seen.own, primary)
    none = np.full(len(own.estimates), Verdict.OPEN)
    primary = choose_grades(seen, primary, seen.own.right, none, scope, promised)
    # A primary category is one of the paper's: no verdict on the second question is below.
    graded = primary.grade(own.estimates, scope.scopes(own.evidence))
    listed = choose_grades(seen, listed, seen.own.among, graded, scope, promised)
    return VerdictLimits(likely_precision, primary, listed, scope)


def fit_question(seen: Seen, outcomes: Sequence[Array]) -> Question:
    """Fit how often answers are right, from their class and probability; no limits yet.

    Args:
        seen: the answers.
        outcomes: which of the answers to papers, and to titles, are right.
    """
    classes = seen.own.classes
    best = np.concatenate([seen.own.best, seen.titles.best])
    logits = logit(np.concatenate([seen.own.confidence, seen.titles.confidence]))
    short = np.concatenate([seen.own.short, seen.titles.short]).astype(np.float64)
    right = np.concatenate(outcomes)
    if right.all() or not right.any():
        offsets = dict.fromkeys(classes, 0.0)
        return Question(10.0 if right.all() else -10.0, 1.0, 0.0, 0.0, offsets, None, None, {})
    shared = SHARED * np.stack([logits, short, short * logits], axis=1)
    inputs = _Inputs(shared, best, [archive_of(label) or "" for label in classes])
    pooled = _choose_pooling(inputs, right)
    weights, intercept = inputs.fit(right, pooled)
    slope, short_intercept, short_slope = (SHARED * weights[:3]).tolist()
    offsets = dict(zip(classes, inputs.offsets(weights, pooled).tolist(), strict=True))
    return Question(intercept, slope, short_intercept, short_slope, offsets, None, None, {})


class _Inputs:
    """What the precision of answers is learnt from.

    Args:
        shared: numbers of each answer that are not pooled, shape (answers, 3), times `SHARED`.
        best: the class of each answer.
        archives: the archive of each class.
    """

    def __init__(self, shared: Doubles, best: Ints, archives: list[str]) -> None:
        known = sorted(set(archives))
        self.place = np.array([known.index(name) for name in archives])
        self.shared, self.classes = shared, len(archives)
        rows, ones = np.arange(len(best)), np.ones(len(best))
        of_class = sp.csr_matrix((ones, (rows, best)), (len(best), self.classes))
        of_archive = sp.csr_matrix((ones, (rows, self.place[best])), (len(best), len(known)))
        self.of_groups = sp.hstack([of_class, of_archive], format="csr")

    def matrix(self, pooled: float) -> sp.csr_matrix:
        """Return the inputs of a ridge regression; `pooled` is the variance of the offsets."""
        shared = sp.csr_matrix(self.shared)
        return sp.hstack([shared, self.of_groups * np.sqrt(pooled)], format="csr")

    def fit(self, right: Array, pooled: float) -> tuple[Doubles, float]:
        """Return the weights of the inputs, and the intercept."""
        fitted = _regression().fit(self.matrix(pooled), right)
        return fitted.coef_[0], float(fitted.intercept_[0])

    def offsets(self, weights: Doubles, pooled: float) -> Doubles:
        """Return the offset of each class: its own, and that of its archive."""
        of_groups = np.sqrt(pooled) * weights[self.shared.shape[1] :]
        return np.asarray(of_groups[: self.classes] + of_groups[self.classes :][self.place])


def _regression() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=2000)


def _choose_pooling(inputs: _Inputs, right: Array) -> float:
    """Return the variance of the classes' offsets that orders other answers best, 0 for none."""
    some = slice(None, None, -(-len(right) // MOST_COMPARED))
    few = int(min(right[some].sum(), (~right[some]).sum()))
    if few < FOLDS:
        return 0.0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)

    def scores(pooled: float) -> Doubles:
        matrix = inputs.matrix(pooled)[some]
        return np.asarray(
            cross_val_score(_regression(), matrix, right[some], scoring=ORDER, cv=folds)
        )

    alone = scores(0.0)
    gains = {pooled: scores(pooled) - alone for pooled in POOLED}
    best = max(POOLED, key=lambda pooled: gains[pooled].mean())
    # By more than its standard error, or the offsets are noise.
    error = gains[best].std(ddof=1) / np.sqrt(FOLDS)
    return best if gains[best].mean() > error else 0.0


def choose_scope(seen: Seen, primary: Question, min_precision: float) -> ScopeLimits:
    """Choose how much evidence a text in scope has.

    Of all limits with which few strangers are sure, those with the most sure answers to own papers
    are taken.
    """
    own, made, strangers = (_graded(x, primary) for x in (seen.own, seen.made, seen.strangers))
    form = _least_form(own, made, primary, seen, min_precision)
    inside = own.evidence.form >= form
    subject = -np.inf
    if seen.knows_strangers:
        most = 0.0
        for limit in np.unique(np.quantile(own.estimates, np.linspace(0, 1, STEPS))):
            stranger = strangers.estimates >= limit
            stranger &= strangers.evidence.form >= form
            least = _least_of(strangers.evidence.subject[stranger], len(stranger))
            taken = inside & (own.estimates >= limit) & (own.evidence.subject >= least)
            if taken.sum() > most and _keeps(seen.own.right[taken], min_precision):
                most, subject = float(taken.sum()), least
        if not most:  # no promise is kept: none is made
            subject = float(np.quantile(own.evidence.subject, OUTSIDE_SUBJECT))
    subject_outside = min(subject, float(np.quantile(own.evidence.subject, OUTSIDE_SUBJECT)))
    form_outside = min(form, float(np.quantile(own.evidence.form, OUTSIDE_FORM)))
    finite = (float(max(x, -1e9)) for x in (subject, form, subject_outside, form_outside))
    return ScopeLimits(*finite)


@dataclass(frozen=True)
class _Graded:
    estimates: Doubles
    evidence: Evidence


def _graded(answers: Answers, question: Question) -> _Graded:
    assert answers.evidence is not None, "of a model with a detector"
    estimates = question.estimate(answers.best, answers.confidence, answers.short)
    return _Graded(estimates, answers.evidence)


def _least_form(
    own: _Graded, made: _Graded, primary: Question, seen: Seen, min_precision: float
) -> float:
    """Return the least form of a text in scope: few texts that are no abstracts may be sure."""
    limit = _lowest(own.estimates, seen.own.right, min_precision)
    sure = made.evidence.form[made.estimates >= (0 if limit is None else limit)]
    wanted = _least_of(sure, len(made.estimates), MOST_MADE)
    least, most = np.quantile(own.evidence.form, [OUTSIDE_FORM, MOST_LOST])
    return float(np.clip(wanted, least, most))


def _least_of(evidence: Array, total: int, most: float = MOST_STRANGERS) -> float:
    """Return the limit that so few of the evidence reach that the share of the total is kept."""
    upper = _upper(np.arange(len(evidence) + 1), total)
    # Of few texts none may be sure, whatever the interval says.
    allowed = max(0, int(np.searchsorted(upper, most, "right")) - 1)
    if allowed >= len(evidence):
        return -np.inf
    falling = np.sort(evidence)[::-1]
    return float(np.nextafter(falling[allowed], np.inf))


def choose_grades(
    seen: Seen,
    question: Question,
    right: Array,
    least: Array,
    scope: ScopeLimits,
    precisions: tuple[float, float],
) -> Question:
    """Return a question with its limits, and the shares that kept them.

    Args:
        seen: the answers.
        question: as it was fitted.
        right: which answers to own papers are right.
        least: the verdict that each of these answers has at least.
        scope: the limits of a text in scope, to which the verdicts are bound.
        precisions: shares of the sure, and of the likely answers, that are to be right.
    """
    own, strangers = _graded(seen.own, question), _graded(seen.strangers, question)
    inside = scope.scopes(own.evidence) == Scope.IN
    strange = strangers.estimates[scope.scopes(strangers.evidence) == Scope.IN]
    lowest = _least_of(strange, len(strangers.estimates)) if seen.knows_strangers else 0.0
    estimates = own.estimates[inside]
    sure = _lowest(estimates, right[inside], precisions[0], lowest)
    rest = estimates < (2.0 if sure is None else sure)
    likely = _lowest(estimates[rest], right[inside][rest], precisions[1])
    limits = [None if x is None else float(min(x, 1.0)) for x in (sure, likely)]
    graded = replace(question, sure_from=limits[0], likely_from=limits[1])
    verdicts = np.maximum(graded.grade(own.estimates, scope.scopes(own.evidence)), least)
    kept: dict[VerdictName, float | None] = {}
    for verdict, name in VERDICTS.items():
        answers = right[inside & (verdicts == verdict)]
        kept[name] = round(float(answers.mean()), 6) if len(answers) else None
    return replace(graded, kept=kept)


def _lowest(estimates: Doubles, right: Array, precision: float, least: float = 0.0) -> float | None:
    """Return the lowest limit from which answers keep a precision, None if none does.

    Args:
        estimates: of some answers.
        right: which of them are right.
        precision: share of right answers that the lower end of its interval has to reach.
        least: the smallest limit that may be returned.
    """
    order = np.argsort(-estimates, kind="stable")
    falling = estimates[order]
    counts = np.arange(1, len(order) + 1)
    shares = _lower(np.cumsum(right[order]), counts)
    last = np.append(falling[1:] < falling[:-1], True)[: len(falling)]  # equals stand together
    ends = np.flatnonzero((shares >= precision) & last & (counts >= FEWEST) & (falling >= least))
    return float(falling[ends[-1]]) if len(ends) else None


def _keeps(right: Array, precision: float) -> bool:
    return len(right) >= FEWEST and bool(_lower(right.sum(), len(right)) >= precision)


def _lower(right: Array | int, papers: Array | int) -> Doubles:
    """Return the lower end of the interval of a share. Source: Brown et al. 2001, Stat. Sci. 16."""
    right, papers = np.asarray(right, np.float64), np.asarray(papers, np.float64)
    return np.asarray(betaincinv(right + 0.5, papers - right + 0.5, 1 - TRUST))


def _upper(right: Array, papers: int) -> Doubles:
    """Return the upper end of the interval of a share."""
    return np.asarray(betaincinv(right + 0.5, papers - right + 0.5, TRUST))
