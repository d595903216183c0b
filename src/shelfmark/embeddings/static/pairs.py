"""The pairs of texts that a static encoder learns from, as counts of their terms."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp

from shelfmark.config.encoders import StaticConfig
from shelfmark.core.arrays import Floats, Ints
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

if TYPE_CHECKING:
    import pyarrow as pa

MOST_OF_GROUP = 30  # papers that share an author or a set of categories: more say little
MIN_PAPERS = 50  # of a category, primary or not, from which on it has a centre
FEWEST_STEPS = 16  # of a kind of pairs in an epoch: few papers make small batches
PAPERS_AT_ONCE = 16_384  # whose texts are Python strings while their terms are counted
PRIMARY = 2  # weight of the primary category beside 1 for each cross-list


class Batch(NamedTuple):
    """Some pairs: the counts of their terms, CSR of shape (pairs, terms), and their papers."""

    left: sp.csr_matrix
    right: sp.csr_matrix
    papers: tuple[Ints, Ints]


@dataclass
class Papers:
    """The training papers, and the counts of their terms.

    Args:
        table: with the columns title, abstract, text and categories, and perhaps authors.
        vectorizer: counts the terms.
    """

    table: pa.Table
    vectorizer: FastTfidfVectorizer

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def titles(self) -> sp.csr_matrix:
        """The terms of the titles, shape (papers, terms)."""
        return self._count("title")

    @cached_property
    def abstracts(self) -> sp.csr_matrix:
        """The terms of the abstracts, shape (papers, terms)."""
        return self._count("abstract")

    @cached_property
    def texts(self) -> sp.csr_matrix:
        """The terms of title and abstract, shape (papers, terms)."""
        return self._count("text")

    @cached_property
    def halves(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """The terms of the halves of the abstracts, each of shape (papers, terms)."""
        return self._count("abstract", first_half), self._count("abstract", second_half)

    def _count(self, column: str, cut: Callable[[str], str] | None = None) -> sp.csr_matrix:
        """Count the terms of a column, some papers at a time, or of what is cut out of each."""
        parts = []
        for batch in self.table.select([column]).to_batches(max_chunksize=PAPERS_AT_ONCE):
            texts = batch[column].to_pylist()
            parts.append(self.vectorizer.transform([cut(text) for text in texts] if cut else texts))
        return sp.csr_matrix(sp.vstack(parts))

    @cached_property
    def author_groups(self) -> list[Ints]:
        """The papers of each author; none where the table names no authors."""
        if "authors" not in self.table.schema.names:
            return []
        return _group(self.table["authors"].to_pylist())

    @cached_property
    def category_groups(self) -> list[Ints]:
        """The papers of each set of several categories."""
        sets = (sorted(names) for names in self.table["categories"].to_pylist())
        return _group([[" ".join(names)] if len(names) > 1 else [] for names in sets])

    @cached_property
    def primaries(self) -> Ints:
        """The number of each paper's primary category."""
        lists = self.table["categories"].to_pylist()
        return np.unique([names[0] for names in lists], return_inverse=True)[1]

    @cached_property
    def categories(self) -> sp.csr_matrix:
        """The share of each category in each paper, float32 of shape (papers, categories)."""
        lists = self.table["categories"].to_pylist()
        counts = Counter(itertools.chain(*lists))
        known = sorted(name for name, papers in counts.items() if papers >= MIN_PAPERS)
        place = {name: column for column, name in enumerate(known)}
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, names in enumerate(lists):
            weights = {place[name]: PRIMARY if i == 0 else 1
                       for i, name in enumerate(names) if name in place}  # fmt: skip
            rows += [row] * len(weights)
            columns += [*weights]
            values += [weight / sum(weights.values()) for weight in weights.values()]
        shape = (len(lists), len(known))
        return sp.csr_matrix((np.array(values, np.float32), (rows, columns)), shape)


