"""From the papers of a source to Parquet splits: cleaned, deduplicated, labelled, split.

Two passes keep memory flat however large the source. The first cleans each paper, spills its text
to disk and keeps a few numbers of it, which determine the duplicates and the labels; the second
reads the spilled texts and writes the splits.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from loguru import logger

from shelfmark.arxiv.text import CLEANING
from shelfmark.config.schema import DataConfig, TrainingSettings
from shelfmark.core import console, files, parallel, storage
from shelfmark.core.arrays import Array
from shelfmark.core.files import Location
from shelfmark.data import dvc, inputs, sources
from shelfmark.data.cleaning import (
    KEYS,
    CleanedChunk,
    Reason,
    RecordCounts,
    clean_records,
    cleaned_schema,
    mark_duplicates,
    reason_names,
)
from shelfmark.data.labels import LEFT_OUT, choose_labels, label_of, surplus_rows
from shelfmark.data.splits import (
    CARD,
    SPLITS,
    Splits,
    SplitWriter,
    check_splits,
    open_splits,
    schema_of,
)
from shelfmark.errors import ShelfmarkError

COLUMNS = {**KEYS, "file": np.int32, "spilled": np.bool_}
CHUNK = 2048  # records; some 3 MB
WORTH_SHARING = 16 << 20  # bytes of a source from which on several processes are faster
# Raised with every change to cleaning or splitting: older splits are then made again.
RECIPE = 3


def prepare_splits(config: TrainingSettings) -> Splits:
    """Return the splits of a configuration: those on disk if they match, else new ones.

    Raises:
        ShelfmarkError: the source cannot be read, has too many broken records, or leaves a label
            or a split without papers. No half-written splits stay.
    """
    data, root = config.data, Path(config.paths.data)
    if sources.find_source(data.source).SYNTHETIC:
        logger.warning("source {}: synthetic papers, for trying out only", data.source)
    paths = sources.find_files(data)
    digests = [_digest(data, path, root) for path in paths]
    # Without the path: the same papers elsewhere make the same splits.
    settings = data.model_dump(mode="json", exclude={"path"})
    origin = sources.join_digests(digests)
    identity = {"recipe": RECIPE, "source_sha256": origin, "config": settings}
    key = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
    folder = root / f"{data.source}-{key[:10]}"
    if not (folder / CARD).exists():
        files.clear_leftovers(root)
        dvc.pull_splits(folder, functools.partial(check_splits, identity=identity))
    if not (folder / CARD).exists():
        with files.atomic_folder(folder) as aside:
            _write(data, paths, digests, identity, aside)
            for path, digest in zip(paths, digests, strict=True):
                if isinstance(path, str) and _digest(data, path, root) != digest:
                    raise ShelfmarkError(f"{path} changed while it was read: run again")
    splits = open_splits(folder)
    logger.info("splits: {} ({:,} papers)", folder, splits.card["kept"])
    return splits


def _digest(data: DataConfig, path: Location | None, root: Path) -> str:
    """Return the SHA-256 of a file; one on a bucket is read once for each version."""
    if not isinstance(path, str):
        return sources.source_digest(data.source, path, data.options)
    note = root / f"{files.DIGEST_PREFIX}{storage.version_digest(path)}"
    if not note.exists():
        digest = sources.source_digest(data.source, path, data.options)
        with files.atomic_write(note) as file:
            file.write(digest.encode())
    return files.read_bytes(note).decode()


def _write(
    data: DataConfig,
    paths: Sequence[Location | None],
    digests: Sequence[str],
    identity: dict[str, Any],
    folder: Path,
) -> None:
    counts = RecordCounts(data.max_bad, [str(path or data.source) for path in paths])
    spill = folder / "spill.arrow"
    keys, categories = _spill(data, paths, counts, spill)
    keys["reason"] = mark_duplicates(keys)
    labels = _label(data, keys, categories)
    label_counts = _write_splits(data, spill, labels, keys[keys["spilled"]], folder)
    spill.unlink()
    for split in SPLITS:
        if not label_counts[split]:
            raise ShelfmarkError(
                f"no paper falls in the {split} split: change data.fractions or data.cuts"
            )
    origins = [
        {"file": name, "sha256": digest, **tallied}
        for name, digest, tallied in zip(
            inputs.short_names(paths), digests, _tally(data, keys, counts), strict=True
        )
    ]
    unlisted = {name: vars(found) for name, found in sorted(counts.unlisted.items())}
    _write_card(data, identity, origins, label_counts, unlisted, folder)


def _spill(
    data: DataConfig, paths: Sequence[Location | None], counts: RecordCounts, spill: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Clean all records, write the rows that may be kept to disk, and return numbers of all papers.

    The numbers are the `keys` of the chunks, with `primary` an index into the returned categories,
    `file` the place of the paper's file, and `spilled`, False for a paper that is dropped or that
    no requested label includes.
    """
    parts: dict[str, list[Array]] = {name: [np.empty(0, kind)] for name, kind in COLUMNS.items()}
    categories: dict[str, int] = {}
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        console.progress("reading papers") as bar,
        pa.OSFile(str(spill), "wb") as file,
        pa.ipc.new_file(file, cleaned_schema(data), options=options) as writer,
    ):
        for chunk in _clean_source(data, paths):
            counts.add(chunk)
            asked = [_may_be_kept(data, category) for category in chunk.categories]
            places = [categories.setdefault(name, len(categories)) for name in chunk.categories]
            kept = chunk.keys["reason"] == Reason.KEPT
            primary = chunk.keys["primary"][kept]
            columns = chunk.keys | {"file": np.full(len(kept), chunk.file), "spilled": kept.copy()}
            columns["primary"][kept] = np.array(places, np.int32)[primary]
            columns["spilled"][kept] = np.array(asked, bool)[primary]
            for name, kind in COLUMNS.items():
                parts[name].append(columns[name].astype(kind, copy=False))
            writer.write_batch(chunk.rows.filter(pa.array(columns["spilled"][kept])))
            bar.advance(chunk.read)
    counts.close()
    keys = {name: np.concatenate(parts.pop(name)) for name in COLUMNS}
    return pd.DataFrame(keys, copy=False), list(categories)


