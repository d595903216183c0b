"""What the cards of all artifacts share: the types of their keys, and the data of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError, one_line

Card = TypeVar("Card")

MOST_FILES = 200
STRICT = ConfigDict(extra="forbid", strict=True)

Text = Annotated[str, Field(max_length=1000)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class TrainingData:
    """The splits that a model was trained on.

    Args:
        folder: of the splits.
        card_sha256: digest of their card.
        source: sample, snapshot or csv.
        synthetic: whether the papers are made up.
        papers: how many each split has.
        submitted: the first and the last day of submission; None on older cards.
        sources: of several files, the name of each and its counts, as the data card has them.
        outside: how many papers of other labels lie beside each split; None if there are none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    folder: str
    card_sha256: str
    source: str
    synthetic: bool
    papers: dict[Text, Annotated[int, Field(ge=0)]]
    submitted: dict[Text, Any] | None = None
    sources: list[dict[Text, Any]] | None = None
    outside: dict[Text, Annotated[int, Field(ge=0)]] | None = None

    @classmethod
    def from_card(cls, folder: str, digest: str, card: dict[str, Any]) -> Self:
        """Return the splits of a folder, whose card has this digest and these values."""
        return cls(
            folder=folder,
            card_sha256=digest,
            source=card["source"],
            synthetic=card["synthetic"],
            papers=card["splits"],
            submitted=card["submitted"],
            sources=card.get("sources"),
            outside=card.get("outside"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `card.json` holds; several files and papers outside only where there are."""
        optional = ("sources", "outside")
        return {name: value for name, value in vars(self).items() if name not in optional or value}


def validate_key(key: str, adapter: TypeAdapter[Any], value: Any) -> Any:
    """Return the value of a key of a card, checked.

    Raises:
        ShelfmarkError: it is invalid; names the key and its part.
    """
    try:
        return adapter.validate_json(orjson.dumps(value))
    except ValidationError as error:
        first = first_problem(error)
        place = one_line(".".join([key, *map(str, first["loc"])]))
        reason = one_line(describe_problem(first))
        raise ShelfmarkError(f"{place} is invalid: {reason}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ShelfmarkError(f"{key} is invalid") from error


def describe_invalid(error: ValidationError) -> str:
    """Return what is wrong with a card, on one short line: the key, and the reason."""
    first = first_problem(error)
    place = one_line(".".join(map(str, first["loc"])))
    return f"{place} {one_line(describe_problem(first))}".strip()


def read_card_file(
    path: Path, parse: Callable[[bytes], Card], missing: str, again: str, most: int = 1 << 20
) -> Card:
    """Return what a function makes of the content of a card.

    Args:
        path: of the card.
        parse: raises ShelfmarkError for a damaged one.
        missing: the error where there is no such file.
        again: what to do about a damaged one.
        most: bytes of a card.

    Raises:
        ShelfmarkError: the card is missing, unreadable or damaged.
    """
    try:
        with files.open_regular(path) as file:
            content = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ShelfmarkError(missing) from None
    except OSError as error:
        raise ShelfmarkError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if len(content) > most:
            raise ShelfmarkError(f"larger than {most:,} bytes")
        return parse(content)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{path}: {error}; {again}") from error
