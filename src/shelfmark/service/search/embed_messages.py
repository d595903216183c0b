"""The requests and responses of POST /embed, as the service's OpenAPI document describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WrapValidator

from shelfmark.config.encoders import MOST_SIZE
from shelfmark.service.messages import InvalidFieldError, PaperError
from shelfmark.service.search.inputs import TextInput, keep_error, read_list
from shelfmark.service.settings import Settings

VALUES_OF_A_PAPER = 6  # one for the paper, one for each of its keys, and some more
EXAMPLES: list[JsonValue] = [
    {"text": "We train a robot arm to grasp unseen objects from depth images."},
    {"title": "...", "abstract": "...", "encoding": "base64"},
    {"papers": [{"text": "..."}, {"title": "...", "abstract": "..."}], "size": 256},
]


@dataclass(frozen=True)
class EmbedQuery:
    """A text to encode.

    Args:
        title: as it came.
        abstract: as it came.
    """

    title: str
    abstract: str


class EmbedInput(TextInput):
    """A paper: text, or title and abstract."""

    def query(self, settings: Settings, field: str = "") -> EmbedQuery:
        """Return the text to encode.

        Args:
            settings: the limits.
            field: path of the paper in the request, empty for the body itself.

        Raises:
            InvalidFieldError: the text is missing, too long, or given twice.
        """
        self.check_texts(settings, field)
        if self.is_blank:
            raise InvalidFieldError(field or "body", "no text: give text, or title and abstract")
        return EmbedQuery(self.title or "", self.text or self.abstract or "")


EmbedEntry = Annotated[EmbedInput, WrapValidator(keep_error)]


class EmbedRequest(EmbedInput):
    """One paper, or a list of papers, and the form of their vectors."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    papers: list[EmbedEntry] | None = Field(None, min_length=1)
    """Papers, each with a text, or a title and an abstract; an invalid one gets its own error."""
    encoding: Literal["float", "base64"] = "float"
    """`float` for lists of numbers, `base64` for the bytes of 32-bit floats, little-endian."""
    size: int | None = Field(None, ge=1, le=MOST_SIZE)
    """The numbers of a vector, one of the encoder's sizes; by default whole vectors."""

    def queries(self, settings: Settings) -> list[EmbedQuery | InvalidFieldError]:
        """Return the text of every paper, an invalid one of a list as its error.

        Raises:
            InvalidFieldError: the one paper, or the list as a whole, is invalid.
        """
        if self.papers is None:
            return [self.query(settings)]
        if self.model_fields_set & {"text", "title", "abstract"}:
            raise InvalidFieldError("body", "give one paper, or papers, not both")
        return read_list(
            self.papers, "papers", settings, lambda entry, field: entry.query(settings, field)
        )


Vector = list[float] | str


class EncoderName(BaseModel):
    """The encoder that made vectors."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    encoder: str
    """The name of the encoder."""
    digest: str
    """The SHA-256 of its card, which stands for all of its files."""
    size: int
    """The numbers of a vector."""


class Embedding(EncoderName):
    """The vector of a paper."""

    vector: Vector
    """Of length 1, or zeros if the encoder knows no word: numbers, or their bytes in Base64."""


class Embeddings(EncoderName):
    """The vectors of a list of papers, in its order."""

    vectors: list[Vector | PaperError]
    """The vector of each paper; an invalid one has its error there."""
