"""From texts to answers: one text, or a file of many as a stream of JSON lines."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shelfmark import confidence, console, files, taxonomy
from shelfmark.artifact import Model
from shelfmark.errors import ShelfmarkError

Row = np.ndarray[Any, np.dtype[np.float32]]

BATCH = 512
JSON_LINES = (".json", ".jsonl", ".ndjson")
ABSTRACTS = ("abstract", "summary")  # what snapshot and CSV call it


@dataclass(frozen=True, slots=True)
class Question:
    """A paper to classify: the line it stood in, its identifier where it has one, its text."""

    line: int
    id: str | None
    title: str
    abstract: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no paper, and why."""

    line: int
    error: str


def answer(model: Model, papers: Sequence[tuple[str, str]], top_k: int = 5) -> list[dict[str, Any]]:
    """Classify papers given as (title, abstract); a text alone is an abstract without a title.

    The whole list goes through the vectorizer and the trees once.

    Returns:
        For each paper: category, name, archive, group, confidence (a probability), the ranking of
        the `top_k` most probable categories, whether that is confident enough to act on, and up to
        two cross_lists. Archive and group are null where the papers of a label do not share one.
    """
    if not papers:
        return []
    texts = [model.text(title, abstract) for title, abstract in papers]
    probabilities, lists = model.probabilities(texts)
    caution = model.card["caution"]
    limits = [caution["confident_from"][label] for label in model.classes]
    sure = confidence.confident(probabilities, limits)
    lists_from = caution["cross_lists_from"]
    data = model.card["config"]["data"]
    return [
        _answer(row, model.classes, data, top_k)
        | {"confident": bool(known), "cross_lists": _cross_lists(others, model, lists_from)}
        for row, known, others in zip(probabilities, sure, lists, strict=True)
    ]


def _cross_lists(row: Row, model: Model, least: float | None) -> list[dict[str, Any]]:
    """Return the suggested cross-lists of a paper, the most probable first."""
    if least is None:
        return []
    places = np.flatnonzero(confidence.suggested(row[None, :], least)[0])
    return [
        {"category": model.card["listed"][place], "probability": round(float(row[place]), 6)}
        for place in places[np.argsort(-row[places], kind="stable")]
    ]


def _answer(row: Row, classes: list[str], data: dict[str, Any], top_k: int) -> dict[str, Any]:
    # A stable sort of the negatives keeps equal probabilities in the order of the classes.
    best = np.argsort(-row, kind="stable")[:top_k]
    ranking = [
        {
            "category": classes[number],
            "name": taxonomy.full_name(classes[number]),
            "probability": round(float(row[number]), 6),
        }
        for number in best
    ]
    first = classes[best[0]]
    archive, group = _home(first, data)
    return {
        "category": first,
        "name": ranking[0]["name"],
        "archive": archive,
        "group": group,
        "confidence": ranking[0]["probability"],
        "ranking": ranking,
    }


