"""The drift report as a record: written and read back, also as older versions wrote it."""

from __future__ import annotations

import orjson
import pytest

from shelfmark.monitoring.records import DRIFT, DriftReport, DriftTest, NameShare, WordShares

# As inv drift wrote it before the record had a type.
OLD = {
    "verdict": "drift",
    "alarm": True,
    "model": "quick",
    "created": "2026-11-20T10:00:00+00:00",
    "reference": {"papers": 400},
    "window": {"source": "logs", "papers": 150, "seen": 150, "left_out": {"before": 2},
               "first": None, "last": None},
    "tests": [
        {"test": "words", "title": "length in words", "unit": "words", "threshold": 0.1,
         "papers": 150, "status": "drift", "effect": 0.5, "p": 1e-9, "adjusted": 9e-9,
         "old": 160.0, "new": 55.0, "since": "2026-11-19T08:30:00+00:00",
         "parts": [{"start": "2026-11-19T08:30:00+00:00", "papers": 50, "mean": 55.0,
                    "effect": 0.5, "moved": True}],
         "histogram": {"edges": [0.0, 1.0], "old": [1.0], "new": [1.0]}},
        {"test": "label", "title": "true categories", "unit": "", "threshold": 0.1, "papers": 0,
         "status": "not known", "effect": None, "p": None, "adjusted": None, "old": None,
         "new": None, "since": None, "parts": []},
    ],
    "words": None,
    "mean_tfidf_turned": 0.2,
    "calibration_error": {"reference": 0.01, "window": None},
    "examples": [{"time": None, "predicted": "cs.RO", "confidence": 0.4, "label": None,
                  "text": None}],
    "limits": {"level": 0.05, "min_papers": 100, "keep": 30},
}  # fmt: skip


def test_a_report_of_an_older_version_reads_and_writes_the_same_keys() -> None:
    report = DriftReport.from_json(orjson.dumps(OLD))
    assert orjson.loads(report.to_json()) == {**OLD, "command": None, "synthetic": False}
    assert report.headline() == "Drift in 150 papers: length in words"
    assert report.tests[0].sentence() == (
        "Length in words fell from 160 to 55, since 2026-11-19 08:30 UTC"
    )
    assert report.table().rows == [
        ["length in words", "drift", "150", "0.500", "0.1", "9e-09"],
        ["true categories", "not known", "0", "", "0.1", ""],
    ]


def test_what_is_not_a_report_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict"):
        DriftReport.from_json(b'{"alarm": true}')


def test_too_little_data_names_the_number_needed() -> None:
    report = DriftReport.model_validate({**OLD, "verdict": "too little data", "tests": []})
    assert report.headline() == (
        "Too little data: 150 papers in the window, 100 of each kind are needed"
    )


def test_sentences_on_shares_means_and_texts() -> None:
    test = DriftTest(test="predicted", title="predicted categories", threshold=0.1, status=DRIFT)
    test.shares = [NameShare(name="cs.RO", old=0.5, new=0.25)]
    assert test.sentence() == "Predicted categories changed: cs.RO 50% → 25%"
    accuracy = DriftTest(test="accuracy", title="accuracy", unit="share", threshold=0.1)
    accuracy.old, accuracy.new = 0.8, 0.801
    assert accuracy.sentence().startswith("Accuracy spread differently, mean from 80.0%")
    text = DriftTest(test="text", title="words of the texts", threshold=0.55, new=0.7)
    words = WordShares.model_validate(
        {"more": [{"word": "agent", "old": 0.1, "new": 0.3}], "less": []}
    )
    assert text.sentence(words) == (
        "New papers read differently: separated from old ones in 70% of pairs (more “agent”)"
    )
