"""Find the n-grams of a vocabulary in a stream of tokens, as `ngrams` has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shelfmark.core.arrays import Ints, SmallInts
from shelfmark.tfidf.ngrams import changes, hashed, indptr


class _Finder:
    """Where integers are in `keys`, sorted and distinct."""

    def __init__(self, keys: Ints) -> None:
        self.keys = keys
        self.bits = max(len(keys).bit_length() + 1, 4)
        home = hashed(keys, self.bits)
        self.slots = np.zeros(1 << self.bits, np.int32)
        number = np.arange(len(keys), dtype=np.int32)
        self.slots[home] = number
        self.shared = np.zeros(1 << self.bits, np.bool_)
        self.shared[home[self.slots[home] != number]] = True

    def __call__(self, query: Ints) -> tuple[NDArray[np.intp], SmallInts]:
        """Which elements of `query` are keys, and which key each of them is."""
        home = hashed(query, self.bits)
        at = self.slots[home]
        found = self.keys[at] == query
        rest = np.flatnonzero(~found & self.shared[home])
        at[rest] = np.minimum(np.searchsorted(self.keys, query[rest]), len(self.keys) - 1)
        found[rest] = self.keys[at[rest]] == query[rest]
        hit = np.flatnonzero(found)
        return hit, at[hit]


@dataclass(frozen=True)
class Terms:
    """The terms of a vocabulary as numbers.

    `ranks` numbers their words from 1. `grams` has a row for each term: the ranks of
    its words, then zeros; `columns` has its column.
    """

    ranks: Mapping[str, int]
    grams: SmallInts
    columns: SmallInts

    @classmethod
    def of(cls, vocabulary: Mapping[str, int], n_max: int) -> Terms:
        """Take strings to pieces; with `n_max` 1 each is a word."""
        words, sizes = list(vocabulary), np.ones(len(vocabulary), np.intp)
        if n_max > 1:
            sizes += [term.count(" ") for term in words]
            words = " ".join(words).split(" ")
        # The vocabulary's own strings, where it has them, so that no piece of a term stays.
        alone = (term for term, size in zip(vocabulary, sizes.tolist(), strict=True) if size == 1)
        distinct = dict.fromkeys(chain(alone, words))
        ranks = dict(zip(distinct, range(1, len(distinct) + 1), strict=True))
        grams = np.zeros((len(sizes), int(sizes.max(initial=n_max))), np.int32)
        places = np.arange(grams.shape[1]) < sizes[:, None]
        grams[places] = np.fromiter(map(ranks.__getitem__, words), np.int32, len(words))
        return cls(ranks, grams, np.fromiter(vocabulary.values(), np.int32, len(sizes)))


class Trie:
    """The n-grams of a vocabulary, to be found in streams of tokens.

    Terms of fewer than `n_min` or more than `n_max` words are never met.
    """

    def __init__(self, terms: Terms, n_min: int, n_max: int) -> None:
        self.ranks = terms.ranks
        sizes = np.count_nonzero(terms.grams, axis=1)
        kept = (sizes >= n_min) & (sizes <= n_max)
        grams, sizes, columns = terms.grams[kept], sizes[kept], terms.columns[kept]
        self.bits = len(self.ranks).bit_length()
        self.n_terms = len(terms.columns)
        self.column_bits = self.n_terms.bit_length()
        node = grams[:, 0]
        self.columns = [_by_node(node, sizes == 1, columns, len(self.ranks) + 1)]
        self.finders = []
        for n in range(2, n_max + 1):
            longer = sizes >= n
            grams, sizes, columns = grams[longer], sizes[longer], columns[longer]
            node = node[longer]
            if not len(node):
                break
            key = node.astype(np.int64) << self.bits | grams[:, n - 1]
            keys, node = np.unique(key, return_inverse=True)
            self.finders.append(_Finder(keys))
            self.columns.append(_by_node(node, sizes == n, columns, len(keys)))

    def find(self, tokens: SmallInts, documents: SmallInts, n_documents: int) -> sp.csr_array:
        """Counts of the terms, int32 CSR (n_documents, n_terms), canonical.

        `tokens` are `ranks`, 0 for other words, and end with a zero.
        """
        position = np.flatnonzero(tokens)
        node: SmallInts = tokens[position]
        pairs = [self._pairs(0, node, documents[position])]
        for n, finder in enumerate(self.finders, 1):
            follower = tokens[position + n]
            joined = np.flatnonzero(follower)
            query = node[joined].astype(np.int64) << self.bits | follower[joined]
            hit, node = finder(query)
            position = position[joined[hit]]
            pairs.append(self._pairs(n, node, documents[position]))
        ordered = np.sort(np.concatenate(pairs))
        first = np.flatnonzero(changes(ordered))
        counts = np.diff(first, append=len(ordered)).astype(np.int32)
        ordered = ordered[first]
        columns = (ordered & ((1 << self.column_bits) - 1)).astype(np.int32)
        rows = np.bincount(ordered >> self.column_bits, minlength=n_documents)
        shape = (n_documents, self.n_terms)
        return sp.csr_array((counts, columns, indptr(rows)), shape=shape)

    def _pairs(self, level: int, node: SmallInts, rows: SmallInts) -> Ints:
        """Row and column, in one integer, of the nodes that are terms."""
        column = self.columns[level][node]
        term = np.flatnonzero(column >= 0)
        pairs: Ints = rows[term].astype(np.int64) << self.column_bits | column[term]
        return pairs


def _by_node(
    node: NDArray[Any], ends: NDArray[np.bool_], columns: SmallInts, size: int
) -> SmallInts:
    """The column of each node, -1 where no term ends."""
    table = np.full(size, -1, np.int32)
    table[node[ends]] = columns[ends]
    return table
