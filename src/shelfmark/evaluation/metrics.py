"""How good predictions are: figures out of true labels and probabilities, nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from shelfmark.core.arrays import Floats, Ints

BINS = 15
PAIRS = 10  # of classes that are told to be confused


def score_probabilities(targets: Ints, probabilities: Floats, classes: list[str]) -> dict[str, Any]:
    """Return all figures of one split.

    Args:
        targets: the true classes; -1, for none of them, counts as an error everywhere.
        probabilities: shape (papers, classes).
        classes: the label of each column.

    Returns:
        accuracy, top3, top5, macro_f1, weighted_f1, log_loss (nats), calibration_error (expected,
        15 bins of equal width), reliability (those bins), papers, standard_error (of accuracy),
        per_class, confusion (rows are true, columns predicted), and confused (the pairs of classes
        that are hardest to tell apart).
    """
    best = probabilities.argmax(axis=1)
    bins = reliability_bins(targets, probabilities)
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, best, labels=range(len(classes)), zero_division=0
    )
    accuracy = float(np.mean(best == targets))
    matrix = confusion_matrix(targets, best, labels=range(len(classes)))
    return {
        "papers": len(targets),
        "accuracy": accuracy,
        "standard_error": float(np.sqrt(accuracy * (1 - accuracy) / len(targets))),
        "top3": top_k_accuracy(targets, probabilities, 3),
        "top5": top_k_accuracy(targets, probabilities, 5),
        "macro_f1": float(np.mean(f1)),
        "weighted_f1": float(np.average(f1, weights=support)) if support.sum() else 0.0,
        "log_loss": log_loss(targets, probabilities),
        "calibration_error": calibration_error(bins),
        "reliability": bins,
        "per_class": {
            label: {
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "papers": int(support[number]),
            }
            for number, label in enumerate(classes)
        },
        "confusion": matrix.tolist(),
        "confused": most_confused(matrix, classes),
    }


def most_confused(matrix: Ints, classes: list[str]) -> list[dict[str, Any]]:
    """Return the pairs of classes that are mistaken for one another most often, at most `PAIRS`.

    Args:
        matrix: counts of papers, shape (true classes, predicted classes).
        classes: the label of each row and column.

    Returns:
        For each pair the classes `one` and `other`, the papers of one taken for the other,
        `one_for_other`, the reverse, `other_for_one`, and `share`: both over the papers of both.
    """
    both = matrix + matrix.T
    papers = matrix.sum(axis=1)
    pairs = [
        {
            "one": classes[one],
            "other": classes[other],
            "one_for_other": int(matrix[one, other]),
            "other_for_one": int(matrix[other, one]),
            "share": float(both[one, other] / (papers[one] + papers[other])),
        }
        for one, other in zip(*np.nonzero(np.triu(both, k=1)), strict=True)
        if papers[one] and papers[other]
    ]
    return sorted(pairs, key=lambda pair: -pair["share"])[:PAIRS]


def top_k_accuracy(targets: np.ndarray[Any, Any], probabilities: Floats, k: int) -> float:
    """Return the share of papers whose true class is among the k most probable."""
    k = min(k, probabilities.shape[1])
    leaders = np.argpartition(-probabilities, k - 1, axis=1)[:, :k]
    return float(np.mean((leaders == targets[:, None]).any(axis=1)))


def log_loss(targets: np.ndarray[Any, Any], probabilities: Floats) -> float:
    """Return the mean negative logarithm of the true class's probability, in nats.

    A target of -1 is a label the model does not know, whose probability is 0.
    """
    tiny = float(np.finfo(np.float32).eps)
    given = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(-np.log(np.clip(np.where(targets < 0, 0, given), tiny, 1)).mean())


def reliability_bins(
    targets: np.ndarray[Any, Any], probabilities: Floats, bins: int = BINS
) -> list[dict[str, float]]:
    """Return the mean confidence, the accuracy and the share of papers of each filled bin."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "confidence": float(confidence[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
            "share": float((place == number).mean()),
        }
        for number in np.unique(place)
    ]


def calibration_error(bins: list[dict[str, float]]) -> float:
    """Return the expected calibration error. Source: Guo et al. 2017, arXiv:1706.04599."""
    return float(sum(row["share"] * abs(row["confidence"] - row["accuracy"]) for row in bins))


def score_labels(truth: list[str], answers: list[str]) -> dict[str, float]:
    """Return accuracy and F1 of answers that come without probabilities."""
    return {
        "accuracy": float(accuracy_score(truth, answers)),
        "macro_f1": float(f1_score(truth, answers, average="macro", zero_division=0)),
        "weighted_f1": float(f1_score(truth, answers, average="weighted", zero_division=0)),
    }


def macro_f1(truth: Ints, given: Ints, count: int) -> float:
    """Return the mean F1 of the labels that are there.

    Args:
        truth: the true label of each paper, below `count`.
        given: the label each was given; `count` for one that is none of them.
        count: how many labels there may be.
    """
    found = label_metrics(truth, given, count)
    return float(found["f1"][found["papers"] > 0].mean())


def label_metrics(truth: Ints, given: Ints, count: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return recall, F1 and the number of papers of each label, 0 where there are none.

    The arguments are those of `macro_f1`.
    """
    right = np.bincount(truth[truth == given], minlength=count)[:count]
    there = np.bincount(truth, minlength=count)[:count]
    told = np.bincount(given, minlength=count + 1)[:count]
    return {
        "recall": right / np.maximum(there, 1),
        "f1": 2 * right / np.maximum(there + told, 1),
        "papers": there,
    }
