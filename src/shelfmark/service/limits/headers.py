"""The headers of a request, looked up by their names."""

from __future__ import annotations

from starlette.types import Scope

HEADERS = "headers"  # key of the ASGI state
Pairs = list[tuple[bytes, bytes]]


class RequestHeaders:
    """The headers of a request, which everything before the application reads.

    Args:
        pairs: names in lower case, and values, in their order.
    """

    __slots__ = ("_last", "_pairs")

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._last = dict(pairs)

    @classmethod
    def of(cls, scope: Scope) -> RequestHeaders:
        """Return the headers of a request, whose state keeps them."""
        state = scope.setdefault("state", {})
        headers: RequestHeaders | None = state.get(HEADERS)
        if headers is None:
            headers = state[HEADERS] = cls(scope["headers"])
        return headers

    def __contains__(self, name: bytes) -> bool:
        return name in self._last

    def last(self, name: bytes, missing: bytes = b"") -> bytes:
        """Return the last value of a header."""
        return self._last.get(name, missing)

    def all(self, name: bytes) -> list[bytes]:
        """Return each value of a header, in their order."""
        if name not in self._last:
            return []
        if len(self._last) == len(self._pairs):
            return [self._last[name]]
        return [value for key, value in self._pairs if key == name]

    def has_body(self) -> bool:
        """Return whether the request has a body."""
        return b"transfer-encoding" in self._last or self.last(b"content-length", b"0") != b"0"
