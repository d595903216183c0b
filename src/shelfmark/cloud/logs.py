"""What a job has written, from Cloud Logging: once, or on and on until it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shelfmark.cloud import rest
from shelfmark.cloud.vertex import Jobs

PAGE = 1000  # the most entries that one answer may hold
# Entries arrive late and out of order: what lies so far back is asked for again.
LATE = timedelta(seconds=90)


@dataclass(frozen=True)
class Line:
    """One entry: when, how grave, and what was written."""

    time: str
    severity: str
    text: str


def read(session: Any, project: str, job: Any, since: datetime | None = None) -> Iterator[Any]:
    """Yield a job's raw entries in the order of their time.

    Raises:
        ShelfmarkError: Cloud Logging refuses or is not reached.
    """
    begin = since or job.create_time
    number = job.name.rpartition("/")[2]
    wanted = {
        "resourceNames": [f"projects/{project}"],
        "filter": f'resource.type="ml_job" AND resource.labels.job_id="{number}" '
        f'AND timestamp>="{begin.astimezone(UTC).isoformat()}"',
        "orderBy": "timestamp asc",
        "pageSize": PAGE,
    }
    url = f"{rest.base('logging.googleapis.com')}/v2/entries:list"
    while True:
        answer = rest.ask(session, "POST", url, json=wanted).json()
        yield from answer.get("entries", ())
        if not answer.get("nextPageToken"):
            return
        wanted = {**wanted, "pageToken": answer["nextPageToken"]}


def lines(jobs: Jobs, job: str, follow: bool) -> Iterator[Line]:
    """Yield what a job has written so far or, to follow it, until it has ended.

    Raises:
        ShelfmarkError: there is no such job, or Google refuses or is not reached.
    """
    session = rest.session()
    seen: set[str] = set()
    since: datetime | None = None
    looks = jobs.watch(job) if follow else iter([jobs.get(job)])
    for found in looks:
        begun = datetime.now(UTC)
        for entry in read(session, jobs.project, found, since):
            if entry["insertId"] not in seen:
                seen.add(entry["insertId"])
                yield _line(entry)
        since = max(begun - LATE, found.create_time)


def _line(entry: dict[str, Any]) -> Line:
    payload = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or payload.get("message") or str(payload)
    moment = str(entry.get("timestamp", ""))[:19].replace("T", " ")
    return Line(moment, str(entry.get("severity", "DEFAULT")), str(text).rstrip("\n"))
