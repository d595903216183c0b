"""arXiv's identifiers: one canonical spelling for all the ways in which people write one.

Scheme: https://info.arxiv.org/help/arxiv_identifier.html
"""

from __future__ import annotations

import re
import urllib.parse

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.papers import BadRecordError
from shelfmark.arxiv.text import INVISIBLE

LONGEST = 500  # characters of a text that may hold an identifier
# Archives that became categories keep their identifiers: cmp-lg/9404001 is no paper of cs.
ARCHIVES = taxonomy.ARCHIVES.keys() | {name for name in taxonomy.ALIASES if "." not in name}

NEW = r"(?P<new>\d{4}\.\d{4,5})"
# The subject class, as in math.AG/0211000, is no part of the name. Some dumps and file names write
# cs-9308101, cs_9308101 or cs9308101 where arXiv writes cs/9308101.
OLD = (
    rf"(?P<archive>{'|'.join(sorted(ARCHIVES, key=len, reverse=True))})"
    rf"(?:\.[a-z]+(?:-[a-z]+)*)?[/_-]?(?P<number>\d{{7}})"
)
IDENTIFIER = rf"(?:{NEW}|{OLD})(?:\s?v(?P<version>\d{{1,9}}))?"
PLAIN = re.compile(rf"(?:arxiv:)?{IDENTIFIER}", re.IGNORECASE | re.ASCII)
# As papers are cited and linked to: arXiv:…, oai:arXiv.org:…, a DOI, an address with what follows,
# a file, and the stamp at the side of a PDF, `arXiv:0704.0001v2 [hep-ph] 24 Jul 2007`.
CITED = re.compile(
    r"[\s\"'(<\[]*"
    r"(?:oai:arxiv\.org:)?"
    r"(?:(?:(?:https?:)?//)?(?:[a-z0-9-]+\.)*(?:arxiv|ar5iv|alphaxiv|lanl)\.(?:org|gov)/+"
    r"(?:abs|pdf|ps|html|format|src|e-print|overview)/+)?"
    r"(?:(?:doi:\s*|(?:(?:https?:)?//)?(?:dx\.|www\.)?doi\.org/+)?10\.48550/)?"
    r"(?:arxiv\s*[:.]?\s*)?"
    rf"{IDENTIFIER}"
    r"(?:\.(?:pdf|html?|ps|gz|tar|tex|txt|abs))*/?(?:[?#]\S*)?"
    r"(?:\s*\[[\w. -]{2,20}\](?:\s*\d{1,2} [a-z]{3} \d{4})?)?"
    r"[\s\"')>\].,;]*",
    re.IGNORECASE | re.ASCII,
)
DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
FIVE_DIGITS_FROM = 1501  # year and month
VERSION = re.compile(r"\s*v(\d{1,9})\s*", re.IGNORECASE | re.ASCII)


def parse_identifier(text: str) -> str:
    """Return the canonical form of an arXiv identifier: without prefix, subject class and version.

    It is `0704.0001`, `1501.00001` or `math/0211000`, in small letters. From 2015 on the number has
    five digits: `1501.1234` has lost a zero. Five digits before 2015 and months that do not exist
    pass, as generated papers have them: no other paper can be meant.

    Raises:
        BadRecordError: the text is not an arXiv identifier.
    """
    match = _match(text)
    if match is None:
        raise BadRecordError(f"not an arXiv identifier: {text!r:.60}")
    name = match["new"]
    if name is None:
        return f"{match['archive'].lower()}/{match['number']}"
    if len(name) == 9 and _has_five_digits(name):
        raise BadRecordError(
            f"not an arXiv identifier: {text!r:.60}: it has lost a zero, as spreadsheets drop them"
        )
    return name


def paper_key(name: object) -> str | None:
    """Return one key for all ways to write a paper's identifier, None for a value that is none.

    An identifier of another archive is its own key.
    """
    if not isinstance(name, str | int) or not str(name).strip():
        return None
    try:
        return parse_identifier(str(name))
    except BadRecordError:
        return str(name)


def parse_version(text: str) -> int:
    """Return the number of the version in an identifier or in `v2`, 0 if it names none."""
    if "v" not in text and "V" not in text:
        return 0
    match = VERSION.fullmatch(text)
    if match:
        return int(match[1])
    match = _match(text)
    return int(match["version"] or 0) if match else 0


def _match(text: str) -> re.Match[str] | None:
    match = PLAIN.fullmatch(text)
    if match or len(text) > LONGEST:
        return match
    plain = urllib.parse.unquote(INVISIBLE.sub("", text)).translate(DASHES)
    return CITED.fullmatch(plain)


def _has_five_digits(name: str) -> bool:
    """Whether identifiers of that year and month have five digits; years before 91 are of 20xx."""
    return FIVE_DIGITS_FROM <= int(name[:4]) < 9100
