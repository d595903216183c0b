"""The results of an evaluation of encoders as typed records: what `metrics.json` holds."""

from __future__ import annotations

import re
from typing import Any, Literal

import orjson
from pydantic import Field, FiniteFloat

from shelfmark.core.output.tables import Table
from shelfmark.evaluation.records import Record

# The beginnings of the keys of figures, in the order of tables, and their names for people.
TASKS = {
    "same_shelf": "same shelf",
    "shared_category": "any shared category",
    "title": "title finds abstract",
    "half": "half finds half",
    "shared_author": "shared author",
}
METRICS = {
    "p10": "P@10",
    "ndcg10": "nDCG@10",
    "mrr10": "MRR@10",
    "map": "MAP",
    "mrr": "MRR",
    "r1": "R@1",
    "r10": "R@10",
}
# Figures of the whole encoder, with the format of their values.
COSTS = {
    "abstracts_a_second": ("abstracts a second, one thread", ",.0f"),
    "bytes_float32": ("bytes a paper, float32", ",.0f"),
    "bytes_int8": ("bytes a paper, int8", ",.0f"),
    "train_seconds": ("seconds to train", ",.0f"),
}
KEY = re.compile(rf"({'|'.join(TASKS)})(?:_(\d+))?_({'|'.join(METRICS)})")


class Figure(Record):
    """A figure, and its standard error over the queries; None where it has none."""

    value: FiniteFloat
    error: FiniteFloat | None = None


class TaskSize(Record):
    """How many queries a figure is the mean of, and the papers of the pool they search."""

    queries: int
    pool: int


class EncoderReport(Record):
    """The evaluation of encoders on one split.

    Attributes:
        kind: of the record of a run.
        name: of the first encoder.
        split: name of the split.
        command: the command line of the run.
        created: ISO 8601.
        synthetic: whether the papers are synthetic.
        data_card_sha256: digest of the splits' card.
        papers: of the split.
        machine: where the speed was measured: its cores, and versions of libraries.
        tasks: the size of each task, by the keys of its figures.
        encoders: what is known of each encoder and baseline, by its name.
        figures: by the name of the encoder, and by their keys. A name such as `static:64` stands
            for the first 64 numbers of its vectors.
        notes: what could not be measured, and why.
    """

    kind: Literal["encoders"] = "encoders"
    name: str
    split: str
    command: str | None = None
    created: str | None = None
    synthetic: bool = False
    data_card_sha256: str
    papers: int
    machine: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, TaskSize] = Field(default_factory=dict)
    encoders: dict[str, dict[str, Any]] = Field(default_factory=dict)
    figures: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    def table(self) -> Table:
        """Return a row for each figure, a column for each encoder."""
        rows = [
            [title, *(format_figure(key, figures.get(key)) for figures in self.figures.values())]
            for key, title in self.titles().items()
        ]
        title = (
            f"{self.papers:,} papers of the {self.split} split" + " (synthetic)" * self.synthetic
        )
        return Table(("", *self.figures), rows, title, "; ".join(self.notes))

    def titles(self) -> dict[str, str]:
        """Return the keys of all figures, in the order of a table, and their names for people."""
        sized = {key: f"{describe_key(key)} ({size.queries:,} in {size.pool:,})"
                 for key, size in self.tasks.items()}  # fmt: skip
        return sized | {key: title for key, (title, _) in COSTS.items()}

    def to_json(self) -> bytes:
        """Return what `metrics.json` holds."""
        return orjson.dumps(self.model_dump(), option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, content: bytes) -> EncoderReport:
        """Return the report of a `metrics.json`.

        Raises:
            ValueError: it is not a report of an evaluation of encoders.
        """
        return cls.model_validate_json(content)


def describe_key(key: str) -> str:
    """Return the name for people of the key of a figure, such as `title_4000_mrr`."""
    if key in COSTS:
        return COSTS[key][0]
    found = KEY.fullmatch(key)
    if found is None:
        return key
    return f"{TASKS[found[1]]}, {METRICS[found[3]]}"


def format_figure(key: str, figure: Figure | None) -> str:
    """Return a figure as a cell of a table, with its standard error if it has one."""
    if figure is None:
        return ""
    text = format(figure.value, COSTS[key][1] if key in COSTS else ".3f")
    return text if figure.error is None else f"{text} ± {figure.error:.3f}"
