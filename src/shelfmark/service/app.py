"""The web service: the page, the predictions, and what keeps it running."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hmac
import time
from collections.abc import AsyncIterator
from importlib.resources import files as resources
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from loguru import logger
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from shelfmark import __version__
from shelfmark.errors import ShelfmarkError
from shelfmark.models.answers import Asked
from shelfmark.models.artifact import Model
from shelfmark.monitoring.fingerprint import sketcher_for, text_traits
from shelfmark.monitoring.prediction_log import PredictionLog
from shelfmark.service import model_page, problems, telemetry
from shelfmark.service.batching import Batcher
from shelfmark.service.messages import Answer, Answers, Question, Version
from shelfmark.service.middleware import Edge
from shelfmark.service.model_slot import Serving
from shelfmark.service.problems import documented
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

WATCH_SECONDS = 1.0
PAGE = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SHOWN = ("name", "created", "git_commit", "classes", "listed", "rounds", "metrics", "versions",
         "files", "caution")  # fmt: skip
# The interactive documents are the one page that asks another host, for its script and style.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com"
)


class Service:
    """What the routes share: settings, the model served, and who counts and keeps."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.serving = Serving(settings, self.telemetry)
        self.batcher = Batcher(lambda: self.serving.model)
        self.log: PredictionLog | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Open the model and the log before the first request, and close them after the last."""
        await self.serving.start()
        gc.freeze()  # or the collector walks through model and libraries again and again
        settings = self.settings
        if settings.log_folder is not None:
            self.log = PredictionLog(
                settings.log_folder, self._line, settings.log_max_bytes, settings.log_max_seconds
            )
        watch = asyncio.create_task(self._watch_log())
        try:
            yield
        finally:
            watch.cancel()
            await self.serving.stop()
            await self.batcher.aclose()
            if self.log is not None:
                await asyncio.to_thread(self.log.close, 4.0)

    def count(
        self, model: Model, asked: list[Asked], answers: list[dict[str, Any]], request_id: str
    ) -> None:
        """Count answers, and keep them if there is a log."""
        sure = self.telemetry.papers.labels("confident"), self.telemetry.papers.labels("unsure")
        for one, answer in zip(asked, answers, strict=True):
            sure[not answer["confident"]].inc()
            self.telemetry.categories.labels(answer["category"]).inc()
            if self.log is not None:
                self.log.keep((time.time(), request_id, model, one, answer))

    async def _watch_log(self) -> None:
        """Bring the counters of the log among the others: any worker may be asked for them."""
        while self.log is not None:
            self.telemetry.log_lines.labels("written").set(self.log.written)
            self.telemetry.log_lines.labels("dropped").set(self.log.dropped)
            await asyncio.sleep(WATCH_SECONDS)

    def _line(self, event: Any) -> dict[str, Any]:
        """Return what the log keeps of an answer; called by the log's own thread."""
        moment, request_id, model, asked, answer = event
        text = model.text(asked.title, asked.abstract)
        line = {
            "time": moment,
            "request_id": request_id,
            "model": answer["model"],
            "category": answer["category"],
            "confidence": answer["confidence"],
            "confident": answer["confident"],
            "probabilities": {x["category"]: x["probability"] for x in answer["ranking"]},
            **text_traits(model, text),
        }
        if asked.id is not None:
            line["id"] = asked.id
        if self.settings.log_sketch:
            line["sketch"] = sketcher_for(model).sketch(text)
        return line | {"text": text} if self.settings.log_texts else line


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Assemble the service; the model is opened when it starts."""
    settings = settings or Settings()
    service = Service(settings)
    app = FastAPI(
        title="Shelfmark", version=__version__, lifespan=service.lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    problems.add_handlers(app)
    _add_predict(app, service)
    _add_load(app, service)
    _add_state(app, service)
    _add_page(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "X-API-Key"],
        )
    return Edge(app, settings, service.telemetry)


def _add_predict(app: FastAPI, service: Service) -> None:
    refusals = documented(
        s401="The API key is missing or wrong",
        s413="The body is too large",
        s422="The request is not understood",
        s503="The service is busy",
        s504="The answer took too long",
    )

    @app.post(
        "/predict",
        response_model=Answer | Answers,
        responses=refusals,
        openapi_extra=_header("X-API-Key"),
    )
    async def predict(question: Question, request: Request) -> Response:
        """Say on which shelf a paper belongs, or each of a list."""
        check_key(service.settings.api_key, request, "X-API-Key")
        each = question.each(service.settings)
        asked = [one for one in each if isinstance(one, Asked)]
        model, answers = await service.batcher.answer(asked)
        for answer in answers:
            answer["model"] = model.version
        service.telemetry.batches.observe(len(each))
        service.telemetry.papers.labels("refused").inc(len(each) - len(asked))
        service.count(model, asked, answers, request.state.request_id)
        if question.papers is None:
            return _json(answers[0])
        given = iter(answers)
        predictions = [
            next(given) if isinstance(one, Asked) else {"error": one.problem, "field": one.field}
            for one in each
        ]
        return _json({"predictions": predictions, "model": model.version})


def _add_load(app: FastAPI, service: Service) -> None:
    refusals = documented(
        s401="The admin key is missing or wrong",
        s404="There is no admin key, so this is off",
        s409="There is no such version, or it is damaged; the old one goes on",
        s422="The request is not understood",
    )

    @app.post("/load", responses=refusals, openapi_extra=_header("X-Admin-Key"))
    async def load(wanted: Version, request: Request) -> dict[str, str]:
        """Serve another version; requests in hand are answered by the old one."""
        if service.settings.admin_key is None:
            raise HTTPException(404, "Loading is off: the service has no admin key.")
        check_key(service.settings.admin_key, request, "X-Admin-Key")
        try:
            await service.serving.load(wanted.version)
        except ShelfmarkError as error:
            logger.warning("load: {}", error)
            service.telemetry.loads.labels("refused").inc()
            raise HTTPException(
                409, f"{wanted.version} was not loaded: there is none, or it is damaged."
            ) from None
        service.telemetry.loads.labels("loaded").inc()
        return {"status": "ready", "model": service.serving.model.version}


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        """Say that the model is loaded and has made a prediction."""
        return {"status": "ready", "model": service.serving.model.version}

    @app.get("/model")
    async def card(request: Request) -> Response:
        """Show what is known of the model: classes, data, metrics, digests, versions.

        A browser gets the model card as a page, who accepts text/markdown as its source.
        """
        model = service.serving.model
        wanted = request.headers.get("accept", "")
        if "text/html" in wanted:
            return HTMLResponse(model_page.page(model))
        if "text/markdown" in wanted:
            return Response(model.about, media_type="text/markdown; charset=utf-8")
        data = {key: value for key, value in model.card["data"].items() if key != "folder"}
        return _json({**{key: model.card.get(key) for key in SHOWN}, "data": data})

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show the counters of all workers, for Prometheus."""
        page = await asyncio.to_thread(service.telemetry.page)
        return Response(page, media_type=telemetry.CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    folder = resources("shelfmark.service") / "page"
    # Read once: no request names a path.
    page = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return _file("index.html", page["index.html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in page:
            raise HTTPException(404, "There is no such part of the page.")
        return _file(name, page[name])

    @app.get("/docs", include_in_schema=False)
    async def documents() -> Response:
        shown = get_swagger_ui_html(openapi_url="/openapi.json", title="Shelfmark")
        shown.headers["Content-Security-Policy"] = DOCS_POLICY
        return shown


def _file(name: str, content: bytes) -> Response:
    kind = PAGE.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _header(name: str) -> dict[str, Any]:
    """Return what a route's document says of a header it reads itself: FastAPI takes longer."""
    return {"parameters": [{"in": "header", "name": name, "schema": {"type": "string"}}]}


def check_key(wanted: SecretStr | None, request: Request, header: str) -> None:
    """Compare keys in a time that does not tell how much of one is right."""
    if wanted is None:
        return
    # A header comes as Latin-1, whatever its bytes mean.
    given = request.headers.get(header, "").encode("latin-1")
    if not hmac.compare_digest(wanted.get_secret_value().encode(), given):
        raise HTTPException(401, f"The key in {header} is missing or wrong.")
