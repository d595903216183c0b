"""The results of an evaluation as typed records: what `metrics.json` holds."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from shelfmark.core.output.tables import Table

# The headline figures, in the order of tables, and their names for people.
FIGURES = {
    "accuracy": "accuracy",
    "top3": "top-3",
    "top5": "top-5",
    "among": "among the paper's categories",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "calibration_error_by_chance": "by chance, were it exact",
    "confident_share": "share of sure answers",
    "confident_precision": "sure answers that are right",
    "listed_share": "share sure to be among the paper's categories",
    "listed_precision": "of those, among the paper's categories",
    "cross_lists_precision": "cross-lists: precision",
    "cross_lists_recall": "cross-lists: recall",
}

# Of older models and reports, which lack them.
OPTIONAL = (
    "among", "calibration_error_by_chance", "listed_share", "listed_precision", "in_scope",
    "cross_lists_precision", "cross_lists_recall", "baseline_papers",
)  # fmt: skip


class Record(BaseModel):
    """A part of a report; keys that this version does not know are ignored."""

    model_config = ConfigDict(extra="ignore")


class ClassScores(Record):
    """The scores of one class; zero where a ratio is undefined."""

    precision: float
    recall: float
    f1: float
    papers: int


class ReliabilityBin(Record):
    """Papers of similar confidence: mean confidence, accuracy, and share of all papers."""

    confidence: float
    accuracy: float
    share: float


class CoveragePoint(Record):
    """The precision of the most confident answers, if a share of papers is answered."""

    coverage: float
    precision: float


class Promise(Record):
    """A promise of a verdict, and how it was kept.

    Attributes:
        question: `primary` or `listed`: the primary category, or one of the paper's.
        verdict: `sure` or `likely`.
        promised: the share of right answers that was asked for.
        kept: the share that was right; None without such answers.
        share: of the papers that have the verdict.
    """

    question: Literal["primary", "listed"]
    verdict: Literal["sure", "likely"]
    promised: float
    kept: float | None
    share: float


class SuggestionBin(Record):
    """Suggested cross-lists of similar probability: the mean one, the share that came true."""

    promised: float
    kept: float
    suggestions: int


class StrangerScores(Record):
    """What a model says of texts that are none of its papers.

    Attributes:
        kind: of the texts.
        papers: how many.
        sure: share of them that is answered as sure.
        doubtful: share of them whose scope is doubtful.
        outside: share of them that is outside.
    """

    kind: str
    papers: int
    sure: float
    doubtful: float
    outside: float


class ConfusedPair(Record):
    """Two classes that are mistaken for one another.

    Attributes:
        one: a class.
        other: the other class.
        one_for_other: papers of `one` classified as `other`.
        other_for_one: papers of `other` classified as `one`.
        share: both, over the papers of both classes.
    """

    one: str
    other: str
    one_for_other: int
    other_for_one: int
    share: float


class LabelScores(Record):
    """The scores of labels that come without probabilities."""

    accuracy: float
    macro_f1: float
    weighted_f1: float


class ProbabilityScores(LabelScores):
    """The scores of class probabilities on one split.

    Attributes:
        papers: number of papers.
        accuracy: share of papers whose most probable class is the true one.
        standard_error: of the accuracy.
        top3: share of papers whose true class is among the three most probable.
        top5: likewise, five.
        log_loss: in nats.
        calibration_error: expected, over bins of equal width.
        calibration_error_by_chance: that which exact probabilities would show on so many papers;
            None in older reports.
        reliability: those bins.
        per_class: the scores of each class, by its label.
        confusion: counts of papers, shape (true classes, predicted classes).
        confused: the pairs of classes that are mistaken most often.
    """

    papers: int
    standard_error: float
    top3: float
    top5: float
    log_loss: float
    calibration_error: float
    calibration_error_by_chance: float | None = None
    reliability: list[ReliabilityBin]
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]
    confused: list[ConfusedPair] = []


class Scores(ProbabilityScores):
    """All scores of a model's answers on one split.

    Attributes:
        among: share of papers of which the predicted label is one of their categories.
        confident_share: share of papers with a sure answer.
        confident_precision: accuracy of the sure answers; None without sure answers.
        listed_share: share of papers whose category is surely one of theirs; None of an older
            model.
        listed_precision: share of those whose category is; None without such answers.
        coverage: precision for each share of papers answered, those of the highest probability
            first: the best common limit.
        graded: likewise, those of the highest estimate of the verdicts first; empty of an older
            model.
        listed: likewise, where an answer counts as right if it is one of the paper's categories.
        promises: what the verdicts promise, and how it was kept.
        in_scope: share of the papers in scope; None of an older model.
        suggestions: how often suggested cross-lists of each tenth of probability came true.
        cross_lists_precision: of the suggested cross-lists; None if none are suggested.
        cross_lists_recall: likewise.
    """

    among: float | None = None  # older reports lack it
    confident_share: float
    confident_precision: float | None
    listed_share: float | None = None
    listed_precision: float | None = None
    coverage: list[CoveragePoint]
    graded: list[CoveragePoint] = []
    listed: list[CoveragePoint] = []
    promises: list[Promise] = []
    in_scope: float | None = None
    suggestions: list[SuggestionBin] = []
    cross_lists_precision: float | None = None
    cross_lists_recall: float | None = None

    @model_serializer(mode="wrap")
    def _without_absent_figures(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        absent = [key for key in OPTIONAL if values.get(key, key) is None]
        return {key: value for key, value in values.items() if key not in absent}

    def headline(self) -> dict[str, float | None]:
        """Return the `FIGURES`."""
        return {name: getattr(self, name) for name in FIGURES}


class EvaluationReport(Scores):
    """The evaluation of a model on one split.

    Attributes:
        kind: of the record of a run.
        model: name of the model.
        split: name of the split.
        command: the command line of the run.
        created: ISO 8601.
        synthetic: whether the papers are synthetic.
        data_card_sha256: digest of the splits' card.
        strangers: what the model says of texts that are none of its papers.
        telling_terms: for each class the words that push its papers towards it, with their weights.
        baselines: the scores of each baseline, by its name.
        baseline_papers: training papers of the baselines that are fitted; None if not known.
    """

    kind: Literal["evaluation"] = "evaluation"
    model: str
    split: str
    command: str | None = None
    created: str | None = None
    synthetic: bool = False
    data_card_sha256: str | None = None
    strangers: list[StrangerScores] = []
    telling_terms: dict[str, list[tuple[str, float]]] = {}
    baselines: dict[str, LabelScores] = {}
    baseline_papers: int | None = None

    def table(self) -> Table:
        """Return the headline figures of the model and the baselines, a row for each figure."""
        compared = [self.headline(), *(scores.model_dump() for scores in self.baselines.values())]
        rows = [[title, *(_cell(scores.get(name)) for scores in compared)]
                for name, title in FIGURES.items()]  # fmt: skip
        title = f"{self.model}: {self.papers:,} papers of the {self.split} split"
        return Table(
            ("", "this model", *self.baselines), rows, title + " (synthetic)" * self.synthetic
        )

    def to_json(self) -> bytes:
        """Return what `metrics.json` holds."""
        return orjson.dumps(self.model_dump(), option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, content: bytes) -> EvaluationReport:
        """Return the report of a `metrics.json`.

        Raises:
            ValueError: it is not a report of an evaluation.
        """
        return cls.model_validate_json(content)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
