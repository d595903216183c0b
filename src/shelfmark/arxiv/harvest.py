"""New papers from arXiv by OAI-PMH, in a file in the layout of the snapshot.

Pages go to a database beside the file, with the state after each, so that a killed harvest resumes.
The file is written, or updated, in one step at the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from loguru import logger

from shelfmark.arxiv import harvest_store, taxonomy
from shelfmark.arxiv.harvest_store import ChangeCounts, HarvestState, HarvestStore, SetProgress
from shelfmark.arxiv.oai import SYSTEM_CLOCK, Client, Clock, Repository, hold_connection
from shelfmark.arxiv.oai_xml import Page
from shelfmark.core import console
from shelfmark.errors import ShelfmarkError, nearest

MAX_WARNINGS = 5  # about the faulty records of a page
MAX_REQUESTS = 100  # of single records that earlier harvests left out


@dataclass(frozen=True)
class HarvestResult:
    """The result of a harvest.

    Args:
        path: the file with all papers.
        since: first day of the requested changes, the earliest of all sets.
        day: the repository's day at the first request.
        counts: of the papers added to the file, changed in it and deleted from it.
        mended: number of records that were not well-formed XML and have been mended.
        left_out: number of records that are no papers; the next harvest requests them again.
    """

    path: Path
    since: date
    day: date
    counts: ChangeCounts
    mended: int = 0
    left_out: int = 0

    def __str__(self) -> str:
        faulty = f"; {self.mended:,} records mended, {self.left_out:,} left out"
        return (
            f"{self.path}: {self.counts.new:,} new papers, {self.counts.changed:,} changed, "
            f"{self.counts.deleted:,} deleted, by the changes since {self.since}"
            f"{faulty if self.mended or self.left_out else ''}"
        )


def parse_set(name: str) -> str:
    """Return the set of a group, archive or category: `cs:cs:AI` for `cs.AI`; a set is unchanged.

    A category that the taxonomy lacks is requested with a warning.

    Raises:
        ShelfmarkError: the name is none of a group, archive or category.
    """
    if match := re.fullmatch(r"([a-z-]+):([a-z-]+)(?::([A-Za-z-]+))?", name):
        _, archive, subject = match.groups()
        _warn_unlisted(f"{archive}.{subject}" if subject else archive, name)
        return name
    if name in taxonomy.GROUPS:
        return name
    known = taxonomy.canonical_name(name)
    if known is None:
        near = nearest(name, [*taxonomy.GROUPS, *taxonomy.KNOWN])
        raise ShelfmarkError(f"--sets: no group, archive or category {name!r:.40}{near}")
    group = taxonomy.group_of(known) or taxonomy.archive_of(known)
    # Groups are sets themselves, but archives only below them.
    spec = known if known in taxonomy.GROUPS else f"{group}:{known.replace('.', ':')}"
    _warn_unlisted(known, spec)
    return spec


def _warn_unlisted(name: str, spec: str) -> None:
    if name not in taxonomy.KNOWN:
        near = nearest(name, taxonomy.KNOWN)
        logger.warning(
            "--sets: requesting {}: {} is not in the taxonomy of {}{}",
            spec, name, taxonomy.AS_OF, near
        )  # fmt: skip


def harvest_papers(
    out: Path,
    since: str = "",
    sets: Sequence[str] = (),
    repository: Repository | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> HarvestResult:
    """Write the papers changed since a day to a file, or resume a killed harvest.

    Papers of the file are replaced or, if arXiv deleted them, removed.

    Args:
        out: the file, JSON lines in the layout of the snapshot; it may exist. A device, a pipe or
            /dev/stdout receives the changed papers.
        since: a day, `2026-11-01`; "" for the day before the file's last harvest.
        sets: names of groups, archives or categories; empty for those of the file's last harvest,
            or for all papers.
        repository: the repository, None for arXiv.
        clock: the time; tests replace it.

    Raises:
        ShelfmarkError: a name or day is invalid, the network fails, another harvest of this file is
            unfinished, or the file cannot be written; the papers received so far are kept.
    """
    repository = repository or Repository()
    repository.check()
    names = dict.fromkeys(name.strip() for name in sets if name.strip())
    specs, first_day = list(dict.fromkeys(map(parse_set, names))), _first_day(since, clock)
    harvest_store.check_output(out)
    partial = harvest_store.state_path(out)
    with (
        hold_connection(repository.host, repository.interval, clock) as paced,
        harvest_store.open_store(partial) as store,
    ):
        state = store.state()
        if state is None:
            left_out = harvest_store.left_out_before(out)
            again = list(left_out)[:MAX_REQUESTS]
            state = HarvestState(repository.url, _new_sets(out, specs, first_day), left_out, again)
        else:
            _check_same(state, partial, repository.url, specs, first_day)
            logger.info("resuming after {:,} papers in {}", store.count(), partial)
        _fetch_or_report(_Fetcher(Client(repository, paced), store, state, clock), store, partial)
        counts = harvest_store.merge_into_file(out, store)
        # After a kill before the last of these, the next run merges again.
        harvest_store.save_harvest_notes(out, state, store)
    harvest_store.remove_state(partial)
    since, began = (min(one.since for one in state.sets), min(one.began for one in state.sets))
    lacking = len(state.left_out) + state.nameless
    return HarvestResult(out, _day(since), _day(began), counts, len(state.mended), lacking)


def _fetch_or_report(fetcher: _Fetcher, store: harvest_store.HarvestStore, partial: Path) -> None:
    """Fetch all papers; an error says what the store keeps for the next run."""
    try:
        fetcher.fetch()
    except ShelfmarkError as error:
        kept = "nothing was received"
        if store.state():
            kept = f"{store.count():,} papers are kept in {partial}, the same command resumes"
        raise ShelfmarkError(f"{error}; {kept}") from error


def _first_day(since: str, clock: Clock) -> date | None:
    if not since:
        return None
    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise ShelfmarkError(f"--since: {since!r:.40} is not a day such as 2026-11-01") from None
    if day > datetime.fromtimestamp(clock.now(), UTC).date():
        raise ShelfmarkError(f"--since: {day} is in the future")
    return day


def _new_sets(out: Path, specs: list[str], first_day: date | None) -> list[SetProgress]:
    """Return the progress of each set at the start."""
    last, sets = harvest_store.last_harvest_days(out), []
    for set_spec in specs or list(last) or [""]:
        known = last.get(set_spec)
        if first_day is None and known is None:
            name = f"the set {set_spec}" if set_spec else "all papers"
            raise ShelfmarkError(f"--since: {out} has no harvest of {name} yet: give a day")
        if first_day and known and first_day > known:
            logger.warning("changes from {} to {} will be missing", known, first_day)
        # The last day is requested again: it may not have been over.
        begin = first_day or (known or date.max) - timedelta(days=1)
        sets.append(SetProgress(set_spec, begin.isoformat(), begin.isoformat()))
    return sets


def _check_same(
    state: HarvestState, partial: Path, url: str, specs: list[str], first_day: date | None
) -> None:
    """Check that an unfinished harvest is of the requested sets and days."""
    started = [one.set_spec for one in state.sets]
    days = {one.since for one in state.sets}
    if url == state.url and specs in ([], started) and first_day in (None, *map(_day, days)):
        return
    names = ",".join(started) or "all papers"
    raise ShelfmarkError(
        f"{partial} is an unfinished harvest of {names} since {min(days)} from {state.url}: give "
        "the same command to resume it, or remove it"
    )


class _Fetcher:
    """Requests all pages of the sets of a harvest, and saves each with the state after it."""

    def __init__(
        self, client: Client, store: HarvestStore, state: HarvestState, clock: Clock
    ) -> None:
        self._client, self._store, self._state, self._clock = client, store, state, clock

    def fetch(self) -> None:
        """Request the pages of every set to the end of its list.

        Raises:
            ShelfmarkError: too many faults, or an invalid request; the pages before are saved.
        """
        with console.progress("harvesting") as bar:
            for one in self._state.sets:
                while not one.done:
                    bar.advance(self._fetch_page(one))
                logger.info("{}: complete", one.set_spec or "all papers")
        while self._state.to_request:
            self._request_left_out(self._state.to_request[0])

    def _request_left_out(self, ident: str) -> None:
        """Request a record that an earlier harvest left out; a failure does not end this one."""
        try:
            page = self._client.request_page(
                verb="GetRecord", identifier=f"oai:arXiv.org:{ident}", metadataPrefix="arXivRaw"
            )
        except ShelfmarkError as error:
            logger.warning("{} is still left out: {}", ident, error)
            self._state.to_request.clear()
            self._store.save(self._state, [])
            return
        self._state.forget_request(ident)
        if page.error and page.error[0] == "idDoesNotExist":
            logger.warning("{} does not exist any more", ident)
            self._state.left_out.pop(ident, None)
        page.records = [record for record in page.records if record.id == ident]
        page.left_out = [record for record in page.left_out if record.id == ident]
        self._note_faults(page)
        self._store.save(self._state, page.records)

    def _note_faults(self, page: Page) -> None:
        """Note which records of a page were mended or left out, and warn of the first of them."""
        for record in page.records:
            self._state.add_received(record.id)
        for kind, records in (("mended", page.mended), ("skipped", page.left_out)):
            for faulty in records[:MAX_WARNINGS]:
                logger.warning("{} {}", kind, faulty)
            if len(records) > MAX_WARNINGS:
                others = ", ".join(str(x.id) for x in records[MAX_WARNINGS:])
                logger.warning("{} {:,} more: {:.500}", kind, len(records) - MAX_WARNINGS, others)
        for faulty in page.left_out:
            self._state.add_left_out(faulty.id, faulty.reason)
        known = set(self._state.mended)
        self._state.mended += [x.id for x in page.mended if x.id and x.id not in known]

    def _fetch_page(self, one: SetProgress) -> int:
        """Request the next page of a set and save it; return its number of records."""
        if one.token and one.expires_at is not None and self._clock.now() >= one.expires_at:
            # arXiv would still answer, but skip the records that have moved up since.
            self._restart_list(one, "the resumption token has expired")
            return 0
        page = self._client.request_page(**_arguments(one))
        one.began = one.began or page.day
        if page.error:
            self._handle_error(one, page)
            return 0
        if page.token and page.token == one.token:
            self._restart_list(one, "the resumption token leads to itself")
            return 0
        self._note_faults(page)
        for record in page.records:
            one.ordered &= record.datestamp >= one.last_datestamp
            one.last_datestamp = max(one.last_datestamp, min(record.datestamp, page.day))
        one.token, one.done = page.token, page.token is None
        life = page.token_seconds
        one.expires_at = None if life is None else self._clock.now() + life
        if self._store.save(self._state, page.records):
            self._client.reset_faults()
        logger.debug("{} records to {}", len(page.records), one.last_datestamp)
        return len(page.records)

    def _handle_error(self, one: SetProgress, page: Page) -> None:
        """Handle a protocol error: no new records, an invalid token or an invalid request."""
        assert page.error is not None
        code, text = page.error
        if one.token:
            self._restart_list(one, f"the resumption token is refused ({code})")
        elif code == "noRecordsMatch":
            one.done = True
            self._store.save(self._state, [])
        else:
            raise ShelfmarkError(f"{self._state.url} answers {code}: {text or 'without a reason'}")

    def _restart_list(self, one: SetProgress, reason: str) -> None:
        """Request the list again from the last datestamp, from the start if they are unordered."""
        one.token = one.expires_at = None
        if one.ordered:
            one.start = max(one.start, one.last_datestamp)
        else:
            one.start, one.last_datestamp = one.since, ""
        self._store.save(self._state, [])
        self._client.record_fault(f"{reason}: requesting the list again from {one.start}", 0)


def _arguments(one: SetProgress) -> dict[str, str]:
    if one.token:
        return {"resumptionToken": one.token}
    arguments = {"metadataPrefix": "arXivRaw", "from": one.start}
    return arguments | ({"set": one.set_spec} if one.set_spec else {})


def _day(text: str) -> date:
    return date.fromisoformat(text)