def _may_be_kept(data: DataConfig, category: str) -> bool:
    """Whether papers of a primary category may be kept, as far as the configuration tells."""
    if not data.labels or data.unlabelled == "keep":
        return True
    return label_of(data, category) in data.labels


def _clean_source(data: DataConfig, paths: Sequence[Location | None]) -> Iterator[CleanedChunk]:
    """Return the cleaned records in the order of the source; all cores clean large files."""
    size = sum(files.file_size(path) for path in paths if path is not None)
    return parallel.map_in_order(
        functools.partial(_clean_numbered, data),
        sources.read_chunks(data, paths, CHUNK),
        0 if size < WORTH_SHARING else None,
    )


def _clean_numbered(data: DataConfig, numbered: tuple[int, list[tuple[int, Any]]]) -> CleanedChunk:
    place, records = numbered
    return clean_records(data, records, place)


def _label(data: DataConfig, keys: pd.DataFrame, categories: list[str]) -> list[str]:
    """Return the labels; add to each row the index of its label, or `LEFT_OUT`.

    A row without a label is dropped unless `data.unlabelled` keeps it.
    """
    of_category = [label_of(data, name) or "" for name in categories]  # "" is never a label
    kept = np.flatnonzero(keys["reason"] == Reason.KEPT)
    category = keys["primary"].to_numpy()[kept]
    counts = Counter(np.array(of_category, object)[category])
    del counts[""]
    labels = choose_labels(data, counts)
    code = np.array([labels.index(x) if x in labels else LEFT_OUT for x in of_category])
    codes = np.full(len(keys), LEFT_OUT)
    codes[kept] = code[category]
    reason = keys["reason"].to_numpy().copy()
    if data.unlabelled == "drop":
        reason[kept[code[category] == LEFT_OUT]] = Reason.OTHER_LABEL
    more = surplus_rows(data, keys, codes)
    codes[more], reason[more] = LEFT_OUT, Reason.SURPLUS
    keys["label"], keys["reason"] = codes, reason
    return labels


