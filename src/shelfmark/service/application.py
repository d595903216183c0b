"""The web framework as the service and the monitor use it: its contract, its unmatched requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from shelfmark import __version__
from shelfmark.service.direct_route import DirectRoute
from shelfmark.service.messages import Problem
from shelfmark.service.middleware.prefix import PREFIX
from shelfmark.service.responses import (
    SCHEMAS,
    add_problem_handlers,
    json_response,
    problem_response,
)

NO_SUCH_PATH = "Nothing has this address; GET /openapi.json lists the addresses."
NOT_FOUND, METHOD_NOT_ALLOWED = 404, 405
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """Routes whose errors are problems, and whose contract stands at /openapi.json.

    The direct ones among them are found by their method and path, before the router.

    Args:
        title: of the contract.
        lifespan: of the application.
        routes: may also be added later.
    """

    def __init__(self, title: str, lifespan: Lifespan, routes: Sequence[BaseRoute] = ()) -> None:
        super().__init__(
            title=title, version=__version__, lifespan=lifespan, routes=list(routes),
            # Instead of these: what stands under the path of a proxy and needs no other host.
            openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        )  # fmt: skip
        self.add_api_route("/openapi.json", _contract, include_in_schema=False)
        add_problem_handlers(self)
        self.add_exception_handler(NOT_FOUND, _answer_unknown_path)
        self.add_exception_handler(METHOD_NOT_ALLOWED, _answer_other_method)
        self._direct = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or handle the start and the end."""
        http = scope["type"] == "http"
        route = self._direct.get((scope["method"], scope["path"])) if http else None
        if route is None:
            await super().__call__(scope, receive, send)
            return
        scope.update(route=route, app=self)
        request = Request(scope)
        try:
            response = await route.respond(request)
        except Exception as error:
            await self._answer_error(request, error, send)
            return
        await response(scope, receive, send)

    async def _answer_error(self, request: Request, error: Exception, send: Send) -> None:
        """Answer as the handlers of errors do; what no handler expects is raised again."""
        handlers = self.exception_handlers
        kinds = [getattr(error, "status_code", None), *type(error).__mro__]
        kind = next(kind for kind in kinds if kind in handlers)
        response: Response = await handlers[kind](request, error)  # type: ignore[misc]
        await response(request.scope, request.receive, send)
        if kind is Exception:
            raise error

    def openapi(self) -> dict[str, Any]:
        """Return the contract, with the problems that its routes refer to."""
        if not self.openapi_schema:
            document = super().openapi()
            schema = Problem.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= schema.pop("$defs") | {"Problem": schema}
        assert self.openapi_schema is not None
        return self.openapi_schema


async def _contract(request: Request) -> Response:
    """Return the contract, with the path of the proxy if it is known."""
    prefix = request.scope["state"][PREFIX]
    document = request.app.openapi()
    return json_response({**document, "servers": [{"url": prefix}]} if prefix else document)


async def _answer_unknown_path(request: Request, error: Exception) -> Response:
    """Redirect from a path with a slash too many, by an address that suits any proxy."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if (request.method, path) == ("OPTIONS", "*"):  # asks the service as a whole
        return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS, POST"})
    if path.endswith("/") and _allowed_methods(request, path[:-1]):
        query = request.scope["query_string"].decode("latin-1")
        address = f"../{quote(path[:-1].rpartition('/')[2])}" + (f"?{query}" if query else "")
        return Response(status_code=307, headers={"Location": address})
    detail = error.detail if error.detail != HTTPStatus.NOT_FOUND.phrase else NO_SUCH_PATH
    return problem_response(NOT_FOUND, detail)


async def _answer_other_method(request: Request, error: Exception) -> Response:
    """Name the methods of a path: that is the answer to OPTIONS, and a problem otherwise."""
    methods = ", ".join(_allowed_methods(request, request.scope["path"]))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": methods})
    detail = f"This address takes {methods}."
    return problem_response(METHOD_NOT_ALLOWED, detail, headers={"Allow": methods})


def _allowed_methods(request: Request, path: str) -> list[str]:
    """Return the methods of the routes of a path, in order; none if no route has it."""
    scope = {**request.scope, "path": path}
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods | {"OPTIONS"}) if methods else []
