"""Responses of the service: JSON, and errors as problem details (RFC 9457).

A problem names the invalid field and reveals nothing of the inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shelfmark.config.problems import describe_problem
from shelfmark.service.messages import UNPROCESSABLE, InvalidFieldError, field_path

TYPE = "application/problem+json"
CONTENT_TOO_LARGE = 413  # its name in http.HTTPStatus changed with Python 3.13
SCHEMAS = "#/components/schemas/"  # of the OpenAPI document
MAX_FAULTS = 20  # that a problem lists
BODY_PROBLEMS = {  # of every route that takes a body
    "s400": "The body is damaged: it cannot be unpacked, or its length is ambiguous",
    "s413": "The body is too large, as it comes or unpacked",
    "s415": "The body is not JSON, or is packed otherwise than by gzip, according to its headers",
    "s422": "The body is not JSON in UTF-8, or some of its fields are invalid",
}
OpenApi = dict[int | str, dict[str, Any]]


class RefusedError(Exception):
    """A request is refused before it reaches the application.

    Args:
        status: of HTTP.
        detail: one sentence for people.
        headers: more headers of the response.
        errors: the invalid fields, each with the keys of `FieldError`.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: dict[str, str] | None = None,
        errors: Sequence[dict[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.response = problem_response(status, detail, errors, headers)


class RefusedFieldError(RefusedError):
    """A request is refused before it reaches the application, for its body or one of its headers.

    Args:
        status: of HTTP.
        field: `body`, or the name of the header.
        problem: what is wrong with it.
        headers: more headers of the response.
    """

    def __init__(
        self, status: int, field: str, problem: str, headers: dict[str, str] | None = None
    ) -> None:
        errors = [{"field": field, "problem": problem}]
        super().__init__(status, f"{field}: {problem}", headers, errors)


def json_response(content: Any) -> Response:
    """Return a value of plain types as JSON; FastAPI's own encoder takes longer than the JSON."""
    return Response(orjson.dumps(content), media_type="application/json")


def problem_response(
    status: int,
    detail: str,
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Response:
    """Return a problem as a response.

    Args:
        status: of HTTP.
        detail: one sentence for people.
        errors: the invalid fields, each with the keys of `FieldError`.
        headers: more headers of the response.
        extensions: further members of the problem.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    body |= extensions or {}
    return Response(orjson.dumps(body), status, headers, TYPE)


def document_problems(**statuses: str) -> OpenApi:
    """Return the OpenAPI entries of a route's problems, given as `s404="description"`."""
    content = {"content": {TYPE: {"schema": {"$ref": f"{SCHEMAS}Problem"}}}}
    return {
        int(status.removeprefix("s")): {"description": description, **content}
        for status, description in statuses.items()
    }


def _field_error(error: Any) -> dict[str, str]:
    """Return an error of Pydantic's as a field and its problem."""
    path = field_path(error["loc"][1:])
    if error["type"] == "json_invalid":
        return {"field": "body", "problem": f"invalid JSON at character {path}"}
    if error["type"] == "missing" and not path:
        return {"field": "body", "problem": "is empty, but should be a JSON object"}
    return {"field": path or "body", "problem": describe_problem(error)}


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(
            error.status_code, str(error.detail), headers=dict(error.headers or {})
        )

    async def invalid_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = error.errors()
        errors = list(map(_field_error, faults[:MAX_FAULTS]))
        detail = f"{errors[0]['field']}: {errors[0]['problem']}"
        if len(faults) > MAX_FAULTS:
            detail += f"; {len(faults) - MAX_FAULTS:,} more faults are not listed"
        return problem_response(UNPROCESSABLE, detail, errors)

    async def invalid_field(request: Request, error: Exception) -> Response:
        assert isinstance(error, InvalidFieldError)
        field_error = {"field": error.field, "problem": error.problem}
        return problem_response(UNPROCESSABLE, error.detail, [field_error])

    async def refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return error.response

    async def internal(request: Request, error: Exception) -> Response:
        return problem_response(
            HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log names the reason."
        )

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(InvalidFieldError, invalid_field)
    app.add_exception_handler(RefusedError, refusal)
    app.add_exception_handler(Exception, internal)
