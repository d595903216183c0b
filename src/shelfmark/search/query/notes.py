"""Says why a search has fewer papers than it could have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelfmark.search.filters import Filters

if TYPE_CHECKING:
    from shelfmark.search.index import Index


def explain_filters(index: Index, filters: Filters) -> str:
    """Return which filters leave no paper, or how many each leaves if only all together leave none.

    Args:
        index: that was searched.
        filters: that no paper passes.
    """
    counts = {
        name: sum(selection.count for selection in index.select(part))
        for name, part in filters.parts()
    }
    empty = [name for name, count in counts.items() if not count]
    if empty:
        return f"No paper passes the filter {' and the filter '.join(empty)}."
    left = ", ".join(f"{name}: {count:,}" for name, count in counts.items())
    return f"No paper passes all filters together. Each by itself leaves papers: {left}."
