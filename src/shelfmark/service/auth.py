"""The keys of the service, which requests send in a header."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from shelfmark.service.limits.headers import RequestHeaders
from shelfmark.service.responses import RefusedError

API_KEY, ADMIN_KEY = "X-API-Key", "X-Admin-Key"


@dataclass(frozen=True)
class RequiredKey:
    """The key that a route requires.

    Args:
        header: that holds it.
        expected: its value.
        disabled: why the route is disabled without a value; if empty, any request is accepted then.
    """

    header: str
    expected: SecretStr | None
    disabled: str = ""

    def check(self, headers: RequestHeaders) -> None:
        """Compare the key of a request in constant time.

        Raises:
            RefusedError: 401, the key is missing or wrong; 404, the route is disabled.
        """
        if self.expected is None:
            if self.disabled:
                raise RefusedError(404, self.disabled)
            return
        key = headers.last(self.header.lower().encode())
        if not hmac.compare_digest(self.expected.get_secret_value().encode(), key):
            raise RefusedError(401, f"The key in {self.header} is missing or wrong.")


def document_key(header: str) -> dict[str, Any]:
    """Return the OpenAPI entry of a key's header.

    The guard checks the key before the body is read, so the route has no parameter for it.
    """
    return {"parameters": [{"in": "header", "name": header, "schema": {"type": "string"}}]}
