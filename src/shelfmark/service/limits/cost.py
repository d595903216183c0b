"""The cost of a query, estimated before it is answered."""

from __future__ import annotations

from shelfmark.models.answers import PaperQuery
from shelfmark.models.protocol import ReadingCost

RANK = 0.5  # microseconds of one core, for each category of a ranking
SLICE = 1000  # that a slice takes besides its papers
MORE_BYTE = 1  # in UTF-8, than one for each character: these are normalized one by one


def query_cost(query: PaperQuery, reading: ReadingCost) -> float:
    """Return about how many microseconds of one core a query takes in a batch.

    Args:
        query: the question.
        reading: what a text costs the model that answers.
    """
    characters = len(query.title) + len(query.abstract)
    more_bytes = _count_bytes(query.title) + _count_bytes(query.abstract) - characters
    ranks = query.top_k * (1 if query.primary is None else 2)
    return reading.of(characters, query.explain) + MORE_BYTE * more_bytes + RANK * ranks


def _count_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
