"""The requests and responses of the service, as its OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shelfmark.arxiv.text import is_blank
from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.config.schema import VERSION
from shelfmark.models.answers import Answer, PaperQuery
from shelfmark.service.settings import Settings

MAX_RANKS = 200
MAX_ID = 200  # characters
MAX_FIELD = 100  # characters of a field's path that an error repeats
VALUES_OF_A_PAPER = 8  # one for the paper, one for each of its keys, and some more
UNPROCESSABLE = 422  # its name in http.HTTPStatus changed with Python 3.13
EXAMPLES: list[JsonValue] = [
    {"text": "We train a robot arm to grasp unseen objects from depth images."},
    {"title": "Grasping unseen objects", "abstract": "We train a robot arm ...", "explain": True},
    {"papers": [{"text": "..."}, {"title": "...", "abstract": "...", "primary": "cs.RO"}]},
]


class InvalidFieldError(HTTPException):
    """A field of a request is invalid, which gets 422.

    Args:
        field: its path, such as `papers.3.title`.
        problem: what is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(UNPROCESSABLE, f"{field}: {problem}")
        self.field = field
        self.problem = problem


def field_path(parts: Sequence[object]) -> str:
    """Return the path of a field as text, cut where a client chose a long name."""
    path = ".".join(map(str, parts)).encode(errors="replace").decode()
    return path if len(path) <= MAX_FIELD else f"{path[: MAX_FIELD - 1]}…"


def has_surrogate(text: str) -> bool:
    """Return whether a text has a lone surrogate: JSON can spell it, no text can hold it."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _text_fault(text: str, max_characters: int) -> str:
    """Return what is wrong with a text, empty if nothing is."""
    if len(text) > max_characters:
        return f"should have at most {max_characters:,} characters"
    return "contains a surrogate without its pair" if has_surrogate(text) else ""


class PaperInput(BaseModel):
    """A paper: text, or title and abstract; its id, and the category that its author chose."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    title: str | None = None
    abstract: str | None = None
    id: str | None = Field(None, max_length=MAX_ID)
    primary: str | None = Field(None, max_length=64)

    def query(self, top_k: int, explain: bool, max_characters: int, field: str = "") -> PaperQuery:
        """Return the paper as the model takes it.

        Args:
            top_k: length of the ranking.
            explain: whether the answer names the words that decided.
            max_characters: longest text, title or abstract.
            field: path of the paper in the request, empty for the body itself.

        Raises:
            InvalidFieldError: the text is missing, too long, or given twice.
        """
        if self.text is not None and (self.title is not None or self.abstract is not None):
            raise InvalidFieldError(field or "body", "give text, or title and abstract, not both")
        for name in ("text", "title", "abstract", "id"):
            value: str | None = getattr(self, name)
            if value is not None and (fault := _text_fault(value, max_characters)):
                raise InvalidFieldError(f"{field}.{name}" if field else name, fault)
        title, abstract = self.title or "", self.text or self.abstract or ""
        if is_blank(abstract) and is_blank(title):
            raise InvalidFieldError(field or "body", "no text: give text, or title and abstract")
        primary = (self.primary or "").strip() or None
        return PaperQuery(title, abstract, top_k, explain, primary, self.id)


class PredictRequest(PaperInput):
    """One paper, or a list of papers, each with the fields of a single paper but no options."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": EXAMPLES})

    # Each is validated alone, so that one invalid paper does not refuse the whole list.
    papers: list[Any] | None = Field(None, min_length=1)
    top_k: int = Field(5, ge=1, le=MAX_RANKS)
    explain: bool = False

    def queries(self, settings: Settings) -> list[PaperQuery | InvalidFieldError]:
        """Return every paper as the model takes it, an invalid one of a list as its error.

        Raises:
            InvalidFieldError: the one paper, or the list as a whole, is invalid.
        """
        if self.papers is None:
            return [self.query(self.top_k, self.explain, settings.max_characters)]
        self._check_list(self.papers, settings)
        return [
            self._query_or_error(paper, f"papers.{number}", settings.max_characters)
            for number, paper in enumerate(self.papers)
        ]

    def _check_list(self, papers: list[Any], settings: Settings) -> None:
        single = (self.text, self.title, self.abstract, self.primary, self.id)
        if any(value is not None for value in single):
            raise InvalidFieldError("body", "give one paper, or papers, not both")
        if len(papers) > settings.max_papers:
            raise InvalidFieldError("papers", f"should have at most {settings.max_papers} papers")
        if self.explain and len(papers) > settings.max_explanations:
            most = f"at most {settings.max_explanations} papers with explain"
            raise InvalidFieldError("papers", f"should have {most}")
        characters = sum(
            len(text)
            for paper in papers
            if isinstance(paper, dict)
            for text in paper.values()
            if isinstance(text, str)
        )
        if characters > settings.max_total_characters:
            most = f"at most {settings.max_total_characters:,} characters"
            raise InvalidFieldError("papers", f"should have {most} in all texts together")

    def _query_or_error(
        self, paper: Any, field: str, max_characters: int
    ) -> PaperQuery | InvalidFieldError:
        if not isinstance(paper, dict):
            return InvalidFieldError(field, "should be an object")
        try:
            valid = PaperInput.model_validate(paper)
            return valid.query(self.top_k, self.explain, max_characters, field)
        except ValidationError as error:
            first = first_problem(error)
            return InvalidFieldError(field_path([field, *first["loc"]]), describe_problem(first))
        except InvalidFieldError as error:
            return error


class LoadRequest(BaseModel):
    """The version to serve: the name of a model in the configured folder or bucket."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(pattern=VERSION)


class PaperError(BaseModel):
    """The error of one invalid paper of a list."""

    model_config = ConfigDict(extra="forbid")

    error: str
    field: str


class Answers(BaseModel):
    """The answers to a list of papers, in its order."""

    model_config = ConfigDict(extra="forbid")

    predictions: list[Answer | PaperError]
    model: str


class FieldError(BaseModel):
    """An invalid field and its problem."""

    field: str
    problem: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None
