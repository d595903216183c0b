"""Asks a running service whether it is ready and for a prediction; standard library alone.

`python -m shelfmark.service.probe` is the image's health check, `... /health` one of another path;
with a URL, and perhaps the seconds to wait, it checks a service that has just been started.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from shelfmark.errors import ShelfmarkError

TEXT = "We train a robot arm to grasp unseen objects from depth images."
SECONDS = 60.0
PAUSE = 0.5


def check(url: str, token: str = "", seconds: float | None = None) -> str:
    """Wait until a service is ready, and return the category of one prediction.

    Args:
        url: the service's, without a path.
        token: an identity token, where only some may ask.
        seconds: how long to wait until it is ready; `SECONDS` when not given.

    Raises:
        ShelfmarkError: it does not get ready in time, or its answer is no prediction.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if key := os.environ.get("SHELFMARK_API_KEY"):
        headers["X-API-Key"] = key
    url = url.rstrip("/")
    seconds = SECONDS if seconds is None else seconds
    until = time.monotonic() + seconds
    while problem := _problem(f"{url}/ready", headers):
        if time.monotonic() > until:
            raise ShelfmarkError(f"{url}/ready: {problem}, for {seconds:.0f} seconds")
        time.sleep(PAUSE)
    return _category(f"{url}/predict", headers)


def _problem(url: str, headers: dict[str, str]) -> str:
    """Return why a GET has no answer 200, nothing if it has."""
    try:
        with urllib.request.urlopen(_request(url, headers), timeout=4):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        return str(error)


def _category(url: str, headers: dict[str, str]) -> str:
    body = json.dumps({"text": TEXT}).encode()
    headers = {**headers, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(_request(url, headers, body), timeout=30) as answer:  # noqa: S310
            told: Any = json.load(answer)
        total = sum(entry["probability"] for entry in told["ranking"])
        category = str(told["category"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ShelfmarkError(f"{url}: no prediction ({error})") from error
    if not 0 < total <= 1.001:
        raise ShelfmarkError(f"{url}: no prediction (probabilities of {total} together)")
    return category


def _request(url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    if not url.startswith(("http://", "https://")):
        raise ShelfmarkError(f"{url}: not the address of a service (http://..., https://...)")
    return urllib.request.Request(url, body, headers)  # noqa: S310


def main(arguments: list[str]) -> None:
    """Check the service at a URL; without one, ask this machine's for a path just now."""
    try:
        if arguments and not arguments[0].startswith("/"):
            seconds = float(arguments[1]) if arguments[1:] else None
            sys.stdout.write(f"{check(arguments[0], seconds=seconds)}\n")
            return
        path = arguments[0] if arguments else "/ready"
        url = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}{path}"
        if problem := _problem(url, {}):
            raise ShelfmarkError(f"{url}: {problem}")
    except ShelfmarkError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
