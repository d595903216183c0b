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
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from loguru import logger

from shelfmark.arxiv.papers import BrokenRecord
from shelfmark.arxiv.text import CLEANING
from shelfmark.config.schema import DataConfig, TrainingSettings
from shelfmark.core import console, disk, files, parallel, storage
from shelfmark.core.arrays import Array
from shelfmark.core.files import Location
from shelfmark.core.formats.unpack import estimate_size
from shelfmark.data import dvc, inputs, sources, spill
from shelfmark.data.cleaning import (
    KEYS,
    Reason,
    RecordCounts,
    UnlistedCategory,
    clean_records,
    cleaned_schema,
    mark_duplicates,
    reason_names,
)
from shelfmark.data.labels import LEFT_OUT, choose_labels, label_of, surplus_rows
from shelfmark.data.spill import Place, SpillReader
from shelfmark.data.splits import (
    CARD,
    SPLITS,
    Splits,
    SplitWriter,
    check_splits,
    open_splits,
    outside_name,
    schema_of,
)
from shelfmark.errors import ShelfmarkError

# The numbers of a paper, with the place of its file, and whether its row lies on disk: not if the
# paper is dropped, or if no requested label includes it.
COLUMNS = {**KEYS, "file": np.int32, "spilled": np.bool_}
Numbers = dict[str, Array]  # a column of each name, with a number for each paper
CHUNK = 2048  # records; some 3 MB
WORTH_SHARING = 16 << 20  # bytes of a source from which on several processes are faster
# Bytes on disk for a byte of the source's text: the spilled rows and the splits together take 0.95
# to 1.05 of arXiv's metadata.
DISK_FOR_TEXT = 1.2
# Raised with every change to cleaning or splitting: older splits are then made again.
RECIPE = 4
MOST_OUTSIDE = 100_000  # papers of other labels that are kept as a sample
# Bytes of a source whose papers of other labels are all spilled, some half more than are kept: of
# a larger source a share is.
OUTSIDE_TEXT = 220 << 20


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
        _require_disk(paths, root)
        with files.atomic_folder(folder) as aside:
            _write(data, paths, digests, identity, aside)
            for path, digest in zip(paths, digests, strict=True):
                if isinstance(path, str) and _digest(data, path, root) != digest:
                    raise ShelfmarkError(f"{path} changed while it was read: run again")
    splits = open_splits(folder)
    logger.info("splits: {} ({:,} papers)", folder, splits.card["kept"])
    return splits


def _require_disk(paths: Sequence[Location | None], root: Path) -> None:
    """Check that the disk takes the spilled rows and the splits."""
    texts = sum(estimate_size(path) for path in paths if path is not None)
    disk.require_free(root, int(DISK_FOR_TEXT * texts), "making the splits")


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
    numbers, categories, places = _spill(data, paths, counts, folder)
    numbers["reason"] = mark_duplicates(numbers)
    labels = _label(data, numbers, categories)
    spilled = numbers.pop("spilled")
    numbers["outside"] = _sample_others(data, numbers, spilled)
    of_rows = {name: numbers[name][spilled] for name in ("label", "split", "reason", "outside")}
    label_counts, outside = _write_splits(data, places, labels, of_rows, folder)
    spill.remove_files(folder)
    for split in SPLITS:
        if not label_counts[split]:
            raise ShelfmarkError(
                f"no paper falls in the {split} split: change data.fractions or data.cuts"
            )
    origins = [
        {"file": name, "sha256": digest, **tallied}
        for name, digest, tallied in zip(
            inputs.short_names(paths), digests, _tally(data, numbers, counts), strict=True
        )
    ]
    unlisted = {name: vars(found) for name, found in sorted(counts.unlisted.items())}
    _write_card(data, identity, origins, label_counts, outside, unlisted, folder)


def _spill(
    data: DataConfig, paths: Sequence[Location | None], counts: RecordCounts, folder: Path
) -> tuple[Numbers, list[str], list[Place]]:
    """Clean all records, write the rows that may be kept to disk, and return numbers of all papers.

    Returns:
        The columns of `COLUMNS`, where `primary` is an index into the categories; the categories;
        and where the rows lie, in the order of the source.
    """
    parts: dict[str, list[Array]] = {name: [np.empty(0, kind)] for name, kind in COLUMNS.items()}
    categories: dict[str, int] = {}
    places = []
    chunks = _clean_source(data, paths, _share_of_others(data, paths), folder)
    # Closed before the folder is removed after an error: processes write into it.
    with contextlib.closing(chunks), console.progress("reading papers") as bar:
        for chunk in chunks:
            counts.add(chunk)
            numbers = [categories.setdefault(name, len(categories)) for name in chunk.categories]
            kept = chunk.numbers["reason"] == Reason.KEPT
            primary = chunk.numbers["primary"]
            primary[kept] = np.array(numbers, np.int32)[primary[kept]]
            for name, kind in COLUMNS.items():
                parts[name].append(chunk.numbers[name].astype(kind, copy=False))
            places.append(chunk.place)
            bar.advance(chunk.read)
    counts.close()
    return {name: np.concatenate(parts.pop(name)) for name in COLUMNS}, list(categories), places


