"""Google's REST services: their addresses, credentials, time limits and errors.

With SHELFMARK_GOOGLE_ENDPOINT set, every service is asked at that address, and without
credentials, so that a test's server never receives a token.
"""

from __future__ import annotations

from typing import Any

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError

ENDPOINT = "SHELFMARK_GOOGLE_ENDPOINT"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SECONDS = 30.0  # for the answer to one request
TRIES = 5
BUSY = (429, 503)
WITHOUT = "shelfmark train trains here, and shelfmark submit --dry-run shows what would be sent"


def base_url(host: str) -> str:
    """Return the URL of a service of Google's, given its host, such as storage.googleapis.com.

    Raises:
        ShelfmarkError: `ENDPOINT` is no address.
    """
    address = environment.read(ENDPOINT, f"https://{host}")
    if not address.startswith(("http://", "https://")):
        line = f"{ENDPOINT}: {address!r} should be an address, such as http://127.0.0.1:8080"
        raise ShelfmarkError(line)
    return address


def find_credentials() -> Any:
    """Return the credentials of this machine: a person's by gcloud, or those of the job.

    Raises:
        ShelfmarkError: they are missing, or their file is damaged.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError

    if environment.read(ENDPOINT):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    try:
        return google.auth.default(scopes=[SCOPE])[0]
    except GoogleAuthError as error:
        raise ShelfmarkError(
            "no Google credentials: run gcloud auth application-default login; "
            f"without an account, {WITHOUT}"
        ) from error


def open_session() -> Any:
    """Return a session with credentials, which asks again where a service is busy.

    Raises:
        ShelfmarkError: credentials are missing.
    """
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=TRIES - 1,
        backoff_factor=0.5,
        status_forcelist=BUSY,
        # Every request of this session only reads, so that it may be sent twice.
        allowed_methods=None,
        raise_on_status=False,
    )
    session = AuthorizedSession(find_credentials())  # type: ignore[no-untyped-call]
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
    return session


def request(session: Any, method: str, url: str, **options: Any) -> Any:
    """Return a service's answer with a status below 400.

    Args:
        session: as `open_session` returns it.
        method: of HTTP.
        url: of the resource.
        options: of requests.Session.request, such as `json` or `params`.

    Raises:
        RefusedError: the service answers with a status of 400 or more.
        ShelfmarkError: it cannot be reached, takes too long, or refuses the credentials.
    """
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        answer = session.request(method, url, timeout=SECONDS, **options)
    except GoogleAuthError as error:
        raise ShelfmarkError(
            f"Google rejects these credentials ({_first_line(error)}): "
            f"run gcloud auth application-default login; without an account, {WITHOUT}"
        ) from error
    except RequestException as error:
        raise ShelfmarkError(f"{_host(url)} is not reached: {type(error).__name__}") from error
    if answer.status_code >= 400:
        raise refusal(answer.status_code, refusal_reason(answer), _host(url))
    return answer


class RefusedError(ShelfmarkError):
    """A service's refusal, with its HTTP status."""

    status = 0


def refusal(status: int, why: str, host: str) -> RefusedError:
    """Return the error for a status of 400 or more."""
    advice = {
        401: "; run gcloud auth application-default login",
        403: "; a role or an enabled API is missing: shelfmark preflight names it",
        429: "; Google's quota is used up: wait, or ask for more",
    }
    error = RefusedError(f"{host} answers {status}: {_first_line(why)}{advice.get(status, '')}")
    error.status = status
    return error


def refusal_reason(answer: Any) -> str:
    """Return the reason that the body of a refusal gives."""
    try:
        error = answer.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return str(answer.reason or "no reason given")


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _first_line(text: object) -> str:
    return str(text).strip().partition("\n")[0].rstrip(".")
