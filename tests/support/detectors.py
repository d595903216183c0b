"""A small scope detector of two labels, fitted on papers of the sample, and its papers."""

from __future__ import annotations

import functools

import pyarrow as pa

from shelfmark.data.splits import TableGroups
from shelfmark.models.scope.detector import ScopeDetector
from shelfmark.models.scope.fit import Texts, fit_detector, made_of
from tests.support.tables import rows_of_splits

OWN = ("astro-ph.GA", "cs.CL")
TRAINED, TESTED, SEED = 1500, 600, 7
BUDGET = 1 << 31


def of_labels(papers: pa.Table, own: bool) -> pa.Table:
    """Return the papers of the own labels, or those that have no category of them."""
    rows = zip(papers["label"].to_pylist(), papers["categories"].to_pylist(), strict=True)
    chosen = [label in OWN if own else not set(categories) & set(OWN) for label, categories in rows]
    return papers.filter(pa.array(chosen))


@functools.cache
def papers(own: bool, train: bool) -> pa.Table:
    """Return the papers of the own labels or of others, to train or to test on."""
    some = rows_of_splits(TRAINED + TESTED)
    return of_labels(some.slice(0, TRAINED) if train else some.slice(TRAINED), own)


def texts(own: bool) -> list[str]:
    """Return the texts of the own labels or of others to test on."""
    return list(papers(own, train=False)["text"].to_pylist())


@functools.cache
def made() -> Texts:
    """Return texts that are no abstracts to test on."""
    return made_of(rows_of_splits(TRAINED + TESTED).slice(TRAINED), 300, "keep", SEED, "test")


def fit(own: pa.Table, outside: pa.Table, classes: tuple[str, ...] = OWN) -> ScopeDetector:
    """Return a detector fitted on papers."""
    groups = TableGroups(own), TableGroups(outside)
    return fit_detector(classes, *groups, "keep", SEED, BUDGET)


@functools.cache
def detector() -> ScopeDetector:
    """Return a detector that was fitted on papers of the own labels and of others."""
    return fit(papers(own=True, train=True), papers(own=False, train=True))
