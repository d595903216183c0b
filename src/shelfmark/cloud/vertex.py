"""Jobs at Vertex AI: sent, listed, watched until they end, cancelled, and their logs.

Every request has a time limit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from shelfmark.cloud import account, rest
from shelfmark.errors import ShelfmarkError

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
NAME = re.compile(r"^projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/customJobs/\d+$")
PAGE = 1000  # the most log entries that one answer may hold
# Entries arrive late and out of order: this much of the past is asked for again.
LATE = timedelta(seconds=90)


@dataclass(frozen=True)
class RetryPolicy:
    """How long requests take and wait, in seconds.

    Args:
        timeout: of one request.
        first_delay: before the second try; each further delay is longer.
        longest_delay: between two tries, at most.
        total: of all tries of one request.
        poll: between two looks at a job that is watched.
    """

    timeout: float = rest.SECONDS
    first_delay: float = 1.0
    longest_delay: float = 30.0
    total: float = 180.0
    poll: float = 15.0


@dataclass(frozen=True)
class LogLine:
    """One log entry: its time, severity and text."""

    time: str
    severity: str
    text: str


class Jobs:
    """The training jobs of a project in a region.

    Raises:
        ShelfmarkError: credentials are missing; of every method: the service refuses, cannot be
            reached, or stays busy.
    """

    def __init__(self, project: str, region: str, policy: RetryPolicy | None = None) -> None:
        from google.cloud.aiplatform_v1.services.job_service import JobServiceClient

        self.project, self.region = project, region
        self._policy = policy or RetryPolicy()
        self._host = f"{region}-aiplatform.googleapis.com"
        # REST passes through any proxy, and tests answer it with a server of the loopback.
        self._client = JobServiceClient(
            transport="rest",
            credentials=rest.find_credentials(),
            client_options={"api_endpoint": rest.base_url(self._host)},
        )

    @property
    def parent(self) -> str:
        """The resource that jobs belong to."""
        return f"projects/{self.project}/locations/{self.region}"

    def full_name(self, job: str) -> str:
        """Return a job's full name, given that or its number.

        Raises:
            ShelfmarkError: it is neither.
        """
        if not (job.isdigit() or NAME.match(job)):
            raise ShelfmarkError(f"{job}: a job is its number, or {self.parent}/customJobs/NUMBER")
        return f"{self.parent}/customJobs/{job}" if job.isdigit() else job

    def submit(self, job: Any) -> Any:
        """Send a job once, and return it with its name.

        A busy service has not taken the job, so it is sent again; after any other failure the
        service might have it.
        """
        with self._user_errors("sent"):
            return self._client.create_custom_job(
                parent=self.parent, custom_job=job, **self._call_options(only_if_busy=True)
            )

    def get(self, job: str) -> Any:
        """Return a job in its current state."""
        with self._user_errors("found"):
            return self._client.get_custom_job(name=self.full_name(job), **self._call_options())

    def list_newest(self, count: int) -> list[Any]:
        """Return the jobs that Shelfmark sent last, the newest first."""
        request = {"parent": self.parent, "filter": 'labels.project="shelfmark"'}
        with self._user_errors("listed"):
            jobs = self._client.list_custom_jobs(request=request, **self._call_options())
            return list(islice(jobs, count))

    def cancel(self, job: str) -> None:
        """Request the cancellation of a job, which takes some moments."""
        with self._user_errors("cancelled"):
            self._client.cancel_custom_job(name=self.full_name(job), **self._call_options())

    def wait(self, job: str, on_change: Callable[[str], None]) -> Any:
        """Watch a job until it ends, call `on_change` with each new state, and return the job.

        Raises:
            ShelfmarkError: it failed or was cancelled; with the reason that the service gives.
        """
        state = ""
        for current in self.watch(job):
            if job_state(current) != state:
                state = job_state(current)
                on_change(state)
        if state != "SUCCEEDED":
            reason = current.error.message.strip().partition("\n")[0] or "no reason given"
            number = current.name.rpartition("/")[2]
            raise ShelfmarkError(f"job {number} {state.lower()}: {reason}; shelfmark logs {number}")
        return current

    def watch(self, job: str) -> Iterator[Any]:
        """Yield a job repeatedly until it has ended, the last time in its final state."""
        while job_state(current := self.get(job)) not in ENDED:
            yield current
            time.sleep(self._policy.poll)
        yield current

    def _call_options(self, only_if_busy: bool = False) -> dict[str, Any]:
        """Return the time limit of a request, and when it is tried again.

        Args:
            only_if_busy: only where the service has certainly not done it.
        """
        from google.api_core import exceptions, retry

        retried: tuple[type[Exception], ...] = (exceptions.TooManyRequests,)
        if not only_if_busy:
            retried += (exceptions.ServiceUnavailable, exceptions.BadGateway, ConnectionError)
        policy = self._policy
        again = retry.Retry(
            predicate=retry.if_exception_type(*retried),
            initial=policy.first_delay,
            maximum=policy.longest_delay,
            timeout=policy.total,
        )
        return {"retry": again, "timeout": policy.timeout}

    def _refusal(self, error: Any) -> ShelfmarkError:
        why = error.message if error.response is None else rest.refusal_reason(error.response)
        return rest.refusal(int(error.code or 0), why, self._host)

    @contextmanager
    def _user_errors(self, done: str) -> Iterator[None]:
        """Turn Google's errors into one line each; `done` names what is then unknown."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            yield
        except RetryError as error:
            if isinstance(error.cause, GoogleAPICallError):
                raise self._refusal(error.cause) from error
            raise ShelfmarkError(f"{self._host} is not reached: {error.cause}") from error
        except GoogleAPICallError as error:
            raise self._refusal(error) from error
        except (RequestException, GoogleAuthError, ConnectionError) as error:
            raise ShelfmarkError(
                f"{self._host} is not reached ({type(error).__name__}): not known to be {done}; "
                "look with shelfmark jobs"
            ) from error


