"""The papers compared with a reference: from a prediction log or from a file."""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
import pandas as pd
import scipy.sparse as sp
from loguru import logger

from shelfmark.arxiv import dates, papers, taxonomy
from shelfmark.arxiv.identifiers import paper_key
from shelfmark.config.schema import DataConfig
from shelfmark.core import storage
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import labels, readers
from shelfmark.data.inputs import Setting
from shelfmark.data.readers import InputRecord, InvalidRecord
from shelfmark.data.streams import InvalidCounts, PaperStream
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard
from shelfmark.monitoring import fingerprint, prediction_log, reference
from shelfmark.monitoring.fingerprint import Sketcher, sketcher_for
from shelfmark.monitoring.log_line import LogLine
from shelfmark.monitoring.spans import parse_since

# The columns of a file of papers that are read: the paper, its label and its time.
TIMES = ("time", "submitted", "published_date")  # the last is that of the CSV on Kaggle
CATEGORIES = ("primary", "categories", "category_code")
LABELS = ("label", *CATEGORIES)
COLUMNS = (*readers.PAPER, *LABELS, *TIMES, "versions")
LOG_COLUMNS = ("confidence", "words", "unknown", "language", "verdict", "scope")
INVALID, OTHER_MODEL, EARLIER = "invalid", "another model", "earlier"  # why a line is left out

Item = TypeVar("Item")


@dataclass(frozen=True)
class Window:
    """Papers as a model saw them, oldest first.

    Args:
        source: path or address of the log or the file of papers.
        rows: a paper a row: the columns of a reference, and `time`, in seconds, NaN if unknown.
        with_terms: the rows whose words are known.
        terms: their buckets, shape (with_terms, WIDE or NARROW of `fingerprint`); None if no row's
            words are known.
        texts: the texts of the rows in `with_terms`, if they are known too.
        seen: number of papers in the source; more than rows if they were sampled.
        left_out: number of lines left out, by reason.
    """

    source: str
    rows: pd.DataFrame
    with_terms: Ints
    terms: sp.csr_matrix | None
    texts: list[str] | None = None
    seen: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


class Reservoir(Generic[Item]):
    """A sample of a stream, the same for the same stream.

    Args:
        most: size of the sample.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rng = random.Random(0)
        self._heap: list[tuple[float, int, Item]] = []
        self.seen = 0

    def add(self, item: Item) -> None:
        """Take the next item of the stream."""
        entry = (self._rng.random(), self.seen, item)
        self.seen += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def items(self) -> list[Item]:
        """Return the sample, in the order of the stream."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[1])]


def from_log(log: str, card: ModelCard, since: str, most: int, truth: Setting = "") -> Window:
    """Return the answers of a model in a prediction log.

    Args:
        log: folder of the files, open or closed, or one of them; or the address of either, such as
            gs://bucket/logs.
        card: of the model; answers of other versions are left out.
        since: the time from which on lines are read, as `parse_since` takes it.
        most: number of lines kept; more are sampled.
        truth: files of papers with the true labels of some identifiers, as `from_papers` takes
            them; they replace a `label` in the log.

    Raises:
        ShelfmarkError: the log does not exist, it or the labels cannot be read, or `since` is
            invalid.
    """
    first = parse_since(since, time.time())
    sample, left_out = Reservoir[LogLine](most), Counter[str]()
    for values in _read_log(log, first):
        try:
            line = LogLine.from_json(values)
        except ValueError:
            left_out[INVALID] += 1
            continue
        if line.time < first:
            left_out[EARLIER] += 1
        elif line.model != card.name:
            left_out[OTHER_MODEL] += 1
        else:
            sample.add(line)
    del left_out[EARLIER]
    lines = sorted(sample.items(), key=lambda line: line.time)
    if truth:
        data = DataConfig.model_validate_json(orjson.dumps(card.config["data"]))
        _add_labels(lines, truth, data)
    terms = _terms_of(lines, Sketcher(card.config["features"]))
    return Window(log, _rows_of(lines), *terms, sample.seen, dict(left_out))


