"""Builds an index from the papers of a source, and resumes a killed build."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from loguru import logger

from shelfmark.config.schema import DataConfig
from shelfmark.config.search import IndexSettings
from shelfmark.core import console, files, parallel, provenance
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import inputs, sources
from shelfmark.data.cleaning import RecordCounts
from shelfmark.data.duplicates import newest_of_each
from shelfmark.embeddings import artifact, sizes
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.search.build.blocks import (
    RECORDS,
    Block,
    BlockCounts,
    BlockPlan,
    NumberedRecords,
    make_block,
)
from shelfmark.search.build.merge import Part, merge_segments
from shelfmark.search.manifest import (
    DELETED,
    MANIFEST,
    SEGMENTS,
    Manifest,
    SegmentEntry,
    read_manifest,
    write_deleted,
)
from shelfmark.search.papers import FILE, PaperStore
from shelfmark.search.vectors.methods import check_method, choose_method, remove_outside

LOCK = "lock"
UNFINISHED = "unfinished-"  # and the key of the build: folder of its blocks
RECIPE = 1  # raised with every change to blocks: those of older builds are then made again
# Returns whether each of some numbered raw records is in an index already.
KnownTest = Callable[[Sequence[tuple[int, Any]]], list[bool]]
WORTH_SHARING = 16 << 20  # bytes of the sources from which on several processes are faster


def build_index(settings: IndexSettings, located: LocatedEncoder) -> Manifest:
    """Build an index of all papers of a source, and return its manifest.

    The index that was there serves until the new one is complete. A killed build is resumed by the
    same command.

    Args:
        settings: the configuration.
        located: the encoder of the texts.

    Raises:
        ShelfmarkError: the source cannot be read or has too many broken records, another process
            builds the index, or the disk is full.
    """
    folder, data = Path(settings.paths.index), settings.data
    synthetic = sources.find_source(data.source).SYNTHETIC
    if synthetic:
        logger.warning("source {}: synthetic papers, for trying out only", data.source)
    paths = sources.find_files(data)
    card = artifact.read_card(located.folder)
    size = sizes.choose_size(settings.index.size, card.size, card.sizes)
    check_method(settings.index, settings.engine, size, settings.seed)
    with lock_index(folder) as before:
        _require_replaceable(folder, before, synthetic)
        digests = [sources.source_digest(data.source, path, data.options) for path in paths]
        with open_blocks(folder, data, digests, located, size) as plan:
            counts = make_blocks(plan, data, paths)
            generation = before.generation + 1 if before else 1
            with open_newest(plan, counts) as parts:
                entry = write_segment(settings, folder, generation, parts, deleted_ids(counts))
            manifest = Manifest(
                generation=generation,
                created=str(provenance.stamp()["created"]),
                encoder=located.folder.name,
                encoder_sha256=located.digest,
                size=size,
                config=describe_config(settings),
                segments=[entry],
                synthetic=synthetic,
                sources=_describe_sources(paths, digests, counts),
            )
            manifest.write(folder)
        remove_unnamed(folder, manifest, in_use=True)
    logger.info("index: {} ({:,} papers)", folder, manifest.papers)
    return manifest


def _require_replaceable(folder: Path, before: Manifest | None, synthetic: bool) -> None:
    """Check that no real papers are replaced by synthetic ones, which are the default.

    Raises:
        ShelfmarkError: they would be.
    """
    if before is None:
        return
    if synthetic and not before.synthetic:
        raise ShelfmarkError(
            f"{folder} has {before.papers:,} real papers, which synthetic ones would replace: name "
            "the papers by data=… and data.path=…, or another folder by paths.index=…"
        )
    logger.info("{}: replacing an index of {:,} papers", folder, before.papers)


@contextlib.contextmanager
def lock_index(folder: Path) -> Iterator[Manifest | None]:
    """Hold the lock of an index for a change, and yield its manifest, None without an index.

    What killed changes have left is removed first, but for the blocks of an unfinished build.

    Raises:
        ShelfmarkError: another process changes it, or the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ShelfmarkError(f"{folder} is a file, not the folder of an index")
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = files.try_lock(folder / LOCK)
    if lock is None:
        raise ShelfmarkError(f"{folder}: another process builds or changes this index: wait for it")
    with lock:
        before = read_manifest(folder) if (folder / MANIFEST).exists() else None
        for place in (folder, folder / SEGMENTS, folder / DELETED):
            files.clear_leftovers(place)
        remove_unnamed(folder, before)
        yield before


