"""Adds papers to an index: new ones, newer records of others, and deletions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from loguru import logger

from shelfmark.arxiv.harvest_store import deleted_papers
from shelfmark.arxiv.identifiers import paper_key
from shelfmark.config.search import IndexSettings
from shelfmark.core import provenance
from shelfmark.core.arrays import Ints
from shelfmark.core.files import Location
from shelfmark.data import inputs, sources
from shelfmark.data.duplicates import revision_number
from shelfmark.data.sources.snapshot import parse_revision
from shelfmark.errors import ShelfmarkError
from shelfmark.search.build.build import (
    deleted_ids,
    lock_index,
    make_blocks,
    open_blocks,
    open_newest,
    remove_unnamed,
    write_segment,
)
from shelfmark.search.build.merge import Part
from shelfmark.search.encoder import locate_index_encoder
from shelfmark.search.filters import Mask
from shelfmark.search.manifest import Manifest, SegmentEntry, write_deleted
from shelfmark.search.papers import PaperRow
from shelfmark.search.segment import Segment, read_card
from shelfmark.search.vectors.methods import check_method, read_config

MOST_MERGED = 100_000  # papers of a segment that is written again with the new ones


@dataclass
class Changes:
    """What an addition changed.

    Attributes:
        new: papers that the index lacked.
        changed: papers of which a newer record was added.
        withdrawn: papers that their authors have withdrawn since.
        deleted: papers that arXiv has deleted.
        unchanged: records that the index has already, or that are older than its own.
        papers: of the index now.
        seconds: that the addition took.
    """

    new: int = 0
    changed: int = 0
    withdrawn: int = 0
    deleted: int = 0
    unchanged: int = 0
    papers: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.new:,} new, {self.changed:,} changed, {self.withdrawn:,} withdrawn, "
            f"{self.deleted:,} deleted, {self.unchanged:,} unchanged; {self.papers:,} papers now"
        )


class Live(NamedTuple):
    """A segment of the index that is added to.

    Attributes:
        entry: of the manifest.
        segment: its files.
        deleted: its deleted papers, shape (papers,).
    """

    entry: SegmentEntry
    segment: Segment
    deleted: Mask


@dataclass
class Plan:
    """The rows that an addition keeps and replaces.

    Attributes:
        added: the papers of the new segment.
        replaced: rows of each old segment, by its name, that the new ones replace.
        added_ids: identifiers of those papers.
        changes: their numbers.
    """

    added: list[Part] = field(default_factory=list)
    replaced: dict[str, list[int]] = field(default_factory=dict)
    added_ids: set[str] = field(default_factory=set)
    changes: Changes = field(default_factory=Changes)


def add_papers(settings: IndexSettings, paths: inputs.Setting) -> Changes:
    """Add the papers of files to an index, and replace those of which they hold a newer record.

    The index serves as it was until the addition is complete; an interrupted one changes nothing.

    Args:
        settings: the folders; vectors are made and searched as when the index was built.
        paths: of files in the layout of arXiv's snapshot, such as those of a harvest, whose notes
            beside it name the papers that arXiv has deleted.

    Raises:
        ShelfmarkError: there is no index, a file cannot be read, another process changes the index,
            its encoder is missing, or the disk is full.
    """
    started = time.monotonic()
    folder = Path(settings.paths.index)
    locations = [*inputs.find_files(paths, "--add")]
    with lock_index(folder) as before, ExitStack() as stack:
        if before is None:
            raise ShelfmarkError(f"no index in {folder}: build one with shelfmark index")
        config, engine, seed = read_config(before)
        data = settings.data.model_copy(update={"source": "snapshot", "options": {}})
        settings = settings.model_copy(
            update={"index": config, "engine": engine, "seed": seed, "data": data}
        )
        check_method(config, engine, before.size, seed)
        located = stack.enter_context(locate_index_encoder(before, folder, settings.paths.encoders))
        digests = [sources.source_digest("snapshot", path, {}) for path in locations]
        live = [_open(folder, before, entry, stack) for entry in before.segments]
        with open_blocks(folder, data, digests, located, before.size) as blocks:
            # Before anything is encoded: a file of a harvest holds all papers of earlier ones too.
            counts = make_blocks(blocks, data, locations, KnownRecords(live).is_known)
            with open_newest(blocks, counts) as parts:
                deleted = [*deleted_ids(counts), *_deleted_by_harvests(locations)]
                plan = plan_changes(parts, deleted, live)
                plan.changes.unchanged += sum(count.known for count in counts)
                manifest = _apply(settings, folder, before, live, plan)
        remove_unnamed(folder, manifest, in_use=True)
    plan.changes.papers = manifest.papers
    plan.changes.seconds = time.monotonic() - started
    logger.info("index: {}: {}", folder, plan.changes)
    return plan.changes


def _open(index: Path, manifest: Manifest, entry: SegmentEntry, stack: ExitStack) -> Live:
    folder = manifest.segment_folder(index, entry)
    segment = stack.enter_context(closing(Segment(folder, read_card(folder)[0])))
    deleted = np.zeros(len(segment), bool)
    if entry.deleted is not None:
        deleted = entry.deleted.read(index, len(segment))
    return Live(entry, segment, deleted)


def _deleted_by_harvests(paths: Sequence[Location]) -> list[str]:
    return [name for path in paths if isinstance(path, Path) for name in deleted_papers(path)]


class KnownRecords:
    """Tells the records that an index has already.

    Args:
        live: the segments of the index.
    """

    def __init__(self, live: Sequence[Live]) -> None:
        self._live = live

    def is_known(self, records: Sequence[tuple[int, Any]]) -> list[bool]:
        """Return whether the index has each record, or a newer one of its paper.

        Records without a version or a day of the last change have to be compared as a whole.
        """
        revisions = [_read_revision(record) for _, record in records]
        present = _find_present([key for key, _ in revisions if key], self._live)
        return [
            revision > 0 and key in present and revision <= _revision(present[key].paper)
            for key, revision in revisions
        ]


def _read_revision(record: Any) -> tuple[str, int]:
    """Return the identifier of a raw record, "" if it has none, and its revision."""
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return "", 0
    if not isinstance(record, dict) or (key := paper_key(record.get("id"))) is None:
        return "", 0
    return key, 0 if record.get("deleted") else revision_number(*parse_revision(record))


def plan_changes(parts: Sequence[Part], deleted: Sequence[str], live: Sequence[Live]) -> Plan:
    """Return which papers are added, and which rows of the index they replace.

    Args:
        parts: the papers of the files, the newest record of each.
        deleted: identifiers of papers that arXiv has deleted.
        live: the segments of the index.
    """
    plan = Plan()
    for part in parts:
        kept = set(part.rows.tolist())
        rows = [(row, one) for row, one in enumerate(part.segment.papers.read_all()) if row in kept]
        present = _find_present([paper.id for _, paper in rows], live)
        added = [row for row, paper in rows if _plan_paper(plan, paper, present.get(paper.id))]
        if added:
            plan.added.append(Part(part.segment, np.array(added, np.int64)))
    for name, known in _find_present(deleted, live).items():
        if not known.is_deleted and name not in plan.added_ids:
            plan.changes.deleted += 1
            plan.replaced.setdefault(known.one.entry.name, []).append(known.row)
            logger.debug("{}: deleted", name)
    return plan


class Present(NamedTuple):
    """A paper that the index knows.

    Attributes:
        one: its segment.
        row: of the segment.
        paper: its record.
    """

    one: Live
    row: int
    paper: PaperRow

    @property
    def is_deleted(self) -> bool:
        """Whether the row is deleted, or its paper withdrawn."""
        return bool(self.one.deleted[self.row])

    @property
    def rank(self) -> tuple[bool, int]:
        """A value that is highest for the row that counts, of several rows of a paper."""
        return not self.is_deleted, _revision(self.paper)


def _find_present(ids: Sequence[str], live: Sequence[Live]) -> dict[str, Present]:
    """Return the record of each paper that the index knows; of a deleted one, the newest.

    A deleted or a withdrawn paper has rows that are deleted, and no other.
    """
    present: dict[str, Present] = {}
    for one in live:
        rows = one.segment.papers.find_ids(ids)
        papers = one.segment.papers.read(list(rows.values()))
        for name, row in rows.items():
            found = Present(one, row, papers[row])
            if name not in present or found.rank >= present[name].rank:
                present[name] = found
    return present


def _plan_paper(plan: Plan, paper: PaperRow, present: Present | None) -> bool:
    """Count a paper, note the row that it replaces, and return whether it is added."""
    if present is not None:
        known = present.paper
        newer = _revision(paper) - _revision(known)
        if paper == known or newer < 0 or (present.is_deleted and newer == 0):
            plan.changes.unchanged += 1
            return False
        if not present.is_deleted:
            plan.replaced.setdefault(present.one.entry.name, []).append(present.row)
    plan.changes.withdrawn += paper.withdrawn
    if not paper.withdrawn:
        plan.changes.new += present is None
        plan.changes.changed += present is not None
    plan.added_ids.add(paper.id)
    return True


def _revision(paper: PaperRow) -> int:
    updated = date.fromisoformat(paper.updated) if paper.updated else None
    return revision_number(paper.version, updated)


def _apply(
    settings: IndexSettings, folder: Path, before: Manifest, live: Sequence[Live], plan: Plan
) -> Manifest:
    """Write the new segment and the manifest, and return it; the same one if nothing changes."""
    if not plan.added and not plan.replaced:
        return before
    generation = before.generation + 1
    kept, merged = _choose_merged(live, plan)
    for one in live:  # what is written again must be right; of the others, the sizes
        one.segment.files.check(whole=one in merged)
    entries = [
        write_deleted(folder, one.entry, _rows(plan.replaced, one.entry.name), generation)
        for one in kept
    ]
    entries = [entry for entry in entries if not _is_empty(entry)]
    remembered = _find_remembered(merged, live, plan)
    parts = [*_kept_parts(merged, plan.replaced, remembered), *plan.added]
    if parts:
        entries.append(write_segment(settings, folder, generation, parts, list(remembered)))
    manifest = replace(
        before, generation=generation, created=str(provenance.stamp()["created"]), segments=entries
    )
    if not manifest.papers:
        raise ShelfmarkError("this would delete all papers of the index")
    manifest.write(folder)
    return manifest


def _choose_merged(live: Sequence[Live], plan: Plan) -> tuple[list[Live], list[Live]]:
    """Return the segments that stay, and those that are written again with the new papers.

    Small segments at the end are joined, so that their number grows with the logarithm of that of
    the additions.
    """
    kept: list[Live] = list(live)
    merged: list[Live] = []
    size = sum(len(part.rows) for part in plan.added)
    while size and kept and len(kept[-1].segment) <= min(2 * size, MOST_MERGED):
        merged.insert(0, kept.pop())
        size += len(merged[0].segment)
    return kept, merged


def _find_remembered(
    merged: Sequence[Live], live: Sequence[Live], plan: Plan
) -> dict[str, Present]:
    """Return the deleted rows that are kept, by the identifiers of their papers.

    Without them, an older record would bring a deleted or a withdrawn paper back.
    """
    after = [Live(one.entry, one.segment, _deleted_after(one, plan.replaced)) for one in live]
    names = {
        paper.id
        for one, new in zip(live, after, strict=True)
        if one in merged
        for paper in one.segment.papers.read(np.flatnonzero(new.deleted).tolist()).values()
    }
    present = _find_present(sorted(names - plan.added_ids), after)
    return {name: found for name, found in present.items() if found.is_deleted}


def _deleted_after(one: Live, replaced: Mapping[str, list[int]]) -> Mask:
    deleted = one.deleted.copy()
    deleted[replaced.get(one.entry.name, [])] = True
    return deleted


def _kept_parts(
    merged: Sequence[Live],
    replaced: Mapping[str, list[int]],
    remembered: Mapping[str, Present],
) -> Iterator[Part]:
    """Yield the papers of segments that are written again, and those that are remembered."""
    for one in merged:
        gone = _deleted_after(one, replaced)
        gone[[found.row for found in remembered.values() if found.one.entry is one.entry]] = False
        if not gone.all():
            yield Part(one.segment, np.flatnonzero(~gone))


def _rows(replaced: Mapping[str, list[int]], name: str) -> Ints:
    return np.array(replaced.get(name, []), np.int64)


def _is_empty(entry: SegmentEntry) -> bool:
    return entry.deleted is not None and entry.deleted.count == entry.papers
