"""The evidence behind a verdict: distributions, words and examples, as a drift report has them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from shelfmark.config.schema import DriftConfig
from shelfmark.core.arrays import Doubles
from shelfmark.monitoring import fingerprint
from shelfmark.monitoring.compare import NUMBERS, Comparison, calibration_error, iso_time
from shelfmark.monitoring.fingerprint import Sketcher
from shelfmark.monitoring.records import (
    DRIFT,
    TOO_LITTLE,
    CalibrationErrors,
    DriftReport,
    DriftTest,
    Example,
    Histogram,
    NameShare,
    ReferenceSummary,
    WindowSummary,
    WordShare,
    WordShares,
)
from shelfmark.monitoring.reference import Reference
from shelfmark.monitoring.windows import Window

MOST_WORDS, MOST_EXAMPLES, MOST_NAMES, BINS = 8, 5, 8, 16
SNIPPET = 300  # characters
SHARED = 3  # words that a narrow bucket is called by


def build_report(
    model: str,
    reference: Reference,
    window: Window,
    comparison: Comparison,
    limits: DriftConfig,
    sketcher: Sketcher,
) -> DriftReport:
    """Return the report of a comparison.

    Args:
        model: name of the model.
        reference: the reference compared with.
        window: the papers compared.
        comparison: the result of the comparison; its tests get their distributions.
        limits: the limits in force.
        sketcher: of the model, to name the words.
    """
    for test in comparison.tests:
        _add_distribution(test, reference.rows, window.rows)
    alarms = {test.test for test in comparison.alarms}
    return DriftReport(
        verdict=comparison.verdict,
        alarm=comparison.verdict == DRIFT,
        model=model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        reference=ReferenceSummary(papers=len(reference.rows)),
        window=_summarise(window),
        tests=comparison.tests,
        words=_words(reference, window, comparison, sketcher) if "text" in alarms else None,
        mean_tfidf_turned=comparison.mean_tfidf_turned,
        calibration_error=CalibrationErrors(
            reference=calibration_error(reference.rows), window=calibration_error(window.rows)
        ),
        examples=_examples(window, comparison) if alarms else [],
        limits=limits.model_dump(),
    )


def _summarise(window: Window) -> WindowSummary:
    times = window.rows["time"].dropna()
    return WindowSummary(
        source=window.source,
        papers=len(window.rows),
        seen=window.seen,
        left_out=window.left_out,
        first=iso_time(times.min()) if len(times) else None,
        last=iso_time(times.max()) if len(times) else None,
    )


def _add_distribution(test: DriftTest, old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Add what a chart of a test needs, if it was tested."""
    if test.p is None or test.test not in old:
        return
    before, after = old[test.test].dropna(), new[test.test].dropna()
    if test.test in NUMBERS:
        test.histogram = _histogram(before.to_numpy(float), after.to_numpy(float))
    else:
        test.shares = _largest_changes(before, after)


def _histogram(old: Doubles, new: Doubles) -> Histogram:
    low, high = np.percentile(np.concatenate([old, new]), [0.5, 99.5])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [
        (np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / len(part)).tolist()
        for part in (old, new)
    ]
    return Histogram(edges=edges.tolist(), old=shares[0], new=shares[1])


def _largest_changes(old: pd.Series[str], new: pd.Series[str]) -> list[NameShare]:
    counts = pd.DataFrame({"old": old.value_counts(), "new": new.value_counts()}).fillna(0)
    part = counts / counts.sum()
    part = part.loc[(part["new"] - part["old"]).abs().sort_values(ascending=False).index]
    rows = part.head(MOST_NAMES).itertuples()
    return [NameShare(name=str(row.Index), old=row.old, new=row.new) for row in rows]


def _words(
    reference: Reference, window: Window, comparison: Comparison, sketcher: Sketcher
) -> WordShares:
    """Return the words that contribute most, with the shares of papers that have them."""
    assert comparison.classifier is not None
    assert window.terms is not None
    wide = window.terms.shape[1] == fingerprint.WIDE
    old = _paper_shares(reference.terms if wide else fingerprint.fold(reference.terms))
    new, contribution = _paper_shares(window.terms), comparison.classifier.contribution
    words, names = WordShares(more=[], less=[]), _bucket_names(reference, window, sketcher)
    for bucket in np.argsort(-contribution, kind="stable").tolist():
        before, after = float(old[bucket]), float(new[bucket])
        side = words.more if after > before else words.less
        if len(side) < MOST_WORDS and bucket in names and contribution[bucket] > 0:
            side.append(WordShare(word=names[bucket], old=before, new=after))
    return words


def _paper_shares(terms: sp.csr_matrix) -> Doubles:
    return np.asarray(terms.mean(axis=0)).ravel()


def _bucket_names(reference: Reference, window: Window, sketcher: Sketcher) -> dict[int, str]:
    """Return the name of each bucket: its most frequent word."""
    if window.terms is not None and window.terms.shape[1] == fingerprint.NARROW:
        shared: dict[int, list[str]] = {}
        for word, bucket in zip(reference.names, sketcher.buckets(reference.names), strict=True):
            shared.setdefault(bucket % fingerprint.NARROW, []).append(word)
        return {bucket: " / ".join(words[:SHARED]) for bucket, words in shared.items()}
    counts = Counter(word for text in window.texts or () for word in set(sketcher.words(text)))
    words = [word for word, _ in counts.most_common()] + reference.names
    # From the rarest to the most frequent, which stays.
    return dict(zip(reversed(sketcher.buckets(words)), reversed(words), strict=True))


def _examples(window: Window, comparison: Comparison) -> list[Example]:
    """Return papers that show the drift: those least like the old, or the least confident."""
    classifier = comparison.classifier
    if classifier is not None and any(test.test == "text" for test in comparison.alarms):
        newest = np.argsort(-classifier.new_scores, kind="stable")[:MOST_EXAMPLES]
        rows = window.with_terms[classifier.new[newest]]
    else:
        confidence = window.rows["confidence"].to_numpy()
        rows = np.argsort(confidence, kind="stable")[:MOST_EXAMPLES]
    texts = dict(zip(window.with_terms.tolist(), window.texts or (), strict=False))
    return [_example(window.rows.iloc[row], texts.get(row)) for row in rows.tolist()]


def _example(paper: Any, text: str | None) -> Example:
    time = float(paper["time"])
    return Example(
        time=None if np.isnan(time) else iso_time(time),
        predicted=paper["predicted"],
        confidence=float(paper["confidence"]),
        label=paper["label"],
        text=None if text is None else text[:SNIPPET],
    )


def prometheus_gauges(report: DriftReport) -> bytes:
    """Return a report in Prometheus' text format."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, namespace="shelfmark", registry=registry)

    effect = gauge("drift_score", "Effect size of each test", ("test",))
    alarm = gauge("drift_test_alarm", "1 for each test that found drift", ("test",))
    for test in report.tests:
        if test.effect is not None:
            effect.labels(test.test).set(test.effect)
            alarm.labels(test.test).set(test.status == DRIFT)
    gauge("drift_alarm", "1 if the last run found drift").set(report.alarm)
    little = report.verdict == TOO_LITTLE
    gauge("drift_too_little_data", "1 if the last run had too little data").set(little)
    gauge("drift_papers", "Papers of the window").set(report.window.papers)
    ended = datetime.fromisoformat(report.created).timestamp()
    gauge("drift_run_timestamp_seconds", "When the last run ended").set(ended)
    return generate_latest(registry)
