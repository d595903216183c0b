"""POST /load: serve another version of the model."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from shelfmark.service.auth import ADMIN_KEY, document_key
from shelfmark.service.direct_route import direct_route
from shelfmark.service.messages import LoadRequest
from shelfmark.service.model_slot import LoadError
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.responses import (
    BODY_PROBLEMS,
    document_problems,
    json_response,
    problem_response,
)
from shelfmark.service.workers.board import Overview

MOST_VALUES = 100  # of the JSON of a request, which has one

PROBLEMS = document_problems(
    **BODY_PROBLEMS,
    s401="The admin key is missing or wrong",
    s404="The service has no admin key, so loading is disabled",
    s409="The version is missing or damaged, and the current one stays in service; or another "
    "request has loaded a model meanwhile",
    s503="The workers cannot be told of the model, and the current one stays in service; or the "
    "service is busy or stops",
    s504="Not all workers serve the version yet, and `workers` names those that do not; or it did "
    "not open in time",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that loads a model."""
    router = APIRouter(route_class=direct_route(MOST_VALUES))

    @router.post("/load", responses=PROBLEMS, openapi_extra=document_key(ADMIN_KEY))
    async def load(body: LoadRequest) -> Response:
        """Serve another version in all workers; the current one answers the requests in flight."""
        outcome, response = await _load(service, body.version)
        service.telemetry.loads.labels(outcome).inc()
        return response

    return router


async def _load(service: PredictionService, version: str) -> tuple[str, Response]:
    """Return the outcome for the metrics, and the response."""
    try:
        overview = await service.slot.load(version)
    except LoadError as error:
        return "refused", problem_response(503 if error.retry else 409, str(error))
    except TimeoutError:
        seconds = service.settings.load_seconds
        return "refused", problem_response(
            504,
            f"{version} was not loaded within {seconds:g} s; GET /ready names the model served.",
        )
    workers = [state.to_json() for state in overview.workers]
    if overview.all_follow:
        content: dict[str, Any] = {"status": "ready", "model": service.slot.model.version}
        return "loaded", json_response({**content, "workers": workers})
    return "incomplete", problem_response(504, _describe(overview), extensions={"workers": workers})


def _describe(overview: Overview) -> str:
    """Return which workers do not serve the version."""
    version = overview.wanted.version
    if not overview.complete:
        return f"{version} is loaded, but it cannot be read which workers serve it."
    behind = ", ".join(
        f"{state.pid} ({state.problem or f'has not answered, serves {state.model}'})"
        for state in overview.behind
    )
    return f"{version} is loaded, but not by all workers yet, which try again: {behind}."