def _may_be_kept(data: DataConfig, category: str) -> bool:
    """Whether papers of a primary category may be kept, as far as the configuration tells."""
    if not data.labels or data.unlabelled == "keep":
        return True
    return label_of(data, category) in data.labels


@dataclass(frozen=True)
class SpilledChunk:
    """Some consecutive records of a file, whose rows lie on disk.

    Args:
        file: place of the file among all files of the source.
        read: number of records.
        broken: the unreadable records.
        unlisted: the papers of each category that the taxonomy lacks.
        categories: the primary categories of the papers.
        numbers: the columns of `COLUMNS`, with `primary` an index into `categories`.
        place: of the rows that may be kept.
    """

    file: int
    read: int
    broken: list[BrokenRecord]
    unlisted: dict[str, UnlistedCategory]
    categories: list[str]
    numbers: Numbers
    place: Place


def _share_of_others(data: DataConfig, paths: Sequence[Location | None]) -> float:
    """Return the share of the papers of other labels whose rows are spilled."""
    if data.unlabelled == "keep":
        return 0.0
    size = sum(estimate_size(path) for path in paths if path is not None)
    return min(1.0, OUTSIDE_TEXT / max(size, 1))


def _clean_source(
    data: DataConfig, paths: Sequence[Location | None], others: float, folder: Path
) -> Generator[SpilledChunk, None, None]:
    """Return the cleaned records in the order of the source; all cores clean large files."""
    size = sum(files.file_size(path) for path in paths if path is not None)
    return parallel.map_in_order(
        functools.partial(_clean_and_spill, data, others, folder),
        sources.read_chunks(data, paths, CHUNK),
        0 if size < WORTH_SHARING else None,
    )


def _clean_and_spill(
    data: DataConfig, others: float, folder: Path, numbered: tuple[int, list[tuple[int, Any]]]
) -> SpilledChunk:
    """Clean consecutive records, and write the rows that may be kept, or sampled, to disk."""
    place, records = numbered
    chunk = clean_records(data, records, place)
    kept = chunk.keys["reason"] == Reason.KEPT
    asked = np.array([_may_be_kept(data, name) for name in chunk.categories], bool)
    spilled = kept.copy()
    sampled = _rank_of(chunk.keys["id"][kept]) < others
    spilled[kept] = asked[chunk.keys["primary"][kept]] | sampled
    file = np.full(len(kept), place, np.int32)
    rows = chunk.rows.filter(pa.array(spilled[kept]))
    return SpilledChunk(
        place,
        chunk.read,
        chunk.broken,
        chunk.unlisted,
        chunk.categories,
        chunk.keys | {"file": file, "spilled": spilled},
        spill.write_rows(folder, rows.select(_spilled_columns(data))),
    )


def _rank_of(ids: Array) -> Array:
    """Return a random number from 0 to 1 for each paper, which depends on its identifier alone."""
    return ids.view(np.uint64) / 2.0**64


def _sample_others(data: DataConfig, numbers: Numbers, spilled: Array) -> Array:
    """Return which papers of other labels are kept as a sample: the first by `_rank_of`."""
    chosen = np.zeros(len(spilled), np.bool_)
    if data.unlabelled == "drop":
        others = np.flatnonzero(spilled & (numbers["reason"] == Reason.OTHER_LABEL))
        order = np.argsort(_rank_of(numbers["id"][others]), kind="stable")
        chosen[others[order[:MOST_OUTSIDE]]] = True
    return chosen


def _spilled_columns(data: DataConfig) -> list[str]:
    """Return the columns of the rows on disk: formulas are masked where the text is made."""
    names: list[str] = cleaned_schema(data).names
    return [name for name in names if name != "text" or data.maths == "mask"]


def _label(data: DataConfig, numbers: Numbers, categories: list[str]) -> list[str]:
    """Return the labels; add to each paper the index of its label, or `LEFT_OUT`.

    A paper without a label is dropped unless `data.unlabelled` keeps it.
    """
    of_category = [label_of(data, name) or "" for name in categories]  # "" is never a label
    reason, primary = numbers["reason"], numbers["primary"]
    kept = np.flatnonzero(reason == Reason.KEPT)
    counts: Counter[str] = Counter()
    papers = np.bincount(primary[kept], minlength=len(categories)).tolist()
    for label, count in zip(of_category, papers, strict=True):
        counts[label] += count
    del counts[""]
    labels = choose_labels(data, counts)
    code = np.array([labels.index(x) if x in labels else LEFT_OUT for x in of_category], np.int32)
    codes = np.full(len(reason), LEFT_OUT, np.int32)
    codes[kept] = code[primary[kept]]
    if data.unlabelled == "drop":
        reason[kept[codes[kept] == LEFT_OUT]] = Reason.OTHER_LABEL
    more = surplus_rows(data, numbers["id"], numbers["split"], codes)
    codes[more], reason[more] = LEFT_OUT, Reason.SURPLUS
    numbers["label"] = codes
    return labels


