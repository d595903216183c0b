"""What the model says of papers, as the command line and the service give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Floats
from shelfmark.data import labels
from shelfmark.models import confidence, explain
from shelfmark.models.artifact import Model

Ranked = list[tuple[int, float]]  # the numbers of classes and their probabilities, best first


@dataclass(frozen=True, slots=True)
class Asked:
    """A paper and what is asked of it; a text alone is an abstract without a title.

    Args:
        title: as it came.
        abstract: as it came.
        top_k: how many categories the ranking shows.
        why: whether to tell the words that decided.
        primary: the category its author chose, to compare with.
        id: what names it, given back with the answer.
    """

    title: str
    abstract: str
    top_k: int = 5
    why: bool = False
    primary: str | None = None
    id: str | None = None


def answer(
    model: Model, papers: Sequence[tuple[str, str]], top_k: int = 5, why: bool = False
) -> list[dict[str, Any]]:
    """Answer as `answer_each` does, the same question for papers given as (title, abstract)."""
    return answer_each(model, [Asked(*paper, top_k, why) for paper in papers])


def answer_each(model: Model, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Classify papers; all go through the vectorizer and the trees once.

    Returns:
        For each paper: category, name, archive, group, confidence (a probability), whether that is
        enough to act on (confident), the ranking of the `top_k` most probable categories, up to two
        cross_lists and, if asked for, the words that decided (why) and what becomes of the author's
        own category (primary), with the paper's id where it has one. Archive and group are null
        where the papers of a label do not share one.
    """
    if not asked:
        return []
    texts = [model.text(one.title, one.abstract) for one in asked]
    probabilities, lists = model.probabilities(texts)
    thresholds = model.card["thresholds"]
    limits = [thresholds["confident_from"][label] for label in model.classes]
    sure = confidence.confident(probabilities, limits).tolist()
    rankings = _rankings(probabilities)
    suggestions = _cross_lists(lists, model.card["listed"], thresholds["cross_lists_from"])
    answers = []
    for one, text, row, confident, suggested in zip(
        asked, texts, rankings, sure, suggestions, strict=True
    ):
        found = {
            **model.shelves[row[0][0]],
            "confidence": row[0][1],
            "confident": confident,
            "ranking": _ranking(model, row[: one.top_k]),
            "cross_lists": suggested,
        }
        if one.why:
            found["why"] = explain.why(model, text, found["category"])
        if one.primary is not None:
            found["primary"] = _primary(model, one.primary, row, one.top_k)
        if one.id is not None:
            found["id"] = one.id
        answers.append(found)
    return answers


def _rankings(probabilities: Floats) -> list[Ranked]:
    # A stable sort of the negatives keeps equal probabilities in the order of the classes.
    best = np.argsort(-probabilities, axis=1, kind="stable")
    chances = np.take_along_axis(probabilities, best, axis=1).astype(np.float64).round(6)
    return [
        list(zip(numbers, values, strict=True))
        for numbers, values in zip(best.tolist(), chances.tolist(), strict=True)
    ]


def _ranking(model: Model, row: Ranked) -> list[dict[str, Any]]:
    shelves = model.shelves
    return [
        {
            "category": shelves[number]["category"],
            "name": shelves[number]["name"],
            "group": shelves[number]["group"],
            "probability": chance,
        }
        for number, chance in row
    ]


def _primary(model: Model, category: str, row: Ranked, top_k: int) -> dict[str, Any]:
    """Return where the author's own category stands in a whole ranking, and the others."""
    known = taxonomy.current_name(category)
    label = labels.label_of(model.targets.data, known) if known else None
    place = next(
        (place for place, (number, _) in enumerate(row) if model.classes[number] == label), None
    )
    others = [pair for number, pair in enumerate(row) if number != place][:top_k]
    return {
        "category": category,
        "name": taxonomy.full_name(known or category),
        "known": place is not None,
        "agrees": place == 0,
        "probability": None if place is None else row[place][1],
        "rank": None if place is None else place + 1,
        "others": _ranking(model, others),
    }


def _cross_lists(
    lists: Floats, names: list[str], least: float | None
) -> list[list[dict[str, Any]]]:
    """Return the suggested cross-lists of each paper, the most probable first."""
    found: list[list[dict[str, Any]]] = [[] for _ in lists]
    if least is not None:
        rows, columns = np.nonzero(confidence.suggested(lists, least))
        order = np.lexsort((columns, -lists[rows, columns], rows))
        chances = lists[rows, columns].astype(np.float64).round(6)
        for place in order.tolist():
            name = names[columns[place]]
            found[rows[place]].append(
                {
                    "category": name,
                    "name": taxonomy.full_name(name),
                    "probability": float(chances[place]),
                }
            )
    return found
