"""A window out of a prediction log: what a model answered, as it was kept then."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import scipy.sparse as sp
from loguru import logger

from shelfmark.arxiv import papers
from shelfmark.config.schema import DataConfig
from shelfmark.core import storage
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import readers
from shelfmark.errors import ShelfmarkError
from shelfmark.monitoring import fingerprint, prediction_log
from shelfmark.monitoring.fingerprint import Sketcher
from shelfmark.monitoring.windows import Kept, Window, fields_of, label_in, since_when, typed

COLUMNS = ("confidence", "words", "unknown", "language")


def of_log(log: str, card: dict[str, Any], since: str, most: int, truth: str = "") -> Window:
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
    first = since_when(since, time.time())
    kept, left_out = Kept(most), Counter[str]()
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
        log, typed(rows), *_words_of(lines, Sketcher(card["config"]["features"])),
        kept.seen, dict(left_out),
    )  # fmt: skip


def _lines(log: str, first: float) -> Iterator[dict[str, Any]]:
    for place, changed in _files_there(log) if storage.is_remote(log) else _files_here(Path(log)):
        if changed >= first:
            yield from prediction_log.read(place)


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
            yield prediction_log.closed_name(found), time.time()


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
    for _, record in itertools.chain.from_iterable(readers.batches(truth, "--labels")):
        fields = fields_of(record)
        found, name = label_in(fields, data), _paper(fields.get("id"))
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
        return papers.identifier(str(name))
    except papers.BadRecordError:
        return str(name)


def _words_of(
    lines: list[dict[str, Any]], sketcher: Sketcher
) -> tuple[Ints, sp.csr_matrix | None, list[str] | None]:
    """Return which lines have words, their buckets, and their texts where all of these have one."""
    texts = [line.get("text") for line in lines]
    found = [text for text in texts if isinstance(text, str)]
    if lines and len(found) == len(lines):
        return np.arange(len(lines)), sketcher.rows(found), found
    drawn = {row: text for row, text in enumerate(line.get("sketch") for line in lines) if text}
    try:
        terms = fingerprint.opened(list(drawn.values())) if drawn else None
    except (ValueError, TypeError) as error:
        raise ShelfmarkError(f"--log: a line's sketch is damaged ({error})") from error
    return np.array(list(drawn), np.int64), terms, None
