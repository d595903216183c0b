"""The comparison of a window with a reference: tests, their correction, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from shelfmark.config.schema import DriftConfig
from shelfmark.core.arrays import Floats
from shelfmark.evaluation import metrics
from shelfmark.monitoring import fingerprint, statistics
from shelfmark.monitoring.records import (
    DRIFT,
    NO_DRIFT,
    TOO_LITTLE,
    DriftTest,
    Verdict,
    WindowPart,
)
from shelfmark.monitoring.reference import Reference, mean_tfidf
from shelfmark.monitoring.statistics import ClassifierTest
from shelfmark.monitoring.vectors import VectorSamples
from shelfmark.monitoring.windows import Window

NUMBERS = {"confidence": "confidence", "words": "length in words", "unknown": "unknown words"}
SHARES = {
    "predicted": "predicted categories", "language": "languages", "scope": "scopes",
    "verdict": "verdicts", "label": "true categories",
}  # fmt: skip
MOST_PARTS = 10  # of a window's time
PAPERS_A_PART = 50  # on average
LEAST_PAPERS = 20  # of a part that is compared
PART_LEVEL = 0.01  # p-value of a part that moved

# Of a reference and a window: the p-value and the effect.
Measure = Callable[[Any, Any], tuple[float, float]]


@dataclass
class Comparison:
    """The result of all tests of one window.

    Args:
        verdict: drift, no drift, or too little data.
        tests: the result of each test.
        classifier: what the classifier of old and new papers learnt; None with too little data.
        mean_tfidf_turned: 1 minus the cosine between the mean TF-IDF vectors; None without words.
    """

    verdict: Verdict
    tests: list[DriftTest]
    classifier: ClassifierTest | None
    mean_tfidf_turned: float | None

    @property
    def alarms(self) -> list[DriftTest]:
        """The tests that found drift."""
        return [test for test in self.tests if test.status == DRIFT]


def compare(
    reference: Reference,
    window: Window,
    limits: DriftConfig,
    vectors: VectorSamples | None = None,
) -> Comparison:
    """Compare a window with a reference by every test there is data for.

    The probability of at least one false alarm, over all tests, is at most `limits.level`
    (Holm 1979).

    Args:
        reference: the papers compared with.
        window: the papers compared.
        limits: what counts as drift.
        vectors: those of both sides, if they are compared too.
    """
    old, new = reference.rows, window.rows
    classifier, text = _compare_texts(reference, window, limits)
    tests = [
        *(_compare_numbers(name, old, new, limits) for name in NUMBERS),
        *(_compare_shares(name, old, new, limits) for name in SHARES),
        _compare_accuracy(old, new, limits),
        _compare_calibration(old, new, limits),
        text,
    ]
    if vectors is not None:
        tests.append(_compare_vectors(vectors, window, limits))
    adjust_p_values(tests)
    for test in tests:
        _judge(test, limits.level)
    turned = None
    if window.terms is not None and window.terms.shape[0]:
        turned = _cosine_distance(reference.mean, mean_tfidf(window.terms))
    return Comparison(_verdict(tests, len(old), len(new), limits), tests, classifier, turned)


def adjust_p_values(tests: list[DriftTest]) -> None:
    """Correct the p-values of tests for their number, by Holm's step-down method."""
    tested = sorted((test for test in tests if test.p is not None), key=lambda test: test.p or 0.0)
    highest = 0.0
    for rank, test in enumerate(tested):
        assert test.p is not None
        highest = max(highest, min(1.0, test.p * (len(tested) - rank)))
        test.adjusted = highest


def _judge(test: DriftTest, level: float) -> None:
    """Set the status of a test that had data enough, and the start of its change."""
    if test.adjusted is not None and test.effect is not None:
        alarm = test.adjusted <= level and test.effect >= test.threshold
        test.status = DRIFT if alarm else NO_DRIFT
        test.since = _since(test.parts) if alarm else None


def _verdict(tests: list[DriftTest], old: int, new: int, limits: DriftConfig) -> Verdict:
    states = {test.status for test in tests}
    if DRIFT in states:
        return DRIFT
    enough = min(old, new) >= limits.min_papers
    return NO_DRIFT if enough and NO_DRIFT in states else TOO_LITTLE


def _compare_numbers(
    name: str, old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig
) -> DriftTest:
    unit = "words" if name == "words" else "share"
    test = DriftTest(test=name, title=NUMBERS[name], unit=unit, threshold=limits.numbers)
    before, after = old[name].dropna(), new[[name, "time"]].dropna(subset=name)
    return _measure(test, before, after[name], after["time"], limits, statistics.compare_numbers)


def _compare_shares(
    name: str, old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig
) -> DriftTest:
    test = DriftTest(test=name, title=SHARES[name], threshold=limits.shares)
    before, after = old[name].dropna(), new[[name, "time"]].dropna(subset=name)
    return _measure(test, before, after[name], after["time"], limits, statistics.compare_shares)


def _compare_accuracy(old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig) -> DriftTest:
    test = DriftTest(test="accuracy", title="accuracy", unit="share", threshold=limits.accuracy)
    (_, before), (known, after) = _hits(old), _hits(new)
    return _measure(test, before, after, known["time"], limits, _proportions)


def _compare_calibration(old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig) -> DriftTest:
    """Compare how much more confident than right the model is."""
    test = DriftTest(test="calibration", title="confidence minus accuracy", unit="points",
                     threshold=limits.calibration)  # fmt: skip
    before, after = (known["confidence"] - hits for known, hits in (_hits(old), _hits(new)))
    return _measure(test, before, after, _hits(new)[0]["time"], limits, _means)


