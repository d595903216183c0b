"""POST /load: serve another version of the model."""

from __future__ import annotations

from fastapi import APIRouter, Request
from loguru import logger
from starlette.exceptions import HTTPException

from shelfmark.errors import ShelfmarkError
from shelfmark.service.auth import ADMIN_KEY, check_key, document_key
from shelfmark.service.messages import LoadRequest
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.responses import document_problems

PROBLEMS = document_problems(
    s401="The admin key is missing or wrong",
    s404="The service has no admin key, so loading is disabled",
    s409="The version is missing or damaged; the current one stays in service",
    s422="The request is invalid",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that loads a model."""
    router = APIRouter()

    @router.post("/load", responses=PROBLEMS, openapi_extra=document_key(ADMIN_KEY))
    async def load(body: LoadRequest, request: Request) -> dict[str, str]:
        """Serve another version; the current one answers the requests in flight."""
        if service.settings.admin_key is None:
            raise HTTPException(404, "Loading is disabled: the service has no admin key.")
        check_key(service.settings.admin_key, request, ADMIN_KEY)
        try:
            await service.slot.load(body.version)
        except ShelfmarkError as error:
            logger.warning("load: {}", error)
            service.telemetry.loads.labels("refused").inc()
            raise HTTPException(
                409, f"{body.version} was not loaded: it is missing or damaged."
            ) from None
        service.telemetry.loads.labels("loaded").inc()
        return {"status": "ready", "model": service.slot.model.version}

    return router
