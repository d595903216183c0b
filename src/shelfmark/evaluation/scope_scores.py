"""The scores of the verdicts: what they promised and kept, and what strangers are told."""

from __future__ import annotations

from typing import Any

import numpy as np

from shelfmark.core.arrays import Array
from shelfmark.data.splits import Splits, TableGroups
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import CoveragePoint, Promise, StrangerScores
from shelfmark.evaluation.strangers import made_papers
from shelfmark.models import confidence
from shelfmark.models.artifact import Model
from shelfmark.models.confidence import Answers
from shelfmark.models.judgement import Grades, grade_answers
from shelfmark.models.verdicts import Scope, Verdict

OTHER_LABELS = "papers of other labels"


def score_verdicts(answers: Answers, model: Model) -> dict[str, Any]:
    """Return the scores of the verdicts on answers to the model's own papers, by their names."""
    grades = _grade(answers, model)
    sure = grades.primary == Verdict.SURE
    scores: dict[str, Any] = {
        "confident_share": float(sure.mean()),
        "confident_precision": _mean(answers.right[sure]),
    }
    thresholds = model.card.limits
    if (limits := thresholds.verdicts) is None:
        return scores
    listed = grades.listed == Verdict.SURE
    promises, curves = [], {}
    questions = (
        ("primary", "graded", limits.primary, grades.primary, answers.right),
        ("listed", "listed", limits.listed, grades.listed, answers.among),
    )
    for name, curve, question, verdicts, right in questions:
        estimates = question.estimate(answers.best, answers.confidence, answers.short)
        points = confidence.coverage(estimates, right)
        curves[curve] = [CoveragePoint(**point) for point in points]
        for verdict, promised in (
            (Verdict.SURE, thresholds.min_precision),
            (Verdict.LIKELY, limits.likely_precision),
        ):
            chosen = verdicts == verdict
            promises.append(
                Promise.model_validate({
                    "question": name,
                    "verdict": verdict.name.lower(),
                    "promised": promised,
                    "kept": _mean(right[chosen]),
                    "share": float(chosen.mean()),
                })
            )  # fmt: skip
    return {
        **scores,
        **curves,
        "listed_share": float(listed.mean()),
        "listed_precision": _mean(answers.among[listed]),
        "promises": promises,
        "in_scope": float((grades.scopes == Scope.IN).mean()),
    }


def score_strangers(model: Model, splits: Splits, split: str) -> list[StrangerScores]:
    """Return what a model says of papers of other labels, and of texts that are no abstracts.

    Args:
        model: that answers them; one without a detector has no such scores.
        splits: of the data that it was trained on.
        split: from whose papers the texts are.
    """
    if model.scope is None or model.card.limits.verdicts is None:
        return []
    others = splits.outside(split)
    made = made_papers(model, splits, split)
    kinds = np.array(made["label"].to_pylist())
    rows = []
    if sum(others.groups):
        grades = _grade(predict_papers(model, others), model)
        rows.append(_stranger_scores(OTHER_LABELS, grades, np.ones(len(grades.scopes), np.bool_)))
    grades = _grade(predict_papers(model, TableGroups(made)), model)
    return [*rows, *(_stranger_scores(kind, grades, kinds == kind) for kind in sorted(set(kinds)))]


def _stranger_scores(kind: str, grades: Grades, chosen: Array) -> StrangerScores:
    scopes = grades.scopes[chosen]
    return StrangerScores(
        kind=kind,
        papers=int(chosen.sum()),
        sure=float((grades.primary[chosen] == Verdict.SURE).mean()),
        doubtful=float((scopes == Scope.DOUBTFUL).mean()),
        outside=float((scopes == Scope.OUTSIDE).mean()),
    )


def _grade(answers: Answers, model: Model) -> Grades:
    return grade_answers(model, answers.probabilities, answers.short, answers.evidence)


def _mean(right: Array) -> float | None:
    return float(right.mean()) if len(right) else None
