"""The papers that are compared with a reference: from a prediction log or from a file."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import scipy.sparse as sp
from loguru import logger

from shelfmark.arxiv import papers, taxonomy
from shelfmark.config.schema import DataConfig
from shelfmark.core import storage
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import labels, readers
from shelfmark.data.readers import InputRecord
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.monitoring import fingerprint, prediction_log, reference
from shelfmark.monitoring.fingerprint import Sketcher, sketcher_for

SPAN = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Window:
    """Papers as a model saw them, oldest first.

    Args:
        source: where they are from.
        rows: a paper a row: the columns of a reference, and `time`, in seconds, NaN where unknown.
        with_terms: the rows whose words are known.
        terms: their buckets, shape (with_terms, sketches.WIDE or sketches.NARROW); None: of none.
        texts: the texts of the rows in `with_terms`, where they are known too.
        seen: how many papers there were; more than rows if they were too many.
        left_out: how many were not, by the reason.
    """

    source: str
    rows: pd.DataFrame
    with_terms: Ints
    terms: sp.csr_matrix | None
    texts: list[str] | None = None
    seen: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def parse_since(since: str, now: float) -> float:
    """Return the moment, in seconds, that 7d, 24h, 90m, 2w or 2026-11-01 names; "" is the first.

    Raises:
        ShelfmarkError: it names none.
    """
    if not since:
        return -math.inf
    if span := SPAN.fullmatch(since):
        return now - float(span[1]) * SECONDS[span[2]]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise ShelfmarkError(
            f"--since: {since!r} is no time: give 7d, 24h, 90m, 2w or 2026-11-01"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Reservoir:
    """At most so many items of a stream, chosen by chance, the same for the same stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._chance = random.Random(0)
        self._heap: list[tuple[float, int, Any]] = []
        self.seen = 0

    def add(self, item: Any) -> None:
        """Take the next item of the stream."""
        entry = (self._chance.random(), self.seen, item)
        self.seen += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def items(self) -> list[Any]:
        """Return what was kept, in the order of the stream."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[1])]


def coerce_dtypes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with numbers as numbers, NaN for what is missing, and names as objects."""
    kinds = {name: float for name in ("confidence", "words", "unknown", "time") if name in rows}
    for name in ("label", "predicted", "language"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), None)
    return rows.astype(kinds)


def record_fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record, of none that is not understood."""
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return {}
    return record if isinstance(record, dict) else {}


def find_label(fields: dict[str, Any], data: DataConfig) -> str | None:
    """Return the label in a record: in `label`, or by `primary` or the first of `categories`."""
    if isinstance(fields.get("label"), str):
        return str(fields["label"])
    primary = fields.get("primary") or fields.get("categories")
    if isinstance(primary, str):
        primary = primary.split()
    first = next(iter(primary or []), None) if isinstance(primary, Iterable) else None
    known = taxonomy.current_name(first) if isinstance(first, str) else None
    return labels.label_of(data, known) if known else None


COLUMNS = ("confidence", "words", "unknown", "language")


def from_log(log: str, card: dict[str, Any], since: str, most: int, truth: str = "") -> Window:
    """Return what a model answered, by the prediction log.

    Args:
        log: folder of the files, open or closed, or one of them; or the address of either, as
            gs://bucket/logs.
        card: the model's; what other versions answered is left out.
        since: the time from which on lines are read.
        most: lines that are kept.
        truth: file of papers that names the true label of some identifiers, as `paper_window` reads
            one; it takes the place of a `label` in the log.

    Raises:
        ShelfmarkError: there is no log, it or the labels cannot be read, or the time is none.
    """
    first = parse_since(since, time.time())
    kept, left_out = Reservoir(most), Counter[str]()
    for line in _lines(log, first):
        if (reason := _reason(line, card["name"], first)) is not None:
            left_out[reason] += 1
        else:
            kept.add(line)
    lines = sorted(kept.items(), key=lambda line: float(line["time"]))
    if truth:
        data = DataConfig.model_validate_json(orjson.dumps(card["config"]["data"]))
        _add_labels(lines, truth, data)
    rows = pd.DataFrame(
        {
            "label": [line.get("label") for line in lines],
            "predicted": [line["category"] for line in lines],
            "time": [float(line["time"]) for line in lines],
            **{name: [line.get(name) for line in lines] for name in COLUMNS},
        }
    )
    left_out.pop("before", None)
    return Window(
        log, coerce_dtypes(rows), *_words_of(lines, Sketcher(card["config"]["features"])),
        kept.seen, dict(left_out),
    )  # fmt: skip


def _lines(log: str, first: float) -> Iterator[dict[str, Any]]:
    for place, changed in _files_there(log) if storage.is_remote(log) else _files_here(Path(log)):
        if changed >= first:
            yield from prediction_log.read_lines(place)


def _files_there(address: str) -> Iterator[tuple[Location, float]]:
    """Yield the closed files at an address, or the one it names, and when each was changed."""
    filesystem, path = storage.filesystem_for(address)
    with storage.user_errors(address):
        names = [path]
        if not filesystem.isfile(path):
            there = sorted(filesystem.ls(path, detail=False))
            names = [name for name in there if name.endswith(prediction_log.CLOSED)]
        for name in names:
            yield filesystem.unstrip_protocol(name), filesystem.modified(name).timestamp()


def _files_here(path: Path) -> Iterator[tuple[Location, float]]:
    if not path.exists():
        raise ShelfmarkError(f"--log: there is no folder or file {path}")
    paths = [path]
    if path.is_dir():
        kinds = (prediction_log.CLOSED, prediction_log.OPEN)
        paths = sorted(found for kind in kinds for found in path.glob(f"*{kind}"))
    for found in paths:
        try:
            yield found, found.stat().st_mtime
        except OSError:  # closed, and so renamed, since it was listed
            yield prediction_log.closed_path(found), time.time()


def _reason(line: dict[str, Any], model: str, first: float) -> str | None:
    """Return why a line is left out, None where it is not."""
    moment, confidence = line.get("time"), line.get("confidence")
    if not isinstance(moment, int | float) or not isinstance(confidence, int | float):
        return "not understood"
    if not isinstance(line.get("category"), str):
        return "not understood"
    if moment < first:
        return "before"
    return None if line.get("model") == model else "another model's"


def _add_labels(lines: list[dict[str, Any]], truth: str, data: DataConfig) -> None:
    """Give lines the true labels of their papers, where a file has them."""
    by_paper: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if (name := _paper(line.get("id"))) is not None:
            by_paper.setdefault(name, []).append(line)
    for _, record in itertools.chain.from_iterable(readers.read_batches(truth, "--labels")):
        fields = record_fields(record)
        found, name = find_label(fields, data), _paper(fields.get("id"))
        if found is not None and name is not None:
            for line in by_paper.get(name, ()):
                line["label"] = found
    known = sum(line.get("label") is not None for line in lines)
    logger.info("--labels: {:,} of {:,} papers of the log have a true label", known, len(lines))


def _paper(name: Any) -> str | None:
    """Return what names a paper, in whatever way it is written; arXiv's names have several."""
    if not isinstance(name, str | int):
        return None
    try:
        return papers.parse_identifier(str(name))
    except papers.BadRecordError:
        return str(name)


