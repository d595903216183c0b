"""From texts to answers: one text, or a file of many as a stream of JSON lines."""

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
from shelfmark.data.readers import Question, Record, Unreadable
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.models.artifact import Model

Wanted = dict[str, Any]  # the options of `answers.answer`

WORTH_SHARING = 16  # batches that repay the start of other processes


def predict_text(folder: Path, text: str, out: str, top_k: int = 5, why: bool = False) -> None:
    """Classify one text into one JSON line, by the model in a folder.

    Raises:
        ShelfmarkError: the text is blank, there is no such model, or the output cannot be written.
    """
    wanted = _wanted(top_k, why)
    record = (1, {"text": text})
    if isinstance(asked := readers.question(*record), Unreadable):
        raise ShelfmarkError(f"--text: {asked.error}")
    _write(folder, [[record]], out, wanted)


def predict_file(folder: Path, source: str, out: str, top_k: int = 5, why: bool = False) -> None:
    """Classify a file, or `-` for standard input, into JSON lines, by the model in a folder.

    Lines keep their order; one that is no paper gives `{"line", "error"}` in its place. A named
    output file appears whole at the end, or not at all; `-` is standard output, as it comes.
    A long file is shared among processes; standard input is answered here, as it comes.

    Raises:
        ShelfmarkError: the file or the model cannot be read, or the output not written.
    """
    wanted = _wanted(top_k, why)
    batches = readers.batches(source)
    if source == "-":
        _write(folder, batches, out, wanted)
        return
    first = list(itertools.islice(batches, WORTH_SHARING))
    shared = len(first) == WORTH_SHARING
    _write(folder, itertools.chain(first, batches), out, wanted, shared=shared)


def _wanted(top_k: int, why: bool) -> Wanted:
    if top_k < 1:
        raise ShelfmarkError(f"--top-k: {top_k}: give 1 or more")
    return {"top_k": top_k, "why": why}


def _write(
    folder: Path, batches: Iterable[list[Record]], out: str, wanted: Wanted, *, shared: bool = False
) -> None:
    if shared:
        # By its own name: another model may become the latest while the processes start.
        answers = parallel.map_in_order(
            functools.partial(_answer_in_worker, folder.resolve(), wanted), batches
        )
    else:
        answers = parallel.map_in_order(
            functools.partial(_answer_batch, _load(folder), wanted), batches, workers=0
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


def _answer_in_worker(folder: Path, wanted: Wanted, batch: list[Record]) -> tuple[int, bytes]:
    return _answer_batch(_model_of_worker(folder), wanted, batch)


@functools.cache
def _model_of_worker(folder: Path) -> Model:
    model = _load(folder, threads=1)
    gc.freeze()  # or the collector walks through all libraries again and again
    return model


def _load(folder: Path, threads: int | None = None) -> Model:
    # Imported where it is needed: a process that hands all work to others starts in a moment.
    from shelfmark.models import artifact

    return artifact.load(folder, threads)


def _answer_batch(model: Model, wanted: Wanted, batch: list[Record]) -> tuple[int, bytes]:
    """Return how many lines there are in a batch, and their answers as JSON lines."""
    from shelfmark.models import answers

    asked = [readers.question(*record) for record in batch]
    papers = [(item.title, item.abstract) for item in asked if isinstance(item, Question)]
    found = iter(answers.answer(model, papers, **wanted))
    return len(batch), b"".join(
        orjson.dumps(_line(item, found), option=orjson.OPT_APPEND_NEWLINE) for item in asked
    )


def _line(item: Question | Unreadable, answers: Iterator[dict[str, Any]]) -> dict[str, Any]:
    if isinstance(item, Question):
        return {"line": item.line, "id": item.id, **next(answers)}
    return {"line": item.line, "error": item.error}


@contextlib.contextmanager
def _output(out: str) -> Iterator[IO[bytes]]:
    if out == "-":
        yield sys.stdout.buffer
    else:
        with files.atomic_write(Path(out)) as file:
            yield file
