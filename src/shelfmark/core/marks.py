"""Long runs of combining marks, on which Unicode normalisation takes quadratic time.

Python 3.11 to 3.13 puts the marks of a run in canonical order by insertion. The Stream-Safe Text
Format allows at most 30 non-starters in a row, counted in NFKD; no language needs as many.
Source: https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format
"""

from __future__ import annotations

import functools
import re
import unicodedata

MOST = 30  # non-starters in a row
# A character decomposes into at most two marks, and a letter before them ends in at most three:
# no fewer characters can exceed the limit.
FEWEST = 14
# The blocks that hold marks, beyond which unassigned and private characters follow.
PLANES = range(0x300, 0x20000)

# Any mark, and a few signs that are none: far quicker than the list of all marks. Two marks of
# class 0 that decompose into others, U+FF9E and U+FF9F, count as letters.
_NO_MARKS = r"\x00-\u02ff\u2000-\u20cf\u2100-\u2cee\u3000-\u3029\uff00-\uff9d\w\s"
_LIKELY = rf"(?:[^{_NO_MARKS}]|[\uff9e\uff9f])"
_ANY = re.compile(_LIKELY)
_EVERY_SECOND = re.compile(f"{_LIKELY}{{{FEWEST // 2}}}")


def cut_long_runs(text: str) -> str:
    """Return the text with at most 30 non-starters in a row; the others of a run are left out."""
    return _long_runs().sub(_cut, text) if _may_hold_long_run(text) else text


def remove_long_runs(text: str) -> str:
    """Return the text without the runs of 14 marks or more.

    An accent stripper removes all marks later: its result is the same, in linear time.
    """
    return _long_runs().sub("", text) if _may_hold_long_run(text) else text


def _may_hold_long_run(text: str) -> bool:
    """Whether the text may hold a run of `FEWEST` marks: one stands at every `FEWEST`th place."""
    sample = text[::FEWEST]
    if sample.isascii() or not _ANY.search(sample):
        return False
    return _EVERY_SECOND.search(text[::2]) is not None


def _cut(run: re.Match[str]) -> str:
    count = _trailing_marks(run.string[run.start() - 1 : run.start()])
    for place, mark in enumerate(run[0]):
        count += len(unicodedata.normalize("NFKD", mark))
        if count > MOST:
            return run[0][:place]
    return run[0]


def _trailing_marks(character: str) -> int:
    parts = unicodedata.normalize("NFKD", character)
    return len(parts) - max((i for i, part in enumerate(parts, 1) if not _is_mark(part)), default=0)


def _is_mark(character: str) -> bool:
    """Whether the first character of the decomposition is a non-starter, as then all are."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


@functools.cache  # takes 30 ms, and few texts need it
def _long_runs() -> re.Pattern[str]:
    marks = "".join(filter(_is_mark, map(chr, PLANES)))
    return re.compile(f"[{marks}]{{{FEWEST},}}")
