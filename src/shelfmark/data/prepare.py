"""From the papers of a source to Parquet splits: cleaned, deduplicated, labelled, split.

Two passes keep memory flat however large the source. The first cleans each paper, spills its text
to disk and keeps a few numbers of it, which determine the duplicates and the labels; the second
reads the spilled texts and writes the splits.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
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

from shelfmark.config.schema import Config, DataConfig
from shelfmark.core import console, files, parallel, storage
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import dvc, sources
from shelfmark.data.cleaning import CLEANED, CleanedChunk, RecordCounts, clean_records
from shelfmark.data.labels import LEFT_OUT, choose_labels, label_of, surplus_rows
from shelfmark.data.splits import (
    CARD,
    SCHEMA,
    SPLITS,
    Splits,
    SplitWriter,
    check_splits,
    open_splits,
)
from shelfmark.errors import ShelfmarkError

KEYS = ("id", "text", "day", "split", "primary", "spilled")
CHUNK = 2048  # records; some 3 MB
WORTH_SHARING = 16 << 20  # bytes of a file from which on several processes are faster
# Raised with every change to cleaning or splitting: older splits are then made again.
RECIPE = 2


def prepare_splits(config: Config) -> Splits:
    """Return the splits of a configuration: those on disk if they match, else new ones.

    Raises:
        ShelfmarkError: the source cannot be read, has too many broken records, or leaves a label
            or a split without papers. No half-written splits stay.
    """
    data, root = config.data, Path(config.paths.data)
    path = files.parse_location(data.path) if data.path else None
    if sources.find_source(data.source).SYNTHETIC:
        logger.warning("source {}: synthetic papers, for trying out only", data.source)
    origin = _digest(data, path, root)
    # Without the path: the same papers elsewhere make the same splits.
    settings = data.model_dump(mode="json", exclude={"path"})
    identity = {"recipe": RECIPE, "source_sha256": origin, "config": settings}
    key = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
    folder = root / f"{data.source}-{key[:10]}"
    if not (folder / CARD).exists():
        files.clear_leftovers(root)
        dvc.pull_splits(folder, functools.partial(check_splits, identity=identity))
    if not (folder / CARD).exists():
        with files.atomic_folder(folder) as aside:
            _write(data, path, identity, aside)
            if isinstance(path, str) and _digest(data, path, root) != origin:
                raise ShelfmarkError(f"{path} changed while it was read: run again")
    splits = open_splits(folder)
    logger.info("splits: {} ({:,} papers)", folder, splits.card["kept"])
    return splits


def _digest(data: DataConfig, path: Location | None, root: Path) -> str:
    """Return the SHA-256 of the source; a file on a bucket is read once for each version."""
    if not isinstance(path, str):
        return sources.source_digest(data.source, path, data.options)
    note = root / f"{files.DIGEST_PREFIX}{storage.version_digest(path)}"
    if not note.exists():
        digest = sources.source_digest(data.source, path, data.options)
        with files.atomic_write(note) as file:
            file.write(digest.encode())
    return files.read_bytes(note).decode()


def _write(data: DataConfig, path: Location | None, identity: dict[str, Any], folder: Path) -> None:
    counts = RecordCounts(data.max_bad, str(path or data.source))
    spill = folder / "spill.arrow"
    keys, categories = _spill(data, path, counts, spill)
    kept = _drop_duplicates(keys, counts)
    labels, codes = _label(data, keys, categories, kept, counts)
    chosen = keys.assign(label=codes)[keys["spilled"]]
    label_counts = _write_splits(spill, labels, chosen, folder)
    spill.unlink()
    for split in SPLITS:
        if not label_counts[split]:
            raise ShelfmarkError(
                f"no paper falls in the {split} split: change data.fractions or data.cuts"
            )
    _write_card(data, identity, counts, label_counts, folder)


def _spill(
    data: DataConfig, path: Location | None, counts: RecordCounts, spill: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Clean all records, write the rows that may be kept to disk, and return numbers of all rows.

    The numbers are the `keys` of the chunks, with `primary` an index into the returned categories,
    and `spilled`, False for a row that no requested label includes.
    """
    frames = [pd.DataFrame({name: np.empty(0, np.int64) for name in KEYS})]
    categories: dict[str, int] = {}
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        console.progress("reading papers") as bar,
        pa.OSFile(str(spill), "wb") as file,
        pa.ipc.new_file(file, CLEANED, options=options) as writer,
    ):
        for chunk in _clean_source(data, path):
            counts.add(chunk)
            asked = [not data.labels or label_of(data, x) in data.labels for x in chunk.categories]
            places = [categories.setdefault(name, len(categories)) for name in chunk.categories]
            primary = chunk.keys["primary"]
            spilled = np.array(asked, bool)[primary]
            keys = {
                **chunk.keys,
                "primary": np.array(places, np.int64)[primary],
                "spilled": spilled,
            }
            frames.append(pd.DataFrame(keys))
            writer.write_batch(chunk.rows.filter(pa.array(spilled)))
            bar.advance(chunk.read)
    counts.close()
    return pd.concat(frames, ignore_index=True).astype({"spilled": bool}), list(categories)


