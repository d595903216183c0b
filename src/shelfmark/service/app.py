"""The web service, assembled from its routes."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from shelfmark import __version__
from shelfmark.service import responses
from shelfmark.service.auth import API_KEY
from shelfmark.service.middleware import RequestGuard
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.routes import admin, page, predict, state
from shelfmark.service.settings import Settings


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Assemble the service; the model is opened when the service starts.

    Args:
        settings: its limits, keys and folders; read from the environment by default.
    """
    settings = settings or Settings()
    service = PredictionService(settings)
    routers = [
        predict.create_router(service),
        admin.create_router(service),
        state.create_router(service),
        page.create_router(),
    ]
    app = FastAPI(
        title="Shelfmark",
        version=__version__,
        lifespan=service.lifespan,
        # include_router would match each request through one more layer, at 10 µs.
        routes=[route for router in routers for route in router.routes],
        docs_url=None,
        redoc_url=None,
    )
    responses.add_problem_handlers(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", API_KEY],
        )
    return RequestGuard(app, settings, service.telemetry)
