"""Google's REST services: where each is, as whom it is asked, for how long, and its errors.

The one place where tests put a program of their own: with SHELFMARK_GOOGLE_ENDPOINT set, every
service is asked there, and without credentials, so that no token goes astray.
"""

from __future__ import annotations

import os
from typing import Any

from shelfmark.errors import ShelfmarkError

ENDPOINT = "SHELFMARK_GOOGLE_ENDPOINT"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SECONDS = 30.0  # for the answer to one request
TRIES = 5
BUSY = (429, 503)
WITHOUT = "inv train trains here, and inv submit --dry-run shows what would be sent"


def base(host: str) -> str:
    """Return the URL that a service of Google's is asked at, such as storage.googleapis.com."""
    return os.environ.get(ENDPOINT) or f"https://{host}"


def credentials() -> Any:
    """Return the credentials of this machine: a person's by gcloud, or a job's own.

    Raises:
        ShelfmarkError: there are none, or their file is damaged.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError

    if os.environ.get(ENDPOINT):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        return google.auth.default(scopes=[SCOPE])[0]
    except GoogleAuthError as error:
        raise ShelfmarkError(
            "no Google credentials: run gcloud auth application-default login; "
            f"without an account, {WITHOUT}"
        ) from error


def session() -> Any:
    """Return a session that proves who asks, and asks anew where a service is busy.

    Raises:
        ShelfmarkError: there are no credentials.
    """
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    patient = Retry(
        total=TRIES - 1,
        backoff_factor=0.5,
        status_forcelist=BUSY,
        # Everything sent this way only reads, so that it may be sent twice.
        allowed_methods=None,
        raise_on_status=False,
    )
    opened = AuthorizedSession(credentials())  # type: ignore[no-untyped-call]
    opened.mount("https://", HTTPAdapter(max_retries=patient))
    opened.mount("http://", HTTPAdapter(max_retries=patient))
    return opened


def ask(session: Any, method: str, url: str, **given: Any) -> Any:
    """Return a service's answer with a status below 400.

    Raises:
        ShelfmarkError: the service refuses, is not reached, or takes too long; with its reason.
    """
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        answer = session.request(method, url, timeout=SECONDS, **given)
    except GoogleAuthError as error:
        raise ShelfmarkError(
            f"Google rejects these credentials ({_first_line(error)}): "
            f"run gcloud auth application-default login; without an account, {WITHOUT}"
        ) from error
    except RequestException as error:
        raise ShelfmarkError(f"{_place(url)} is not reached: {type(error).__name__}") from error
    if answer.status_code >= 400:
        raise refused(answer.status_code, reason(answer), _place(url))
    return answer


class RefusedError(ShelfmarkError):
    """A service's refusal, with its HTTP status."""

    status = 0


def refused(status: int, why: str, place: str) -> RefusedError:
    """Return the error for a status of 400 or more."""
    advice = {
        401: "; run gcloud auth application-default login",
        403: "; a role or an enabled API is missing: inv preflight names it",
        429: "; Google's quota is used up: wait, or ask for more",
    }
    error = RefusedError(f"{place} answers {status}: {_first_line(why)}{advice.get(status, '')}")
    error.status = status
    return error


def reason(answer: Any) -> str:
    """Return what the body of an answer says of its refusal."""
    try:
        told = answer.json()["error"]
        return str(told["message"] if isinstance(told, dict) else told)
    except (ValueError, KeyError, TypeError):
        return str(answer.reason or "no reason given")


def _place(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _first_line(text: object) -> str:
    return str(text).strip().partition("\n")[0].rstrip(".")
