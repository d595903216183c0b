"""Changes to a paper that keep its category: typos, truncation, copied text, keyword stuffing.

Each is a pure function of title and abstract. It draws from the generator that it receives by
`random.Random.random` alone, whose sequence Python guarantees to keep.
"""

from __future__ import annotations

import csv
import functools
import random
import re
from collections.abc import Callable, Sequence
from importlib.resources import files

Paper = tuple[str, str]  # title and abstract
Change = Callable[[str, str, random.Random], Paper]

TYPOS = 0.1  # share of the words of four letters or more that get a typo
DROPPED = 0.2  # share of the words that are dropped
SENTENCES = 3  # of boilerplate
LONG_WORD = re.compile(r"(?<![\\\w])[^\W\d_]{4,}(?!\w)")  # no command of TeX
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
TEX = re.compile(r"\\(?:[A-Za-z]+\*?|.)|(?P<sign>[${}^_])", re.DOTALL)
WORD = re.compile(r"(?<!\\)\b[A-Za-z]+\b")
BOILERPLATE = (
    "Accepted at the 12th International Conference on Science and Engineering.",
    "This is the author's version of the work, posted for personal use, not for redistribution.",
    "Copyright 2016 by the authors. All rights reserved.",
    "Code is available at https://github.com/example/project.",
    "Data and supplementary material are available from the authors on request.",
    "12 pages, 5 figures, 3 tables.",
    "To appear in the proceedings. Comments are welcome.",
    "An extended abstract of this paper was presented at a workshop.",
    "This work was supported by a grant of the National Foundation.",
    "The final publication is available from the publisher's website.",
)


def add_typos(title: str, abstract: str, rng: random.Random) -> Paper:
    """Add a typo to one in ten of the longer words: letters swapped, lost, doubled or wrong."""

    def mistype(match: re.Match[str]) -> str:
        return _mistype(match[0], rng) if rng.random() < TYPOS else match[0]

    return LONG_WORD.sub(mistype, title), LONG_WORD.sub(mistype, abstract)


def _mistype(word: str, rng: random.Random) -> str:
    index = int(rng.random() * (len(word) - 1))
    head, letter, after, rest = word[:index], word[index], word[index + 1], word[index + 2 :]
    other = LETTERS[int(rng.random() * len(LETTERS))]
    ways = (after + letter, after, letter + letter + after, other + after)
    return head + ways[int(rng.random() * len(ways))] + rest


def drop_words(title: str, abstract: str, rng: random.Random) -> Paper:
    """Drop a fifth of the words; a text with words keeps at least one."""

    def fewer(text: str) -> str:
        words = text.split()
        return " ".join([x for x in words if rng.random() >= DROPPED] or words[:1])

    return fewer(title), fewer(abstract)


def shuffle_sentences(title: str, abstract: str, rng: random.Random) -> Paper:
    """Shuffle the sentences of the abstract."""
    parts = SENTENCE_END.split(abstract)
    return title, " ".join(sorted(parts, key=lambda _: rng.random()))


def to_upper_case(title: str, abstract: str, rng: random.Random) -> Paper:
    """Convert title and abstract to upper case."""
    return title.upper(), abstract.upper()


def remove_tex(title: str, abstract: str, rng: random.Random) -> Paper:
    r"""Remove `$`, commands, braces, `^` and `_`, as copying does; `$x_{i}$` becomes `xi`."""

    def bare(text: str) -> str:
        return " ".join(TEX.sub(lambda match: "" if match["sign"] else " ", text).split())

    return bare(title), bare(abstract)


def keep_title(title: str, abstract: str, rng: random.Random) -> Paper:
    """Remove the abstract."""
    return title, ""


def keep_abstract(title: str, abstract: str, rng: random.Random) -> Paper:
    """Remove the title."""
    return "", abstract


def halve_abstract(title: str, abstract: str, rng: random.Random) -> Paper:
    """Truncate the abstract after the first half of its words, rounded up."""
    words = abstract.split()
    return title, " ".join(words[: (len(words) + 1) // 2])


def add_boilerplate(title: str, abstract: str, rng: random.Random) -> Paper:
    """Add three sentences to the abstract that papers of every kind contain."""
    picked = sorted(BOILERPLATE, key=lambda _: rng.random())[:SENTENCES]
    return title, " ".join([abstract, *picked]).strip()


def replace_by_french(title: str, abstract: str, rng: random.Random) -> Paper:
    """Replace the most frequent English words by French ones, one by one: no translation."""
    return _to_french(title), _to_french(abstract)


def _to_french(text: str) -> str:
    words = read_glossary()

    def replace(match: re.Match[str]) -> str:
        word = match[0]
        french = words.get(word.lower(), word)
        if french is word or word.islower():
            return french
        capitals = word.isupper() and len(word) > 1
        return french.upper() if capitals else french[0].upper() + french[1:]

    return WORD.sub(replace, text)


@functools.cache
def read_glossary() -> dict[str, str]:
    """Return the most frequent English words of abstracts, with their French ones."""
    text = (
        files("shelfmark.experiments.robustness").joinpath("french.csv").read_text(encoding="utf-8")
    )
    return {row["english"]: row["french"] for row in csv.DictReader(text.splitlines())}


def glossary_coverage(texts: Sequence[str]) -> float:
    """Return the share of the words of some texts that the glossary has."""
    words = [word.lower() for text in texts for word in WORD.findall(text)]
    return sum(word in read_glossary() for word in words) / max(len(words), 1)


def stuff_abstract(title: str, abstract: str, terms: Sequence[str]) -> Paper:
    """Add the terms of another category to the abstract as keywords."""
    added = f"Keywords: {', '.join(terms)}." if terms else ""
    return title, f"{abstract} {added}".strip()


def stuff_title(title: str, abstract: str, terms: Sequence[str]) -> Paper:
    """Add the terms to the title too."""
    joined = ": ".join(part for part in (title, ", ".join(terms)) if part)
    return joined, stuff_abstract(title, abstract, terms)[1]


CHANGES: dict[str, Change] = {
    "typos": add_typos,
    "dropped words": drop_words,
    "shuffled sentences": shuffle_sentences,
    "upper case": to_upper_case,
    "TeX removed": remove_tex,
    "title only": keep_title,
    "abstract only": keep_abstract,
    "half an abstract": halve_abstract,
    "boilerplate": add_boilerplate,
    "another language": replace_by_french,
}
# Changes that take the telling terms of another class.
STUFFINGS: dict[str, Callable[[str, str, Sequence[str]], Paper]] = {
    "keyword stuffing": stuff_abstract,
    "stuffed title": stuff_title,
}


def rng_for(seed: int, name: str, number: int) -> random.Random:
    """Return the generator of one paper and one change, independent of all others."""
    return random.Random(f"{seed}:{name}:{number}")


def apply_change(name: str, papers: Sequence[Paper], seed: int) -> list[Paper]:
    """Return papers after a change of `CHANGES`, given its name."""
    return [
        CHANGES[name](title, abstract, rng_for(seed, name, number))
        for number, (title, abstract) in enumerate(papers)
    ]
