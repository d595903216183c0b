"""A log line: written by the service, read by drift detection, also as older versions wrote it."""

from __future__ import annotations

import pytest

from shelfmark.models.answers import PaperQuery, answer_queries
from shelfmark.models.artifact import Model
from shelfmark.monitoring.fingerprint import sketcher_for
from shelfmark.monitoring.log_line import AnswerSummary, LoggedAnswer, LogLine

KEYS = ["time", "request_id", "model", "category", "confidence", "confident", "verdict", "scope",
        "probabilities", "characters", "words", "unknown", "language"]  # fmt: skip
TEXT = "We train a robot arm to grasp unseen objects."


def logged(model: Model, **asked: str) -> LoggedAnswer:
    query = PaperQuery("", TEXT, **asked)
    (answer,) = answer_queries(model, [query])
    return LoggedAnswer(5.0, "r1", model, query, AnswerSummary.of(answer))


def test_a_line_holds_the_answer_and_the_traits_of_the_text(model: Model) -> None:
    event = logged(model)
    line = event.line(keep_sketch=False, keep_text=False).to_json()
    assert list(line) == KEYS
    assert (line["time"], line["request_id"], line["model"]) == (5.0, "r1", "quick")
    assert (line["category"], line["confidence"]) == (
        event.answer.category,
        event.answer.confidence,
    )
    (answer,) = answer_queries(model, [event.query])
    assert (line["verdict"], line["scope"]) == (answer.verdict, answer.scope)
    assert line["confident"] == answer.confident
    assert line["probabilities"][line["category"]] == line["confidence"]
    assert (line["characters"], line["words"], line["language"]) == (len(TEXT), 8, "en")


def test_sketch_text_and_identifier_stand_in_a_line_only_where_asked_for(model: Model) -> None:
    line = logged(model, id="2401.00001").line(keep_sketch=True, keep_text=True).to_json()
    assert list(line) == [*KEYS, "id", "sketch", "text"]
    assert (line["id"], line["text"]) == ("2401.00001", TEXT)
    assert line["sketch"] == sketcher_for(model).sketch(TEXT)


def test_a_line_reads_as_it_was_written(model: Model) -> None:
    line = logged(model, id="1").line(keep_sketch=True, keep_text=False)
    assert LogLine.from_json(line.to_json()) == line


def test_a_line_of_an_older_version_may_lack_most_and_have_more() -> None:
    values = {"time": 5, "model": "quick", "category": "cs.RO", "confidence": 0.5, "odd": 1}
    assert LogLine.from_json(values).sketch is None


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"odd": 1},
        {"time": 5, "model": "quick", "category": "cs.RO", "confidence": "high"},
        {"time": "5", "model": "quick", "category": "cs.RO", "confidence": 0.5},
        {"time": 5, "model": "quick", "category": None, "confidence": 0.5},
        {"time": 5, "model": "quick", "category": "cs.RO", "confidence": 0.5, "words": "many"},
    ],
)
def test_what_is_not_a_log_line_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LogLine.from_json(values)