def _clean_source(data: DataConfig, path: Location | None) -> Iterator[CleanedChunk]:
    """Return the cleaned records in the order of the source; all cores clean a large file."""
    records = sources.read_records(data.source, path, data.options)
    chunks = iter(lambda: list(itertools.islice(records, CHUNK)), [])
    alone = path is None or files.file_size(path) < WORTH_SHARING
    return parallel.map_in_order(
        functools.partial(clean_records, data), chunks, 0 if alone else None
    )


def _drop_duplicates(
    keys: pd.DataFrame, counts: RecordCounts
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the rows to keep: the earliest paper of each identifier, then of each text."""
    earliest_first = keys.sort_values("day", kind="stable")
    one_an_id = earliest_first.drop_duplicates("id")
    one_a_text = one_an_id.drop_duplicates("text")
    counts.dropped["duplicate identifier"] = len(keys) - len(one_an_id)
    counts.dropped["duplicate text"] = len(one_an_id) - len(one_a_text)
    return one_a_text.index.to_numpy()


def _label(
    data: DataConfig,
    keys: pd.DataFrame,
    categories: list[str],
    kept: Ints,
    counts: RecordCounts,
) -> tuple[list[str], Ints]:
    """Return the labels and, for each row, the index of its label or `LEFT_OUT`."""
    of_category = [label_of(data, name) or "" for name in categories]  # "" is never a label
    category = keys["primary"].to_numpy()[kept]
    labels = choose_labels(data, Counter(np.array(of_category, object)[category]))
    code = np.array([labels.index(x) if x in labels else LEFT_OUT for x in of_category])
    codes = np.full(len(keys), LEFT_OUT)
    codes[kept] = code[category]
    counts.dropped["other label"] = int((code[category] == LEFT_OUT).sum())
    more = surplus_rows(data, keys, codes)
    codes[more] = LEFT_OUT
    counts.dropped["more than data.max_papers"] = len(more)
    return labels, codes


def _write_splits(
    spill: Path, labels: list[str], keys: pd.DataFrame, folder: Path
) -> dict[str, Counter[str]]:
    """Write the labelled rows to their splits in the order of the source; count the labels."""
    label_counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    names = pa.array([*labels, None], pa.string())  # index LEFT_OUT
    with (
        console.progress("writing splits", len(keys)) as bar,
        contextlib.ExitStack() as stack,
        # Not mapped: every page of a mapped file counts as memory of this process.
        pa.OSFile(str(spill), "rb") as file,
    ):
        paths = (folder / f"{split}.parquet" for split in SPLITS)
        writers = [stack.enter_context(SplitWriter(path)) for path in paths]
        reader, start = pa.ipc.open_file(file), 0
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            part = keys.iloc[start : start + batch.num_rows]
            start += batch.num_rows
            code, where = part["label"].to_numpy(), part["split"].to_numpy()
            label = names.take(pa.array(code % len(names)))
            columns = [label if name == "label" else batch[name] for name in SCHEMA.names]
            table = pa.Table.from_arrays(columns, schema=SCHEMA)
            for number, (split, writer) in enumerate(zip(SPLITS, writers, strict=True)):
                chosen = (where == number) & (code != LEFT_OUT)
                writer.add(table.filter(pa.array(chosen)))
                label_counts[split].update(labels[place] for place in code[chosen])
            bar.advance(batch.num_rows)
    return label_counts


def _write_card(
    data: DataConfig,
    identity: dict[str, Any],
    counts: RecordCounts,
    label_counts: dict[str, Counter[str]],
    folder: Path,
) -> None:
    """Write the data card; nothing in it depends on the machine or the time."""
    parts = [pq.read_table(folder / f"{split}.parquet", columns=["submitted"]) for split in SPLITS]
    days = pc.min_max(pa.concat_tables(parts)["submitted"]).as_py()
    card = {
        "source": data.source,
        "synthetic": sources.find_source(data.source).SYNTHETIC,
        **identity,
        "read": counts.read,
        "kept": sum(label_counts[split].total() for split in SPLITS),
        "dropped": {reason: n for reason, n in sorted(counts.dropped.items()) if n},
        "splits": {split: label_counts[split].total() for split in SPLITS},
        "labels": {split: dict(sorted(label_counts[split].items())) for split in SPLITS},
        "submitted": {"first": days["min"], "last": days["max"]},
        "schema": {field.name: str(field.type) for field in SCHEMA},
        "files": {f"{s}.parquet": files.sha256(folder / f"{s}.parquet") for s in SPLITS},
    }
    (folder / CARD).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2))
