"""Changes to a paper that leave its shelf the same: what users, pastes and cheats do to texts.

Each is a pure function from title and abstract to the changed ones. All chance comes from the
generator it is given, by `random.Random.random` alone, whose sequence Python promises to keep.
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

TYPOS = 0.1  # share of the words of four letters or more that get one
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


def typos(title: str, abstract: str, chance: random.Random) -> Paper:
    """Mistype one in ten of the longer words: letters swapped, lost, doubled or wrong."""

    def maybe(match: re.Match[str]) -> str:
        return _mistyped(match[0], chance) if chance.random() < TYPOS else match[0]

    return LONG_WORD.sub(maybe, title), LONG_WORD.sub(maybe, abstract)


def _mistyped(word: str, chance: random.Random) -> str:
    place = int(chance.random() * (len(word) - 1))
    head, letter, after, rest = word[:place], word[place], word[place + 1], word[place + 2 :]
    other = LETTERS[int(chance.random() * len(LETTERS))]
    ways = (after + letter, after, letter + letter + after, other + after)
    return head + ways[int(chance.random() * len(ways))] + rest


def dropped_words(title: str, abstract: str, chance: random.Random) -> Paper:
    """Leave out a fifth of the words; a text with words keeps one of them at least."""

    def fewer(text: str) -> str:
        words = text.split()
        return " ".join([x for x in words if chance.random() >= DROPPED] or words[:1])

    return fewer(title), fewer(abstract)


def shuffled_sentences(title: str, abstract: str, chance: random.Random) -> Paper:
    """Put the abstract's sentences into an order of chance."""
    parts = SENTENCE_END.split(abstract)
    return title, " ".join(sorted(parts, key=lambda _: chance.random()))


def upper_case(title: str, abstract: str, chance: random.Random) -> Paper:
    """Write all in capitals."""
    return title.upper(), abstract.upper()


def without_tex(title: str, abstract: str, chance: random.Random) -> Paper:
    r"""Take away `$`, commands, braces, `^` and `_`, as copies do; `$x_{i}$` becomes `xi`."""

    def bare(text: str) -> str:
        return " ".join(TEX.sub(lambda match: "" if match["sign"] else " ", text).split())

    return bare(title), bare(abstract)


def title_only(title: str, abstract: str, chance: random.Random) -> Paper:
    """Leave out the abstract."""
    return title, ""


def abstract_only(title: str, abstract: str, chance: random.Random) -> Paper:
    """Leave out the title."""
    return "", abstract


def half_an_abstract(title: str, abstract: str, chance: random.Random) -> Paper:
    """Cut the abstract after the first half of its words, rounded up."""
    words = abstract.split()
    return title, " ".join(words[: (len(words) + 1) // 2])


def boilerplate(title: str, abstract: str, chance: random.Random) -> Paper:
    """Add three sentences to the abstract that stand in papers of every kind."""
    picked = sorted(BOILERPLATE, key=lambda _: chance.random())[:SENTENCES]
    return title, " ".join([abstract, *picked]).strip()


def another_language(title: str, abstract: str, chance: random.Random) -> Paper:
    """Put French words for the most frequent English ones, one by one: no translation."""
    return _in_french(title), _in_french(abstract)


def _in_french(text: str) -> str:
    words = french()

    def put(match: re.Match[str]) -> str:
        word = match[0]
        found = words.get(word.lower(), word)
        if found is word or word.islower():
            return found
        capitals = word.isupper() and len(word) > 1
        return found.upper() if capitals else found[0].upper() + found[1:]

    return WORD.sub(put, text)


@functools.cache
def french() -> dict[str, str]:
    """Return the glossary: the most frequent words of abstracts in English, and in French."""
    text = (
        files("shelfmark.experiments.robustness").joinpath("french.csv").read_text(encoding="utf-8")
    )
    return {row["english"]: row["french"] for row in csv.DictReader(text.splitlines())}


def share_in_french(texts: Sequence[str]) -> float:
    """Return the share of all words of some texts for which the glossary has a French one."""
    words = [word.lower() for text in texts for word in WORD.findall(text)]
    return sum(word in french() for word in words) / max(len(words), 1)


def stuffed(title: str, abstract: str, terms: Sequence[str]) -> Paper:
    """Add terms to the abstract as keywords, as one does who wants another shelf."""
    added = f"Keywords: {', '.join(terms)}." if terms else ""
    return title, f"{abstract} {added}".strip()


def stuffed_title(title: str, abstract: str, terms: Sequence[str]) -> Paper:
    """Add terms to the title too."""
    joined = ": ".join(part for part in (title, ", ".join(terms)) if part)
    return joined, stuffed(title, abstract, terms)[1]


CHANGES: dict[str, Change] = {
    "typos": typos,
    "dropped words": dropped_words,
    "shuffled sentences": shuffled_sentences,
    "upper case": upper_case,
    "TeX removed": without_tex,
    "title only": title_only,
    "abstract only": abstract_only,
    "half an abstract": half_an_abstract,
    "boilerplate": boilerplate,
    "another language": another_language,
}
# Those that need the telling terms of another class.
STUFFINGS: dict[str, Callable[[str, str, Sequence[str]], Paper]] = {
    "keyword stuffing": stuffed,
    "stuffed title": stuffed_title,
}


def chance_of(seed: int, name: str, number: int) -> random.Random:
    """Return the generator of one paper and one change: the same whatever else is changed."""
    return random.Random(f"{seed}:{name}:{number}")


def changed(name: str, papers: Sequence[Paper], seed: int) -> list[Paper]:
    """Return papers after the change of this name in `CHANGES`."""
    return [
        CHANGES[name](title, abstract, chance_of(seed, name, number))
        for number, (title, abstract) in enumerate(papers)
    ]
