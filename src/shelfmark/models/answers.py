"""The answer of a model to a paper: the one record of the command line, the service and the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ConfigDict

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Floats
from shelfmark.data import labels
from shelfmark.models import confidence
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard

Ranked = list[tuple[int, float]]  # the numbers of classes and their probabilities, best first


@dataclass(frozen=True, slots=True)
class PaperQuery:
    """A paper and what is asked about it; a text alone is an abstract without a title.

    Args:
        title: as it came.
        abstract: as it came.
        top_k: length of the ranking.
        explain: whether the answer names the words that decided.
        primary: the category that the author chose, to compare with.
        id: returned with the answer.
    """

    title: str
    abstract: str
    top_k: int = 5
    explain: bool = False
    primary: str | None = None
    id: str | None = None


# The records below have neither slots nor frozen attributes: thousands are made a second, and
# orjson writes them as fast as dicts only so. The strings under the attributes describe them in
# the service's OpenAPI document.
@dataclass
class Rank:
    """A category of the ranking, and its probability."""

    category: str
    name: str
    """The category's name at arXiv."""
    group: str | None
    """The group of the category's archive; null if its papers belong to several groups."""
    probability: float


@dataclass
class CrossList:
    """A category suggested as a cross-list, and its probability."""

    category: str
    name: str
    """The category's name at arXiv."""
    probability: float
    """The probability that the paper is listed under the category too."""


@dataclass
class Word:
    """A word, its share of the margin, and where it stands in the text, in characters."""

    word: str
    weight: float
    """Its share of the margin, a logit; positive for the category, negative against it."""
    places: list[tuple[int, int]]
    """Its places in the explained text: index of the first character, and past the last."""


@dataclass
class Explanation:
    """The explanation of a category: margin = base + the weights of the words + rest."""

    category: str
    margin: float
    """The category's logit, before the softmax."""
    base: float
    """The part of the margin that no word adds."""
    words: list[Word]
    """The words of the largest weights either way, the largest first."""
    rest: float
    """The part of the margin that all other words add."""
    text: str
    """The cleaned text, to which the places of the words refer."""


@dataclass
class AuthorCategory:
    """The rank of the category that the author chose, and the ranking of the others."""

    category: str
    """The category as the request names it."""
    name: str
    """The category's name at arXiv."""
    known: bool
    """Whether the model has a class for the category."""
    agrees: bool
    """Whether that class is the most probable one."""
    probability: float | None
    rank: int | None
    """The rank of that class, from 1."""
    others: list[Rank]
    """The most probable other classes, best first."""


_OPTIONAL = ("why", "primary", "id")


