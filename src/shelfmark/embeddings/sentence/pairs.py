"""Pairs of texts that belong together, made from papers: what contrastive training learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shelfmark.arxiv.text import Maths, join_texts
from shelfmark.core.arrays import Ints

ANCHOR, POSITIVE, LABEL = "anchor", "positive", "label"
MOST_OF_SET = 50  # papers with the same categories, above which the set says too little
FEWEST_WORDS = 20  # of an abstract that is divided

# Row numbers of two papers each, of shape (pairs, 2).
Rows = Ints


@dataclass(frozen=True)
class Papers:
    """The papers that pairs are made from, as columns of equal length.

    Args:
        titles: cleaned, empty where a paper has none.
        abstracts: cleaned, empty where a paper has none.
        labels: None where a paper has none.
        categories: all categories of each paper.
        maths: what happens to formulas.
    """

    titles: list[str]
    abstracts: list[str]
    labels: list[str | None]
    categories: list[list[str]]
    maths: Maths

    @classmethod
    def from_table(cls, table: pa.Table, maths: Maths) -> Papers:
        """Return the papers of a split."""
        names = ("title", "abstract", "label", "categories")
        titles, abstracts, labels, categories = (table[name].to_pylist() for name in names)
        texts = [[text or "" for text in column] for column in (titles, abstracts)]
        return cls(texts[0], texts[1], labels, [names or [] for names in categories], maths)

    def text(self, row: int) -> str:
        """Return title and abstract of a paper as an encoder reads them."""
        return join_texts(self.titles[row], self.abstracts[row], self.maths)

    def title(self, row: int) -> str:
        """Return the title of a paper as an encoder reads it."""
        return join_texts(self.titles[row], "", self.maths)

    def abstract(self, row: int) -> str:
        """Return the abstract of a paper as an encoder reads it."""
        return join_texts("", self.abstracts[row], self.maths)

    def halves(self, row: int) -> tuple[str, str]:
        """Return the two halves of an abstract by its words; the first has the odd word."""
        words = self.abstract(row).split()
        middle = (len(words) + 1) // 2
        return " ".join(words[:middle]), " ".join(words[middle:])


def make_pairs(
    papers: Papers, shares: Mapping[str, float], seed: int, negatives: bool
) -> dict[str, pa.Table]:
    """Return a table of pairs for each kind that has a share, with the columns anchor and positive.

    Args:
        papers: that the pairs are made from.
        shares: for each kind in `KINDS`, the share of the papers that give such a pair.
        seed: of the choice.
        negatives: whether each pair is followed by one whose texts do not belong together, told
            apart by the column label, 1 or 0.
    """
    tables = {}
    for number, (kind, make_rows) in enumerate(KINDS.items()):
        if not shares.get(kind):
            continue
        random = np.random.default_rng([seed, number])
        rows = make_rows(papers, random)
        rows = rows[random.permutation(len(rows))][: round(len(rows) * shares[kind])]
        if len(rows):
            pairs = list(_texts_of(papers, kind, rows))
            tables[kind] = _with_negatives(papers, pairs, rows) if negatives else _table(pairs)
    return tables


def _texts_of(papers: Papers, kind: str, rows: Rows) -> Iterator[tuple[str, str]]:
    """Yield the two texts of each pair."""
    for first, second in rows.tolist():
        if kind == "title_abstract":
            yield papers.title(first), papers.abstract(first)
        elif kind == "halves":
            yield papers.halves(first)
        elif kind == "category":
            yield papers.abstract(first), papers.abstract(second)
        else:
            yield papers.text(first), papers.text(second)


def _table(pairs: list[tuple[str, str]], labels: list[int] | None = None) -> pa.Table:
    columns: dict[str, pa.Array] = {
        ANCHOR: pa.array([pair[0] for pair in pairs], pa.large_string()),
        POSITIVE: pa.array([pair[1] for pair in pairs], pa.large_string()),
    }
    if labels is not None:
        columns[LABEL] = pa.array(labels, pa.int64())
    return pa.table(columns)


def _with_negatives(papers: Papers, pairs: list[tuple[str, str]], rows: Rows) -> pa.Table:
    """Return pairs, and for each its anchor with the second text of another pair.

    A pair of two papers has none where the other paper has the category of the anchor's.
    """
    both, labels = [], []
    for number, (anchor, positive) in enumerate(pairs):
        both.append((anchor, positive))
        labels.append(1)
        first, second = rows[number].tolist()
        other = int(rows[number - 1][1])
        if first != other and (first == second or papers.labels[first] != papers.labels[other]):
            both.append((anchor, pairs[number - 1][1]))
            labels.append(0)
    return _table(both, labels)


def _same_paper(papers: Papers, wanted: Callable[[int], bool]) -> Rows:
    rows = np.array([row for row in range(len(papers.titles)) if wanted(row)], dtype=np.int64)
    return np.stack([rows, rows], axis=1)


def _titles(papers: Papers, random: np.random.Generator) -> Rows:
    """Papers with a title and an abstract."""
    return _same_paper(papers, lambda row: bool(papers.titles[row] and papers.abstracts[row]))


def _halves(papers: Papers, random: np.random.Generator) -> Rows:
    """Papers whose abstract is long enough to be divided."""
    return _same_paper(papers, lambda row: len(papers.abstracts[row].split()) >= FEWEST_WORDS)


def _category(papers: Papers, random: np.random.Generator) -> Rows:
    """Two papers of one category, as many pairs of each category (the earlier project's pairs)."""
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(papers.labels):
        if label is not None and papers.abstracts[row]:
            groups.setdefault(label, []).append(row)
    several = [rows for _, rows in sorted(groups.items()) if len(rows) > 1]
    if not several:
        return np.empty((0, 2), dtype=np.int64)
    each = sum(map(len, several)) // len(several)
    return np.concatenate([_draw_two(np.array(rows), each, random) for rows in several])


def _draw_two(rows: Ints, count: int, random: np.random.Generator) -> Rows:
    """Draw pairs of two different rows."""
    first = random.integers(len(rows), size=count)
    second = (first + random.integers(1, len(rows), size=count)) % len(rows)
    return np.stack([rows[first], rows[second]], axis=1)


def _cross_lists(papers: Papers, random: np.random.Generator) -> Rows:
    """Two papers with the same several categories, where few papers have just these."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, names in enumerate(papers.categories):
        if len(names) > 1:
            groups.setdefault(tuple(sorted(names)), []).append(row)
    pairs = []
    for _, rows in sorted(groups.items()):
        if len(rows) <= MOST_OF_SET:
            shuffled = random.permutation(rows)
            even = len(rows) // 2 * 2
            pairs.append(shuffled[:even].reshape(-1, 2))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=np.int64)


# The kinds of pairs, from the most to the least trusted, and how the rows of their papers are made.
KINDS: dict[str, Callable[[Papers, np.random.Generator], Rows]] = {
    "title_abstract": _titles,
    "halves": _halves,
    "cross_lists": _cross_lists,
    "category": _category,
}
