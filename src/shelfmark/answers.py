"""What the model says of papers, as the command line and the service give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shelfmark import confidence, explain, taxonomy
from shelfmark.artifact import Model
from shelfmark.metrics import Probabilities


def answer(
    model: Model, papers: Sequence[tuple[str, str]], top_k: int = 5, why: bool = False
) -> list[dict[str, Any]]:
    """Classify papers given as (title, abstract); a text alone is an abstract without a title.

    The whole list goes through the vectorizer and the trees once.

    Returns:
        For each paper: category, name, archive, group, confidence (a probability), whether that is
        enough to act on (confident), the ranking of the `top_k` most probable categories, up to two
        cross_lists and, if asked for, the words that decided (why). Archive and group are null
        where the papers of a label do not share one.
    """
    if not papers:
        return []
    texts = [model.text(*paper) for paper in papers]
    probabilities, lists = model.probabilities(texts)
    caution = model.card["caution"]
    limits = [caution["confident_from"][label] for label in model.classes]
    # A stable sort of the negatives keeps equal probabilities in the order of the classes.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    chances = np.take_along_axis(probabilities, best, axis=1).astype(np.float64).round(6)
    answers = [
        {**_shelf(model, numbers[0]), "confidence": values[0], "confident": confident,
         "ranking": [_rank(model.classes[number], value)
                     for number, value in zip(numbers, values, strict=True)]}
        for numbers, values, confident in zip(
            best.tolist(), chances.tolist(),
            confidence.confident(probabilities, limits).tolist(), strict=True)
    ]  # fmt: skip
    suggestions = _cross_lists(lists, model.card["listed"], caution["cross_lists_from"])
    for found, suggested, text in zip(answers, suggestions, texts, strict=True):
        found["cross_lists"] = suggested
        if why:
            found["why"] = explain.why(model, text, found["category"])
    return answers


def _rank(label: str, chance: float) -> dict[str, Any]:
    return {"category": label, "name": taxonomy.full_name(label), "probability": chance}


def _cross_lists(
    lists: Probabilities, names: list[str], least: float | None
) -> list[list[dict[str, Any]]]:
    """Return the suggested cross-lists of each paper, the most probable first."""
    found: list[list[dict[str, Any]]] = [[] for _ in lists]
    if least is not None:
        rows, columns = np.nonzero(confidence.suggested(lists, least))
        order = np.lexsort((columns, -lists[rows, columns], rows))
        chances = lists[rows, columns].astype(np.float64).round(6)
        for place in order.tolist():
            found[rows[place]].append(
                {"category": names[columns[place]], "probability": float(chances[place])}
            )
    return found


def _shelf(model: Model, number: int) -> dict[str, Any]:
    """Return a class with its name and the archive and group it belongs to."""
    label = model.classes[number]
    archive, group = _home(label, model.card["config"]["data"])
    return {
        "category": label,
        "name": taxonomy.full_name(label),
        "archive": archive,
        "group": group,
    }


def _home(label: str, data: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the archive and the group that all papers of a label share, None where they differ."""
    labels = data["labels"]
    if not isinstance(labels, dict):
        archive = None if data["level"] == "group" else taxonomy.archive_of(label)
        return archive, taxonomy.group_of(label)
    archives = set[str]().union(*map(taxonomy.archives_under, labels[label]))
    groups = set(map(taxonomy.group_of, archives))
    return (
        archives.pop() if len(archives) == 1 else None,
        groups.pop() if len(groups) == 1 else None,
    )
