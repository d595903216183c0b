"""Jobs at Vertex AI: sent, listed, watched until they end, cancelled; no request waits for ever."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from shelfmark.cloud import account, rest
from shelfmark.errors import ShelfmarkError

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")
NAME = re.compile(r"^projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/customJobs/\d+$")


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds: for one answer, before a second try, between two looks."""

    request: float = rest.SECONDS
    first: float = 1.0
    longest: float = 30.0
    altogether: float = 180.0
    look: float = 15.0


class Jobs:
    """The training jobs of a project in a region.

    Raises:
        ShelfmarkError: there are no credentials; of every method: the service refuses, is not
            reached, or stays busy.
    """

    def __init__(self, project: str, region: str, patience: Patience | None = None) -> None:
        from google.cloud.aiplatform_v1.services.job_service import JobServiceClient

        self.project, self.region = project, region
        self._patience = patience or Patience()
        self._place = f"{region}-aiplatform.googleapis.com"
        # REST goes through any proxy, and tests speak it to a program of their own.
        self._client = JobServiceClient(
            transport="rest",
            credentials=rest.credentials(),
            client_options={"api_endpoint": rest.base(self._place)},
        )

    @property
    def parent(self) -> str:
        """The resource that jobs belong to."""
        return f"projects/{self.project}/locations/{self.region}"

    def name_of(self, job: str) -> str:
        """Return a job's full name from it or from its number.

        Raises:
            ShelfmarkError: it is neither.
        """
        if not (job.isdigit() or NAME.match(job)):
            raise ShelfmarkError(f"{job}: a job is its number, or {self.parent}/customJobs/NUMBER")
        return f"{self.parent}/customJobs/{job}" if job.isdigit() else job

    def submit(self, job: Any) -> Any:
        """Send a job once, and return it with its name.

        A busy service has not taken it, so it is sent again; after any other failure it might have.
        """
        with self._one_line("sent"):
            return self._client.create_custom_job(
                parent=self.parent, custom_job=job, **self._again(sure=True)
            )

    def get(self, job: str) -> Any:
        """Return a job as it is now."""
        with self._one_line("found"):
            return self._client.get_custom_job(name=self.name_of(job), **self._again())

    def newest(self, count: int) -> list[Any]:
        """Return the jobs sent last by Shelfmark, the newest first."""
        request = {"parent": self.parent, "filter": 'labels.project="shelfmark"'}
        with self._one_line("listed"):
            found = self._client.list_custom_jobs(request=request, **self._again())
            return list(islice(found, count))

    def cancel(self, job: str) -> None:
        """Ask for a job's end; it is cancelled some moments later."""
        with self._one_line("cancelled"):
            self._client.cancel_custom_job(name=self.name_of(job), **self._again())

    def wait(self, job: str, tell: Callable[[str], None]) -> Any:
        """Look at a job until it ends, tell each change of its state, and return it.

        Raises:
            ShelfmarkError: it failed or was cancelled; with the reason the service gives.
        """
        state = ""
        for found in self.watch(job):
            if state_of(found) != state:
                state = state_of(found)
                tell(state)
        if state != "SUCCEEDED":
            reason = found.error.message.strip().partition("\n")[0] or "no reason given"
            number = found.name.rpartition("/")[2]
            raise ShelfmarkError(f"job {number} {state.lower()}: {reason}; inv logs {number}")
        return found

    def watch(self, job: str) -> Iterator[Any]:
        """Yield a job as it is, again and again, last as it ended."""
        while state_of(found := self.get(job)) not in ENDED:
            yield found
            time.sleep(self._patience.look)
        yield found

    def _again(self, sure: bool = False) -> dict[str, Any]:
        """Return how often and how long a request is tried.

        Args:
            sure: only where it has surely not been done.
        """
        from google.api_core import exceptions, retry

        busy: tuple[type[Exception], ...] = (exceptions.TooManyRequests,)
        if not sure:
            busy += (exceptions.ServiceUnavailable, exceptions.BadGateway, ConnectionError)
        patience = self._patience
        again = retry.Retry(
            predicate=retry.if_exception_type(*busy),
            initial=patience.first,
            maximum=patience.longest,
            timeout=patience.altogether,
        )
        return {"retry": again, "timeout": patience.request}

    def _refused(self, error: Any) -> ShelfmarkError:
        why = error.message if error.response is None else rest.reason(error.response)
        return rest.refused(int(error.code or 0), why, self._place)

    @contextmanager
    def _one_line(self, done: str) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            yield
        except RetryError as error:
            if isinstance(error.cause, GoogleAPICallError):
                raise self._refused(error.cause) from error
            raise ShelfmarkError(f"{self._place} is not reached: {error.cause}") from error
        except GoogleAPICallError as error:
            raise self._refused(error) from error
        except (RequestException, GoogleAuthError, ConnectionError) as error:
            raise ShelfmarkError(
                f"{self._place} is not reached ({type(error).__name__}): not known to be {done}; "
                "look with inv jobs"
            ) from error


def opened(project: str = "", region: str = "", job: str = "") -> Jobs:
    """Return the jobs of a place: the one given, else that of a job's full name, else our own.

    Raises:
        ShelfmarkError: no place is known, or there are no credentials.
    """
    ours, named = account.read(), NAME.match(job)
    given = {"project": project, "region": region}
    place = {key: given[key] or (named[key] if named else getattr(ours, key)) for key in given}
    account.require(ours.model_copy(update=place), *place, without=rest.WITHOUT)
    return Jobs(place["project"], place["region"])


def state_of(job: Any) -> str:
    """Return a job's state, such as PENDING, RUNNING or SUCCEEDED."""
    return str(job.state.name).removeprefix("JOB_STATE_")


def console(job: Any) -> str:
    """Return the page of a job in Google's console."""
    found = NAME.match(job.name)
    assert found is not None
    number = job.name.rpartition("/")[2]
    return (
        "https://console.cloud.google.com/vertex-ai/locations/"
        f"{found['region']}/training/{number}?project={found['project']}"
    )
