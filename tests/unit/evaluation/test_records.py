"""The evaluation report as a record: written and read back, also as older versions wrote it."""

from __future__ import annotations

import orjson
import pytest

from shelfmark.evaluation.records import EvaluationReport

# As evaluate wrote it before the record had a type, and before `among` and `confused` came.
OLD = {
    "kind": "evaluation",
    "model": "five",
    "split": "test",
    "command": "inv evaluate",
    "created": "2026-11-22T10:00:00+00:00",
    "synthetic": False,
    "data_card_sha256": "0" * 64,
    "papers": 2,
    "accuracy": 0.5,
    "standard_error": 0.35,
    "top3": 1.0,
    "top5": 1.0,
    "macro_f1": 0.4,
    "weighted_f1": 0.4,
    "log_loss": 0.7,
    "calibration_error": 0.1,
    "reliability": [{"confidence": 0.6, "accuracy": 0.5, "share": 1.0}],
    "per_class": {"cs.RO": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "papers": 1}},
    "confusion": [[1]],
    "confident_share": 0.0,
    "confident_precision": None,
    "coverage": [{"coverage": 1.0, "precision": 0.5}],
    "telling_terms": {"cs.RO": [["robot", 3.0]]},
    "baselines": {"linear SVM": {"accuracy": 0.4, "macro_f1": 0.3, "weighted_f1": 0.35}},
}


def test_a_report_of_an_older_version_reads_and_writes_the_same_values() -> None:
    report = EvaluationReport.from_json(orjson.dumps(OLD))
    added = ("confused", "graded", "listed", "promises", "suggestions", "strangers")
    assert orjson.loads(report.to_json()) == {**OLD, **{key: [] for key in added}}
    assert report.headline()["among"] is None
    assert ["sure answers that are right", "", ""] in report.table().rows
    assert ["accuracy", "0.5000", "0.4000"] in report.table().rows


def test_what_is_not_a_report_of_an_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        EvaluationReport.from_json(orjson.dumps({**OLD, "kind": "load"}))
