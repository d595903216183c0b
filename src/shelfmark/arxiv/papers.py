"""A paper's metadata, and the parsing of categories and withdrawal notes."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from datetime import date

from shelfmark.arxiv import taxonomy

WITHDRAWN = re.compile(
    r"\b(?:paper|article|manuscript|submission|preprint|work|note|version|it)\s+"
    r"(?:(?:has|have)\s+been|is|was)\s+(?:being\s+|temporarily\s+|now\s+)?(?:withdrawn|retracted)"
    r"|^\W*(?:(?:paper|article)\s+)?(?:withdrawn|retracted)\b"
    r"|\bwithdrawn\s+(?:by|due|because|on)\b|\bpaper\s+withdrawn\b",
    re.IGNORECASE,
)
LANGUAGES = (
    "french german italian spanish portuguese russian ukrainian japanese chinese korean polish "
    "czech hungarian turkish dutch greek romanian bulgarian catalan latin esperanto croatian "
    "serbian slovak swedish danish norwegian finnish persian arabic hebrew vietnamese indonesian"
)
# No name of a category holds any of these.
SEPARATORS = re.compile(r"""[\s,;|/&+\[\]{}()'"`]+""")
LISTED = re.compile(r"\A[^()]*\s\(([A-Za-z.-]+)\)\Z")  # as arXiv's pages list them
# "24 pages, in French", "In french."; not "to appear in Chinese Physics B" or "in LATIN 2018".
OTHER_LANGUAGE = re.compile(
    r"(?<!english or )\b(?:[Ii]n|[Ll]anguage:?)\s+"
    rf"(?:{'|'.join(f'[{name[0].upper()}{name[0]}]{name[1:]}' for name in LANGUAGES.split())})"
    r"\b(?!\s+(?:[A-Z]|and English|or English|\(?English))"
)


class BadRecordError(ValueError):
    """A record that cannot become a paper; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper's metadata.

    Args:
        id: the identifier without its version.
        title: as its source writes it.
        abstract: as its source writes it.
        categories: their current names, the primary one first.
        submitted: the day of the first version.
        comments: of the authors.
        version: the number of the version, 0 if unknown.
        updated: the day of the last change of the record, None if unknown.
        authors: as its source writes them, for `parse_authors`; None if it does not.
    """

    id: str
    title: str
    abstract: str
    categories: tuple[str, ...]
    submitted: date
    comments: str = ""
    # Not in the representation, of which the digest of generated papers is made.
    version: int = field(default=0, repr=False)
    updated: date | None = field(default=None, repr=False)
    authors: object = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """An unreadable record: its line or row, counted from 1, and the reason."""

    line: int
    reason: str


@functools.lru_cache(maxsize=1 << 16)  # few combinations make up most papers
def parse_categories(names: str) -> tuple[str, ...]:
    """Return the current names of categories, in order, without repetitions.

    A category that arXiv has opened since the taxonomy was listed keeps its name.

    Raises:
        BadRecordError: there is no category, or a text that is none.
    """
    current = []
    for name in split_categories(names):
        known = taxonomy.canonical_name(name)
        if known is None:
            raise BadRecordError(f"unknown category {name!r:.40}")
        current.append(known)
    if not current:
        raise BadRecordError("no category")
    return tuple(dict.fromkeys(current))


def split_categories(names: str) -> list[str]:
    """Return the categories in a text: separated by blanks, commas or other separators.

    Also those of a list with brackets and quotes, and of arXiv's pages: `Robotics (cs.RO); …`.
    """
    parts = [LISTED.match(part.strip()) for part in names.split(";")]
    if all(parts):
        return [part[1] for part in parts if part]
    return [name for name in SEPARATORS.split(names) if name]


def is_withdrawn(abstract: str, comments: str) -> bool:
    """Whether the abstract or the comments state that the paper was withdrawn."""
    # Most texts hold neither word: plain searches are faster than the expression.
    for text in (abstract, comments):
        low = text.lower()
        if ("withdrawn" in low or "retracted" in low) and WITHDRAWN.search(text):
            return True
    return False


def is_foreign(comments: str) -> bool:
    """Whether the comments name a language other than English."""
    return OTHER_LANGUAGE.search(comments) is not None
