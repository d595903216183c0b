"""Classify texts of the command line: one text, or a file of papers as a stream of predictions."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from shelfmark.core import console, files, parallel
from shelfmark.core.output import targets
from shelfmark.data import readers
from shelfmark.data.inputs import Setting
from shelfmark.data.readers import InputRecord, InvalidRecord
from shelfmark.data.streams import PaperStream, RecordBatch
from shelfmark.errors import ShelfmarkError
from shelfmark.models import writing
from shelfmark.models.writing import Line, OutputFormat

if TYPE_CHECKING:
    from shelfmark.models.answers import Answer
    from shelfmark.models.artifact import Model

Options = dict[str, Any]  # the options of `answers.answer_papers`

WORTH_DISTRIBUTING = 16  # batches: fewer do not repay the start of other processes


def predict_text(folder: Path, text: str, out: str, top_k: int = 5, explain: bool = False) -> None:
    """Classify one text, by the model in a folder.

    Raises:
        ShelfmarkError: the text is blank, there is no such model, or the output cannot be written.
    """
    options = _options(top_k, explain)
    output = writing.parse_format(out, explain)
    record = (1, {"text": text})
    if isinstance(asked := readers.parse_record(*record), InvalidRecord):
        raise ShelfmarkError(f"--text: {asked.error}")
    _write(folder, [RecordBatch("", [record])], out, output, options)


def predict_file(
    folder: Path, source: Setting, out: str, top_k: int = 5, explain: bool = False
) -> FileSummary:
    """Classify files, or `-` for standard input, by the model in a folder.

    Predictions are JSON lines, CSV, TSV or Parquet, as the name of the output says. Lines keep
    their order; one that is no paper gives `{"line", "id", "error"}` in its place, without an id if
    it has none. Of several files, each prediction names its `file`, and of a paper in several the
    newest record is classified. A named output file appears whole at the end, or not at all; `-` is
    standard output, as it comes. A long file is shared among processes; standard input is answered
    here, as it comes.

    Args:
        folder: of the model.
        source: the files, as `inputs.find_files` takes them, or `-`.
        out: path, or `-` for standard output.
        top_k: number of categories in a ranking.
        explain: whether to add the words that contribute most.

    Raises:
        ShelfmarkError: a file or the model cannot be read, the output cannot be written, or is a
            file that is read.
    """
    options = _options(top_k, explain)
    output = writing.parse_format(out, explain)
    stream = PaperStream(source)
    output = replace(output, several=stream.is_several)
    targets.require_apart(out, stream.files)
    batches = stream.read_batches()
    if stream.files == [targets.STANDARD]:
        return _write(folder, batches, out, output, options)
    first = list(itertools.islice(batches, WORTH_DISTRIBUTING))
    distributed = len(first) == WORTH_DISTRIBUTING
    chained = itertools.chain(first, batches)
    return _write(folder, chained, out, output, options, distributed=distributed)


def _options(top_k: int, explain: bool) -> Options:
    if top_k < 1:
        raise ShelfmarkError(f"--top-k: {top_k}: give 1 or more")
    return {"top_k": top_k, "explain": explain}


def _write(
    folder: Path,
    batches: Iterable[RecordBatch],
    out: str,
    output: OutputFormat,
    options: Options,
    *,
    distributed: bool = False,
) -> FileSummary:
    if distributed:
        # By its own name: another model may become the latest while the processes start.
        work = functools.partial(_answer_in_worker, folder.resolve(), output, options)
        answers = parallel.map_in_order(work, batches)
    else:
        work = functools.partial(_answer_batch, _load(folder), output, options)
        answers = parallel.map_in_order(work, batches, workers=0)
    summary = FileSummary()
    with (
        output.open(out) as sink,
        contextlib.closing(answers),
        console.progress("predicting") as bar,
    ):
        for batch in answers:
            sink.write(batch.encoded)
            summary.add(batch)
            bar.advance(batch.lines)
    return summary


@dataclass
class FileSummary:
    """The number of records that were read, and that of those without a paper.

    Attributes:
        records: number of records.
        invalid: number of those without a paper.
        first: the first of them.
        file: that of the first of them, "" if only one was read.
    """

    records: int = 0
    invalid: int = 0
    first: InvalidRecord | None = None
    file: str = ""

    def add(self, batch: Batch) -> None:
        """Count the records of the next batch."""
        self.records += batch.lines
        self.invalid += batch.errors
        if self.first is None and batch.first is not None:
            self.first, self.file = batch.first, batch.file

    def require_papers(self) -> None:
        """Check that every record is a paper, for who looks at nothing but the exit status.

        Raises:
            ShelfmarkError: some are not, and their lines of the output say why; or there is none.
        """
        if not self.records:
            raise ShelfmarkError("--file: holds no papers")
        if self.first is not None:
            place = f"{self.file and self.file + ', '}line {self.first.line}"
            others = "; the others are classified" if self.invalid < self.records else ""
            raise ShelfmarkError(
                f"{self.invalid:,} of {self.records:,} records hold no paper, the first in "
                f"{place}: {self.first.error}{others}"
            )


class Batch(NamedTuple):
    """The encoded predictions of some lines, and the number of those without a paper."""

    lines: int
    errors: int
    first: InvalidRecord | None
    encoded: Any
    file: str


def _answer_in_worker(
    folder: Path, output: OutputFormat, options: Options, batch: RecordBatch
) -> Batch:
    return _answer_batch(_model_of_worker(folder), output, options, batch)


@functools.cache
def _model_of_worker(folder: Path) -> Model:
    model = _load(folder, threads=1)
    gc.freeze()  # or the collector walks through all libraries again and again
    return model


def _load(folder: Path, threads: int | None = None) -> Model:
    # Imported where it is needed: a process that hands all work to others starts in a moment.
    from shelfmark.models import artifact

    return artifact.load(folder, threads)


def _answer_batch(
    model: Model, output: OutputFormat, options: Options, batch: RecordBatch
) -> Batch:
    from shelfmark.models import answers

    asked = [readers.parse_record(*record) for record in batch.records]
    papers = [(item.title, item.abstract) for item in asked if isinstance(item, InputRecord)]
    predictions = iter(answers.answer_papers(model, papers, **options))
    place = {"file": files.readable_name(batch.file)} if batch.file else {}
    encoded = output.encode([place | _line(item, predictions) for item in asked])
    first = next((item for item in asked if isinstance(item, InvalidRecord)), None)
    return Batch(len(asked), len(asked) - len(papers), first, encoded, batch.file)


def _line(item: InputRecord | InvalidRecord, answers: Iterator[Answer]) -> Line:
    if isinstance(item, InvalidRecord):
        ident = {} if item.id is None else {"id": item.id}
        return {"line": item.line, **ident, "error": item.error}
    line = {"line": item.line, "id": item.id, **next(answers).to_json()}
    del line["model"]  # the same in every line
    return line
