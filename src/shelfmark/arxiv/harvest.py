"""New papers from arXiv by OAI-PMH, into a file in the layout of the snapshot.

Pages go to a database beside the file, with the place after each, so that a harvest that was
killed goes on where it was. The file appears, or is brought up to date, whole at the end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from loguru import logger

from shelfmark.arxiv import harvest_file, harvest_store, pace, taxonomy
from shelfmark.arxiv.harvest_file import Counts
from shelfmark.arxiv.harvest_store import Place, Store, Walk
from shelfmark.arxiv.oai import Client, Repository
from shelfmark.arxiv.oai_xml import Page
from shelfmark.core import console
from shelfmark.errors import ShelfmarkError, nearest

SHOWN = 5  # of the records of a page that are no papers


@dataclass(frozen=True)
class Harvest:
    """What a harvest has done.

    Args:
        path: the file with all papers.
        since: the day from which on changes were asked for, the earliest of all sets.
        day: the repository's day when it was asked first.
        counts: of papers that are new in the file, changed, and deleted from it.
    """

    path: Path
    since: date
    day: date
    counts: Counts

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.counts.new:,} new papers, {self.counts.changed:,} changed, "
            f"{self.counts.deleted:,} deleted, by the changes since {self.since}"
        )


def spec_of(name: str) -> str:
    """Return the set of a group, archive or category: `cs:cs:AI` of `cs.AI`; a set stays itself.

    Raises:
        ShelfmarkError: arXiv has none of that name.
    """
    if re.fullmatch(r"[a-z-]+(:[A-Za-z-]+){1,2}", name):
        return name
    if name in taxonomy.GROUPS:
        return name
    known = taxonomy.current(name)
    if known is None:
        near = nearest(name, [*taxonomy.GROUPS, *taxonomy.KNOWN])
        raise ShelfmarkError(f"--sets: no group, archive or category {name!r:.40}{near}")
    return f"{taxonomy.group_of(known)}:{known.replace('.', ':')}"


def harvest(
    out: Path,
    since: str = "",
    sets: Sequence[str] = (),
    repository: Repository | None = None,
    clock: pace.Clock = pace.SYSTEM,
) -> Harvest:
    """Bring the papers changed since a day into a file, or go on where a killed harvest was.

    Papers that are in the file already are replaced or, if arXiv deleted them, taken out.

    Args:
        out: the file, JSON lines in the layout of the snapshot; it may be there already.
        since: a day, `2026-11-01`; "" for that of the file's last harvest, less one day.
        sets: names of groups, archives or categories; none for those of the file's last harvest, or
            else for all.
        repository: where to ask, None for arXiv.
        clock: where time comes from.

    Raises:
        ShelfmarkError: a wrong name or day, no network, too many faults, an unfinished harvest of
            something else, or a file that cannot be written; what has come so far is kept.
    """
    repository = repository or Repository()
    repository.check()
    names = dict.fromkeys(name.strip() for name in sets if name.strip())
    specs, first_day = list(dict.fromkeys(map(spec_of, names))), _first_day(since, clock)
    harvest_file.check(out)
    partial = out.with_name(f"{out.name}.partial")
    with (
        pace.keep(repository.host, repository.interval, clock) as paced,
        harvest_store.opened(partial) as store,
    ):
        place = store.place()
        if place is None:
            place = Place(repository.url, _walks(out, specs, first_day))
        else:
            _check_same(place, partial, repository.url, specs, first_day)
            logger.info("going on behind {:,} papers in {}", store.count(), partial)
        try:
            _fetch(Client(repository, paced), store, place, clock)
        except ShelfmarkError as error:
            kept = f"{store.count():,} papers stay in {partial}, the same command goes on"
            raise ShelfmarkError(f"{error}; {kept if store.place() else 'nothing came'}") from error
        counts = harvest_file.merge(out, store)
    # A kill before the last of these: the next run finds the end reached and merges again.
    harvest_file.remember(out, place)
    partial.unlink()
    since, began = (min(walk.since for walk in place.walks), min(x.began for x in place.walks))
    return Harvest(out, _day(since), _day(began), counts)


def _first_day(since: str, clock: pace.Clock) -> date | None:
    if not since:
        return None
    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise ShelfmarkError(f"--since: {since!r:.40} is no day as 2026-11-01") from None
    if day > datetime.fromtimestamp(clock.now(), UTC).date():
        raise ShelfmarkError(f"--since: {day} is yet to come")
    return day


def _walks(out: Path, specs: list[str], first_day: date | None) -> list[Walk]:
    """Return where the list of each set begins."""
    last, walks = harvest_file.last(out), []
    for spec in specs or list(last) or [""]:
        known = last.get(spec)
        if first_day is None and known is None:
            said = f"the set {spec}" if spec else "all papers"
            raise ShelfmarkError(f"--since: {out} has no harvest of {said} yet: give a day")
        if first_day and known and first_day > known:
            logger.warning("changes from {} to {} will be missing", known, first_day)
        # A day is asked for again: it may not have been over.
        begin = first_day or (known or date.max) - timedelta(days=1)
        walks.append(Walk(spec, begin.isoformat(), begin.isoformat()))
    return walks


def _check_same(
    place: Place, partial: Path, url: str, specs: list[str], first_day: date | None
) -> None:
    """See that an unfinished harvest is of what is asked for."""
    begun = [walk.spec for walk in place.walks]
    days = {walk.since for walk in place.walks}
    if url == place.url and specs in ([], begun) and first_day in (None, *map(_day, days)):
        return
    said = ",".join(begun) or "all papers"
    raise ShelfmarkError(
        f"{partial} is an unfinished harvest of {said} since {min(days)} from {place.url}: give "
        "the same command to go on, or remove it"
    )


def _fetch(client: Client, store: Store, place: Place, clock: pace.Clock) -> None:
    with console.progress("harvesting") as bar:
        for walk in place.walks:
            while not walk.done:
                bar.advance(_step(client, store, place, walk, clock))
            logger.info("{}: read to its end", walk.spec or "all papers")


def _step(client: Client, store: Store, place: Place, walk: Walk, clock: pace.Clock) -> int:
    """Ask for the next page of a set and keep it; return how many records came."""
    if walk.token and walk.dies is not None and clock.now() >= walk.dies:
        # Asked with it all the same, arXiv would skip what has moved up since.
        _begin_again(client, store, place, walk, "the resumption token has outlived its day")
        return 0
    page = client.page(**_arguments(walk))
    walk.began = walk.began or page.day
    if page.error:
        _refused(client, store, place, walk, page)
        return 0
    if page.token and page.token == walk.token:
        _begin_again(client, store, place, walk, "the resumption token leads to itself")
        return 0
    for reason in page.unreadable[:SHOWN]:
        logger.warning("left out {}", reason)
    for record in page.records:
        walk.ordered &= record.datestamp >= walk.reached
        walk.reached = max(walk.reached, min(record.datestamp, page.day))
    walk.token, walk.done = page.token, page.token is None
    walk.dies = None if page.life is None else clock.now() + page.life
    if store.keep(place, page.records):
        client.progress()
    logger.debug("{} records to {}", len(page.records), walk.reached)
    return len(page.records)


def _arguments(walk: Walk) -> dict[str, str]:
    if walk.token:
        return {"resumptionToken": walk.token}
    asked = {"metadataPrefix": "arXivRaw", "from": walk.start}
    return asked | ({"set": walk.spec} if walk.spec else {})


def _refused(client: Client, store: Store, place: Place, walk: Walk, page: Page) -> None:
    """Take an error of the protocol: nothing new, a token that died, or a mistake of ours."""
    assert page.error is not None
    code, text = page.error
    if walk.token:
        _begin_again(client, store, place, walk, f"the resumption token is refused ({code})")
    elif code == "noRecordsMatch":
        walk.done = True
        store.keep(place, [])
    else:
        raise ShelfmarkError(f"{place.url} answers {code}: {text or 'no more'}")


def _begin_again(client: Client, store: Store, place: Place, walk: Walk, reason: str) -> None:
    """Ask anew from the last datestamp that came, or from the first where they had no order."""
    walk.token = walk.dies = None
    if walk.ordered:
        walk.start = max(walk.start, walk.reached)
    else:
        walk.start, walk.reached = walk.since, ""
    store.keep(place, [])
    client.fault(f"{reason}: asking anew from {walk.start}", 0)


def _day(text: str) -> date:
    return date.fromisoformat(text)
