"""Texts that are no abstracts, made from real papers: what a model should not be sure about.

Each kind is a pure function of a paper, of the terms of another one, and of a generator.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shelfmark.models.scope.features import GRAMMAR_WORDS

WORD = re.compile(r"[A-Za-z][A-Za-z-]{2,}")
GRAMMAR = frozenset(GRAMMAR_WORDS.split())
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvz"
ACCENTED = dict(zip("aeiouc", "äéíöüç", strict=True))
# Letters of other alphabets: the first and the last of a range.
ALPHABETS = (
    (0x0430, 0x044F),
    (0x03B1, 0x03C9),
    (0x4E00, 0x62FF),
    (0x0627, 0x064A),
    (0x3042, 0x3093),
)
FOREIGN = "another language than English"  # a kind of texts
HOSTS = ("org", "com", "edu", "net", "de", "fr", "ac.uk")


@dataclass(frozen=True)
class Source:
    """What a text is made of.

    Args:
        title: of a paper.
        abstract: of the same paper.
        terms: words of another paper.
        rng: of this text alone.
    """

    title: str
    abstract: str
    terms: Sequence[str]
    rng: random.Random

    def words(self, least: int = 1) -> list[str]:
        """Return the words of the paper that are none of grammar, at least so many."""
        found = [word for word in WORD.findall(f"{self.title} {self.abstract}")
                 if word.lower() not in GRAMMAR]  # fmt: skip
        return found * -(-least // len(found)) if found else ["paper"] * least

    def pick(self, most: int) -> list[str]:
        """Return up to so many different terms of the paper, some of two words."""
        words = self.words(2)
        places = sorted(range(len(words) - 1), key=lambda _: self.rng.random())[:most]
        return [" ".join(words[place : place + 1 + (self.rng.random() < 0.4)]) for place in places]

    def between(self, least: int, most: int) -> int:
        """Return a random whole number, the bounds included."""
        return least + int(self.rng.random() * (most - least + 1))

    def choose(self, options: Sequence[str]) -> str:
        """Return one of some texts."""
        return options[int(self.rng.random() * len(options))]


def make_address(source: Source) -> str:
    """Make addresses of pages, of mail and of people, one or several."""
    words = [word.lower() for word in source.words(6)]

    def address() -> str:
        one, two, three = (source.choose(words) for _ in range(3))
        number, host = source.between(1, 9999), source.choose(HOSTS)
        return source.choose((
            f"https://arxiv.org/abs/{number % 20 + 7:02}{number % 12 + 1:02}.{number:05}",
            f"http://www.{one}-{two}.{host}/{three}/{number}.html",
            f"https://{one}.{host}/{two}/{three}?id={number}",
            f"www.{one}{two}.{host}",
            f"{one}.{two}@{three}.{host}",
            f"doi:10.{number}/{one}.{number}",
            f"/home/{one}/{two}/{three}_{number}.pdf",
            f"Department of {one.title()} and {two.title()}, University of {three.title()}, "
            f"{number} {one.title()} Street, {two.title()} {number}",
            f"Institute for {one.title()} {two.title()}, {number} {three.title()}, "
            f"Tel. +{number % 90 + 10} {number} {number}",
        ))  # fmt: skip

    return source.choose((" ", "\n", ", ")).join(address() for _ in range(source.between(1, 6)))


def make_list(source: Source) -> str:
    """Make a list of terms, of titles, or of references."""
    terms = source.pick(source.between(4, 40))
    style = source.between(0, 4)
    if style == 0:
        return source.choose((", ", "; ", " | ", " / ", " - ")).join(terms)
    if style == 1:
        return " ".join(f"{number}. {term}" for number, term in enumerate(terms, 1))
    if style == 2:
        return " ".join(f"- {term}" for term in terms)
    if style == 3:
        return "Keywords: " + ", ".join(terms) + "."

    def reference(number: int) -> str:
        one, two = (source.choose(source.words(2)).title() for _ in range(2))
        year, page = source.between(1970, 2020), source.between(1, 900)
        return (
            f"[{number}] {one[0]}. {one} and {two[0]}. {two}, {' '.join(source.pick(4))}, "
            f"J. {one} {page % 90} ({year}) {page}-{page + 9}."
        )

    return " ".join(reference(number) for number in range(1, source.between(3, 9)))


def make_code(source: Source) -> str:
    """Make code or data with the words of the paper as names."""
    names = [word.lower().replace("-", "_") for word in source.words(8)]
    some = [source.choose(names) for _ in range(8)]
    numbers = [source.between(0, 999) for _ in range(4)]
    lines = (
        f"def {some[0]}_{some[1]}({some[2]}, {some[3]}={numbers[0]}): return {some[2]}.{some[4]}"
        f"[{numbers[1]}] + {some[3]} * {numbers[2]}",
        f"import {some[0]} as {some[1]}; {some[2]} = {some[1]}.{some[3]}(x, y=[{numbers[0]}, "
        f"{numbers[1]}]); print({some[2]})",
        f"for (int i = 0; i < {numbers[0]}; i++) {{ {some[0]}[i] = {some[1]}({some[2]}->{some[3]}, "
        f"{numbers[1]}); }}",
        f'{{"{some[0]}": "{some[1]} {some[2]}", "{some[3]}": {numbers[0]}, "{some[4]}": '
        f'["{some[5]}", "{some[6]}"]}}',
        f"@article{{{some[0]}{numbers[0]}, title={{{source.title}}}, author={{{some[1].title()}, "
        f"{some[2].title()}}}, year={{20{numbers[1] % 20:02}}}}}",
        f'<div class="{some[0]}"><a href="/{some[1]}/{some[2]}.html">{some[3]} {some[4]}</a></div>',
        rf"\begin{{{some[0]}}} \label{{{some[1]}}} \frac{{{some[2]}}}{{{numbers[0]}}} = "
        rf"\sum_{{i={numbers[1]}}}^n {some[3]}_i \end{{{some[0]}}}",
        f"CREATE TABLE {some[0]} ({some[1]} INTEGER, {some[2]} VARCHAR({numbers[0]}), {some[3]});",
        f"$ {some[0]} --{some[1]}={numbers[0]} --{some[2]} {some[3]}.{some[4]} > {some[5]}.log",
    )
    return " ".join(source.choose(lines) for _ in range(source.between(1, 6)))


def make_stuffed(source: Source) -> str:
    """Stuff a paper with the terms of another one, or repeat its own terms."""
    rng, terms = source.rng, list(source.terms) or source.pick(8)
    added = ", ".join(terms[: source.between(5, 16)])
    style = source.between(0, 4)
    if style <= 1:
        stuffed = (
            f"{source.abstract} {source.choose(('Keywords', 'Key words', 'Index terms'))}: {added}."
        )
        return f"{source.title}: {added}\n{stuffed}" if style else f"{source.title}\n{stuffed}"
    if style == 2:
        return f"{source.title}: {added}\n{source.abstract}"
    if style == 3:
        where = int(rng.random() * (len(source.abstract) + 1))
        where = source.abstract.find(" ", where)
        return f"{source.title}\n{source.abstract[:where]} {added} {source.abstract[where:]}"
    few = source.pick(source.between(1, 5)) or terms
    return " ".join(source.choose(few) for _ in range(source.between(10, 120)))


def make_foreign(source: Source) -> str:
    """Make a text whose words of grammar, and some or all others, are of no English."""
    rng = source.rng
    if rng.random() < 0.2:
        first, last = ALPHABETS[int(rng.random() * len(ALPHABETS))]
        letters = [chr(source.between(first, last)) for _ in range(source.between(40, 600))]
        for place in range(source.between(3, 9), len(letters), source.between(3, 9)):
            letters[place] = " "
        return "".join(letters)
    share, table = rng.random(), dict[str, str]()
    accents = rng.random() < 0.5

    def foreign(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word not in table:
            made = _invent(rng, len(word), accents)
            table[word] = made if word in GRAMMAR or rng.random() < share else match[0]
        return table[word]

    return re.sub(r"[A-Za-z]+", foreign, f"{source.title}\n{source.abstract}")


def _invent(rng: random.Random, length: int, accents: bool) -> str:
    """Return a word that can be spoken, of about a length."""
    letters = []
    for place in range(max(2, length)):
        among = VOWELS if (place + length) % 2 else CONSONANTS
        letter = among[int(rng.random() * len(among))]
        accented = accents and rng.random() < 0.2
        letters.append(ACCENTED.get(letter, letter) if accented else letter)
    return "".join(letters)


def make_salad(source: Source) -> str:
    """Make words without sentences: shuffled, without words of grammar, or of random letters."""
    rng, style = source.rng, source.between(0, 3)
    words = f"{source.title} {source.abstract}".split()
    if style == 0:
        return " ".join(sorted(words, key=lambda _: rng.random()))
    if style == 1:
        return " ".join(source.words(4))
    if style == 2:
        mixed = [*words, *source.terms]
        return " ".join(source.choose(mixed) for _ in range(source.between(10, 200)))
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = ["".join(source.choose(letters) for _ in range(source.between(2, 9)))
            for _ in range(source.between(1, 60))]  # fmt: skip
    return " ".join(made)


# What a reader would call such a text, and how it is made.
MADE: dict[str, Callable[[Source], str]] = {
    "an address": make_address,
    "a list": make_list,
    "code or data": make_code,
    "a text stuffed with keywords": make_stuffed,
    FOREIGN: make_foreign,
    "words without sentences": make_salad,
}


def make_texts(papers: Sequence[tuple[str, str]], seed: int, salt: str) -> list[tuple[str, str]]:
    """Return texts of all kinds in turn, each with its kind, made from papers in their order.

    Args:
        papers: title and abstract of each.
        seed: of all texts.
        salt: tells apart texts made from the same papers.
    """
    kinds = list(MADE)
    made = []
    for number, (title, abstract) in enumerate(papers):
        kind = kinds[number % len(kinds)]
        rng = random.Random(f"{seed}:{salt}:{number}")
        other = papers[(number + 1 + int(rng.random() * len(papers))) % len(papers)]
        terms = Source(*other, (), rng).pick(16)
        made.append((kind, MADE[kind](Source(title, abstract, terms, rng))))
    return made
