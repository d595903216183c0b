"""A line of the prediction log: one answer of the service, without the paper unless asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, StrictFloat, TypeAdapter

from shelfmark.models.answers import Answer, PaperQuery
from shelfmark.models.artifact import Model
from shelfmark.models.traits import text_traits
from shelfmark.models.verdicts import VERDICTS, ScopeName, Verdict, VerdictName
from shelfmark.monitoring.fingerprint import sketcher_for

_OPTIONAL = ("id", "sketch", "text", "label")


@dataclass(kw_only=True)
class LogLine:
    """An answer as the prediction log keeps it. Lines of older versions may lack all but four.

    Args:
        time: of the answer, in seconds since 1970.
        request_id: of the request.
        model: the version that answered.
        category: the one predicted.
        confidence: the probability of the category.
        confident: whether that was enough to act on.
        verdict: how the answer was graded: sure, likely or open.
        scope: whether the text was a paper for the model: in, doubtful or outside.
        probabilities: of the ranked categories.
        characters: length of the text.
        words: length of the text.
        unknown: share of the words that are not in the model's vocabulary.
        language: ISO 639 code; None if unknown.
        id: of the paper, where the request gave one.
        sketch: hashed words, as `Sketcher.sketch` returns them, where the log keeps them.
        text: of the paper, where the log keeps it.
        label: the true category, where it has become known.
    """

    __pydantic_config__ = ConfigDict(extra="ignore")

    time: StrictFloat
    request_id: str | None = None
    model: str
    category: str
    confidence: StrictFloat
    confident: bool | None = None
    verdict: VerdictName | None = None
    scope: ScopeName | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    characters: int | None = None
    words: int | None = None
    unknown: float | None = None
    language: str | None = None
    id: str | int | None = None
    sketch: str | None = None
    text: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line as a dict for `orjson.dumps`, without what the log does not keep."""
        values = self.__dict__.copy()
        for name in _OPTIONAL:
            if values[name] is None:
                del values[name]
        return values

    @classmethod
    def from_json(cls, values: Any) -> LogLine:
        """Return the line that a file holds.

        Raises:
            ValueError: it is not a log line.
        """
        return _ADAPTER.validate_python(values)


_ADAPTER = TypeAdapter(LogLine)


@dataclass(frozen=True, slots=True)
class AnswerSummary:
    """What the log keeps of an answer: far fewer objects than the answer itself.

    Args:
        model: the version that answered.
        category: the one predicted.
        confidence: the probability of the category.
        verdict: how it was graded.
        scope: whether the text was a paper for the model.
        probabilities: of the ranked categories.
    """

    model: str
    category: str
    confidence: float
    verdict: VerdictName
    scope: ScopeName
    probabilities: dict[str, float]

    @classmethod
    def of(cls, answer: Answer) -> AnswerSummary:
        """Return the summary of an answer."""
        probabilities = {rank.category: rank.probability for rank in answer.ranking}
        return cls(
            answer.model,
            answer.category,
            answer.confidence,
            answer.verdict,
            answer.scope,
            probabilities,
        )

    @property
    def confident(self) -> bool:
        """Whether the answer may be acted on."""
        return self.verdict == VERDICTS[Verdict.SURE]


@dataclass(frozen=True)
class LoggedAnswer:
    """An answer on its way to the log, whose line is made when the log writes it.

    Args:
        time: of the answer, in seconds since 1970.
        request_id: of the request.
        model: what answered.
        query: the paper.
        answer: the answer.
    """

    time: StrictFloat
    request_id: str
    model: Model
    query: PaperQuery
    answer: AnswerSummary

    def line(self, keep_sketch: bool, keep_text: bool) -> LogLine:
        """Return the log line.

        Args:
            keep_sketch: whether the log keeps hashed words.
            keep_text: whether the log keeps texts.
        """
        text = self.model.text(self.query.title, self.query.abstract)
        traits = text_traits(self.model, text)
        return LogLine(
            time=self.time,
            request_id=self.request_id,
            model=self.answer.model,
            category=self.answer.category,
            confidence=self.answer.confidence,
            confident=self.answer.confident,
            verdict=self.answer.verdict,
            scope=self.answer.scope,
            probabilities=self.answer.probabilities,
            characters=traits.characters,
            words=traits.words,
            unknown=traits.unknown,
            language=traits.language,
            id=self.query.id,
            sketch=sketcher_for(self.model).sketch(text) if keep_sketch else None,
            text=text if keep_text else None,
        )