def open_jobs(project: str = "", region: str = "", job: str = "") -> Jobs:
    """Return the jobs of a project and region.

    Args:
        project: by default the one in a job's full name, else the account's.
        region: likewise.
        job: a job's full name or number.

    Raises:
        ShelfmarkError: project or region is unknown, or credentials are missing.
    """
    ours, match = account.read_account(), NAME.match(job)
    given = {"project": project, "region": region}
    place = {key: given[key] or (match[key] if match else getattr(ours, key)) for key in given}
    account.require_keys(ours.model_copy(update=place), *place, without=rest.WITHOUT)
    return Jobs(place["project"], place["region"])


def job_state(job: Any) -> str:
    """Return a job's state, such as PENDING, RUNNING or SUCCEEDED."""
    return str(job.state.name).removeprefix("JOB_STATE_")


def console_url(job: Any) -> str:
    """Return the address of a job's page in Google's console."""
    match = NAME.match(job.name)
    assert match is not None
    number = job.name.rpartition("/")[2]
    return (
        "https://console.cloud.google.com/vertex-ai/locations/"
        f"{match['region']}/training/{number}?project={match['project']}"
    )


def stream_logs(jobs: Jobs, job: str, follow: bool) -> Iterator[LogLine]:
    """Yield what a job has written so far or, with `follow`, until it has ended.

    Raises:
        ShelfmarkError: there is no such job, or Google refuses or cannot be reached.
    """
    session = rest.open_session()
    seen: set[str] = set()
    since: datetime | None = None
    looks = jobs.watch(job) if follow else iter([jobs.get(job)])
    for current in looks:
        asked_at = datetime.now(UTC)
        for entry in read_entries(session, jobs.project, current, since):
            if entry["insertId"] not in seen:
                seen.add(entry["insertId"])
                yield _log_line(entry)
        since = max(asked_at - LATE, current.create_time)


def read_entries(
    session: Any, project: str, job: Any, since: datetime | None = None
) -> Iterator[Any]:
    """Yield a job's raw entries of Cloud Logging, sorted by time.

    Raises:
        ShelfmarkError: Cloud Logging refuses or cannot be reached.
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
    url = f"{rest.base_url('logging.googleapis.com')}/v2/entries:list"
    while True:
        answer = rest.request(session, "POST", url, json=wanted).json()
        yield from answer.get("entries", ())
        if not answer.get("nextPageToken"):
            return
        wanted = {**wanted, "pageToken": answer["nextPageToken"]}


def _log_line(entry: dict[str, Any]) -> LogLine:
    payload = entry.get("jsonPayload", {})
    text = entry.get("textPayload") or payload.get("message") or str(payload)
    moment = str(entry.get("timestamp", ""))[:19].replace("T", " ")
    return LogLine(moment, str(entry.get("severity", "DEFAULT")), str(text).rstrip("\n"))
