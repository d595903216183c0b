"""From a source's papers to Parquet splits: cleaned, deduplicated, labelled, divided.

Two passes keep memory flat however large the source. The first cleans each paper, spills its text
to disk and keeps four numbers of it; from those numbers alone the duplicates and the labels are
decided; the second reads the spill back and writes the splits.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from loguru import logger

from shelfmark import console, files, sources
from shelfmark.cleaning import Ledger, Row, clean_rows
from shelfmark.config import Config, DataConfig
from shelfmark.errors import ShelfmarkError
from shelfmark.splits import CARD, SCHEMA, SPLITS, Splits, SplitWriter, open_splits, split_of
from shelfmark.taxonomy import label_at
from shelfmark.text import document

SPILLED = pa.schema([field for field in SCHEMA if field.name not in ("text", "label")])
BATCH = 4096
NO_LETTER_OR_DIGIT = bytes(i for i in range(128) if not chr(i).isalnum())
LEFT_OUT = -1

Codes = np.ndarray[Any, np.dtype[np.int64]]


def prepare(config: Config) -> Splits:
    """Return the splits of a configuration: those on disk where they still fit, else new ones.

    Raises:
        ShelfmarkError: the source cannot be read, has too many broken records, or leaves a label
            or a split without papers. Nothing half-written stays.
    """
    data, root = config.data, Path(config.paths.data)
    path = Path(data.path) if data.path else None
    if sources.find(data.source).SYNTHETIC:
        logger.warning("source {}: synthetic papers, good for a try, not for a claim", data.source)
    origin = sources.digest(data.source, path, data.options)
    # The path is no part of it: the same papers elsewhere make the same splits.
    settings = data.model_dump(mode="json", exclude={"path"})
    key = hashlib.sha256(orjson.dumps([settings, origin], option=orjson.OPT_SORT_KEYS)).hexdigest()
    folder = root / f"{data.source}-{key[:10]}"
    if not (folder / CARD).exists():
        files.clear_leftovers(root)
        with files.folder_aside(folder) as aside:
            _write(data, path, {"source_sha256": origin, "config": settings}, aside)
    splits = open_splits(folder)
    logger.info("splits: {} ({:,} papers)", folder, splits.card["kept"])
    return splits


def _write(data: DataConfig, path: Path | None, identity: dict[str, Any], folder: Path) -> None:
    ledger = Ledger(data.max_bad, str(path or data.source))
    spill = folder / "spill.arrow"
    keys, categories = _spill(data, clean_rows(data, path, ledger), spill)
    kept = _without_duplicates(keys, ledger)
    labels, codes = _label(data, keys, categories, kept, ledger)
    counts = _write_splits(data, spill, labels, codes[keys["spilled"].to_numpy()], folder)
    spill.unlink()
    for split in SPLITS:
        if not counts[split]:
            raise ShelfmarkError(
                f"no paper falls in the {split} split: change data.fractions or data.cuts"
            )
    _write_card(data, identity, ledger, counts, folder)


def _spill(data: DataConfig, rows: Iterator[Row], path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Write the rows that may be kept to disk; return numbers that stand for every row.

    The columns are `id` and `text` (hashes, equal for equal ones), `day`, `category` (its place in
    the list returned beside) and `spilled` (a row whose label is not asked for need not be).
    """
    keys = {name: array("q") for name in ("id", "text", "day", "category", "spilled")}
    categories: dict[str, int] = {}
    asked: list[bool] = []
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SPILLED, options=options) as to:
        while batch := list(itertools.islice(rows, BATCH)):
            written = []
            for row in batch:
                ident, title, abstract, (primary, *_), day = row
                code = categories.setdefault(primary, len(categories))
                if code == len(asked):
                    asked.append(not data.labels or label_at(primary, data.level) in data.labels)
                keys["id"].append(hash(ident))
                keys["text"].append(hash(same_text(title, abstract)))
                keys["day"].append(day.toordinal())
                keys["category"].append(code)
                keys["spilled"].append(asked[code])
                if asked[code]:
                    written.append(row)
            if written:
                columns = list(zip(*written, strict=True))
                to.write_batch(pa.record_batch(columns, schema=SPILLED))
    frame = pd.DataFrame({name: np.frombuffer(column, "q") for name, column in keys.items()})
    return frame.astype({"spilled": bool}), list(categories)


def same_text(title: str, abstract: str) -> bytes:
    """Return what two copies of one paper share: their letters and digits, lower case, as UTF-8."""
    return f"{title}{abstract}".casefold().encode().translate(None, NO_LETTER_OR_DIGIT)


