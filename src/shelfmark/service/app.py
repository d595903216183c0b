"""The web service, assembled from its routes."""

from __future__ import annotations

from starlette.types import ASGIApp

from shelfmark.service.application import Application
from shelfmark.service.auth import ADMIN_KEY, API_KEY, RequiredKey
from shelfmark.service.middleware.guard import RequestGuard
from shelfmark.service.middleware.head import answer_head
from shelfmark.service.middleware.prefix import ProxyPrefix
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.routes import admin, embed, landscape, page, predict, search, state
from shelfmark.service.settings import Settings
from shelfmark.service.workers.preload import Preloaded

API_PATHS = ("/predict", "/search", "/embed")
NO_ADMIN_KEY = "Loading is disabled: the service has no admin key."


def create_app(settings: Settings | None = None, preloaded: Preloaded | None = None) -> ASGIApp:
    """Assemble the service; the model is opened when the service starts.

    Args:
        settings: its limits, keys and folders; read from the environment by default.
        preloaded: a model that is open already, which is served if it is the one to serve.
    """
    settings = settings or Settings()
    service = PredictionService(settings, preloaded)
    keys = {
        **{path: RequiredKey(API_KEY, settings.api_key) for path in API_PATHS},
        "/load": RequiredKey(ADMIN_KEY, settings.admin_key, disabled=NO_ADMIN_KEY),
    }
    app = answer_head(create_routes(service))
    guard = RequestGuard(app, settings, service.telemetry, keys)
    return ProxyPrefix(guard, settings.root_path)


def create_routes(service: PredictionService) -> Application:
    """Return the routes of the service, without the guard before them."""
    routers = [
        predict.create_router(service),
        search.create_router(service),
        embed.create_router(service),
        landscape.create_router(service),
        admin.create_router(service),
        state.create_router(service),
        page.create_router(),
    ]
    # include_router would match each request through one more layer, at 10 µs.
    routes = [route for router in routers for route in router.routes]
    return Application("Shelfmark", service.lifespan, routes)
