"""A search as a caller asks for it, and the papers found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shelfmark.errors import ShelfmarkError
from shelfmark.search.filters import Filters

MOST_RESULTS = 1000
MOST_PAPERS = 100  # whose neighbours one search looks for
# Measured on validation papers (docs/search.md): with less, a title often finds its own paper
# second; with more, neighbours are of other categories.
WORDS = 0.7

# Returns the probability of each category for a title and an abstract.
ShelfPredictor = Callable[[str, str], Mapping[str, float]]


class QueryError(ShelfmarkError):
    """A search that no index can answer, whose caller has to change it.

    Args:
        field: of the query, `category`; empty for the query as a whole.
        problem: what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class SearchQuery:
    """A search for papers.

    Args:
        text: of the query; an identifier, an address or the exact title of a paper finds it first.
        title: of a paper whose neighbours are wanted.
        abstract: of that paper.
        like: identifiers of papers whose neighbours are wanted.
        unlike: identifiers of papers whose neighbours are not.
        k: number of papers.
        filters: that the papers pass.
        words: weight of the words, 0 to 1; that of the meaning is the rest.
        shelf: weight of the category that a classifier predicts for the query, 0 to 1.
        explain: whether to return the words that each paper shares with the query.
        effort: of the vector search; None for the configured one.
    """

    text: str = ""
    title: str = ""
    abstract: str = ""
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    k: int = 10
    filters: Filters = field(default_factory=Filters)
    words: float = WORDS
    shelf: float = 0.0
    explain: bool = False
    effort: int | None = None


@dataclass(frozen=True)
class SharedWord:
    """A word of a paper that the query has too, or that is near to one of the query's.

    Args:
        word: as both write it, or of the paper.
        share: of the similarity; the shares of all words of a paper sum to 1.
    """

    word: str
    share: float


@dataclass(frozen=True)
class Hit:
    """A paper that was found.

    Args:
        id: its identifier at arXiv.
        title: its title.
        abstract: its abstract.
        authors: their names, with commas between them.
        categories: of the paper, the primary one first.
        submitted: the day of the first version, 2018-04-02.
        updated: the day of the last change, None if unknown.
        score: by which the results are ordered.
        similarity: cosine with the query, None if only words were compared.
        words: BM25 of the query's words, None if only vectors were compared or no word is shared.
        match: what the query names the paper by, None if it does not.
        why: the words that make it similar, the most important first.
    """

    id: str
    title: str
    abstract: str
    authors: str
    categories: tuple[str, ...]
    submitted: str
    updated: str | None
    score: float
    similarity: float | None
    words: float | None
    match: Literal["id", "title"] | None = None
    why: tuple[SharedWord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the paper as an answer of the service and a line of the command hold it."""
        return {
            "id": self.id,
            "title": self.title,
            "abstract": self.abstract,
            "authors": self.authors,
            "category": self.categories[0],
            "categories": list(self.categories),
            "submitted": self.submitted,
            "updated": self.updated,
            "score": round(self.score, 6),
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "words": None if self.words is None else round(self.words, 3),
            "match": self.match,
            "why": [{"word": one.word, "share": round(one.share, 4)} for one in self.why],
            "url": f"https://arxiv.org/abs/{self.id}",
            "pdf": f"https://arxiv.org/pdf/{self.id}",
        }


@dataclass(frozen=True)
class ShelfBoost:
    """How a predicted category was weighed.

    Args:
        weight: of the category, 0 to 1.
        category: the most probable one.
        probability: of it.
    """

    weight: float
    category: str
    probability: float


@dataclass(frozen=True)
class SearchResult:
    """The answer to a search.

    Args:
        hits: the papers, the best first.
        papers: of the index.
        selected: those that pass the filters.
        note: why there are fewer papers than asked for, and which filter leaves none; or "".
        unknown: identifiers of the query that the index lacks.
        shelf: how the predicted category was weighed, None if it was not.
    """

    hits: tuple[Hit, ...]
    papers: int
    selected: int
    note: str = ""
    unknown: tuple[str, ...] = ()
    shelf: ShelfBoost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the service gives it."""
        return {
            "results": [hit.to_json() for hit in self.hits],
            "papers": self.papers,
            "selected": self.selected,
            "note": self.note,
            "unknown": list(self.unknown),
            "shelf": None if self.shelf is None else vars(self.shelf) | {},
        }
