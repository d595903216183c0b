"""The requests of POST /search, as the service's OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, WrapValidator

from shelfmark.arxiv.text import is_blank
from shelfmark.search.filters import Filters
from shelfmark.search.query.search_query import MOST_PAPERS, MOST_RESULTS, WORDS, SearchQuery
from shelfmark.search.query.values import parse_category, parse_since, parse_until
from shelfmark.service.messages import MAX_ID, InvalidFieldError
from shelfmark.service.search.inputs import TextInput, keep_error, path_of, read_list
from shelfmark.service.settings import Settings

MOST_NAMES = 200  # of categories
MOST_EFFORT = 65_536
# One for the search, one for each of its keys, and some of its papers and categories.
VALUES_OF_A_SEARCH = 64
VALUES_OF_A_REQUEST = 2 * (MOST_PAPERS + MOST_NAMES)  # of the lists of a single search
SINGLE = "give one search, or searches, not both"
EXAMPLES: list[JsonValue] = [
    {"text": "grasping unseen objects from depth images", "category": ["cs.RO"], "since": "2018"},
    {"abstract": "We train a robot arm ...", "k": 10, "words": 0},
    {"like": ["2201.00001"], "unlike": ["2201.00002"], "exclude": ["physics"]},
    {"searches": [{"text": "..."}, {"title": "...", "abstract": "..."}]},
]

Paper = Annotated[str, Field(max_length=MAX_ID)]
Papers = Annotated[list[Paper], Field(max_length=MOST_PAPERS)]
Names = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MOST_NAMES)]
Day = Annotated[str, Field(max_length=32)]


class SearchInput(TextInput):
    """A search: what papers should be like, and the filters that they pass."""

    like: Papers = Field([])
    """Identifiers of papers whose neighbours are wanted."""
    unlike: Papers = Field([])
    """Identifiers of papers whose neighbours are not wanted."""
    k: int = Field(10, ge=1, le=MOST_RESULTS)
    """The number of papers."""
    category: Names = Field([])
    """Names of categories, archives and groups, of which a paper has at least one."""
    exclude: Names = Field([])
    """Names of categories, archives and groups, of which a paper has none."""
    since: Day | None = None
    """The first day of submission: 2018-05-31, 2018-05 or 2018."""
    until: Day | None = None
    """The last day of submission: 2018-05-31, 2018-05 or 2018."""
    primary: bool = False
    """Whether `category` holds for a paper's primary category alone."""
    words: float = Field(WORDS, ge=0, le=1, allow_inf_nan=False)
    """The weight of the words; that of the meaning is the rest."""
    shelf: float = Field(0, ge=0, le=1, allow_inf_nan=False)
    """The weight of the category that the classifier predicts for the query."""
    explain: bool = True
    """Whether each paper has the words that make it similar, and their shares."""
    nprobe: int | None = Field(None, ge=1, le=MOST_EFFORT)
    """The effort of the vector search, by default that of the index."""

    def query(
        self, settings: Settings, categories: Collection[str] = (), field: str = ""
    ) -> SearchQuery:
        """Return the search as the index takes it.

        Args:
            settings: the limits.
            categories: names of categories of the index.
            field: path of the search in the request, empty for the body itself.

        Raises:
            InvalidFieldError: a field is invalid, or there is nothing to search for.
        """
        self.check_texts(settings, field)
        if self.is_blank and not self.like:
            problem = "nothing to search for: give text, title and abstract, or like"
            raise InvalidFieldError(field or "body", problem)
        for name in ("like", "unlike"):
            if any(map(is_blank, getattr(self, name))):
                raise InvalidFieldError(path_of(field, name), "should have identifiers of papers")
        return SearchQuery(
            self.text or "", self.title or "", self.abstract or "", tuple(self.like),
            tuple(self.unlike), self.k, self._filters(categories, field), self.words, self.shelf,
            self.explain, self.nprobe,
        )  # fmt: skip

    def _filters(self, categories: Collection[str], field: str) -> Filters:
        since = _parse_day(parse_since, self.since, path_of(field, "since"))
        until = _parse_day(parse_until, self.until, path_of(field, "until"))
        if since and until and until < since:
            raise InvalidFieldError(path_of(field, "until"), "is before since")
        return Filters(
            _parse_names(self.category, categories, path_of(field, "category")),
            _parse_names(self.exclude, categories, path_of(field, "exclude")),
            since,
            until,
            self.primary,
        )


SearchEntry = Annotated[SearchInput, WrapValidator(keep_error)]


class SearchRequest(SearchInput):
    """One search, or a list of searches, each with the fields of a single one."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    searches: list[SearchEntry] | None = Field(None, min_length=1)
    """Searches, each with the fields of a single one; an invalid one gets its own error."""

    def queries(
        self, settings: Settings, categories: Collection[str] = ()
    ) -> list[SearchQuery | InvalidFieldError]:
        """Return every search as the index takes it, an invalid one of a list as its error.

        Args:
            settings: the limits.
            categories: names of categories of the index.

        Raises:
            InvalidFieldError: the one search, or the list as a whole, is invalid.
        """
        if self.searches is None:
            query = self.query(settings, categories)
            _check_results([query], settings, "k")
            return [query]
        if self.model_fields_set != {"searches"}:
            raise InvalidFieldError("body", SINGLE)
        queries = read_list(
            self.searches,
            "searches",
            settings,
            lambda entry, field: entry.query(settings, categories, field),
        )
        _check_results(queries, settings, "searches")
        return queries


def _check_results(
    queries: Sequence[SearchQuery | InvalidFieldError], settings: Settings, field: str
) -> None:
    asked = sum(query.k for query in queries if isinstance(query, SearchQuery))
    if asked > settings.max_results:
        problem = f"asks for {asked:,} papers, but at most {settings.max_results:,} are returned"
        raise InvalidFieldError(field, problem)


def _parse_day(parse: Callable[[str], date], text: str | None, field: str) -> date | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidFieldError(field, str(error)) from None


def _parse_names(names: Sequence[str], more: Collection[str], field: str) -> tuple[str, ...]:
    """Return the current names of categories, each once."""
    current = []
    for number, name in enumerate(names):
        try:
            current.append(parse_category(name, more))
        except ValueError as error:
            raise InvalidFieldError(f"{field}.{number}", str(error)) from None
    return tuple(dict.fromkeys(current))
