"""From texts to answers: one text, or a file of many as a stream of JSON lines."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import orjson

from shelfmark import console, files, parallel, questions, taxonomy
from shelfmark.errors import ShelfmarkError
from shelfmark.questions import Question, Record, Unreadable

if TYPE_CHECKING:
    from shelfmark.artifact import Model

WORTH_SHARING = 8  # batches that repay the start of other processes


def answer(model: Model, papers: Sequence[tuple[str, str]], top_k: int = 5) -> list[dict[str, Any]]:
    """Classify papers given as (title, abstract); a text alone is an abstract without a title.

    The whole list goes through the vectorizer and the trees once.

    Returns:
        For each paper: category, name, archive, group, confidence (a probability), and the
        ranking of the `top_k` most probable categories.
    """
    if not papers:
        return []
    probabilities = model.probabilities([model.text(*paper) for paper in papers])
    # A stable sort of the negatives keeps equal probabilities in the order of the classes.
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    chances = np.take_along_axis(probabilities, best, axis=1).astype(np.float64).round(6)
    classes, level = model.classes, model.card["config"]["data"]["level"]
    return [
        _answer([classes[number] for number in numbers], values, level)
        for numbers, values in zip(best.tolist(), chances.tolist(), strict=True)
    ]


def _answer(labels: list[str], chances: list[float], level: str) -> dict[str, Any]:
    ranking = [
        {"category": label, "name": taxonomy.full_name(label), "probability": chance}
        for label, chance in zip(labels, chances, strict=True)
    ]
    return {
        "category": labels[0],
        "name": ranking[0]["name"],
        "archive": None if level == "group" else taxonomy.archive_of(labels[0]),
        "group": taxonomy.group_of(labels[0]),
        "confidence": ranking[0]["probability"],
        "ranking": ranking,
    }


def predict_text(folder: Path, text: str, out: str, top_k: int = 5) -> None:
    """Classify one text into one JSON line, by the model in a folder.

    Raises:
        ShelfmarkError: the text is blank, there is no such model, or the output cannot be written.
    """
    record = (1, {"text": text})
    if isinstance(asked := questions.question(*record), Unreadable):
        raise ShelfmarkError(f"--text: {asked.error}")
    _write(folder, [[record]], out, top_k)


def predict_file(folder: Path, source: str, out: str, top_k: int = 5) -> None:
    """Classify a file, or `-` for standard input, into JSON lines, by the model in a folder.

    Lines keep their order; one that is no paper gives `{"line", "error"}` in its place. A named
    output file appears whole at the end, or not at all; `-` is standard output, as it comes.
    A long file is shared among processes; standard input is answered here, as it comes.

    Raises:
        ShelfmarkError: the file or the model cannot be read, or the output not written.
    """
    batches = questions.batches(source)
    if source == "-":
        _write(folder, batches, out, top_k)
        return
    first = list(itertools.islice(batches, WORTH_SHARING))
    shared = len(first) == WORTH_SHARING
    _write(folder, itertools.chain(first, batches), out, top_k, shared=shared)


def _write(
    folder: Path, batches: Iterable[list[Record]], out: str, top_k: int, *, shared: bool = False
) -> None:
    if top_k < 1:
        raise ShelfmarkError(f"--top-k: {top_k}: give 1 or more")
    if shared:
        # By its own name: another model may become the latest while the processes start.
        answers = parallel.in_order(
            functools.partial(_answer_in_worker, folder.resolve(), top_k), batches
        )
    else:
        answers = parallel.in_order(
            functools.partial(_answer_batch, _load(folder), top_k), batches, workers=0
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


def _answer_in_worker(folder: Path, top_k: int, batch: list[Record]) -> tuple[int, bytes]:
    return _answer_batch(_model_of_worker(folder), top_k, batch)


@functools.cache
def _model_of_worker(folder: Path) -> Model:
    return _load(folder, threads=1)


def _load(folder: Path, threads: int | None = None) -> Model:
    # Imported where it is needed: a process that hands all work to others starts in a moment.
    from shelfmark import artifact

    return artifact.load(folder, threads)


def _answer_batch(model: Model, top_k: int, batch: list[Record]) -> tuple[int, bytes]:
    """Return how many lines there are in a batch, and their answers as JSON lines."""
    asked = [questions.question(*record) for record in batch]
    papers = [(item.title, item.abstract) for item in asked if isinstance(item, Question)]
    answers = iter(answer(model, papers, top_k))
    return len(batch), b"".join(
        orjson.dumps(_line(item, answers), option=orjson.OPT_APPEND_NEWLINE) for item in asked
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
        with files.file_aside(Path(out)) as file:
            yield file
