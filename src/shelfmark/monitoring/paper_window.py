"""A window out of a file of papers, which a model answers anew."""

from __future__ import annotations

import math
import time
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from shelfmark.data import readers
from shelfmark.data.readers import Question
from shelfmark.models.artifact import Model
from shelfmark.monitoring import reference
from shelfmark.monitoring.fingerprint import sketcher_of
from shelfmark.monitoring.windows import Kept, Window, fields_of, label_in, since_when, typed


def of_papers(path: str, model: Model, since: str, most: int) -> Window:
    """Return papers of a file, as a model answers them now, with labels where the file has them.

    Args:
        path: JSON lines, CSV, Parquet or text, as `inv predict --file` reads it. A label is in
            `label`, or follows from `primary` or the first of `categories`; a time is in `time`
            (seconds), `submitted` (a day), or a snapshot's `versions`.
        model: what answers.
        since: the time from which on papers are read; those of unknown time are.
        most: papers that are kept.

    Raises:
        ShelfmarkError: there is no such file, it cannot be read, or the time is none.
    """
    first = since_when(since, time.time())
    kept, left_out = Kept(most), Counter[str]()
    for line, record in (pair for batch in readers.batches(path) for pair in batch):
        fields = fields_of(record)
        # A text beside both of its parts would be read without its title.
        whole = fields.get("title") and fields.get("abstract")
        fields = {k: v for k, v in fields.items() if k != "text" or not whole}
        asked = readers.question(line, fields)
        moment = _moment(fields)
        if not isinstance(asked, Question):
            left_out["not understood"] += 1
        elif moment is None or moment >= first:
            text = model.text(asked.title, asked.abstract)
            kept.add((moment or math.nan, text, label_in(fields, model.targets.data)))
    papers = sorted(kept.items(), key=lambda paper: (math.isnan(paper[0]), paper[0]))
    texts = [text for _, text, _ in papers]
    rows = _answered(model, papers)
    terms = sketcher_of(model).rows(texts) if texts else None
    return Window(path, rows, np.arange(len(texts)), terms, texts, kept.seen, dict(left_out))


def _answered(model: Model, papers: list[tuple[float, str, str | None]]) -> pd.DataFrame:
    if not papers:
        return typed(pd.DataFrame({name: [] for name in ("time", *reference.COLUMNS)}))
    moments, texts, given = zip(*papers, strict=True)
    rows = reference.rows_of(model, list(texts), list(given))
    return typed(pd.DataFrame({**rows, "time": moments}))


def _moment(fields: dict[str, Any]) -> float | None:
    """Return when a paper came, in seconds, None where its record does not say."""
    found = fields.get("time")
    if isinstance(found, int | float) and math.isfinite(found):
        return float(found)
    day = fields.get("submitted")
    if day is None and fields.get("versions"):
        from shelfmark.arxiv.papers import BadRecordError
        from shelfmark.data.sources.snapshot import submitted

        try:
            day = submitted(fields["versions"])
        except BadRecordError:
            return None
    try:
        whole = datetime.fromisoformat(day.isoformat() if isinstance(day, date) else str(day))
    except ValueError:
        return None
    return (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()
