"""Runs a search: by meaning, by words, or by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import BadRecordError
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.core.arrays import Doubles, Floats, Ints
from shelfmark.search.query.notes import explain_filters
from shelfmark.search.query.ranking import boost, fuse
from shelfmark.search.query.search_query import (
    MOST_PAPERS,
    Hit,
    QueryError,
    SearchQuery,
    SearchResult,
    SharedWord,
    ShelfBoost,
    ShelfPredictor,
)
from shelfmark.search.query.values import parse_category
from shelfmark.search.query.why import explain

if TYPE_CHECKING:
    from shelfmark.search.filters import Filters, Selection
    from shelfmark.search.index import Index

DEPTH = 200  # papers of each ranking that are joined, at least
MOST_WHY = 8  # words that are shown of a paper
MOST_EXPLAINED = 50  # papers whose words are shown: ten take 4 ms


@dataclass(frozen=True)
class Subject:
    """What a search is about.

    Args:
        text: all texts of the query, and of the papers it names.
        title: for a classifier.
        abstract: for a classifier.
        vector: of unit length, shape (size,); None if no word is known.
        named: rows of the papers that the query names, which come first.
        match: what the query names them by.
        excluded: rows that are no result.
        unknown: identifiers that the index lacks.
    """

    text: str
    title: str
    abstract: str
    vector: Floats | None
    named: tuple[int, ...]
    match: Literal["id", "title"] | None
    excluded: frozenset[int]
    unknown: tuple[str, ...]


def run_query(index: Index, query: SearchQuery, shelf: ShelfPredictor | None) -> SearchResult:
    """Return the papers found for a query.

    Args:
        index: that is searched.
        query: the search.
        shelf: predicts categories, for a query whose `shelf` is above 0.

    Raises:
        QueryError: the query holds nothing to search for, or a category is unknown.
        ShelfmarkError: a file is damaged, or a server does not answer.
    """
    query = replace(query, filters=_name_categories(index, query.filters))
    subject = read_subject(index, query)
    selections = index.select(query.filters, subject.excluded)
    named = _selected(index, subject.named, query)
    rows, scores, words = _rank(index, query, subject, selections)
    boosted = None
    if query.shelf > 0 and shelf is not None:
        probable = shelf(subject.title, subject.abstract)
        rows, scores = boost(rows, scores, index.categories_of(rows), probable, query.shelf)
        best = max(probable, key=lambda name: probable[name])
        boosted = ShelfBoost(query.shelf, best, float(probable[best]))
    rows, scores = _put_first(named, rows, scores, query.k)
    selected = sum(selection.count for selection in selections) + len(named)
    return SearchResult(
        hits=_read_hits(index, query, subject, rows, scores, words),
        papers=index.papers,
        selected=selected,
        note=_note(index, query, subject, named, len(rows), selected),
        unknown=subject.unknown,
        shelf=boosted,
    )


def _name_categories(index: Index, filters: Filters) -> Filters:
    """Return filters with the present names of categories.

    Raises:
        QueryError: a category is unknown.
    """

    def parse(field: str, names: Sequence[str]) -> tuple[str, ...]:
        try:
            return tuple(parse_category(name, index.categories) for name in names)
        except ValueError as error:
            raise QueryError(field, str(error)) from None

    included, excluded = parse("category", filters.categories), parse("exclude", filters.exclude)
    return replace(filters, categories=included, exclude=excluded)


def read_subject(index: Index, query: SearchQuery) -> Subject:
    """Return what a query is about.

    Raises:
        QueryError: the query holds nothing to search for, or names too many papers.
    """
    if not (query.text.strip() or query.title.strip() or query.abstract.strip() or query.like):
        raise QueryError("", "nothing to search for: give text, title, abstract or like")
    for field, names in (("like", query.like), ("unlike", query.unlike)):
        if len(names) > MOST_PAPERS:
            raise QueryError(field, f"has {len(names):,} papers, more than {MOST_PAPERS}")
    asked = _identifiers_in(query.text)  # their neighbours are wanted, not those of the digits
    text = "" if asked else query.text
    like, unknown = _find_papers(index, [*query.like, *asked])
    unlike, unknown_too = _find_papers(index, query.unlike)
    named, match = _find_named(index, asked, text)
    papers = index.read(np.array(like, np.int64))
    title = clean_text(query.title or (papers[0].title if papers else ""))
    abstract = clean_text(query.abstract or text or (papers[0].abstract if papers else ""))
    own = [clean_text(text), clean_text(query.title), clean_text(query.abstract)]
    texts = [*own, *(part for paper in papers for part in (paper.title, paper.abstract))]
    return Subject(
        text="\n".join(part for part in texts if part),
        title=title,
        abstract=abstract,
        vector=_vector(index, query, text, like, unlike),
        named=tuple(named),
        match=match,
        excluded=frozenset([*like, *unlike, *named]),
        unknown=(*unknown, *unknown_too),
    )


def _identifiers_in(text: str) -> list[str]:
    """Return the identifiers that a text consists of; none if it holds any other word."""
    if _identifier(text.strip()) is not None:
        return [text.strip()]
    words = text.replace(",", " ").split()
    if 0 < len(words) <= MOST_PAPERS and all(_identifier(word) is not None for word in words):
        return words
    return []


def _find_papers(index: Index, names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the rows of papers by their identifiers, and the identifiers that are unknown."""
    keys = {name: _identifier(name) or name for name in names}
    rows = index.find_ids(list(keys.values()))
    known = [rows[key] for key in dict.fromkeys(keys.values()) if key in rows]
    return known, [name for name, key in keys.items() if key not in rows]


