"""The authors of a paper, each as one name of one form: `surname, given names`."""

from __future__ import annotations

import re
import unicodedata

from shelfmark.arxiv.text import clean_text

MOST_AUTHORS = 2000  # of a paper; more are left out
# An affiliation in parentheses; none holds another, so the search is linear.
_AFFILIATION = re.compile(r"\([^()]*\)")
_BETWEEN = re.compile(r",|;|\band\b")
_NO_NAME = re.compile(r"[^a-z' -]+")


def parse_authors(authors: object) -> list[str]:
    """Return the names of authors, lower case ASCII without dots: `erdos, paul`.

    Args:
        authors: as the source writes them: a text, or a list of [surname, given names, suffix] as
            `authors_parsed` of arXiv's snapshot is. Anything else names no author.
    """
    names: list[str] = []
    if isinstance(authors, str):
        for part in _BETWEEN.split(_AFFILIATION.sub(" ", clean_text(authors))):
            given, _, surname = part.strip().rpartition(" ")
            names.append(_join(surname, given))
    elif isinstance(authors, list):
        for entry in authors:
            if isinstance(entry, list) and entry and all(isinstance(x, str) for x in entry[:2]):
                names.append(_join(entry[0], entry[1] if len(entry) > 1 else ""))
    return [name for name in dict.fromkeys(names) if name][:MOST_AUTHORS]


def _join(surname: str, given: str) -> str:
    surname, given = _fold(surname), _fold(given)
    return f"{surname}, {given}" if given else surname


def _fold(name: str) -> str:
    """Return a name in lower case ASCII, with single blanks."""
    decomposed = unicodedata.normalize("NFKD", clean_text(name)).casefold()
    plain = decomposed.encode("ascii", "ignore").decode()
    return " ".join(_NO_NAME.sub(" ", plain).split())
