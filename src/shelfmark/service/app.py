"""The web service, assembled from its routes."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from shelfmark import __version__
from shelfmark.service import responses
from shelfmark.service.auth import ADMIN_KEY, API_KEY, RequiredKey
from shelfmark.service.middleware import RequestGuard
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.routes import admin, page, predict, state
from shelfmark.service.settings import Settings

NO_ADMIN_KEY = "Loading is disabled: the service has no admin key."


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
    keys = {
        "/predict": RequiredKey(API_KEY, settings.api_key),
        "/load": RequiredKey(ADMIN_KEY, settings.admin_key, disabled=NO_ADMIN_KEY),
    }
    cors = _cors(settings.cors_origins)
    return RequestGuard(cors(app), settings, service.telemetry, keys, decorate=cors)


def _cors(origins: list[str]) -> Callable[[ASGIApp], ASGIApp]:
    """Return what adds the headers by which pages of other sites may read the answers."""
    if not origins:
        return lambda app: app
    return functools.partial(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", API_KEY],
    )
