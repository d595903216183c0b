"""What a comparison found, as the report a person or a program reads: with words and examples."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from shelfmark.config.schema import DriftConfig
from shelfmark.monitoring import compare as drift
from shelfmark.monitoring import fingerprint
from shelfmark.monitoring.compare import Comparison, DriftTest
from shelfmark.monitoring.fingerprint import Sketcher
from shelfmark.monitoring.reference import Reference
from shelfmark.monitoring.windows import Window

WORDS, EXAMPLES, NAMES, BINS = 8, 5, 8, 16
SNIPPET = 300  # characters
SHARED = 3  # words that a narrow bucket is called by


def build_report(
    model: str,
    reference: Reference,
    window: Window,
    found: Comparison,
    limits: DriftConfig,
    sketcher: Sketcher,
) -> dict[str, Any]:
    """Return the report of a comparison, as `drift.json` has it."""
    times = window.rows["time"].dropna()
    names = {one.test for one in found.alarms}
    return {
        "verdict": found.verdict,
        "alarm": found.verdict == drift.DRIFT,
        "model": model,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "reference": {"papers": len(reference.rows)},
        "window": {
            "source": window.source,
            "papers": len(window.rows),
            "seen": window.seen,
            "left_out": window.left_out,
            "first": drift.iso_time(times.min()) if len(times) else None,
            "last": drift.iso_time(times.max()) if len(times) else None,
        },
        "tests": [one | _shown(one, reference, window) for one in found.tests()],
        "words": _words(reference, window, found, sketcher) if "text" in names else None,
        "mean_tfidf_turned": found.moved,
        "calibration_error": {
            "reference": drift.calibration_error(reference.rows),
            "window": drift.calibration_error(window.rows),
        },
        "examples": _examples(window, found) if names else [],
        "limits": limits.model_dump(),
    }


def _shown(one: dict[str, Any], reference: Reference, window: Window) -> dict[str, Any]:
    """Return what a picture of a test needs."""
    name = one["test"]
    if one["p"] is None or name not in reference.rows:
        return {}
    old, new = (rows[name].dropna() for rows in (reference.rows, window.rows))
    if name in drift.NUMBERS:
        both = np.concatenate([old, new]).astype(float)
        low, high = np.percentile(both, [0.5, 99.5])
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        sides = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / len(part)
                 for part in (old, new)]  # fmt: skip
        return {"histogram": {"edges": edges.tolist(), "old": sides[0].tolist(),
                              "new": sides[1].tolist()}}  # fmt: skip
    counts = pd.DataFrame({"old": old.value_counts(), "new": new.value_counts()}).fillna(0)
    part = counts / counts.sum()
    part = part.loc[(part["new"] - part["old"]).abs().sort_values(ascending=False).index]
    rows = part.head(NAMES).itertuples()
    return {"shares": [{"name": str(x.Index), "old": x.old, "new": x.new} for x in rows]}


def _words(
    reference: Reference, window: Window, found: Comparison, sketcher: Sketcher
) -> dict[str, list[dict[str, Any]]]:
    """Return the words that tell new papers from old, with the shares of papers that have them."""
    assert found.classifier is not None
    assert window.terms is not None
    wide = window.terms.shape[1] == fingerprint.WIDE
    old = reference.terms if wide else fingerprint.fold(reference.terms)
    shares = [_share(rows) for rows in (old, window.terms)]
    told: dict[str, list[dict[str, Any]]] = {"more": [], "less": []}
    names = _names(reference, window, sketcher)
    for bucket in np.argsort(-found.classifier.contribution, kind="stable").tolist():
        before, after = float(shares[0][bucket]), float(shares[1][bucket])
        side = told["more" if after > before else "less"]
        if len(side) < WORDS and bucket in names and found.classifier.contribution[bucket] > 0:
            side.append({"word": names[bucket], "old": before, "new": after})
    return told


def _share(rows: sp.csr_matrix) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(rows.mean(axis=0)).ravel()


def _names(reference: Reference, window: Window, sketcher: Sketcher) -> dict[int, str]:
    """Return what to call each bucket: the word that most of its papers mean by it."""
    if window.terms is not None and window.terms.shape[1] == fingerprint.NARROW:
        called: dict[int, list[str]] = {}
        for word, bucket in zip(reference.names, sketcher.buckets(reference.names), strict=True):
            called.setdefault(bucket % fingerprint.NARROW, []).append(word)
        return {bucket: " / ".join(words[:SHARED]) for bucket, words in called.items()}
    counts = Counter(word for text in window.texts or () for word in set(sketcher.words(text)))
    words = [word for word, _ in counts.most_common()] + reference.names
    # From the rarest to the most frequent, which stays.
    return dict(zip(reversed(sketcher.buckets(words)), reversed(words), strict=True))


def _examples(window: Window, found: Comparison) -> list[dict[str, Any]]:
    """Return papers that show the drift: those least like the old, or the least confident."""
    told, text = found.classifier, any(one.test == "text" for one in found.alarms)
    if told is not None and text:
        rows = window.with_terms[told.new[np.argsort(-told.new_scores, kind="stable")[:EXAMPLES]]]
    else:
        rows = np.argsort(window.rows["confidence"].to_numpy(), kind="stable")[:EXAMPLES]
    texts = dict(zip(window.with_terms.tolist(), window.texts or (), strict=False))
    examples = []
    for row in rows.tolist():
        one = window.rows.iloc[row]
        examples.append(
            {
                "time": None if np.isnan(one["time"]) else drift.iso_time(one["time"]),
                "predicted": one["predicted"],
                "confidence": float(one["confidence"]),
                "label": one["label"],
                "text": texts[row][:SNIPPET] if row in texts else None,
            }
        )
    return examples


def sentence(one: dict[str, Any], words: dict[str, list[dict[str, Any]]] | None) -> str:
    """Return in plain words what moved, by how much, and since when."""
    title, old, new = one["title"], one["old"], one["new"]
    if one["test"] == "text":
        said = f"New papers read differently: told from old ones in {new:.0%} of pairs"
        if words:
            named = [f"{side} “{row['word']}”" for side in ("more", "less")
                     for row in words[side][:2]]  # fmt: skip
            said += f" ({', '.join(named)})" * bool(named)
    elif "shares" in one:
        rows = (f"{row['name']} {row['old']:.0%} → {row['new']:.0%}" for row in one["shares"][:3])
        said = f"{title[0].upper()}{title[1:]} changed: {', '.join(rows)}"
    else:
        turn = "rose" if new > old else "fell"
        if abs(new - old) < 0.005 * max(abs(old), abs(new)):
            turn = "spread differently, mean"
        told = f"{old:.0f} to {new:.0f}" if one["unit"] == "words" else f"{old:.1%} to {new:.1%}"
        said = f"{title[0].upper()}{title[1:]} {turn} from {told}"
    return said + (f", since {one['since'][:16].replace('T', ' ')} UTC" if one["since"] else "")


def headline(report: dict[str, Any]) -> str:
    """Return the verdict in one line."""
    papers = f"{report['window']['papers']:,} papers"
    if report["verdict"] == drift.TOO_LITTLE:
        least = report["limits"]["min_papers"]
        return f"Too little data: {papers} in the window, {least:,} of each kind are needed"
    if report["verdict"] == drift.NONE:
        return f"No drift in {papers}"
    moved = [one["title"] for one in report["tests"] if one["status"] == drift.DRIFT]
    return f"Drift in {papers}: {', '.join(moved)}"


def prometheus_gauges(report: dict[str, Any]) -> bytes:
    """Return a report in Prometheus' text form."""
    registry = CollectorRegistry()
    own: Any = {"registry": registry, "namespace": "shelfmark"}
    score = Gauge("drift_score", "How far each test moved", ["test"], **own)
    alarm = Gauge("drift_test_alarm", "1 for each test that found drift", ["test"], **own)
    for one in report["tests"]:
        if one["effect"] is not None:
            score.labels(one["test"]).set(one["effect"])
            alarm.labels(one["test"]).set(one["status"] == drift.DRIFT)
    Gauge("drift_alarm", "1 if the last run found drift", **own).set(report["alarm"])
    little = report["verdict"] == drift.TOO_LITTLE
    Gauge("drift_too_little_data", "1 if the last run had too little data", **own).set(little)
    Gauge("drift_papers", "Papers of the window", **own).set(report["window"]["papers"])
    at = datetime.fromisoformat(report["created"]).timestamp()
    Gauge("drift_run_timestamp_seconds", "When the last run ended", **own).set(at)
    return generate_latest(registry)


def test_rows(found: list[DriftTest]) -> list[list[str]]:
    """Return a table of tests, for a terminal."""
    return [
        [
            one.title,
            one.status,
            f"{one.papers:,}",
            "" if one.effect is None else f"{one.effect:.3f}",
            f"{one.threshold:g}",
            "" if one.adjusted is None else f"{one.adjusted:.2g}",
        ]
        for one in found
    ]
