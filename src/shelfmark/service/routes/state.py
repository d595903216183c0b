"""The state of the service: its health, its model, its counters."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from shelfmark.models.artifact import Model
from shelfmark.service import telemetry
from shelfmark.service.direct_route import DirectRoute
from shelfmark.service.model_page import model_page
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.responses import document_problems, json_response
from shelfmark.service.routes.landscape import has_landscape
from shelfmark.service.workers.failures import Quiet, describe_error

UNREADABLE_SECONDS = 60.0  # between two warnings that the metrics cannot be read
# The part of the model card that GET /model answers with.
PUBLIC_KEYS = ("name", "created", "git_commit", "classes", "listed", "rounds", "metrics",
               "versions", "files", "thresholds")  # fmt: skip


def create_router(service: PredictionService) -> APIRouter:
    """Return the routes that report the state."""
    router = APIRouter(routes=_probes(service))
    unreadable = Quiet(UNREADABLE_SECONDS)

    @router.get("/model")
    async def model_card(request: Request) -> Response:
        """Return the model card: classes, data, metrics, digests, versions.

        A browser gets it as a page; Accept: text/markdown gets its Markdown source.
        """
        model = service.slot.model
        accepted = request.headers.get("accept", "")
        if "text/html" in accepted:
            # Off the loop: the card of other makers may take seconds.
            return HTMLResponse(await asyncio.to_thread(model_page, model))
        if "text/markdown" in accepted:
            return Response(model.about, media_type="text/markdown; charset=utf-8")
        return json_response(_public_card(model))

    unreadable_metrics = document_problems(s503="The metrics cannot be read")

    @router.get("/metrics", response_class=Response, responses=unreadable_metrics)
    async def metrics() -> Response:
        """Return the counters of all workers, for Prometheus."""
        return await _expose_metrics(service, unreadable)

    return router


def _probes(service: PredictionService) -> list[BaseRoute]:
    """Return the routes that say whether the service lives and is ready."""

    async def health() -> dict[str, str]:
        """Report that the process is alive."""
        return {"status": "alive"}

    async def ready() -> dict[str, Any]:
        """Report that the model is loaded and has made a prediction.

        While workers do not serve the version that was loaded last, also that version and what
        each worker serves: they answer with the model that they have. With an index of papers,
        also what this worker serves of it, and whether GET /landscape has one.
        """
        overview = await service.slot.overview()
        state: dict[str, Any] = {"status": "ready", "model": service.slot.model.version}
        if index := service.index.state.to_json():
            landscape = await asyncio.to_thread(has_landscape, service.settings.index)
            state["index"] = {**index, "landscape": landscape}
        if overview.all_follow:
            return state
        workers = [worker.to_json() for worker in overview.workers]
        return {**state, "wanted": overview.wanted.version, "workers": workers}

    return [DirectRoute(f"/{one.__name__}", one, methods=["GET"]) for one in (health, ready)]


async def _expose_metrics(service: PredictionService, warnings: Quiet) -> Response:
    """Return the counters as text.

    Raises:
        HTTPException: the files of the counters cannot be read.
    """
    overview = await service.slot.overview()
    try:
        text = await asyncio.to_thread(service.telemetry.exposition, overview)
    except OSError as error:
        if warnings.lets_through():
            logger.warning("metrics: {}", describe_error(error))
        raise HTTPException(503, "The metrics cannot be read; the log names why.") from None
    return Response(text, media_type=telemetry.CONTENT_TYPE)


def _public_card(model: Model) -> dict[str, Any]:
    """Return the part of a model's card that is not about this machine, and the model's digest."""
    card = model.card.to_json()
    data = {key: value for key, value in card["data"].items() if key != "folder"}
    public = {key: card.get(key) for key in PUBLIC_KEYS}
    return {**public, "digest": model.digest, "data": data}
