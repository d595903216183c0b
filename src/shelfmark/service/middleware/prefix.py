"""The path of a proxy under which a service stands, such as /shelf.

Pages address their parts relative to themselves, so most of them need not know this path. It is
told by a setting, or by the proxy in X-Forwarded-Prefix, which anyone may send: it only becomes
part of addresses of the same host, and never decides which route a request reaches.
"""

from __future__ import annotations

import re

from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp, Receive, Scope, Send

from shelfmark.service.limits.headers import RequestHeaders

PREFIX = "prefix"  # key of the ASGI state
HOST = re.compile(r"^https?://[^/]*", re.IGNORECASE)
FORWARDED = b"x-forwarded-prefix"
SEGMENT = re.compile(r"(?!\.\.?$)[A-Za-z0-9._~-]+")
MAX_CHARACTERS = 200


def normalize_prefix(path: str) -> str:
    """Return a path with a slash before each segment and none at its end, and nothing for `/`.

    Raises:
        PydanticCustomError: it is not a plain path.
    """
    plain = path.strip("/")
    segments = plain.split("/") if plain else []
    if len(path) > MAX_CHARACTERS or not all(map(SEGMENT.fullmatch, segments)):
        raise PydanticCustomError(
            "plain_path",
            "should be a path of letters, digits, -, _, . and ~",
        )
    return "".join(f"/{segment}" for segment in segments)


def forwarded_prefix(headers: RequestHeaders) -> str:
    """Return the path that the proxies name, the outermost first, or nothing if it is not plain."""
    if FORWARDED not in headers:
        return ""
    values = [value.decode("latin-1") for value in headers.all(FORWARDED)]
    parts = [part.strip(" \t") for part in ",".join(values).split(",")]
    if not all(part.startswith("/") for part in parts) or any("//" in part for part in parts):
        return ""
    try:
        return normalize_prefix("".join(part.rstrip("/") for part in parts))
    except PydanticCustomError:
        return ""


class ProxyPrefix:
    """Lets a service stand under the path of a proxy, whether or not the proxy removes it.

    The state of each request gets the path, empty if it is unknown.

    Args:
        app: the application, which sees its own paths.
        root_path: the path as the settings have it, empty if they do not name one.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the start and the end of the service."""
        if scope["type"] == "http":
            headers = RequestHeaders.of(scope)
            scope["state"][PREFIX] = self._root_path or forwarded_prefix(headers)
            scope["path"] = self._own_path(scope["path"])
        await self._app(scope, receive, send)

    def _own_path(self, path: str) -> str:
        # A client that takes the service for a proxy names the host too (RFC 9112, 3.2.2).
        if not path.startswith("/"):
            path = HOST.sub("", path, count=1) or "/"
        root = self._root_path
        if root and (path == root or path.startswith(f"{root}/")):
            return path[len(root) :] or "/"
        return path