def from_papers(papers: Setting, model: Model, since: str, most: int) -> Window:
    """Return papers of files, which the model classifies now.

    Args:
        papers: files of JSON lines, CSV, Parquet or text, as `predict --file` takes them, of which
            the newest record of a paper counts. A label is in `label`, or follows from `primary` or
            the first of `categories`; a time is in `time` (seconds), `submitted` (a day), or a
            snapshot's `versions`.
        model: classifies the papers.
        since: the time from which on papers are read, as `parse_since` takes it; papers without a
            time are read too.
        most: number of papers kept; more are sampled.

    Raises:
        ShelfmarkError: the file does not exist or cannot be read, or `since` is invalid.
    """
    first = parse_since(since, time.time())
    sample, left_out = Reservoir[tuple[float, str, str | None]](most), Counter[str]()
    stream, counts = PaperStream(papers, "--papers", COLUMNS), InvalidCounts("--papers")
    for file, line, record in stream.read_placed():
        fields = _record_fields(record)
        # A text beside both of its parts would be read without its title.
        whole = fields.get("title") and fields.get("abstract")
        fields = {key: value for key, value in fields.items() if key != "text" or not whole}
        paper = readers.parse_record(line, fields or record)
        counts.add(file, line, paper.error if isinstance(paper, InvalidRecord) else None)
        moment = _time_of(fields)
        if not isinstance(paper, InputRecord):
            left_out[INVALID] += 1
        elif moment is None or moment >= first:
            text = model.text(paper.title, paper.abstract)
            sample.add((moment or math.nan, text, _find_label(fields, model.targets.data)))
    counts.log()
    chosen = sorted(sample.items(), key=lambda paper: (math.isnan(paper[0]), paper[0]))
    texts = [text for _, text, _ in chosen]
    terms = sketcher_for(model).transform(texts) if texts else None
    rows = _classify(model, chosen)
    source, with_terms = str(stream), np.arange(len(texts))
    return Window(source, rows, with_terms, terms, texts, sample.seen, dict(left_out))