def _hits(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return the rows with a true label, and 1 for each right answer."""
    known = rows[rows["label"].notna()]
    return known, (known["label"] == known["predicted"]).astype(float)


def _measure(
    test: DriftTest,
    old: pd.Series[Any],
    new: pd.Series[Any],
    moments: pd.Series[float],
    limits: DriftConfig,
    measure: Measure,
) -> DriftTest:
    """Fill in the result of a test, of all papers and of each part of the window's time."""
    test.papers = len(new)
    if not len(old) or not len(new):
        return test
    if min(len(old), len(new)) < limits.min_papers:
        test.status = TOO_LITTLE
        return test
    test.p, test.effect = measure(old, new)
    if test.unit:
        test.old, test.new = float(old.mean()), float(new.mean())
    test.parts = _compare_parts(test, old, new, moments, measure)
    return test


def _proportions(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of the chi-square test, and the distance of the proportions."""
    p, _ = statistics.compare_shares(old.astype(str), new.astype(str))
    return p, abs(float(new.mean() - old.mean()))


def _means(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of Welch's test, for samples large enough for the normal's tail."""
    apart = abs(float(new.mean() - old.mean()))
    deviation = float(np.sqrt(old.var() / len(old) + new.var() / len(new)))
    return float(2 * norm.sf(apart / deviation)) if deviation else float(not apart), apart


def _compare_texts(
    reference: Reference, window: Window, limits: DriftConfig
) -> tuple[ClassifierTest | None, DriftTest]:
    test = DriftTest(test="text", title="words of the texts", unit="AUC", threshold=limits.text)
    if window.terms is None or not window.terms.shape[0]:
        return None, test
    test.papers = window.terms.shape[0]
    if min(test.papers, reference.terms.shape[0]) < limits.min_papers:
        test.status = TOO_LITTLE
        return None, test
    wide = window.terms.shape[1] == fingerprint.WIDE
    old = reference.terms if wide else fingerprint.fold(reference.terms)
    separation = statistics.two_sample_classifier(old, window.terms, limits.domain_papers)
    _fill_in(test, separation, window)
    return separation, test


def _compare_vectors(vectors: VectorSamples, window: Window, limits: DriftConfig) -> DriftTest:
    title = f"vectors of the texts, by {vectors.encoder}"
    test = DriftTest(test="vectors", title=title, unit="AUC", threshold=limits.text)
    test.papers = len(vectors.new)
    if min(test.papers, len(vectors.old)) < limits.min_papers:
        test.status = TOO_LITTLE
        return test
    separation = statistics.separate_vectors(vectors.old, vectors.new, limits.domain_papers)
    _fill_in(test, separation, window)
    return test


def _fill_in(test: DriftTest, separation: ClassifierTest, window: Window) -> None:
    """Fill in the result of a domain classifier, of all papers and of each part of the time."""
    test.p, test.effect, test.old, test.new = separation.p, separation.auc, 0.5, separation.auc
    moments = window.rows["time"].iloc[window.with_terms[separation.new]]
    scores = pd.Series(separation.new_scores, index=moments.index)
    test.parts = _compare_parts(test, separation.old_scores, scores, moments, _ranks)


def _ranks(old: Any, new: Any) -> tuple[float, float]:
    auc, p = statistics.rank_test(np.asarray(old), np.asarray(new))
    return p, auc


def _compare_parts(
    test: DriftTest, old: Any, new: pd.Series[Any], moments: pd.Series[float], measure: Measure
) -> list[WindowPart]:
    """Compare each of the equal parts of the window's time with the reference."""
    known = moments.notna()
    values, at = new[known], moments[known].to_numpy()
    if not len(at) or at.min() == at.max():
        return []
    count = min(MOST_PARTS, max(2, len(at) // PAPERS_A_PART))
    edges = np.linspace(at.min(), at.max(), count + 1)
    place = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, count - 1)
    parts = ((edges[number], values[place == number]) for number in range(count))
    return [
        _compare_part(test, iso_time(start), old, part, measure)
        for start, part in parts
        if len(part) >= LEAST_PAPERS
    ]


def _compare_part(
    test: DriftTest, start: str, old: Any, part: pd.Series[Any], measure: Measure
) -> WindowPart:
    p, effect = measure(old, part)
    return WindowPart(
        start=start,
        papers=len(part),
        mean=float(part.mean()) if test.unit in ("share", "words", "points") else None,
        effect=effect,
        moved=bool(p <= PART_LEVEL and effect >= test.threshold),
    )


def _since(parts: list[WindowPart]) -> str | None:
    """Return the start of the last run of parts that moved, if it lasts to the end."""
    since = None
    for part in reversed(parts):
        if not part.moved:
            break
        since = part.start
    return since


def iso_time(seconds: float) -> str:
    """Return a time as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _cosine_distance(old: Floats, new: Floats) -> float:
    length = float(np.linalg.norm(old) * np.linalg.norm(new))
    return 1 - float(old @ new) / length if length else 0.0


def calibration_error(rows: pd.DataFrame) -> float | None:
    """Return the expected calibration error of the rows with a true label; None without any."""
    known, hits = _hits(rows)
    if not len(known):
        return None
    confidence = known["confidence"].to_numpy(np.float32)[:, None]
    targets = np.where(hits.to_numpy() > 0, 0, -1)
    return metrics.calibration_error(metrics.reliability_bins(targets, confidence))
