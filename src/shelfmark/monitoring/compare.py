"""What moved between a reference and a window: the tests, their correction, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from shelfmark.config.schema import DriftConfig
from shelfmark.evaluation import metrics
from shelfmark.monitoring import fingerprint, statistics
from shelfmark.monitoring.reference import Reference, mean_tfidf
from shelfmark.monitoring.statistics import ClassifierTest
from shelfmark.monitoring.windows import Window

DRIFT, NONE, TOO_LITTLE, UNKNOWN = "drift", "no drift", "too little data", "not known"
NUMBERS = {"confidence": "confidence", "words": "length in words", "unknown": "unknown words"}
SHARES = {"predicted": "categories given", "language": "languages", "label": "true categories"}
PARTS = 10  # at most, of a window's time, of which each is compared by itself
PART = 50  # papers of such a part on the average
LEAST = 20  # papers of one that is compared
CERTAIN = 0.01  # p-value of such a part


@dataclass
class DriftTest:
    """What one test says.

    Args:
        test: its name, in the report and the gauge.
        title: what it compares, in words.
        unit: of `old` and `new`: share, words, points, AUC, or none.
        threshold: least effect of an alarm.
        papers: of the window that it read.
        status: one of the four above.
        effect: how much moved; what is the same has none, an AUC has 0.5.
        p: p-value; None where it was not tested.
        adjusted: that of all tests together, after Holm.
        old: the reference's mean.
        new: the window's mean.
        since: when it began, as ISO 8601, where the window tells.
        parts: the window's parts in time: start, papers, mean, effect, moved.
    """

    test: str
    title: str
    unit: str
    threshold: float
    papers: int = 0
    status: str = UNKNOWN
    effect: float | None = None
    p: float | None = None
    adjusted: float | None = None
    old: float | None = None
    new: float | None = None
    since: str | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)


Measure = Callable[[Any, Any], tuple[float, float]]


@dataclass
class Comparison:
    """All that is found of one window.

    Args:
        verdict: drift, no drift, or too little data.
        found: each test's.
        classifier: what the classifier of old and new learnt; None where it had too little.
        moved: how far the mean TF-IDF vector turned, 1 less the cosine; None without words.
    """

    verdict: str
    found: list[DriftTest]
    classifier: ClassifierTest | None
    moved: float | None

    @property
    def alarms(self) -> list[DriftTest]:
        """The tests that found drift."""
        return [one for one in self.found if one.status == DRIFT]

    def tests(self) -> list[dict[str, Any]]:
        """Return what the tests found, for a file."""
        return [asdict(one) for one in self.found]


def compare(reference: Reference, window: Window, limits: DriftConfig) -> Comparison:
    """Compare a window with a reference by every test there is data for.

    The chance of one false alarm or more, over all tests, is at most `limits.level` (Holm 1979).
    """
    old, new = reference.rows, window.rows
    found = [
        *(_numbers(name, title, old, new, limits) for name, title in NUMBERS.items()),
        *(_shares(name, title, old, new, limits) for name, title in SHARES.items()),
        *_by_labels(old, new, limits),
    ]
    told, text = _text(reference, window, limits)
    found.append(text)
    adjust_p_values(found)
    for one in found:
        if one.adjusted is not None and one.effect is not None:
            alarm = one.adjusted <= limits.level and one.effect >= one.threshold
            one.status = DRIFT if alarm else NONE
            one.since = _since(one.parts) if alarm else None
    turned = None
    if window.terms is not None and window.terms.shape[0]:
        turned = _angle(reference.mean, mean_tfidf(window.terms))
    return Comparison(_verdict(found, len(old), len(new), limits), found, told, turned)


def _verdict(found: list[DriftTest], old: int, new: int, limits: DriftConfig) -> str:
    states = {one.status for one in found}
    if DRIFT in states:
        return DRIFT
    enough = min(old, new) >= limits.min_papers
    return NONE if enough and NONE in states else TOO_LITTLE


def adjust_p_values(found: list[DriftTest]) -> None:
    """Correct the p-values of tests for their number, by Holm's step-down method."""
    tested = sorted((one for one in found if one.p is not None), key=lambda one: one.p or 0.0)
    highest = 0.0
    for rank, one in enumerate(tested):
        assert one.p is not None
        highest = max(highest, min(1.0, one.p * (len(tested) - rank)))
        one.adjusted = highest


def _numbers(
    name: str, title: str, old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig
) -> DriftTest:
    unit = "words" if name == "words" else "share"
    one = DriftTest(name, title, unit, limits.numbers)
    before, after = old[name].dropna(), new[[name, "time"]].dropna(subset=name)
    if _tested(one, before, after[name], limits, statistics.compare_numbers):
        one.old, one.new = float(before.mean()), float(after[name].mean())
        one.parts = _parts(one, before, after[name], after["time"], statistics.compare_numbers)
    return one


def _shares(
    name: str, title: str, old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig
) -> DriftTest:
    one = DriftTest(name, title, "", limits.shares)
    before, after = old[name].dropna(), new[[name, "time"]].dropna(subset=name)
    if _tested(one, before, after[name], limits, statistics.compare_shares):
        one.parts = _parts(one, before, after[name], after["time"], statistics.compare_shares)
    return one


