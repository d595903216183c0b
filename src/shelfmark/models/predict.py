"""Classify texts of the command line: one text, or a file of papers as a stream of predictions."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfmark.core.output import targets
from shelfmark.data import readers
from shelfmark.data.batches import (
    EncodedBatch,
    FileSummary,
    Item,
    count_batch,
    file_of,
    papers_of,
    parse_batch,
    read_distributable,
    write_batches,
)
from shelfmark.data.inputs import Setting
from shelfmark.data.readers import InvalidRecord
from shelfmark.data.streams import PaperStream, RecordBatch
from shelfmark.errors import ShelfmarkError
from shelfmark.models import writing
from shelfmark.models.writing import Line, OutputFormat

if TYPE_CHECKING:
    from shelfmark.models.answers import Answer
    from shelfmark.models.artifact import Model

Options = dict[str, Any]  # the options of `answers.answer_papers`


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
    batches, distributed = read_distributable(stream)
    return _write(folder, batches, out, output, options, distributed=distributed)


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
    else:
        work = functools.partial(_answer_batch, _load(folder), output, options)
    summary = FileSummary("classified")
    with output.open(out) as sink:
        write_batches(batches, work, sink, summary, "predicting", distributed=distributed)
    return summary


def _answer_in_worker(
    folder: Path, output: OutputFormat, options: Options, batch: RecordBatch
) -> EncodedBatch:
    return _answer_batch(_model_of_worker(folder), output, options, batch)


@functools.cache
def _model_of_worker(folder: Path) -> Model:
    from threadpoolctl import threadpool_limits

    model = _load(folder, threads=1)
    threadpool_limits(1)  # for good: the other processes have the other cores
    gc.freeze()  # or the collector walks through all libraries again and again
    return model


def _load(folder: Path, threads: int | None = None) -> Model:
    # Imported where it is needed: a process that hands all work to others starts in a moment.
    from shelfmark.models import artifact

    return artifact.load(folder, threads)


def _answer_batch(
    model: Model, output: OutputFormat, options: Options, batch: RecordBatch
) -> EncodedBatch:
    from shelfmark.models import answers

    items = parse_batch(batch)
    predictions = iter(answers.answer_papers(model, papers_of(items), **options))
    place = {"file": file_of(batch)} if batch.file else {}
    encoded = output.encode([place | _line(item, predictions) for item in items])
    return count_batch(batch, items, encoded)


def _line(item: Item, answers: Iterator[Answer]) -> Line:
    if isinstance(item, InvalidRecord):
        ident = {} if item.id is None else {"id": item.id}
        return {"line": item.line, **ident, "error": item.error}
    line = {"line": item.line, "id": item.id, **next(answers).to_json()}
    del line["model"]  # the same in every line
    return line