@dataclass
class Answer:
    """The answer to one paper."""

    # For the service's OpenAPI document.
    __pydantic_config__ = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    category: str
    """The most probable category."""
    name: str
    """The category's name at arXiv."""
    archive: str | None
    """The archive of the category; null if its papers belong to several archives."""
    group: str | None
    """The group of that archive; null if the category's papers belong to several groups, or if the
    archive is newer than the taxonomy."""
    confidence: float
    """The probability of the category."""
    confident: bool
    """Whether that is enough to act on, by the model's thresholds."""
    ranking: list[Rank]
    """The most probable categories, best first."""
    cross_lists: list[CrossList]
    """At most two other categories under which the paper may be listed too."""
    why: Explanation | None = None
    """The words that decided, if the request has `explain`."""
    primary: AuthorCategory | None = None
    """The rank of the author's own category, if the request has `primary`."""
    id: str | None = None
    """The identifier of the paper, if the request has one."""
    model: str = field(kw_only=True)
    """The version of the model."""

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a dict that `orjson.dumps` takes, without what was not asked for."""
        values = self.__dict__.copy()
        for name in _OPTIONAL:
            if values[name] is None:
                del values[name]
        return values


def answer_papers(
    model: Model, papers: Sequence[tuple[str, str]], top_k: int = 5, explain: bool = False
) -> list[Answer]:
    """Answer papers given as (title, abstract), all with the same options."""
    return answer_queries(model, [PaperQuery(*paper, top_k, explain) for paper in papers])


def answer_queries(model: Model, queries: Sequence[PaperQuery]) -> list[Answer]:
    """Answer queries in their order; all papers are classified in one pass."""
    if not queries:
        return []
    texts = [model.text(query.title, query.abstract) for query in queries]
    probabilities, lists = model.probabilities(texts)
    thresholds = model.card.limits
    limits = [thresholds.confident_from[label] for label in model.classes]
    confident = confidence.confident(probabilities, limits).tolist()
    rankings = _rankings(probabilities, _places_needed(queries, len(model.classes)))
    cross_lists = _cross_lists(lists, model.card, thresholds.cross_lists_from)
    version = model.version
    answers = []
    for query, text, row, sure, suggested in zip(
        queries, texts, rankings, confident, cross_lists, strict=True
    ):
        number, probability = row[0]
        answer = Answer(
            *model.shelves[number],
            probability,
            sure,
            _ranking(model, row[: query.top_k]),
            suggested,
            model=version,
        )
        if query.explain:
            answer.why = explain_text(model, text, answer.category)
        if query.primary is not None:
            answer.primary = _author_category(model, query.primary, row, query.top_k)
        answer.id = query.id
        answers.append(answer)
    return answers


def explain_text(model: Model, text: str, category: str) -> Explanation | None:
    """Return the strongest words for and against a category of a cleaned text.

    None if models of this family explain no answer.
    """
    explanation = model.classifier.explain(text, category)
    if explanation is None:
        return None
    strongest = explanation.strongest()
    places = model.classifier.places(text, [word for word, _ in strongest])
    words = [Word(word, weight, places[word]) for word, weight in strongest]
    rest = explanation.margin - explanation.base - sum(weight for _, weight in strongest)
    return Explanation(category, explanation.margin, explanation.base, words, rest, text)


def _places_needed(queries: Sequence[PaperQuery], classes: int) -> int:
    """Return how many places of each ranking the answers need."""
    if any(query.primary is not None for query in queries):
        return classes  # the author's own category may have any place
    return max(query.top_k for query in queries)


def _rankings(probabilities: Floats, places: int) -> list[Ranked]:
    """Return the first places of the ranking of each paper."""
    # A stable sort of the negatives keeps equal probabilities in the order of the classes.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :places]
    sorted_ = np.take_along_axis(probabilities, best, axis=1).astype(np.float64).round(6)
    return [
        list(zip(numbers, values, strict=True))
        for numbers, values in zip(best.tolist(), sorted_.tolist(), strict=True)
    ]


def _ranking(model: Model, row: Ranked) -> list[Rank]:
    shelves = model.shelves
    return [
        Rank(shelf.category, shelf.name, shelf.group, probability)
        for shelf, probability in [(shelves[number], value) for number, value in row]
    ]


def _author_category(model: Model, category: str, row: Ranked, top_k: int) -> AuthorCategory:
    """Return where the author's own category stands in a whole ranking, and the others."""
    known = taxonomy.canonical_name(category)
    label = labels.label_of(model.targets.data, known) if known else None
    place = next(
        (place for place, (number, _) in enumerate(row) if model.classes[number] == label), None
    )
    others = [pair for number, pair in enumerate(row) if number != place][:top_k]
    return AuthorCategory(
        category=category,
        name=model.card.name_of(known or category),
        known=place is not None,
        agrees=place == 0,
        probability=None if place is None else row[place][1],
        rank=None if place is None else place + 1,
        others=_ranking(model, others),
    )


def _cross_lists(lists: Floats, card: ModelCard, least: float | None) -> list[list[CrossList]]:
    """Return the suggested cross-lists of each paper, the most probable first."""
    suggested: list[list[CrossList]] = [[] for _ in lists]
    if least is not None:
        rows, columns = np.nonzero(confidence.select_cross_lists(lists, least))
        order = np.lexsort((columns, -lists[rows, columns], rows))
        values = lists[rows, columns].astype(np.float64).round(6)
        for place in order.tolist():
            name = card.listed[columns[place]]
            cross_list = CrossList(name, card.name_of(name), float(values[place]))
            suggested[rows[place]].append(cross_list)
    return suggested
