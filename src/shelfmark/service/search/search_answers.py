"""The responses of POST /search, as the service's OpenAPI document describes them.

`SearchResult.to_json` makes them: nothing here runs while the service answers.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shelfmark.service.messages import PaperError


class Typed(BaseModel):
    """A part of a response, all of whose keys are described."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SharedWordAnswer(Typed):
    """A word that a paper shares with the query."""

    word: str
    """The word as both write it, or as the paper does."""
    share: float
    """Its share of the similarity; those of all words of a paper sum to 1."""


class FoundPaper(Typed):
    """A paper that was found."""

    id: str
    """The identifier at arXiv."""
    title: str
    abstract: str
    authors: str
    """The names of the authors, with commas between them."""
    category: str
    """The primary category."""
    categories: list[str]
    """All categories, the primary one first."""
    submitted: str
    """The day of the first version, such as 2018-04-02."""
    updated: str | None
    """The day of the last change; null if it is unknown."""
    score: float
    """The number by which the papers are ordered."""
    similarity: float | None
    """The cosine with the query; null if only words were compared."""
    words: float | None
    """BM25 of the query's words; null if only vectors were compared, or no word is shared."""
    match: Literal["id", "title"] | None
    """What the query names the paper by; null if it does not."""
    why: list[SharedWordAnswer]
    """The words that make it similar, the most important first; empty without `explain`."""
    url: str
    """The address of its page at arXiv."""
    pdf: str
    """The address of its PDF at arXiv."""


class ShelfAnswer(Typed):
    """How the category that the classifier predicts for the query was weighed."""

    weight: float
    """The weight of the category, 0 to 1."""
    category: str
    """The most probable category."""
    probability: float
    """Its probability."""


class FoundPapers(Typed):
    """The papers that were found for one search."""

    results: list[FoundPaper]
    """The papers, the best first."""
    papers: int
    """The number of papers of the index."""
    selected: int
    """The number of papers that pass the filters."""
    note: str
    """Why there are fewer papers than asked for, and which filter leaves no paper; or empty."""
    unknown: list[str]
    """The identifiers of the request that the index lacks."""
    shelf: ShelfAnswer | None
    """How the predicted category was weighed; null if it was not."""


class IndexAnswer(Typed):
    """The index that answered."""

    generation: int
    """Rises with every change of the index."""
    papers: int
    """The number of its papers."""
    encoder: str
    """The name of the encoder that made its vectors."""


class SearchAnswer(FoundPapers):
    """The answer to one search."""

    index: IndexAnswer


class SearchAnswers(Typed):
    """The answers to a list of searches, in its order."""

    searches: list[FoundPapers | PaperError]
    """The answer to each search; an invalid one has its error there."""
    index: IndexAnswer
