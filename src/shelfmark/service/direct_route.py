"""Routes that a dictionary finds, and that answer without the framework's steps for a request.

FastAPI documents them as any other. Its router, its middlewares and its dependencies, of which
these routes use none, would take longer than the service's own work for a small request.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from shelfmark.service.limits.json_input import read_json
from shelfmark.service.protocol.connection import BODY
from shelfmark.service.responses import json_response

MISSING = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}


class DirectRoute(APIRoute):
    """A route of one exact path, whose endpoint takes at most the body and the request.

    The endpoint returns a response, or a value of plain types. The guard has read the body.
    """

    most_values = 0  # of the JSON of a body

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._takes_request = "request" in inspect.signature(endpoint).parameters
        self._one_large = asyncio.Lock()
        super().__init__(path, endpoint, **options)
        body = self.dependant.body_params
        kind: Any = body[0].field_info.annotation if body else None
        self._body = TypeAdapter[Any](kind) if body else None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request, however it has found the route."""
        return self.respond

    async def respond(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            RequestValidationError: its body is not JSON, or not what the endpoint takes.
            Exception: what the endpoint raises.
        """
        arguments: dict[str, Any] = {"request": request} if self._takes_request else {}
        if self._body is not None:
            arguments["body"] = await self._read(request.scope["state"][BODY], self._body)
        result = await self.endpoint(**arguments)
        return result if isinstance(result, Response) else json_response(result)

    async def _read(self, body: bytes, kind: TypeAdapter[Any]) -> Any:
        """Return the body as the endpoint takes it."""
        if not body:
            raise RequestValidationError([MISSING])
        try:
            value = await read_json(body, self.most_values, self._one_large)
        except json.JSONDecodeError as error:
            fault = {"type": "json_invalid", "loc": ("body", error.pos), "msg": error.msg}
            raise RequestValidationError([fault]) from None
        try:
            return kind.validate_python(value, from_attributes=True)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            located = [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
            raise RequestValidationError(located) from None


def direct_route(most_values: int) -> type[DirectRoute]:
    """Return the class of direct routes whose bodies have at most so many values."""
    return type("BoundedRoute", (DirectRoute,), {"most_values": most_values})