def _by_labels(old: pd.DataFrame, new: pd.DataFrame, limits: DriftConfig) -> list[DriftTest]:
    """Compare how often the model was right, and how much more sure than right."""
    sides = []
    for rows in (old, new):
        known = rows[rows["label"].notna()]
        sides.append((known, (known["label"] == known["predicted"]).astype(float)))
    (before, right), (after, now_right) = sides
    accuracy = DriftTest("accuracy", "accuracy", "share", limits.accuracy)
    gap = DriftTest("calibration", "confidence less accuracy", "points", limits.calibration)
    pairs: list[tuple[DriftTest, pd.Series[float], pd.Series[float], Measure]] = [
        (accuracy, right, now_right, _right_or_wrong),
        (gap, before["confidence"] - right, after["confidence"] - now_right, _means),
    ]
    for one, then, now, measure in pairs:
        if _tested(one, then, now, limits, measure):
            one.old, one.new = float(then.mean()), float(now.mean())
            one.parts = _parts(one, then, now, after["time"], measure)
    return [accuracy, gap]


def _tested(one: DriftTest, before: Any, after: Any, limits: DriftConfig, measure: Measure) -> bool:
    """Test where there is data enough; say so where there is not."""
    one.papers = len(after)
    if not len(before) or not len(after):
        return False
    if min(len(before), len(after)) < limits.min_papers:
        one.status = TOO_LITTLE
        return False
    one.p, one.effect = measure(before, after)
    return True


def _right_or_wrong(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    p, _ = statistics.compare_shares(old.astype(str), new.astype(str))
    return p, abs(float(new.mean() - old.mean()))


def _means(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of Welch's test, of samples large enough for the normal's tail."""
    apart = abs(float(new.mean() - old.mean()))
    deviation = float(np.sqrt(old.var() / len(old) + new.var() / len(new)))
    return float(2 * norm.sf(apart / deviation)) if deviation else float(not apart), apart


def _text(
    reference: Reference, window: Window, limits: DriftConfig
) -> tuple[ClassifierTest | None, DriftTest]:
    one = DriftTest("text", "words of the texts", "AUC", limits.text)
    if window.terms is None or not window.terms.shape[0]:
        return None, one
    one.papers = window.terms.shape[0]
    if min(one.papers, reference.terms.shape[0]) < limits.min_papers:
        one.status = TOO_LITTLE
        return None, one
    wide = window.terms.shape[1] == fingerprint.WIDE
    old = reference.terms if wide else fingerprint.fold(reference.terms)
    told = statistics.two_sample_classifier(old, window.terms, limits.domain_papers)
    one.p, one.effect, one.old, one.new = told.p, told.auc, 0.5, told.auc

    def rank(before: Any, after: Any) -> tuple[float, float]:
        auc, p = statistics.rank_test(np.asarray(before), np.asarray(after))
        return p, auc

    moments = window.rows["time"].iloc[window.with_terms[told.new]]
    one.parts = _parts(
        one, told.old_scores, pd.Series(told.new_scores, index=moments.index), moments, rank
    )
    return told, one


def _parts(
    one: DriftTest, old: Any, new: pd.Series[Any], moments: pd.Series[float], measure: Measure
) -> list[dict[str, Any]]:
    """Compare equal parts of the window's time with the reference, each by itself."""
    known = moments.notna()
    values, at = new[known], moments[known].to_numpy()
    if not len(at) or at.min() == at.max():
        return []
    count = min(PARTS, max(2, len(at) // PART))
    edges = np.linspace(at.min(), at.max(), count + 1)
    place = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, count - 1)
    parts = []
    for number in range(count):
        part = values[place == number]
        if len(part) >= LEAST:
            p, effect = measure(old, part)
            mean = float(part.mean()) if one.unit in ("share", "words", "points") else None
            parts.append(
                {
                    "start": iso_time(edges[number]),
                    "papers": len(part),
                    "mean": mean,
                    "effect": effect,
                    "moved": bool(p <= CERTAIN and effect >= one.threshold),
                }
            )
    return parts


def _since(parts: list[dict[str, Any]]) -> str | None:
    """Return the start of the last run of parts that moved, if it goes on to the end."""
    since = None
    for part in reversed(parts):
        if not part["moved"]:
            break
        since = str(part["start"])
    return since


def iso_time(seconds: float) -> str:
    """Return a time as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _angle(old: Any, new: Any) -> float:
    length = float(np.linalg.norm(old) * np.linalg.norm(new))
    return 1 - float(old @ new) / length if length else 0.0


def calibration_error(rows: pd.DataFrame) -> float | None:
    """Return the expected calibration error of the rows whose label is known, None of none."""
    known = rows[rows["label"].notna()]
    if not len(known):
        return None
    right = (known["label"] == known["predicted"]).to_numpy()
    sure = known["confidence"].to_numpy(np.float32)[:, None]
    return metrics.calibration_error(metrics.reliability_bins(np.where(right, 0, -1), sure))
