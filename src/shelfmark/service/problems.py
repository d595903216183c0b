"""Errors as problem details (RFC 9457): they name the field, and tell nothing of the inside."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shelfmark.service.messages import Problem, RefusedError

TYPE = "application/problem+json"
TOO_LARGE, NOT_UNDERSTOOD = 413, 422  # their names in http.HTTPStatus changed with Python 3.13
OpenApi = dict[int | str, dict[str, Any]]


def problem(
    status: int,
    detail: str,
    errors: Sequence[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem as an answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return Response(orjson.dumps(body), status, headers, TYPE)


def documented(**statuses: str) -> OpenApi:
    """Return what a route's document says of its problems: `s404="..."` for each status."""
    content = {"content": {TYPE: {"schema": Problem.model_json_schema()}}}
    return {
        int(status.removeprefix("s")): {"description": description, **content}
        for status, description in statuses.items()
    }


def _fault(found: Any) -> dict[str, str]:
    place = ".".join(str(part) for part in found["loc"][1:])
    if found["type"] == "json_invalid":
        return {"field": "body", "problem": f"not JSON, from character {place} on"}
    return {"field": place or "body", "problem": found["msg"]}


def add_handlers(app: FastAPI) -> None:
    """Answer all errors of an application as problems."""

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = list(map(_fault, error.errors()))
        first = f"{faults[0]['field']}: {faults[0]['problem']}"
        return problem(NOT_UNDERSTOOD, first, faults)

    async def not_understood(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        fault = {"field": error.field, "problem": error.problem}
        return problem(NOT_UNDERSTOOD, str(error), [fault])

    async def internal(request: Request, error: Exception) -> Response:
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(RefusedError, not_understood)
    app.add_exception_handler(Exception, internal)