def _words_of(
    lines: list[dict[str, Any]], sketcher: Sketcher
) -> tuple[Ints, sp.csr_matrix | None, list[str] | None]:
    """Return which lines have words, their buckets, and their texts where all of these have one."""
    texts = [line.get("text") for line in lines]
    found = [text for text in texts if isinstance(text, str)]
    if lines and len(found) == len(lines):
        return np.arange(len(lines)), sketcher.transform(found), found
    drawn = {row: text for row, text in enumerate(line.get("sketch") for line in lines) if text}
    try:
        terms = fingerprint.decode_sketches(list(drawn.values())) if drawn else None
    except (ValueError, TypeError) as error:
        raise ShelfmarkError(f"--log: a line's sketch is damaged ({error})") from error
    return np.array(list(drawn), np.int64), terms, None


def from_papers(path: str, model: Model, since: str, most: int) -> Window:
    """Return papers of a file, as a model answers them now, with labels where the file has them.

    Args:
        path: JSON lines, CSV, Parquet or text, as `predict --file` reads it. A label is in
            `label`, or follows from `primary` or the first of `categories`; a time is in `time`
            (seconds), `submitted` (a day), or a snapshot's `versions`.
        model: what answers.
        since: the time from which on papers are read; those of unknown time are.
        most: papers that are kept.

    Raises:
        ShelfmarkError: there is no such file, it cannot be read, or the time is none.
    """
    first = parse_since(since, time.time())
    kept, left_out = Reservoir(most), Counter[str]()
    for line, record in (pair for batch in readers.read_batches(path) for pair in batch):
        fields = record_fields(record)
        # A text beside both of its parts would be read without its title.
        whole = fields.get("title") and fields.get("abstract")
        fields = {k: v for k, v in fields.items() if k != "text" or not whole}
        asked = readers.parse_record(line, fields)
        moment = _moment(fields)
        if not isinstance(asked, InputRecord):
            left_out["not understood"] += 1
        elif moment is None or moment >= first:
            text = model.text(asked.title, asked.abstract)
            kept.add((moment or math.nan, text, find_label(fields, model.targets.data)))
    papers = sorted(kept.items(), key=lambda paper: (math.isnan(paper[0]), paper[0]))
    texts = [text for _, text, _ in papers]
    rows = _answered(model, papers)
    terms = sketcher_for(model).transform(texts) if texts else None
    return Window(path, rows, np.arange(len(texts)), terms, texts, kept.seen, dict(left_out))


def _answered(model: Model, papers: list[tuple[float, str, str | None]]) -> pd.DataFrame:
    if not papers:
        return coerce_dtypes(pd.DataFrame({name: [] for name in ("time", *reference.COLUMNS)}))
    moments, texts, given = zip(*papers, strict=True)
    rows = reference.describe_papers(model, list(texts), list(given))
    return coerce_dtypes(pd.DataFrame({**rows, "time": moments}))


def _moment(fields: dict[str, Any]) -> float | None:
    """Return when a paper came, in seconds, None where its record does not say."""
    found = fields.get("time")
    if isinstance(found, int | float) and math.isfinite(found):
        return float(found)
    day = fields.get("submitted")
    if day is None and fields.get("versions"):
        from shelfmark.arxiv.papers import BadRecordError
        from shelfmark.data.sources.snapshot import parse_submitted

        try:
            day = parse_submitted(fields["versions"])
        except BadRecordError:
            return None
    try:
        whole = datetime.fromisoformat(day.isoformat() if isinstance(day, date) else str(day))
    except ValueError:
        return None
    return (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()
