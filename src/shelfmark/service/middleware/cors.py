"""The headers by which pages of other sites may read the answers (CORS)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Scope, Send

from shelfmark.service.auth import API_KEY
from shelfmark.service.responses import problem_response

METHODS = ("GET", "HEAD", "POST")
# The admin key is missing on purpose: it belongs on no page.
SENT = ("Content-Encoding", "Content-Type", API_KEY, "X-Request-ID")
PRIVATE_NETWORK = "access-control-request-private-network"
READ = ("Accept-Encoding", "Allow", "Retry-After", "X-Request-ID")


class OtherOrigins(CORSMiddleware):
    """Adds the headers to every answer of a service, whatever writes it.

    It stands around the `send` of a request in place of an application, so that it also reaches
    the answers that are given before the application, or in place of its own.

    Args:
        origins: of the pages, as browsers send them; `*` stands for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        super().__init__(
            _no_application,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=READ,
        )

    def decorate(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that adds the headers to the answer to a request."""
        return functools.partial(self.send, send=send, request_headers=Headers(scope=scope))

    def headers(self, origin: str) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer to a page of an origin, empty if it is unknown."""
        headers = {"Vary": "Origin"}
        if origin and self.is_allowed_origin(origin):
            headers |= self.simple_headers
            headers.setdefault("Access-Control-Allow-Origin", origin)
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def answer_preflight(self, scope: Scope) -> Response | None:
        """Return the answer to a preflight request, or None if a request is none."""
        headers = Headers(scope=scope)
        if scope["method"] != "OPTIONS" or "origin" not in headers:
            return None
        if "access-control-request-method" not in headers:
            return None
        response = self.preflight_response(headers)
        if response.status_code == Response().status_code:
            return response
        allowed = {
            name: value
            for name, value in response.headers.items()
            if name.startswith("access-control-") or name == "vary"
        }
        refusal = _refusal(self.is_allowed_origin(headers["origin"]), PRIVATE_NETWORK in headers)
        return problem_response(400, refusal, headers=allowed)


def _refusal(origin_allowed: bool, private_network: bool) -> str:
    if not origin_allowed:
        return "SHELFMARK_CORS_ORIGINS does not list this origin."
    if private_network:
        return "Pages of public sites may not ask this service, which is in a private network."
    return (f"Pages of other sites may send {', '.join(METHODS[:-1])} and {METHODS[-1]} with the "
            f"headers {', '.join(SENT)}.")  # fmt: skip


async def _no_application(*_: object) -> None:
    raise AssertionError("only the headers of answers are asked for")