def _home(label: str, data: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the archive and the group that all papers of a label share, None where they differ."""
    labels = data["labels"]
    if not isinstance(labels, dict):
        archive = None if data["level"] == "group" else taxonomy.archive_of(label)
        return archive, taxonomy.group_of(label)
    archives = set[str]().union(*map(taxonomy.archives_under, labels[label]))
    groups = set(map(taxonomy.group_of, archives))
    return (
        archives.pop() if len(archives) == 1 else None,
        groups.pop() if len(groups) == 1 else None,
    )


def predict_text(model: Model, text: str, out: str, top_k: int = 5) -> None:
    """Classify one text into one JSON line.

    Raises:
        ShelfmarkError: the text is blank, or the output cannot be written.
    """
    asked = question(1, {"text": text})
    if isinstance(asked, Unreadable):
        raise ShelfmarkError(f"--text: {asked.error}")
    _write(model, iter([asked]), out, top_k)


def predict_file(model: Model, source: str, out: str, top_k: int = 5) -> None:
    """Classify a file, or `-` for standard input, into JSON lines.

    Lines keep their order; one that is no paper gives `{"line", "error"}` in its place. A named
    output file appears whole at the end, or not at all; `-` is standard output, as it comes.

    Raises:
        ShelfmarkError: the file cannot be read, or the output not written.
    """
    _write(model, read_questions(source), out, top_k)


def _write(model: Model, questions: Iterator[Question | Unreadable], out: str, top_k: int) -> None:
    if top_k < 1:
        raise ShelfmarkError(f"--top-k: {top_k}: give 1 or more")
    with _output(out) as sink, console.progress("predicting") as bar:
        while batch := list(itertools.islice(questions, BATCH)):
            for line in _answer_batch(model, batch, top_k):
                sink.write(orjson.dumps(line) + b"\n")
            sink.flush()
            bar.advance(len(batch))


def _answer_batch(
    model: Model, batch: list[Question | Unreadable], top_k: int
) -> Iterator[dict[str, Any]]:
    papers = [(item.title, item.abstract) for item in batch if isinstance(item, Question)]
    answers = iter(answer(model, papers, top_k))
    for item in batch:
        if isinstance(item, Question):
            yield {"line": item.line, "id": item.id, **next(answers)}
        else:
            yield {"line": item.line, "error": item.error}


@contextlib.contextmanager
def _output(out: str) -> Iterator[IO[bytes]]:
    if out == "-":
        yield sys.stdout.buffer
    else:
        with files.file_aside(Path(out)) as file:
            yield file


def read_questions(source: str) -> Iterator[Question | Unreadable]:
    """Stream the papers of a file: text lines, JSON lines, CSV or Parquet, compressed or not.

    `-` reads standard input. Where the name does not tell, a line that opens a JSON object is one
    and any other is text.

    Raises:
        ShelfmarkError: the file is not there, damaged, or has no column with a text.
    """
    if source == "-":
        yield from _lines(sys.stdin.buffer, "")
        return
    path = files.existing(source, "--file")
    kind = files.format_of(path)
    if kind == ".parquet":
        yield from _parquet(path)
        return
    with files.opened(path) as file:
        yield from _csv(file, path) if kind == ".csv" else _lines(file, kind)


def _lines(file: IO[bytes], kind: str) -> Iterator[Question | Unreadable]:
    for number, line in enumerate(file, 1):
        if kind in JSON_LINES or (kind != ".txt" and line.lstrip()[:1] == b"{"):
            try:
                yield question(number, orjson.loads(line))
            except orjson.JSONDecodeError as error:
                yield Unreadable(number, f"broken JSON: {error}")
        else:
            yield question(number, {"text": line.decode("utf-8", "replace")})


def _csv(file: IO[bytes], path: Path) -> Iterator[Question | Unreadable]:
    csv.field_size_limit(1 << 24)
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="") as text:
        rows = csv.DictReader(text)
        if not {"text", "title", *ABSTRACTS} & set(rows.fieldnames or ()):
            raise ShelfmarkError(f"{path}: line 1 has no column text, title, abstract or summary")
        try:
            for row in rows:
                yield question(rows.line_num, row)
        except csv.Error as error:
            raise ShelfmarkError(f"{path}: line {rows.line_num}: {error}") from error


def _parquet(path: Path) -> Iterator[Question | Unreadable]:
    try:
        with pq.ParquetFile(path) as table:
            rows = itertools.count(1)
            for batch in table.iter_batches(BATCH):
                for record in batch.to_pylist():
                    yield question(next(rows), record)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise ShelfmarkError(f"{path}: not a readable Parquet file ({error})") from error


def question(line: int, record: Any) -> Question | Unreadable:
    """Return the paper in a record with `text`, or `title` and `abstract` (or `summary`)."""
    if not isinstance(record, dict):
        return Unreadable(line, "not an object with text, or title and abstract")
    title, abstract = record.get("title"), record.get("text")
    if abstract is None:
        abstract = next((record[name] for name in ABSTRACTS if record.get(name)), None)
    else:
        title = None
    for name, value in (("title", title), ("text or abstract", abstract)):
        if value is not None and not isinstance(value, str):
            return Unreadable(line, f"{name} is {type(value).__name__}, not text")
    if not (title or "").strip() and not (abstract or "").strip():
        return Unreadable(line, "no text: give text, or title and abstract")
    ident = record.get("id")
    return Question(line, None if ident is None else str(ident), title or "", abstract or "")
