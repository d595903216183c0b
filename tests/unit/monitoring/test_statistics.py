"""The classifier of old and new: it knows a shift, and no more of a draw than chance does."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.stats import binom, mannwhitneyu

from shelfmark.data.sources import sample
from shelfmark.monitoring import fingerprint, statistics
from shelfmark.monitoring.fingerprint import Sketcher

SKETCHER = Sketcher({"strip_accents": None, "stop_words": None})


def rows(count: int) -> sp.csr_matrix:
    return fingerprint.fold(
        SKETCHER.transform([one.abstract for _, one in sample.records(None, count)])
    )


def test_without_drift_p_values_are_as_small_as_they_say() -> None:
    papers, draws = rows(1200), 60
    p = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(1200)
        p.append(
            statistics.two_sample_classifier(
                papers[order[:150]], papers[order[150:250]], 500, seed
            ).p
        )
    for level in (0.05, 0.2):
        assert np.sum(np.array(p) <= level) <= binom.ppf(0.999, draws, level)
    assert 0.3 < np.mean(p) < 0.7


def test_a_word_that_comes_is_seen_and_pulls_most() -> None:
    papers = rows(400).tolil()
    strange = next(x for x in range(fingerprint.NARROW) if papers[:, x].nnz == 0)
    papers[200:320, strange] = 1
    found = statistics.two_sample_classifier(papers.tocsr()[:200], papers.tocsr()[200:], 500)
    assert found.auc > 0.7
    assert found.p < 1e-6
    assert found.contribution.argmax() == strange
    with_word = found.new_scores[:120].mean()
    assert with_word > found.new_scores[120:].mean()


def test_no_more_papers_are_read_than_asked_for() -> None:
    papers = rows(300)
    found = statistics.two_sample_classifier(papers[:200], papers[200:], 60)
    assert (len(found.old), len(found.new), len(found.new_scores)) == (60, 60, 60)
    assert sorted(set(found.old.tolist())) == found.old.tolist()


def test_the_rank_test_is_that_of_mann_and_whitney() -> None:
    chance = np.random.default_rng(0)
    old, new = chance.normal(size=80), chance.normal(0.3, size=50)
    auc, p = statistics.rank_test(old, new)
    wanted = mannwhitneyu(new, old, alternative="greater", method="asymptotic",
                          use_continuity=False)  # fmt: skip
    assert auc == wanted.statistic / 4000
    assert abs(p - wanted.pvalue) < 1e-12
