"""Plain text from arXiv's titles and abstracts: TeX accents, invisible signs, white space, maths.

Training and prediction use the same functions.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from shelfmark.core import marks

Maths = Literal["keep", "mask"]

MATHS_MASK = "_math_"

# What `clean_text` does, as the cards of data and models state it.
CLEANING = (
    "soft hyphens, zero-width and other invisible characters are removed",
    "ligatures become letters",
    "Unicode is normalized to NFC",
    "TeX accents become letters",
    "white space becomes single blanks",
)
# The characters without a glyph, which texts copied from PDFs hold within words: Unicode's
# Default_Ignorable_Code_Point without the fillers, which stand for letters. The joiners U+200C and
# U+200D go too: by Unicode's rules they separate no words.
# Source: https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_IGNORABLE = (
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# A soft hyphen shows at the end of a line only: the word goes on in the next.
INVISIBLE = re.compile(rf"\u00ad[ \t\r]*\n[ \t]*|[{_IGNORABLE}]")
VISIBLE = re.compile(rf"[^\s\x00-\x1f\x7f{_IGNORABLE}]")
LIGATURES = str.maketrans(
    {sign: unicodedata.normalize("NFKC", sign) for sign in map(chr, range(0xFB00, 0xFB07))}
)
# The first bytes in UTF-8 of all of these: a search for a byte is far quicker than the expression.
_FIRST_BYTES = [bytes([first]) for first in b"\xc2\xcd\xd8\xe1\xe2\xef\xf0\xf3"]

# The combining character that each TeX accent command puts on the letter after it.
ACCENTS = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "u": "\u0306",
    ".": "\u0307",
    '"': "\u0308",
    "r": "\u030a",
    "H": "\u030b",
    "v": "\u030c",
    "d": "\u0323",
    "c": "\u0327",
    "k": "\u0328",
    "b": "\u0331",
}
LETTERS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å",
    "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "i": "i", "j": "j",
}  # fmt: skip

# \'e, \'{e}, \v{s}, \c c, \"\i: a command of one sign takes any letter after it, a command of
# one letter only a braced one or one behind a blank (\vs is another command). \o, \ss{}: a letter.
TEX = re.compile(
    r"""\\(?:(?P<sign>[`'^"~=.])\s*(?:\{\s*\\?(?P<a>[A-Za-z])\s*\}|\\?(?P<b>[A-Za-z]))"""
    r"""|(?P<name>[Hcvudbkr])(?:\s*\{\s*\\?(?P<c>[A-Za-z])\s*\}|\s+(?P<d>[A-Za-z])(?![A-Za-z]))"""
    rf"""|(?P<letter>{"|".join(LETTERS)})(?![A-Za-z])(?:\{{\}}|\s(?=\w))?"""
    r"""|(?P<escaped>[&%#_]))"""
)
# A letter beyond ASCII: the braces of {n} in a formula stay.
BRACED = re.compile(r"\{([^\W\d_a-zA-Z])\}")
# In linear time: no formula holds its opening sign, no opening sign follows a backslash, and the
# alternatives within a formula exclude each other, so that the search of one that is not closed
# ends before the next begins. A `\\(` is TeX's line break and a parenthesis.
MATHS = re.compile(
    r"\$\$.+?\$\$"
    r"|(?<!\\)(?:\$(?:\\.|[^$\\])++\$"
    r"|\\\((?:\\[^()]|[^\\])++\\\)"
    r"|\\\[(?:\\[^\[\]]|[^\\])++\\\])",
    re.DOTALL,
)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: it has only white space, control and invisible characters."""
    return VISIBLE.search(text) is None


def _letter(match: re.Match[str]) -> str:
    sign, a, b, name, c, d, letter, escaped = match.groups()
    if escaped:
        return str(escaped)
    if letter:
        return LETTERS[letter]
    return unicodedata.normalize("NFC", (a or b or c or d) + ACCENTS[sign or name])


def clean_text(text: str) -> str:
    """Return the text on one line, with TeX accents as letters; maths is unchanged.

    Invisible characters are removed and ligatures become letters, so that neither splits a word.
    Unicode is normalized to NFC, with at most 30 combining marks in a row, and lone surrogates
    become `?`, so the result encodes as UTF-8.
    """
    if not text.isascii():
        encoded = text.encode("utf-8", "replace")
        text = encoded.decode()
        if any(first in encoded for first in _FIRST_BYTES):
            text = INVISIBLE.sub("", text).translate(LIGATURES)
        text = unicodedata.normalize("NFC", marks.cut_long_runs(text))
    if "\\" in text:
        text = TEX.sub(_letter, text)
        if not text.isascii():
            text = BRACED.sub(r"\1", text)
    # Enough for most texts; splitting and joining all words takes four times as long.
    line = text.replace("\n", " ").strip()
    if "  " not in line and line.isprintable():
        return line
    return " ".join(text.replace("\0", " ").split())


def join_texts(title: str, abstract: str, maths: Maths = "keep") -> str:
    """Return the text that the model reads, from a plain title and abstract.

    With `maths="mask"` each formula becomes the same word.
    """
    text = f"{title}\n{abstract}" if title and abstract else title or abstract
    if maths == "mask" and ("$" in text or "\\" in text):
        return MATHS.sub(f" {MATHS_MASK} ", text)
    return text
