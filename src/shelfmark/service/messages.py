"""What clients send and what they get: the service's contract, as its OpenAPI document shows it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shelfmark.config.schema import VERSION
from shelfmark.models.answers import Asked
from shelfmark.service.settings import Settings

MAX_RANKS = 200
MAX_ID = 200  # characters
HALF = re.compile("[\ud800-\udfff]")  # what JSON can say and no text can hold
EXAMPLES: list[JsonValue] = [
    {"text": "We train a robot arm to grasp unseen objects from depth images."},
    {"title": "Grasping unseen objects", "abstract": "We train a robot arm ...", "explain": True},
    {"papers": [{"text": "..."}, {"title": "...", "abstract": "...", "primary": "cs.RO"}]},
]


class RefusedError(Exception):
    """A field of a request that is not understood.

    Args:
        field: where it stands, as `papers.3.title`.
        problem: what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class PaperIn(BaseModel):
    """A paper: its text, or its title and abstract; its name, and the category its author chose."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    title: str | None = None
    abstract: str | None = None
    id: str | None = Field(None, max_length=MAX_ID)
    primary: str | None = Field(None, max_length=64)

    def asked(self, top_k: int, why: bool, limit: int, field: str = "") -> Asked:
        """Return the question, of texts of up to `limit` characters.

        Raises:
            RefusedError: there is no text, too much of it, or two.
        """
        if self.text is not None and (self.title is not None or self.abstract is not None):
            raise RefusedError(field or "body", "give text, or title and abstract, not both")
        given = {"text": self.text, "title": self.title, "abstract": self.abstract}
        for name, value in (given | {"id": self.id}).items():
            place = f"{field}.{name}" if field else name
            if value is not None and len(value) > limit:
                raise RefusedError(place, f"should have at most {limit} characters")
            if value is not None and HALF.search(value):
                raise RefusedError(place, "holds half a character: a surrogate without its pair")
        if not any(part and part.strip() for part in given.values()):
            raise RefusedError(field or "body", "no text: give text, or title and abstract")
        abstract = self.text or self.abstract or ""
        return Asked(self.title or "", abstract, top_k, why, self.primary, self.id)


class Question(PaperIn):
    """One paper, or a list of them under `papers`, each as a paper alone without the options."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    papers: list[Any] | None = Field(None, min_length=1)
    top_k: int = Field(5, ge=1, le=MAX_RANKS)
    explain: bool = False

    def each(self, settings: Settings) -> list[Asked | RefusedError]:
        """Return the question of each paper, or what is wrong with that paper of a list.

        Raises:
            RefusedError: something is wrong with the whole, or with the one paper.
        """
        if self.papers is None:
            return [self.asked(self.top_k, self.explain, settings.max_characters)]
        one = (self.text, self.title, self.abstract, self.primary, self.id)
        if any(x is not None for x in one):
            raise RefusedError("body", "give one paper, or papers, not both")
        if len(self.papers) > settings.max_papers:
            raise RefusedError("papers", f"should have at most {settings.max_papers} papers")
        return [self._one(place, settings) for place in range(len(self.papers))]

    def _one(self, place: int, settings: Settings) -> Asked | RefusedError:
        assert self.papers is not None
        field = f"papers.{place}"
        try:
            paper = PaperIn.model_validate(self.papers[place])
            return paper.asked(self.top_k, self.explain, settings.max_characters, field)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join([field, *map(str, first["loc"])])
            return RefusedError(where, first["msg"])
        except RefusedError as error:
            return error


class Version(BaseModel):
    """The name of a model in the configured folder or bucket."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(pattern=VERSION)


class Rank(BaseModel):
    """A class and its probability."""

    category: str
    name: str
    group: str | None
    probability: float


class Listing(BaseModel):
    """A category worth a cross-list, and its probability."""

    category: str
    name: str
    probability: float


class Word(BaseModel):
    """A word that decided: its part of the margin, and where it stands, in characters."""

    word: str
    weight: float
    places: list[tuple[int, int]]


class Why(BaseModel):
    """What made the margin of a class: margin = base + the words' weights + rest."""

    category: str
    margin: float
    base: float
    words: list[Word]
    rest: float
    text: str


class Primary(BaseModel):
    """Where the author's own category stands in the ranking, and how the others rank."""

    category: str
    name: str
    known: bool
    agrees: bool
    probability: float | None
    rank: int | None
    others: list[Rank]


class Answer(BaseModel):
    """What the model says of one paper."""

    model_config = ConfigDict(extra="forbid")

    category: str
    name: str
    archive: str | None
    group: str | None
    confidence: float
    confident: bool
    ranking: list[Rank]
    cross_lists: list[Listing]
    why: Why | None = None
    primary: Primary | None = None
    id: str | None = None
    model: str


class PaperError(BaseModel):
    """What is wrong with one paper of a list."""

    model_config = ConfigDict(extra="forbid")

    error: str
    field: str


class Answers(BaseModel):
    """The answers to a list of papers, in its order."""

    model_config = ConfigDict(extra="forbid")

    predictions: list[Answer | PaperError]
    model: str


class Fault(BaseModel):
    """A field and what is wrong with it."""

    field: str
    problem: str


class Problem(BaseModel):
    """A problem as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None
