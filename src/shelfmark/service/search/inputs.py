"""What requests to search and to embed share: texts, and lists in which an entry may be invalid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shelfmark.arxiv.text import is_blank
from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.service.messages import InvalidFieldError, field_path, has_surrogate
from shelfmark.service.settings import Settings

Input = TypeVar("Input", bound="TextInput")
Query = TypeVar("Query")


class TextInput(BaseModel):
    """A text, or the title and the abstract of a paper."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: str | None = None
    """The query as one text; or give a title and an abstract."""
    title: str | None = None
    abstract: str | None = None

    def check_texts(self, settings: Settings, field: str) -> None:
        """Check the texts, but not whether there are any.

        Raises:
            InvalidFieldError: a text is too long, no text in Unicode, or given twice.
        """
        if self.text is not None and (self.title is not None or self.abstract is not None):
            raise InvalidFieldError(field or "body", "give text, or title and abstract, not both")
        for name in ("text", "title", "abstract"):
            value = getattr(self, name) or ""
            if len(value) > settings.max_characters:
                most = f"should have at most {settings.max_characters:,} characters"
                raise InvalidFieldError(path_of(field, name), most)
            if has_surrogate(value):
                problem = "contains a surrogate without its pair"
                raise InvalidFieldError(path_of(field, name), problem)

    @property
    def is_blank(self) -> bool:
        """Whether no text holds anything."""
        return all(is_blank(part or "") for part in (self.text, self.title, self.abstract))

    @property
    def characters(self) -> int:
        """The number of characters of all texts."""
        return sum(len(part or "") for part in (self.text, self.title, self.abstract))


def path_of(field: str, name: str) -> str:
    """Return the path of a key of a field, which is empty for the body itself."""
    return f"{field}.{name}" if field else name


def keep_error(value: Any, validate: Callable[[Any], Any]) -> Any:
    """Return a valid entry of a list, or the error of an invalid one, which refuses it alone."""
    try:
        return validate(value)
    except ValidationError as error:
        return error


def read_list(
    entries: Sequence[Input | ValidationError],
    name: str,
    settings: Settings,
    read: Callable[[Input, str], Query],
) -> list[Query | InvalidFieldError]:
    """Return what each entry of a list asks for, an invalid one as its error.

    Args:
        entries: of the list, as `keep_error` returns them.
        name: of the list in the request.
        settings: the limits.
        read: returns what an entry asks for, given its path.

    Raises:
        InvalidFieldError: the list is too long, or its texts are.
    """
    if len(entries) > settings.max_searches:
        raise InvalidFieldError(name, f"should have at most {settings.max_searches} entries")
    texts = [entry for entry in entries if not isinstance(entry, ValidationError)]
    if sum(entry.characters for entry in texts) > settings.max_total_characters:
        most = f"at most {settings.max_total_characters:,} characters"
        raise InvalidFieldError(name, f"should have {most} in all texts together")
    return [_read(entry, f"{name}.{number}", read) for number, entry in enumerate(entries)]


def _read(
    entry: Input | ValidationError, field: str, read: Callable[[Input, str], Query]
) -> Query | InvalidFieldError:
    if isinstance(entry, ValidationError):
        first = first_problem(entry)
        return InvalidFieldError(field_path([field, *first["loc"]]), describe_problem(first))
    try:
        return read(entry, field)
    except InvalidFieldError as error:
        return error
