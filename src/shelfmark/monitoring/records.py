"""The drift report as a typed record: what `drift.json` holds."""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from shelfmark.core.output.tables import Table

DRIFT: Final = "drift"
NO_DRIFT: Final = "no drift"
TOO_LITTLE: Final = "too little data"
UNKNOWN: Final = "not known"
Status = Literal["drift", "no drift", "too little data", "not known"]
Verdict = Literal["drift", "no drift", "too little data"]


class Record(BaseModel):
    """A part of a report; keys that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore")


class WindowPart(Record):
    """One of the equal parts of a window's time, compared with the reference separately.

    Attributes:
        start: ISO 8601.
        papers: number of papers.
        mean: of the numbers; None for names and texts.
        effect: distance from the reference, in the unit of the test's threshold.
        moved: whether the distance is significant and at least the threshold.
    """

    start: str
    papers: int
    mean: float | None
    effect: float
    moved: bool


class Histogram(Record):
    """Shares of papers in bins of equal width: one edge more than there are bins."""

    edges: list[float]
    old: list[float]
    new: list[float]


class NameShare(Record):
    """The share of papers with a name, in the reference (`old`) and in the window (`new`)."""

    name: str
    old: float
    new: float


class WordShare(Record):
    """The share of papers with a word, in the reference (`old`) and in the window (`new`)."""

    word: str
    old: float
    new: float


class WordShares(Record):
    """The words that contribute most to the difference: those more and less frequent now."""

    more: list[WordShare]
    less: list[WordShare]


class DriftTest(Record):
    """The result of one test.

    Attributes:
        test: its name, in the report and the gauge.
        title: what it compares, in words.
        unit: of `old` and `new`: share, words, points, AUC, or empty.
        threshold: smallest effect that raises an alarm.
        papers: number of papers of the window that have the quantity.
        status: the verdict of this test; "not known" where the quantity is missing.
        effect: size of the change: 0 without one, 0.5 for an AUC. None if not tested.
        p: p-value; None if not tested.
        adjusted: p-value corrected for the number of tests, after Holm.
        old: mean of the reference.
        new: mean of the window.
        since: start of the change, ISO 8601; None if unknown.
        parts: the comparison of each part of the window's time.
        histogram: distribution of a number.
        shares: the names whose shares changed most.
    """

    test: str
    title: str
    unit: str = ""
    threshold: float
    papers: int = 0
    status: Status = UNKNOWN
    effect: float | None = None
    p: float | None = None
    adjusted: float | None = None
    old: float | None = None
    new: float | None = None
    since: str | None = None
    parts: list[WindowPart] = []
    histogram: Histogram | None = None
    shares: list[NameShare] | None = None

    @model_serializer(mode="wrap")
    def _without_absent_charts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        charts = ("histogram", "shares")
        return {key: value for key, value in values.items() if key not in charts or value}

    def sentence(self, words: WordShares | None = None) -> str:
        """Return what changed, by how much, and since when.

        Args:
            words: those of the report, for the test of texts.
        """
        change = f"{self.title[0].upper()}{self.title[1:]} {self._change()}"
        if self.test == "text":
            change = (
                f"New papers read differently: separated from old ones in {self.new:.0%} of pairs"
            )
            named = [] if words is None else [
                f"{side} “{share.word}”"
                for side, shares in (("more", words.more), ("less", words.less))
                for share in shares[:2]
            ]  # fmt: skip
            change += f" ({', '.join(named)})" if named else ""
        elif self.test == "vectors":
            change = (
                f"New papers have other vectors: separated from old ones in {self.new:.0%} of pairs"
            )
        return change + (f", since {minute(self.since)} UTC" if self.since else "")

    def _change(self) -> str:
        if self.shares:
            rows = (f"{row.name} {row.old:.0%} → {row.new:.0%}" for row in self.shares[:3])
            return f"changed: {', '.join(rows)}"
        if self.old is None or self.new is None:
            return "changed"
        verb = "rose" if self.new > self.old else "fell"
        if abs(self.new - self.old) < 0.005 * max(abs(self.old), abs(self.new)):
            verb = "spread differently, mean"
        form = ".0f" if self.unit == "words" else ".1%"
        return f"{verb} from {self.old:{form}} to {self.new:{form}}"


class ReferenceSummary(Record):
    """The size of the reference."""

    papers: int


class WindowSummary(Record):
    """What was compared.

    Attributes:
        source: path or address of the log or the file of papers.
        papers: number of papers compared.
        seen: number of papers in the source; larger than `papers` if they were sampled.
        left_out: number of lines skipped, by reason.
        first: time of the oldest paper, ISO 8601; None if unknown.
        last: time of the newest paper.
    """

    source: str
    papers: int
    seen: int
    left_out: dict[str, int] = {}
    first: str | None = None
    last: str | None = None


class CalibrationErrors(Record):
    """Expected calibration error of both sides; None without true labels."""

    reference: float | None
    window: float | None


class Example(Record):
    """A paper that shows the drift; its text is None if the log keeps none."""

    time: str | None
    predicted: str
    confidence: float
    label: str | None
    text: str | None


class DriftReport(Record):
    """A comparison of a window with a reference.

    Attributes:
        verdict: the result of all tests together.
        alarm: whether the verdict is drift.
        model: name of the model.
        created: ISO 8601.
        reference: the reference.
        window: the window.
        tests: the result of each test.
        words: the words that changed most; None unless the texts drift.
        mean_tfidf_turned: 1 minus the cosine between the mean TF-IDF vectors; None without words.
        calibration_error: of both sides.
        examples: papers that show the drift.
        limits: the keys of `configs/drift.yaml` that were in force.
        command: the command line of the run.
        synthetic: whether the model was trained on synthetic papers.
    """

    verdict: Verdict
    alarm: bool
    model: str
    created: str
    reference: ReferenceSummary
    window: WindowSummary
    tests: list[DriftTest]
    words: WordShares | None = None
    mean_tfidf_turned: float | None = None
    calibration_error: CalibrationErrors | None = None
    examples: list[Example] = []
    limits: dict[str, int | float]
    command: str | None = None
    synthetic: bool = False

    @property
    def alarms(self) -> list[DriftTest]:
        """The tests that found drift."""
        return [test for test in self.tests if test.status == DRIFT]

    def headline(self) -> str:
        """Return the verdict in one line."""
        papers = f"{self.window.papers:,} papers"
        if self.verdict == TOO_LITTLE:
            least = self.limits["min_papers"]
            return f"Too little data: {papers} in the window, {least:,} of each kind are needed"
        if self.verdict == NO_DRIFT:
            return f"No drift in {papers}"
        return f"Drift in {papers}: {', '.join(test.title for test in self.alarms)}"

    def table(self) -> Table:
        """Return a row for each test."""
        rows = [
            [
                test.title,
                test.status,
                f"{test.papers:,}",
                "" if test.effect is None else f"{test.effect:.3f}",
                f"{test.threshold:g}",
                "" if test.adjusted is None else f"{test.adjusted:.2g}",
            ]
            for test in self.tests
        ]
        columns = ("quantity", "verdict", "papers", "effect", "alarm from", "p, corrected")
        return Table(columns, rows, title=self.headline(), text_columns=2)

    def to_json(self) -> bytes:
        """Return what `drift.json` holds."""
        return orjson.dumps(self.model_dump(), option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, content: bytes) -> DriftReport:
        """Return the report of a `drift.json`.

        Raises:
            ValueError: it is not a drift report.
        """
        return cls.model_validate_json(content)


def minute(time: str) -> str:
    """Return an ISO 8601 time to the minute, for people."""
    return time[:16].replace("T", " ")
