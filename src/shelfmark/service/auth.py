"""The keys of the service, which requests send in a header."""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import Request
from pydantic import SecretStr
from starlette.exceptions import HTTPException

API_KEY, ADMIN_KEY = "X-API-Key", "X-Admin-Key"


def check_key(expected: SecretStr | None, request: Request, header: str) -> None:
    """Compare the key of a request in constant time; without an expected key, accept any.

    Raises:
        HTTPException: 401, the key is missing or wrong.
    """
    if expected is None:
        return
    # A header is decoded as Latin-1, whatever its bytes mean.
    key = request.headers.get(header, "").encode("latin-1")
    if not hmac.compare_digest(expected.get_secret_value().encode(), key):
        raise HTTPException(401, f"The key in {header} is missing or wrong.")


def document_key(header: str) -> dict[str, Any]:
    """Return the OpenAPI entry of a key's header.

    The routes read the header themselves: FastAPI's own parameters cost more time per request.
    """
    return {"parameters": [{"in": "header", "name": header, "schema": {"type": "string"}}]}
