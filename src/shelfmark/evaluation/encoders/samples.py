"""The papers and texts that encoders are measured on, drawn by a hash of the papers' identifiers.

The same papers come first in every order and of every pool, whatever their labels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from shelfmark.arxiv.text import Maths, join_texts
from shelfmark.core.arrays import Ints

# What is encoded of a paper: title and abstract, one of them, or a half of the abstract by words.
Part = Literal["paper", "title", "abstract", "first half", "second half"]

SALT = b"encoders:"
MOST_AUTHORS = 20  # of a paper: more are a collaboration
MOST_PAPERS = 10  # of a name in the split: more are several people


@dataclass(frozen=True)
class Sample:
    """The papers of a split.

    Args:
        table: their rows, with the columns of the splits.
        maths: what their texts do with formulas.
    """

    table: pa.Table
    maths: Maths

    @cached_property
    def order(self) -> Ints:
        """The numbers of all papers, of shape (papers,), in the order in which they are drawn."""
        digests = [hashlib.sha256(SALT + name.encode()).digest()[:8] for name in self._ids]
        order: Ints = np.argsort(np.frombuffer(b"".join(digests), dtype=">u8"), kind="stable")
        return order

    @property
    def _ids(self) -> list[str]:
        ids: list[str] = self.table["id"].to_pylist()
        return ids

    @cached_property
    def labels(self) -> list[list[str]]:
        """The label of each paper in a list, which is empty if it has none."""
        return [[label] if label is not None else [] for label in self.table["label"].to_pylist()]

    @cached_property
    def categories(self) -> list[list[str]]:
        """The categories of each paper, the primary one and the cross-lists."""
        categories: list[list[str]] = self.table["categories"].to_pylist()
        return categories

    @cached_property
    def authors(self) -> list[list[str]] | None:
        """The authors of each paper who can be told apart by their names; None if not recorded.

        Names without a spelt-out given name or with many papers are left out, and so are all of a
        paper with many authors.
        """
        if "authors" not in self.table.column_names:
            return None
        named = [
            [name for name in names or [] if _is_spelt_out(name)]
            if len(names or []) <= MOST_AUTHORS
            else []
            for names in self.table["authors"].to_pylist()
        ]
        papers = Counter(name for names in named for name in set(names))
        return [[name for name in names if papers[name] <= MOST_PAPERS] for names in named]

    @cached_property
    def with_halves(self) -> Ints:
        """The papers with a title and an abstract to halve, of shape (papers,), as drawn."""
        titles, abstracts = (self.table[name].to_pylist() for name in ("title", "abstract"))
        whole = [bool(title) and len(abstract.split(None, 2)) > 1
                 for title, abstract in zip(titles, abstracts, strict=True)]  # fmt: skip
        found: Ints = self.order[np.array(whole, dtype=bool)[self.order]]
        return found

    def texts(self, part: Part, rows: Ints) -> list[str]:
        """Return a part of some papers, as an encoder reads it."""
        if part == "paper":
            texts: list[str] = self.table["text"].take(rows).to_pylist()
            return texts
        column = "title" if part == "title" else "abstract"
        texts = self.table[column].take(rows).to_pylist()
        if part == "title":
            return [join_texts(text, "", self.maths) for text in texts]
        if part != "abstract":
            texts = [_half(text, first=part == "first half") for text in texts]
        return [join_texts("", text, self.maths) for text in texts]


def _is_spelt_out(name: str) -> bool:
    """Whether a name, such as `erdos, paul`, has more than initials."""
    given = name.partition(", ")[2].split()
    return bool(given) and len(given[0]) > 1


def _half(text: str, first: bool) -> str:
    words = text.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle] if first else words[middle:])


def membership(names: Sequence[Sequence[str]]) -> sp.csr_matrix:
    """Return which names each paper has, as 0 and 1 of shape (papers, names)."""
    columns: dict[str, int] = {}
    counts = [len(set(some)) for some in names]
    indices = [columns.setdefault(name, len(columns)) for some in names for name in sorted({*some})]
    pointers = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    ones = np.ones(len(indices), dtype=np.int32)
    return sp.csr_matrix((ones, indices, pointers), shape=(len(names), max(1, len(columns))))