def remove_unnamed(folder: Path, manifest: Manifest | None, in_use: bool = False) -> None:
    """Remove the segments and the deleted rows that a manifest does not name.

    Args:
        folder: of the index.
        manifest: of the index, None without one.
        in_use: whether a service may still search the segments of the manifest before. It has their
            files open, but not what lies on a server.
    """
    segments = {entry.name for entry in manifest.segments} if manifest else set()
    deleted = {x.deleted.file for x in manifest.segments if x.deleted} if manifest else set()
    for place in (folder / SEGMENTS).glob("*"):
        if place.name in segments:
            continue
        if manifest is None or remove_outside(place, manifest, in_use):
            shutil.rmtree(place, ignore_errors=True)
    for place in (folder / DELETED).glob("*"):
        if place.name not in deleted:
            place.unlink(missing_ok=True)


@contextlib.contextmanager
def open_blocks(
    folder: Path, data: DataConfig, digests: Sequence[str], located: LocatedEncoder, size: int
) -> Iterator[BlockPlan]:
    """Yield the plan of a build; its blocks are removed once the build succeeds.

    Blocks of other unfinished builds are removed.

    Args:
        folder: of the index.
        data: the configuration of the source.
        digests: of its files.
        located: the encoder.
        size: the numbers of a vector.

    Raises:
        ShelfmarkError: the folder cannot be written.
    """
    identity = {
        "recipe": RECIPE, "records": RECORDS, "source": data.source, "options": data.options,
        "sources_sha256": digests, "encoder_sha256": located.digest, "size": size,
    }  # fmt: skip
    content = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
    place = folder / f"{UNFINISHED}{hashlib.sha256(content).hexdigest()[:10]}"
    for other in folder.glob(f"{UNFINISHED}*"):
        if other != place:
            logger.debug("{}: removed, the blocks of another unfinished change", other)
            shutil.rmtree(other, ignore_errors=True)
    with files.report_write_errors(place):
        place.mkdir(exist_ok=True)
    files.clear_leftovers(place)
    yield BlockPlan(place, data.source, located, size)
    shutil.rmtree(place, ignore_errors=True)


def make_blocks(
    plan: BlockPlan,
    data: DataConfig,
    paths: Sequence[Location | None],
    is_known: KnownTest | None = None,
) -> list[BlockCounts]:
    """Make the blocks that are missing, by all cores, and return the counts of all blocks.

    Args:
        plan: of the blocks.
        data: the configuration of the source.
        paths: its files.
        is_known: tells which records are left out.

    Raises:
        ShelfmarkError: a file cannot be read, too many records are broken, or the disk is full.
    """
    size = sum(files.file_size(path) for path in paths if path is not None)
    workers = None if size >= WORTH_SHARING else 0
    complete = len(list(plan.folder.glob("[0-9]*")))
    if complete:
        logger.info("resuming after {:,} blocks of {:,} records", complete, RECORDS)
    counts: list[BlockCounts] = []
    tally = RecordCounts(data.max_bad, [str(path or data.source) for path in paths])
    work = functools.partial(make_block, plan)
    made = parallel.map_in_order(work, _number_blocks(plan, data, paths, is_known), workers)
    with contextlib.closing(made), console.progress("reading and encoding papers") as bar:
        for block in made:
            counts.append(block)
            tally.add(block)
            bar.advance(block.read)
    tally.close()
    return counts


