"""The cost of a query, estimated before it is answered."""

from __future__ import annotations

from shelfmark.models.answers import PaperQuery

# Microseconds of one core, measured on abstracts and on texts of 50,000 characters, with models of
# 5 and of 147 categories: the classes matter little, because the trees see few of them.
PAPER, CHARACTER, RANK = 400, 0.2, 0.5
EXPLANATION, EXPLAINED_CHARACTER = 8000, 0.8


def query_cost(query: PaperQuery) -> float:
    """Return about how many microseconds of one core a query takes in a batch."""
    characters = len(query.title) + len(query.abstract)
    ranks = query.top_k * (1 if query.primary is None else 2)
    cost = PAPER + CHARACTER * characters + RANK * ranks
    if query.explain:
        cost += EXPLANATION + EXPLAINED_CHARACTER * characters
    return cost