def first_half(text: str) -> str:
    """Return the first half of the words of a text, with the middle one."""
    words = text.split(" ")
    return " ".join(words[: (len(words) + 1) // 2])


def second_half(text: str) -> str:
    """Return the words of a text that its first half lacks."""
    words = text.split(" ")
    return " ".join(words[(len(words) + 1) // 2 :])


def _group(names: Iterable[Sequence[str]]) -> list[Ints]:
    """Return the rows that share a name, for names of two rows to `MOST_OF_GROUP`."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, own in enumerate(names):
        for name in own:
            rows[name].append(row)
    return [np.array(group) for group in rows.values() if 1 < len(group) <= MOST_OF_GROUP]


def draw_batches(
    papers: Papers, config: StaticConfig, rng: np.random.Generator
) -> list[Callable[[], Batch]]:
    """Return what makes the batches of an epoch, in a random order, each of one kind of pairs.

    A weight of 1 is as many pairs as there are papers. A batch has at most a sixteenth of the pairs
    of its kind; a rest that fills no batch is left out.
    """
    drawn: list[Callable[[], Batch]] = []
    for make, (left, right) in _draw_kinds(papers, config, rng):
        size = min(config.batch, max(len(left) // FEWEST_STEPS, 2))
        for begin in range(0, len(left) - size + 1, size):
            part = slice(begin, begin + size)
            drawn.append(partial(make, left[part], right[part]))
    return [drawn[place] for place in rng.permutation(len(drawn))]


def _draw_kinds(
    papers: Papers, config: StaticConfig, rng: np.random.Generator
) -> Iterator[tuple[Callable[[Ints, Ints], Batch], tuple[Ints, Ints]]]:
    """Yield for each kind of pairs how a batch is made, and the papers of its pairs."""
    wanted = {kind: round(weight * len(papers)) for kind, weight in vars(config.pairs).items()}

    def whole(a: Ints, b: Ints) -> Batch:
        return Batch(papers.texts[a], papers.texts[b], (a, b))

    if count := wanted["title_abstract"]:
        rows = _repeat(papers.primaries, count, config.neighbours, rng)
        yield lambda a, b: Batch(papers.titles[a], papers.abstracts[b], (a, b)), (rows, rows)
    if count := wanted["halves"]:
        rows = _repeat(papers.primaries, count, config.neighbours, rng)
        yield lambda a, b: Batch(papers.halves[0][a], papers.halves[1][b], (a, b)), (rows, rows)
    if count := wanted["authors"]:
        yield whole, _draw_partners(papers.author_groups, count, rng)
    if count := wanted["cross_lists"]:
        yield whole, _draw_partners(papers.category_groups, count, rng)


def _repeat(primaries: Ints, wanted: int, neighbours: int, rng: np.random.Generator) -> Ints:
    """Return all papers in a random order, over and over, `neighbours` of one category together."""
    orders = []
    for _ in range(-(-wanted // max(len(primaries), 1))):
        order = rng.permutation(len(primaries))
        if neighbours > 1:
            order = order[np.argsort(primaries[order], kind="stable")]
            groups = np.array_split(order, np.arange(neighbours, len(order), neighbours))
            order = np.concatenate([groups[place] for place in rng.permutation(len(groups))])
        orders.append(order)
    return np.concatenate([np.empty(0, np.int64), *orders])[:wanted]


def _draw_partners(groups: list[Ints], wanted: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return pairs of different papers, each of a random group."""
    if not groups:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    sizes = np.array([len(group) for group in groups])
    chosen = rng.integers(len(groups), size=wanted)
    first = rng.integers(sizes[chosen])
    second = (first + 1 + rng.integers(sizes[chosen] - 1)) % sizes[chosen]
    starts = np.cumsum(sizes) - sizes
    rows = np.concatenate(groups)
    return rows[starts[chosen] + first], rows[starts[chosen] + second]


def drop_terms(counts: sp.csr_matrix, share: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Return counts without a random share of their entries, of the same shape (texts, terms)."""
    kept = rng.random(counts.nnz, np.float32) >= share
    return sp.csr_matrix((counts.data * kept, counts.indices, counts.indptr), counts.shape)


def dense_rows(shares: sp.csr_matrix, rows: Ints) -> Floats:
    """Return some rows of a sparse matrix as an array."""
    return np.asarray(shares[rows].toarray(), np.float32)