def _number_blocks(
    plan: BlockPlan,
    data: DataConfig,
    paths: Sequence[Location | None],
    is_known: KnownTest | None,
) -> Iterator[NumberedRecords]:
    chunks = sources.read_chunks(data, paths, RECORDS)
    for number, (file, records) in enumerate(chunks):
        kept: Sequence[tuple[int, Any]] | None = records
        if plan.block(number).exists():
            kept = None
        elif is_known is not None:
            known = is_known(records)
            kept = [record for record, skip in zip(records, known, strict=True) if not skip]
        yield NumberedRecords(number, file, len(records), kept)


@contextlib.contextmanager
def open_newest(plan: BlockPlan, counts: Sequence[BlockCounts]) -> Iterator[list[Part]]:
    """Yield the papers of all blocks, of each paper the newest record; closed after the block.

    Args:
        plan: of the blocks.
        counts: of each block.

    Raises:
        ShelfmarkError: a file is damaged.
    """
    with contextlib.ExitStack() as stack:
        blocks, of_files = [], []
        for number, count in enumerate(counts):
            if count.papers:
                block = Block(plan.block(number))
                blocks.append(stack.enter_context(contextlib.closing(block)))
                of_files.append(np.full(count.papers, count.file))
        yield _newest(blocks, of_files) if blocks else []


def _newest(blocks: Sequence[Block], of_files: Sequence[Ints]) -> list[Part]:
    keys = np.concatenate([block.keys for block in blocks])
    revisions = np.concatenate([block.revisions for block in blocks])
    newest = newest_of_each(keys, revisions, np.concatenate(of_files))
    ends = np.cumsum([len(block.keys) for block in blocks])
    parts = [
        Part(block.segment, np.flatnonzero(some))
        for block, some in zip(blocks, np.split(newest, ends[:-1]), strict=True)
    ]
    return [part for part in parts if len(part.rows)]


def deleted_ids(counts: Sequence[BlockCounts]) -> list[str]:
    """Return the identifiers of the papers that records delete."""
    return [name for count in counts for name in count.deleted]


def write_segment(
    settings: IndexSettings,
    folder: Path,
    generation: int,
    parts: Sequence[Part],
    deleted: Sequence[str],
) -> SegmentEntry:
    """Write papers as a segment, and return its entry of the manifest.

    Args:
        settings: the configuration.
        folder: of the index.
        generation: of the manifest that will name the segment.
        parts: the papers.
        deleted: identifiers of papers that are deleted.

    Raises:
        ShelfmarkError: there are no papers, or the disk is full.
    """
    if not parts:
        raise ShelfmarkError("the source holds no papers")
    name = f"{generation:06d}"
    target = folder / SEGMENTS / name

    def choose(papers: int) -> Any:
        return choose_method(settings.index, settings.engine, papers, settings.seed)

    with files.atomic_folder(target) as aside:
        digest = merge_segments(parts, aside, name, choose)
    papers = sum(len(part.rows) for part in parts)
    entry = SegmentEntry(name=name, sha256=digest, papers=papers)
    store = PaperStore(target / FILE)
    with contextlib.closing(store):
        gone = [*store.withdrawn_rows(), *store.find_ids(deleted).values()]
    return write_deleted(folder, entry, np.array(gone, np.int64), generation)


def describe_config(settings: IndexSettings) -> dict[str, Any]:
    """Return what a manifest keeps of the configuration, for later additions."""
    return settings.model_dump(mode="json", include={"index", "engine", "seed"})


def _describe_sources(
    paths: Sequence[Location | None], digests: Sequence[str], counts: Sequence[BlockCounts]
) -> list[dict[str, Any]]:
    names = inputs.short_names(paths)
    return [
        {
            "file": name or None,
            "sha256": digest,
            "read": sum(count.read for count in counts if count.file == place),
            "papers": sum(count.papers for count in counts if count.file == place),
        }
        for place, (name, digest) in enumerate(zip(names, digests, strict=True))
    ]
