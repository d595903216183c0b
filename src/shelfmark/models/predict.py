"""Classify texts of the command line: one text, or a file of papers as a stream of JSON lines."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from shelfmark.core import console, files, parallel
from shelfmark.data import readers
from shelfmark.data.readers import InputRecord, InvalidRecord, Record
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.models.answers import Answer
    from shelfmark.models.artifact import Model

Options = dict[str, Any]  # the options of `answers.answer_papers`

WORTH_DISTRIBUTING = 16  # batches: fewer do not repay the start of other processes


def predict_text(folder: Path, text: str, out: str, top_k: int = 5, explain: bool = False) -> None:
    """Classify one text into one JSON line, by the model in a folder.

    Raises:
        ShelfmarkError: the text is blank, there is no such model, or the output cannot be written.
    """
    options = _options(top_k, explain)
    record = (1, {"text": text})
    if isinstance(asked := readers.parse_record(*record), InvalidRecord):
        raise ShelfmarkError(f"--text: {asked.error}")
    _write(folder, [[record]], out, options)


def predict_file(
    folder: Path, source: str, out: str, top_k: int = 5, explain: bool = False
) -> None:
    """Classify a file, or `-` for standard input, into JSON lines, by the model in a folder.

    Lines keep their order; one that is no paper gives `{"line", "error"}` in its place. A named
    output file appears whole at the end, or not at all; `-` is standard output, as it comes.
    A long file is shared among processes; standard input is answered here, as it comes.

    Raises:
        ShelfmarkError: the file or the model cannot be read, or the output not written.
    """
    options = _options(top_k, explain)
    batches = readers.read_batches(source)
    if source == "-":
        _write(folder, batches, out, options)
        return
    first = list(itertools.islice(batches, WORTH_DISTRIBUTING))
    distributed = len(first) == WORTH_DISTRIBUTING
    _write(folder, itertools.chain(first, batches), out, options, distributed=distributed)


def _options(top_k: int, explain: bool) -> Options:
    if top_k < 1:
        raise ShelfmarkError(f"--top-k: {top_k}: give 1 or more")
    return {"top_k": top_k, "explain": explain}


def _write(
    folder: Path,
    batches: Iterable[list[Record]],
    out: str,
    options: Options,
    *,
    distributed: bool = False,
) -> None:
    if distributed:
        # By its own name: another model may become the latest while the processes start.
        answers = parallel.map_in_order(
            functools.partial(_answer_in_worker, folder.resolve(), options), batches
        )
    else:
        answers = parallel.map_in_order(
            functools.partial(_answer_batch, _load(folder), options), batches, workers=0
        )
    with (
        _output(out) as sink,
        contextlib.closing(answers),
        console.progress("predicting") as bar,
    ):
        for lines, written in answers:
            sink.write(written)
            sink.flush()
            bar.advance(lines)


def _answer_in_worker(folder: Path, options: Options, batch: list[Record]) -> tuple[int, bytes]:
    return _answer_batch(_model_of_worker(folder), options, batch)


@functools.cache
def _model_of_worker(folder: Path) -> Model:
    model = _load(folder, threads=1)
    gc.freeze()  # or the collector walks through all libraries again and again
    return model


def _load(folder: Path, threads: int | None = None) -> Model:
    # Imported where it is needed: a process that hands all work to others starts in a moment.
    from shelfmark.models import artifact

    return artifact.load(folder, threads)


def _answer_batch(model: Model, options: Options, batch: list[Record]) -> tuple[int, bytes]:
    """Return how many lines there are in a batch, and their answers as JSON lines."""
    from shelfmark.models import answers

    asked = [readers.parse_record(*record) for record in batch]
    papers = [(item.title, item.abstract) for item in asked if isinstance(item, InputRecord)]
    predictions = iter(answers.answer_papers(model, papers, **options))
    return len(batch), b"".join(
        orjson.dumps(_line(item, predictions), option=orjson.OPT_APPEND_NEWLINE) for item in asked
    )


def _line(item: InputRecord | InvalidRecord, answers: Iterator[Answer]) -> dict[str, Any]:
    if isinstance(item, InvalidRecord):
        return {"line": item.line, "error": item.error}
    line = {"line": item.line, "id": item.id, **next(answers).to_json()}
    del line["model"]  # the same in every line
    return line


@contextlib.contextmanager
def _output(out: str) -> Iterator[IO[bytes]]:
    if out == "-":
        yield sys.stdout.buffer
    else:
        with files.atomic_write(Path(out)) as file:
            yield file