def _without_duplicates(keys: pd.DataFrame, ledger: Ledger) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the rows to keep: the earliest paper of each identifier, then of each text."""
    earliest_first = keys.sort_values("day", kind="stable")
    one_an_id = earliest_first.drop_duplicates("id")
    one_a_text = one_an_id.drop_duplicates("text")
    ledger.dropped["duplicate identifier"] = len(keys) - len(one_an_id)
    ledger.dropped["duplicate text"] = len(one_an_id) - len(one_a_text)
    return one_a_text.index.to_numpy()


def _label(
    data: DataConfig,
    keys: pd.DataFrame,
    categories: list[str],
    kept: np.ndarray[Any, np.dtype[np.int64]],
    ledger: Ledger,
) -> tuple[list[str], Codes]:
    """Return the labels and, for every row, the place of its label among them or `LEFT_OUT`."""
    of_category = [str(label_at(name, data.level)) for name in categories]
    category = keys["category"].to_numpy()[kept]
    labels = _choose_labels(data, Counter(np.array(of_category, object)[category]))
    code = np.array([labels.index(x) if x in labels else LEFT_OUT for x in of_category])
    codes = np.full(len(keys), LEFT_OUT)
    codes[kept] = code[category]
    ledger.dropped["other label"] = int((code[category] == LEFT_OUT).sum())
    return labels, codes


def _choose_labels(data: DataConfig, counts: Counter[str]) -> list[str]:
    """Choose the labels: those listed or all, with papers enough, the most frequent of them."""
    for label in data.labels or ():
        if counts[label] < data.min_papers:
            raise ShelfmarkError(
                f"data.labels: {label} has {counts[label]} papers, fewer than "
                f"data.min_papers={data.min_papers}"
            )
    enough = {name for name in data.labels or counts if counts[name] >= data.min_papers}
    chosen = sorted(enough, key=lambda label: (-counts[label], label))[: data.top]
    if len(chosen) < 2:
        raise ShelfmarkError(
            f"data: {len(chosen)} labels have data.min_papers={data.min_papers} papers, "
            "two are needed; lower it or read more papers"
        )
    return sorted(chosen)


def _write_splits(
    data: DataConfig, spill: Path, labels: list[str], codes: Codes, folder: Path
) -> dict[str, Counter[str]]:
    """Write the labelled rows to their splits, in the order they were read; count the labels."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    writers = {split: SplitWriter(folder / f"{split}.parquet") for split in SPLITS}
    with console.progress("writing splits", len(codes)) as bar, pa.memory_map(str(spill)) as file:
        reader, start = pa.ipc.open_file(file), 0
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            part = codes[start : start + batch.num_rows]
            start += batch.num_rows
            rows = np.flatnonzero(part != LEFT_OUT)
            table = _finish(data, batch.take(pa.array(rows)), [labels[code] for code in part[rows]])
            keys = zip(table["id"].to_pylist(), table["submitted"].to_pylist(), strict=True)
            where = np.array([split_of(data, *key) for key in keys], dtype=object)
            for split, writer in writers.items():
                chosen = table.filter(pa.array(where == split, pa.bool_()))
                writer.add(chosen)
                counts[split].update(chosen["label"].to_pylist())
            bar.advance(batch.num_rows)
    for writer in writers.values():
        writer.close()
    return counts


def _finish(data: DataConfig, rows: pa.RecordBatch, labels: list[str]) -> pa.Table:
    """Return spilled rows with their text and label, as a table of `SCHEMA`."""
    pairs = zip(rows["title"].to_pylist(), rows["abstract"].to_pylist(), strict=True)
    added = {
        "text": pa.array([document(*pair, data.maths) for pair in pairs], pa.string()),
        "label": pa.array(labels, pa.string()),
    }
    columns = [added[name] if name in added else rows[name] for name in SCHEMA.names]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _write_card(
    data: DataConfig,
    identity: dict[str, Any],
    ledger: Ledger,
    counts: dict[str, Counter[str]],
    folder: Path,
) -> None:
    """Write how the splits came to be: nothing in it depends on the machine or the hour."""
    parts = [pq.read_table(folder / f"{split}.parquet", columns=["submitted"]) for split in SPLITS]
    days = pc.min_max(pa.concat_tables(parts)["submitted"]).as_py()
    card = {
        "source": data.source,
        "synthetic": sources.find(data.source).SYNTHETIC,
        **identity,
        "read": ledger.read,
        "kept": sum(counts[split].total() for split in SPLITS),
        "dropped": {reason: n for reason, n in sorted(ledger.dropped.items()) if n},
        "splits": {split: counts[split].total() for split in SPLITS},
        "labels": {split: dict(sorted(counts[split].items())) for split in SPLITS},
        "submitted": {"first": days["min"], "last": days["max"]},
        "schema": {field.name: str(field.type) for field in SCHEMA},
        "files": {f"{s}.parquet": files.sha256(folder / f"{s}.parquet") for s in SPLITS},
    }
    (folder / CARD).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2))