def coerce_dtypes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with numbers as floats, NaN where missing, and names as objects."""
    kinds = {name: float for name in ("confidence", "words", "unknown", "time") if name in rows}
    for name in ("label", "predicted", "language", "verdict", "scope"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), None)
    return rows.astype(kinds)


def _read_log(log: str, first: float) -> Iterator[dict[str, Any]]:
    """Yield the lines of the files of a log that changed since a time."""
    places = _bucket_files(log) if storage.is_remote(log) else _local_files(Path(log))
    for place, changed in places:
        if changed >= first:
            yield from prediction_log.read_lines(place)


def _bucket_files(address: str) -> Iterator[tuple[Location, float]]:
    """Yield the closed files at an address, or the file it names, and when each was changed."""
    filesystem, path = storage.filesystem_for(address)
    with storage.user_errors(address):
        names = [path]
        if not filesystem.isfile(path):
            every = sorted(filesystem.ls(path, detail=False))
            names = [name for name in every if name.endswith(prediction_log.CLOSED)]
        for name in names:
            yield filesystem.unstrip_protocol(name), filesystem.modified(name).timestamp()


def _local_files(path: Path) -> Iterator[tuple[Location, float]]:
    """Yield the files of a folder, or the file a path names, and when each was changed."""
    if not path.exists():
        raise ShelfmarkError(f"--log: there is no folder or file {path}")
    files = [path]
    if path.is_dir():
        kinds = (prediction_log.CLOSED, prediction_log.OPEN)
        files = sorted(file for kind in kinds for file in path.glob(f"*{kind}"))
    for file in files:
        try:
            yield file, file.stat().st_mtime
        except OSError:  # closed, and so renamed, since it was listed
            yield prediction_log.closed_path(file), time.time()


def _rows_of(lines: list[LogLine]) -> pd.DataFrame:
    columns = {name: [getattr(line, name) for line in lines] for name in LOG_COLUMNS}
    return coerce_dtypes(
        pd.DataFrame(
            {
                "label": [line.label for line in lines],
                "predicted": [line.category for line in lines],
                "time": [line.time for line in lines],
                **columns,
            }
        )
    )


def _add_labels(lines: list[LogLine], truth: Setting, data: DataConfig) -> None:
    """Add the true labels of papers to the lines, where a file has them."""
    by_paper: dict[str, list[LogLine]] = {}
    for line in lines:
        if (name := paper_key(line.id)) is not None:
            by_paper.setdefault(name, []).append(line)
    counts = InvalidCounts("--labels", "label")
    for file, number, record in PaperStream(truth, "--labels", COLUMNS, LABELS).read_placed():
        fields = _record_fields(record)
        label, name = _find_label(fields, data), paper_key(fields.get("id"))
        counts.add(file, number, _label_error(number, record, label, name))
        if label is not None and name is not None:
            for line in by_paper.get(name, ()):
                line.label = label
    counts.log()
    known = sum(line.label is not None for line in lines)
    logger.info("--labels: {:,} of {:,} papers of the log have a true label", known, len(lines))


def _label_error(line: int, record: Any, label: str | None, name: str | None) -> str | None:
    """Return why a record labels no paper, None if it labels one."""
    if label is not None and name is not None:
        return None
    if not _record_fields(record) and isinstance(
        invalid := readers.parse_record(line, record), InvalidRecord
    ):
        return invalid.error
    return f"no {'label that is known' if name is not None else 'identifier'}"


def _terms_of(
    lines: list[LogLine], sketcher: Sketcher
) -> tuple[Ints, sp.csr_matrix | None, list[str] | None]:
    """Return which lines have words, their buckets, and their texts if all lines have one."""
    texts = [line.text for line in lines if line.text is not None]
    if lines and len(texts) == len(lines):
        return np.arange(len(lines)), sketcher.transform(texts), texts
    sketches = {row: line.sketch for row, line in enumerate(lines) if line.sketch}
    try:
        terms = fingerprint.decode_sketches(list(sketches.values())) if sketches else None
    except ValueError as error:
        raise ShelfmarkError(f"--log: the sketch of a line is damaged ({error})") from error
    return np.array(list(sketches), np.int64), terms, None


def _record_fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record; none if it is not JSON, or no object."""
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return {}
    return record if isinstance(record, dict) else {}


def _find_label(fields: dict[str, Any], data: DataConfig) -> str | None:
    """Return the label in a record: in `label`, or by `primary` or the first of `categories`."""
    if isinstance(fields.get("label"), str):
        return str(fields["label"])
    primary = next((fields[name] for name in CATEGORIES if fields.get(name)), None)
    if isinstance(primary, str):
        primary = papers.split_categories(primary)
    first = next(iter(primary or []), None) if isinstance(primary, Iterable) else None
    known = taxonomy.canonical_name(first) if isinstance(first, str) else None
    return labels.label_of(data, known) if known else None


def _classify(model: Model, chosen: list[tuple[float, str, str | None]]) -> pd.DataFrame:
    if not chosen:
        return coerce_dtypes(pd.DataFrame({name: [] for name in ("time", *reference.COLUMNS)}))
    moments, texts, known = zip(*chosen, strict=True)
    rows = reference.describe_papers(model, list(texts), list(known))
    return coerce_dtypes(pd.DataFrame({**rows, "time": moments}))


def _time_of(fields: dict[str, Any]) -> float | None:
    """Return the time of a paper in seconds; None if its record has none."""
    seconds = fields.get("time")
    if isinstance(seconds, int | float) and math.isfinite(seconds):
        return float(seconds)
    day = next((fields[name] for name in TIMES if fields.get(name)), None)
    try:
        if day is None and fields.get("versions"):
            from shelfmark.data.sources.snapshot import first_date

            day = first_date(fields["versions"])
        text = day.isoformat() if isinstance(day, date) else str(day or "")
        return dates.parse_moment(text).timestamp()
    except ValueError:
        return None
