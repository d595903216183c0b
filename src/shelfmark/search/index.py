"""An opened index: its segments, and the encoder that made their vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.search.query.search_query import SearchQuery, SearchResult

# Returns the probability of each category for a title and an abstract.
ShelfPredictor = Callable[[str, str], Mapping[str, float]]


class Index:
    """An opened index; several threads may search it at a time.

    Args:
        encoder: that made its vectors.

    Attributes:
        papers: number of papers, without the deleted ones.
        generation: rises with every change of the index.
        categories: names of those that occur in the index.
    """

    papers: int
    generation: int
    encoder: OpenEncoder
    categories: frozenset[str]

    @classmethod
    def open(
        cls, folder: Path, encoder: OpenEncoder | None = None, encoders: str = "encoders"
    ) -> Index:
        """Open the index of a folder.

        Args:
            folder: of the index.
            encoder: that made its vectors; None to open the one that the index names.
            encoders: folder or bucket of the encoders.

        Raises:
            ShelfmarkError: there is no index, a file is damaged, or another encoder made it.
        """
        raise NotImplementedError

    def search(
        self, queries: Sequence[SearchQuery], shelf: ShelfPredictor | None = None
    ) -> list[SearchResult]:
        """Return the papers found for each query.

        Args:
            queries: the searches.
            shelf: predicts categories, for queries whose `shelf` is above 0.

        Raises:
            QueryError: a query holds nothing to search for, or a category is unknown.
            ShelfmarkError: a file is damaged.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the files, once no search is in progress."""
        raise NotImplementedError
