"""A client of a service that is measured."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import orjson

from shelfmark.errors import ShelfmarkError

HEADERS = {"Content-Type": "application/json"}


class Client:
    """Posts JSON to a service over one connection.

    Args:
        url: address of the service, of http://.
    """

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        self._connection.request("POST", path, body, HEADERS)
        response = self._connection.getresponse()
        return response.status, response.read()

    def ask(self, path: str, body: bytes) -> dict[str, Any]:
        """Return the JSON of an answer.

        Raises:
            ShelfmarkError: the service answers with another status than 200.
        """
        status, content = self.post(path, body)
        if status != 200:
            raise refusal(path, status, content)
        answer: dict[str, Any] = orjson.loads(content)
        return answer


def refusal(path: str, status: int, content: bytes) -> ShelfmarkError:
    """Return the error that shows an answer of another status than 200."""
    return ShelfmarkError(f"POST {path}: {status} {content[:200].decode(errors='replace')}")