def _tally(data: DataConfig, keys: pd.DataFrame, counts: RecordCounts) -> list[dict[str, Any]]:
    """Return how many records of each file were read, kept, and dropped by reason."""
    tallies = []
    for place, (read, broken) in enumerate(zip(counts.read, counts.broken, strict=True)):
        reasons = keys["reason"].to_numpy()[keys["file"].to_numpy() == place]
        numbers = np.bincount(reasons, minlength=len(Reason))
        dropped = {name: int(numbers[reason]) for reason, name in reason_names(data).items()}
        dropped["broken"] = broken
        kept = int(numbers[Reason.KEPT])
        some = {name: number for name, number in sorted(dropped.items()) if number}
        tallies.append({"read": read, "kept": kept, "dropped": some})
    return tallies


def _write_splits(
    data: DataConfig, spill: Path, labels: list[str], keys: pd.DataFrame, folder: Path
) -> dict[str, Counter[str]]:
    """Write the rows to their splits in the order of the source; count the labels.

    A paper without a label counts as one of the label "".
    """
    label_counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    names = pa.array([*labels, None], pa.string())  # index LEFT_OUT
    with (
        console.progress("writing splits", len(keys)) as bar,
        contextlib.ExitStack() as stack,
        # Not mapped: every page of a mapped file counts as memory of this process.
        pa.OSFile(str(spill), "rb") as file,
    ):
        paths = (folder / f"{split}.parquet" for split in SPLITS)
        schema = schema_of(data.authors)
        writers = [stack.enter_context(SplitWriter(path, schema)) for path in paths]
        reader, start = pa.ipc.open_file(file), 0
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            part = keys.iloc[start : start + batch.num_rows]
            start += batch.num_rows
            code, where = part["label"].to_numpy(), part["split"].to_numpy()
            label = names.take(pa.array(code % len(names)))
            columns = [label if name == "label" else batch[name] for name in schema.names]
            table = pa.Table.from_arrays(columns, schema=schema)
            kept = part["reason"].to_numpy() == Reason.KEPT
            for number, (split, writer) in enumerate(zip(SPLITS, writers, strict=True)):
                chosen = (where == number) & kept
                writer.add(table.filter(pa.array(chosen)))
                label_counts[split].update([*labels, ""][place] for place in code[chosen])
            bar.advance(batch.num_rows)
    return label_counts


def _write_card(
    data: DataConfig,
    identity: dict[str, Any],
    origins: list[dict[str, Any]],
    label_counts: dict[str, Counter[str]],
    unlisted: dict[str, dict[str, Any]],
    folder: Path,
) -> None:
    """Write the data card; nothing in it depends on the machine or the time.

    Args:
        data: the configuration.
        identity: of the splits.
        origins: the counts of each file.
        label_counts: papers of each label in each split.
        unlisted: the categories that the taxonomy lacks, with their first paper and their number.
        folder: of the splits.
    """
    parts = [pq.read_table(folder / f"{split}.parquet", columns=["submitted"]) for split in SPLITS]
    days = pc.min_max(pa.concat_tables(parts)["submitted"]).as_py()
    dropped = sum((Counter(origin["dropped"]) for origin in origins), Counter[str]())
    card = {
        "source": data.source,
        "synthetic": sources.find_source(data.source).SYNTHETIC,
        **identity,
        # One file is known by its digest alone: the card stays the same if it is renamed.
        **({"sources": origins} if len(origins) > 1 else {}),
        "read": sum(origin["read"] for origin in origins),
        "kept": sum(label_counts[split].total() for split in SPLITS),
        "dropped": dict(sorted(dropped.items())),
        **({"unlisted_categories": unlisted} if unlisted else {}),
        "splits": {split: label_counts[split].total() for split in SPLITS},
        "labels": {split: dict(sorted(label_counts[split].items())) for split in SPLITS},
        "submitted": {"first": days["min"], "last": days["max"]},
        "text_cleaning": CLEANING,
        "schema": {field.name: str(field.type) for field in schema_of(data.authors)},
        "files": {f"{s}.parquet": files.sha256(folder / f"{s}.parquet") for s in SPLITS},
    }
    (folder / CARD).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2))