def _identifier(text: str) -> str | None:
    try:
        return parse_identifier(text)
    except BadRecordError:
        return None


def _find_named(
    index: Index, asked: Sequence[str], text: str
) -> tuple[list[int], Literal["id", "title"] | None]:
    """Return the one paper whose identifier is asked for, or those whose title a text is."""
    if len(asked) == 1:
        rows, _ = _find_papers(index, asked)
        return rows, "id" if rows else None
    titled = index.find_title(text) if text.strip() else []
    return titled, "title" if titled else None


def _vector(
    index: Index, query: SearchQuery, text: str, like: Sequence[int], unlike: Sequence[int]
) -> Floats | None:
    """Return the direction of the text and the papers together, away from the unlike ones."""
    own = join_texts(clean_text(query.title), clean_text(query.abstract))
    texts = [part for part in (index.encoder.text("", text), own) if part]
    total = index.encode(texts).sum(axis=0)
    total += _mean(index.vectors_of(np.array(like, np.int64)))
    total -= _mean(index.vectors_of(np.array(unlike, np.int64))) / 2
    length = float(np.linalg.norm(total))
    return None if length < 1e-6 else (total / length).astype(np.float32)


def _mean(vectors: Floats) -> Floats:
    return vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)


def _selected(index: Index, named: Sequence[int], query: SearchQuery) -> list[int]:
    """Return the named papers that pass the filters."""
    if not named or not query.filters:
        return list(named)
    every = np.concatenate([selection.every() for selection in index.select(query.filters)])
    return [row for row in named if every[row]]


def _rank(
    index: Index, query: SearchQuery, subject: Subject, selections: Sequence[Selection]
) -> tuple[Ints, Doubles, dict[int, float]]:
    """Return rows and scores of the joined ranking, and the BM25 of rows."""
    depth = max(DEPTH, query.k)
    empty = np.empty(0, np.int64), np.empty(0, np.float32)

    def find_by_meaning() -> tuple[Ints, Floats]:
        if query.words == 1 or subject.vector is None:
            return empty
        return index.nearest(subject.vector, depth, selections, query.effort)

    def find_by_words() -> tuple[Ints, Floats]:
        if query.words == 0:
            return empty
        return index.words.search(subject.text, depth, selections)

    (near, _), (shared, weights) = index.run_both(find_by_meaning, find_by_words)
    rows, scores = fuse(near, shared, query.words)
    return rows, scores, dict(zip(shared.tolist(), weights.tolist(), strict=True))


def _put_first(named: Sequence[int], rows: Ints, scores: Doubles, k: int) -> tuple[Ints, Doubles]:
    """Return the best k papers, `rows` and scores; those that the query names come first."""
    top = scores[0] if len(scores) else 0.0
    first = np.full(len(named), max(1.0, top))
    rows = np.concatenate([np.array(named, np.int64), rows])[:k]
    return rows, np.concatenate([first, scores])[:k]


def _read_hits(
    index: Index,
    query: SearchQuery,
    subject: Subject,
    rows: Ints,
    scores: Doubles,
    words: Mapping[int, float],
) -> tuple[Hit, ...]:
    papers = index.read(rows)
    cosines: Floats | None = None
    if subject.vector is not None:
        cosines = index.vectors_of(rows) @ subject.vector
    reasons: list[tuple[SharedWord, ...]] = [()] * len(papers)
    if query.explain and papers:
        first = papers[:MOST_EXPLAINED]
        texts = [index.encoder.text(paper.title, paper.abstract) for paper in first]
        rarity = index.words.inverse_frequencies
        reasons[: len(first)] = explain(
            index.encoder, subject.text, texts, MOST_WHY, subject.vector, rarity
        )
    return tuple(
        Hit(
            id=paper.id,
            title=paper.title,
            abstract=paper.abstract,
            authors=paper.authors,
            categories=tuple(paper.categories.split()),
            submitted=paper.submitted,
            updated=paper.updated,
            score=float(scores[place]),
            similarity=None if cosines is None else float(cosines[place]),
            words=words.get(int(rows[place])),
            match=subject.match if int(rows[place]) in subject.named else None,
            why=reasons[place],
        )
        for place, paper in enumerate(papers)
    )


def _note(
    index: Index,
    query: SearchQuery,
    subject: Subject,
    named: Sequence[int],
    results: int,
    selected: int,
) -> str:
    """Return why papers are missing, in one or two sentences; "" if none is."""
    hidden = "The paper that the text names does not pass the filters. "
    note = hidden if len(named) < len(subject.named) else ""
    return (note + _explain_few(index, query, subject, results, selected)).strip()


def _explain_few(
    index: Index, query: SearchQuery, subject: Subject, results: int, selected: int
) -> str:
    """Return why there are fewer results than asked for; "" if there are as many."""
    if results >= query.k:
        return ""
    if not selected:
        return (
            explain_filters(index, query.filters) if query.filters else "No other paper is there."
        )
    if subject.unknown and not subject.text:
        return f"The index has no paper {', '.join(subject.unknown)}."
    if results < min(query.k, selected):
        how = "has a word of the query" if query.words == 1 else "has a word that is known here"
        return f"{'No' if not results else f'Only {results:,}'} paper{'s' * (results > 1)} {how}."
    return f"Only {selected:,} papers pass the filters." if query.filters else ""