def _tally(data: DataConfig, numbers: Numbers, counts: RecordCounts) -> list[dict[str, Any]]:
    """Return how many records of each file were read, kept, and dropped by reason."""
    tallies = []
    for place, (read, broken) in enumerate(zip(counts.read, counts.broken, strict=True)):
        reasons = numbers["reason"][numbers["file"] == place]
        papers = np.bincount(reasons, minlength=len(Reason))
        dropped = {name: int(papers[reason]) for reason, name in reason_names(data).items()}
        dropped["broken"] = broken
        kept = int(papers[Reason.KEPT])
        some = {name: number for name, number in sorted(dropped.items()) if number}
        tallies.append({"read": read, "kept": kept, "dropped": some})
    return tallies


def _write_splits(
    data: DataConfig, places: Sequence[Place], labels: list[str], numbers: Numbers, folder: Path
) -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """Write the rows to their splits in the order of the source; count the labels.

    A paper without a label counts as one of the label "".

    Args:
        data: the configuration.
        places: where the rows lie.
        labels: the names of the labels.
        numbers: for each row in the order of the places, its label, split and reason, and whether
            it is in the sample of other labels.
        folder: of the rows and of the splits.

    Returns:
        The papers of each label in each split, and the papers outside beside each split.
    """
    label_counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    outside = dict.fromkeys(SPLITS, 0)
    names = pa.array([*labels, None], pa.string())  # index LEFT_OUT
    schema, start = schema_of(data.authors), 0
    with (
        console.progress("writing splits", len(numbers["label"])) as bar,
        contextlib.ExitStack() as stack,
        SpillReader(folder) as spilled,
    ):
        paths = (folder / f"{split}.parquet" for split in SPLITS)
        beside = (folder / outside_name(split) for split in SPLITS)
        writers, others = (
            [stack.enter_context(SplitWriter(path, schema)) for path in some]
            for some in (paths, beside)
        )
        for rows in map(spilled.read, places):
            part = slice(start, start := start + rows.num_rows)
            code, where = numbers["label"][part], numbers["split"][part]
            table = _split_rows(rows, names.take(pa.array(code % len(names))), schema)
            kept = numbers["reason"][part] == Reason.KEPT
            strange = numbers["outside"][part].copy()
            strange[strange] = _have_no_label(data, labels, table.filter(pa.array(strange)))
            for number, split in enumerate(SPLITS):
                chosen = (where == number) & kept
                writers[number].add(table.filter(pa.array(chosen)))
                label_counts[split].update(_count_labels(code[chosen], labels))
                others[number].add(table.filter(pa.array((where == number) & strange)))
                outside[split] += int(((where == number) & strange).sum())
            bar.advance(rows.num_rows)
    return label_counts, outside


def _have_no_label(data: DataConfig, labels: list[str], papers: pa.Table) -> Array:
    """Return which papers have no category of a kept label, cross-lists included."""
    kept = set(labels)
    known = functools.cache(lambda name: label_of(data, name) in kept)
    rows = papers["categories"].to_pylist()
    return np.array([not any(map(known, names)) for names in rows], np.bool_)


def _count_labels(codes: Array, labels: list[str]) -> dict[str, int]:
    names = [*labels, ""]
    papers = np.bincount(codes % len(names), minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, papers, strict=True) if count}


def _split_rows(rows: pa.RecordBatch, labels: pa.Array, schema: pa.Schema) -> pa.Table:
    """Return rows as they lie on disk with all columns of the splits."""
    made = {"label": labels}
    if "text" not in rows.schema.names:
        made["text"] = spill.join_columns(rows["title"], rows["abstract"])
    columns = [made[name] if name in made else rows[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _write_card(
    data: DataConfig,
    identity: dict[str, Any],
    origins: list[dict[str, Any]],
    label_counts: dict[str, Counter[str]],
    outside: dict[str, int],
    unlisted: dict[str, dict[str, Any]],
    folder: Path,
) -> None:
    """Write the data card; nothing in it depends on the machine or the time.

    Args:
        data: the configuration.
        identity: of the splits.
        origins: the counts of each file.
        label_counts: papers of each label in each split.
        outside: papers of other labels beside each split.
        unlisted: the categories that the taxonomy lacks, with their first paper and their number.
        folder: of the splits.
    """
    written = [f"{split}.parquet" for split in SPLITS]
    beside = [outside_name(split) for split in SPLITS] if any(outside.values()) else []
    for name in {outside_name(split) for split in SPLITS}.difference(beside):
        (folder / name).unlink()
    parts = [pq.read_table(folder / name, columns=["submitted"]) for name in written]
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
        **({"outside": outside} if any(outside.values()) else {}),
        "labels": {split: dict(sorted(label_counts[split].items())) for split in SPLITS},
        "submitted": {"first": days["min"], "last": days["max"]},
        "text_cleaning": CLEANING,
        "schema": {field.name: str(field.type) for field in schema_of(data.authors)},
        "files": {name: files.sha256(folder / name) for name in (*written, *beside)},
    }
    (folder / CARD).write_bytes(orjson.dumps(card, option=orjson.OPT_INDENT_2))
