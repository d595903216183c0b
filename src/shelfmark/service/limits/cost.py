"""The cost of a query, estimated before it is answered."""

from __future__ import annotations

from shelfmark.models.answers import PaperQuery

# Microseconds of one core, measured on abstracts with a model of five categories; papers of a model
# of 147 categories take twice as long.
PAPER, CHARACTER, RANK = 150, 0.1, 0.5
SLICE = 1000  # that a slice takes besides its papers
MORE_BYTE = 1  # in UTF-8, than one for each character: these are normalized one by one
EXPLANATION, EXPLAINED_CHARACTER = 6000, 1.5


def query_cost(query: PaperQuery) -> float:
    """Return about how many microseconds of one core a query takes in a batch."""
    characters = len(query.title) + len(query.abstract)
    more_bytes = _count_bytes(query.title) + _count_bytes(query.abstract) - characters
    ranks = query.top_k * (1 if query.primary is None else 2)
    cost = PAPER + CHARACTER * characters + MORE_BYTE * more_bytes + RANK * ranks
    if query.explain:
        cost += EXPLANATION + EXPLAINED_CHARACTER * characters
    return cost


def _count_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
