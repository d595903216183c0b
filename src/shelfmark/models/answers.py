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
from shelfmark.models.judgement import Judgement, Listed, doubt_author, judge_texts
from shelfmark.models.verdicts import VERDICTS, ScopeName, Verdict, VerdictName

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
    """A category that fits too: is the paper also listed under it?"""

    category: str
    name: str
    """The category's name at arXiv."""
    probability: float
    """The probability that the paper is listed under the category, as its primary one or beside
    it. A paper may have several categories, so that these do not add up to one."""
    primary: float | None
    """The category's probability as the primary one, as the ranking has it, and never more; null
    if the model has no such class."""


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
    """Whether the model has a class for the category; if not, the answer is never sure."""
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
    """The probability of the category as the paper's primary one."""
    confident: bool
    """Whether the answer may be acted on: whether the verdict is `sure`."""
    verdict: VerdictName
    """How the answer is graded: `sure` keeps the precision that the model was trained for, `likely`
    a lower one, `open` none. It is `open` unless the scope is `in`."""
    precision: float | None
    """The share of the answers with this verdict that were right on validation; null out of scope,
    and where it is not known."""
    listed: Listed | None
    """The verdict on the category as one of the paper's, first or cross-listed; null for a model
    of an older release."""
    scope: ScopeName
    """Whether the text is a paper for this model: `in`, `doubtful` or `outside`."""
    reason: str | None
    """Why the scope is not `in`, in words."""
    sentence: str
    """The verdict for people: what was measured, or why the text is out of scope."""
    ranking: list[Rank]
    """The most probable primary categories, best first."""
    cross_lists: list[CrossList]
    """What fits too: at most two other categories under which the paper may be listed."""
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
    judged = judge_texts(model, texts, probabilities)
    rankings = _rankings(probabilities, _places_needed(queries, len(model.classes)))
    cross_lists = _cross_lists(model, lists, probabilities)
    columns = zip(queries, texts, rankings, judged, cross_lists, strict=True)
    return [_answer(model, *column) for column in columns]


def _answer(
    model: Model,
    query: PaperQuery,
    text: str,
    row: Ranked,
    judgement: Judgement,
    suggested: list[CrossList],
) -> Answer:
    """Return the answer to a query, from what the model says of its text."""
    own = None
    if query.primary is not None:
        own = _author_category(model, query.primary, row, query.top_k)
        if not own.known:
            judgement = doubt_author(judgement, own.category)
    number, probability = row[0]
    shelf = model.shelves[number]
    return Answer(
        *shelf,
        probability,
        judgement.verdict == VERDICTS[Verdict.SURE],
        judgement.verdict,
        judgement.precision,
        judgement.listed,
        judgement.scope,
        judgement.reason,
        judgement.sentence,
        _ranking(model, row[: query.top_k]),
        suggested,
        explain_text(model, text, shelf.category) if query.explain else None,
        own,
        query.id,
        model=model.version,
    )


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
    own = np.arange(len(best))[:, None]
    sorted_ = probabilities[own, best].astype(np.float64).round(6)
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


def _cross_lists(model: Model, lists: Floats, probabilities: Floats) -> list[list[CrossList]]:
    """Return the suggested cross-lists of each paper, the most probable first."""
    suggested: list[list[CrossList]] = [[] for _ in lists]
    card, least = model.card, model.card.limits.cross_lists_from
    if least is not None:
        rows, columns = np.nonzero(confidence.select_cross_lists(lists, least))
        if not len(rows):
            return suggested
        order = np.lexsort((columns, -lists[rows, columns], rows))
        values = lists[rows, columns].astype(np.float64).round(6)
        for place in order.tolist():
            row, name = rows[place], card.listed[columns[place]]
            number = model.numbers.get(name)
            first = None if number is None else round(float(probabilities[row, number]), 6)
            cross_list = CrossList(name, card.name_of(name), float(values[place]), first)
            suggested[row].append(cross_list)
    return suggested
