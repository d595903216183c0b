"""Checks that a service is ready and predicts, with the standard library alone.

`python -m shelfmark.service.probe` is the health check of the image; `... /health` checks another
path. With a URL, and optionally the seconds to wait, it checks a service that has just started.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError

SAMPLE_TEXT = "We train a robot arm to grasp unseen objects from depth images."
READY_SECONDS = 60.0
POLL_SECONDS = 0.5


def check_service(url: str, token: str = "", seconds: float | None = None) -> str:
    """Wait until a service is ready, and return the category of one prediction.

    Args:
        url: of the service, without a path.
        token: identity token, if the service requires one.
        seconds: how long to wait until it is ready, `READY_SECONDS` by default.

    Raises:
        ShelfmarkError: the service is not ready in time, or its answer is not a prediction.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if key := environment.read_key("SHELFMARK_API_KEY"):
        headers["X-API-Key"] = key
    url = url.rstrip("/")
    seconds = READY_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while problem := _get_problem(f"{url}/ready", headers):
        if time.monotonic() > deadline:
            raise ShelfmarkError(f"{url}/ready: {problem}, for {seconds:.0f} seconds")
        time.sleep(POLL_SECONDS)
    return _predict_category(f"{url}/predict", headers)


def _get_problem(url: str, headers: dict[str, str]) -> str:
    """Return why a GET request fails, or an empty string if it succeeds."""
    try:
        with urllib.request.urlopen(_request(url, headers), timeout=4):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        return str(error)


def _predict_category(url: str, headers: dict[str, str]) -> str:
    body = json.dumps({"text": SAMPLE_TEXT}).encode()
    headers = {**headers, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(_request(url, headers, body), timeout=30) as answer:  # noqa: S310
            prediction: Any = json.load(answer)
        total = sum(entry["probability"] for entry in prediction["ranking"])
        category = str(prediction["category"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ShelfmarkError(f"{url}: no prediction ({error})") from error
    if not 0 < total <= 1.001:
        raise ShelfmarkError(f"{url}: no prediction (its probabilities add up to {total})")
    return category


def _request(url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    if not url.startswith(("http://", "https://")):
        raise ShelfmarkError(f"{url}: not the address of a service (http://..., https://...)")
    return urllib.request.Request(url, body, headers)  # noqa: S310


def main(arguments: list[str]) -> None:
    """Check the service at a URL, or, without waiting, a path of the one on this machine."""
    try:
        if arguments and not arguments[0].startswith("/"):
            seconds = float(arguments[1]) if arguments[1:] else None
            sys.stdout.write(f"{check_service(arguments[0], seconds=seconds)}\n")
            return
        path = arguments[0] if arguments else "/ready"
        port = environment.read("PORT", "8000")
        if not port.isdecimal():
            raise ShelfmarkError(f"PORT: {port!r} should be a whole number, such as 8000")
        url = f"http://127.0.0.1:{port}{path}"
        if problem := _get_problem(url, {}):
            raise ShelfmarkError(f"{url}: {problem}")
    except ShelfmarkError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
