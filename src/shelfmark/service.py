"""The web service: one model, loaded at the start, behind POST /predict."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelfmark import __version__, answers, artifact

MAX_PAPERS = 256
MAX_CHARACTERS = 50_000
MAX_BODY = 4 << 20
TOO_LARGE = 413  # its name in http.HTTPStatus changed with Python 3.13


class Settings(BaseSettings):
    """Read from the environment: SHELFMARK_MODELS, _MODEL, _THREADS, and PORT."""

    model_config = SettingsConfigDict(env_prefix="SHELFMARK_", frozen=True, extra="ignore")

    models: Path = Path("models")
    model: str = Field(artifact.LATEST, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    # How many requests are worked on at a time; the trees use one thread each.
    threads: int = Field(2, ge=1, le=64)
    port: int = Field(8000, ge=1, le=65535, validation_alias="PORT")


Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]


class PaperIn(BaseModel):
    """A paper: its text, or its title and abstract."""

    model_config = ConfigDict(extra="forbid")

    text: Text | None = None
    title: Text | None = None
    abstract: Text | None = None

    @model_validator(mode="after")
    def _has_text(self) -> PaperIn:
        if self.text is not None and (self.title is not None or self.abstract is not None):
            raise ValueError("give text, or title and abstract, not both")
        if not any(part and part.strip() for part in (self.text, self.title, self.abstract)):
            raise ValueError("no text: give text, or title and abstract")
        return self

    def parts(self) -> tuple[str, str]:
        """Return title and abstract; a text alone is an abstract without a title."""
        return self.title or "", self.text or self.abstract or ""


class Question(BaseModel):
    """One paper, or a list of them under `papers`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "We train a robot arm to grasp unseen objects from depth images."},
                {"title": "Grasping unseen objects", "abstract": "We train a robot arm …"},
                {"papers": [{"text": "…"}, {"title": "…", "abstract": "…"}], "top_k": 3},
            ]
        },
    )

    text: Text | None = None
    title: Text | None = None
    abstract: Text | None = None
    papers: Annotated[list[PaperIn], Field(min_length=1, max_length=MAX_PAPERS)] | None = None
    top_k: int = Field(5, ge=1, le=200)

    @model_validator(mode="after")
    def _one_or_many(self) -> Question:
        alone = {"text": self.text, "title": self.title, "abstract": self.abstract}
        if self.papers is None:
            PaperIn(**alone)
        elif any(part is not None for part in alone.values()):
            raise ValueError("give one paper, or papers, not both")
        return self


class Rank(BaseModel):
    """A category and its probability."""

    category: str
    name: str
    probability: float


class Listing(BaseModel):
    """A category worth a cross-list, and its probability."""

    category: str
    probability: float


class Answer(BaseModel):
    """What the model says of one paper."""

    category: str
    name: str
    archive: str | None
    group: str | None
    confidence: float
    confident: bool
    ranking: list[Rank]
    cross_lists: list[Listing]
    model: str


class Answers(BaseModel):
    """The answers to a list of papers, in its order."""

    predictions: list[Answer]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Assemble the service; the model is loaded when it starts."""
    settings = settings or Settings()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.model = artifact.load(settings.models / settings.model, threads=1)
        # Handlers are CPU work: more of them at a time than cores only make each other wait.
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
        answers.answer(app.state.model, [("", "warm up")])
        logger.info("serving {}", app.state.model.version)
        yield

    app = FastAPI(title="Shelfmark", version=__version__, lifespan=lifespan, debug=False)
    app.add_middleware(BodyLimit, limit=MAX_BODY)
    app.add_middleware(OneLineStartupErrors)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    problem: dict[str, Any] = {"content": {"application/problem+json": {}}}
    refused: dict[int | str, dict[str, Any]] = {
        413: {"description": "The body is too large", **problem},
        422: {"description": "The request is not understood", **problem},
    }

    @app.post("/predict", responses=refused)
    def classify(question: Question, request: Request) -> Answer | Answers:
        """Say on which shelf a paper belongs, or each of a list."""
        model = request.app.state.model
        if question.papers is not None:
            papers = [paper.parts() for paper in question.papers]
        else:
            papers = [(question.title or "", question.text or question.abstract or "")]
        found = answers.answer(model, papers, question.top_k)
        given = [Answer(**one, model=model.version) for one in found]
        return given[0] if question.papers is None else Answers(predictions=given)

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @app.get("/ready")
    def ready(request: Request) -> dict[str, str]:
        """Say that the model is loaded and has made a prediction."""
        return {"status": "ready", "model": request.app.state.model.version}

    @app.get("/model")
    def card(request: Request) -> dict[str, Any]:
        """Show what is known of the model: classes, data, metrics, versions."""
        whole = request.app.state.model.card
        shown = (
            "name",
            "created",
            "git_commit",
            "classes",
            "rounds",
            "metrics",
            "versions",
            "files",
        )
        data = {key: value for key, value in whole["data"].items() if key != "folder"}
        return {**{key: whole.get(key) for key in shown}, "data": data}


def _problem(status: int, detail: str, **more: Any) -> JSONResponse:
    """Return a problem as RFC 9457 has it."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**body, "detail": detail, **more}, status, media_type="application/problem+json"
    )


async def _http_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {
            "field": ".".join(str(part) for part in problem["loc"][1:]) or "body",
            "problem": problem["msg"].removeprefix("Value error, "),
        }
        for problem in error.errors()
    ]
    first = f"{problems[0]['field']}: {problems[0]['problem']}"
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, first, errors=problems)


async def _internal(request: Request, error: Exception) -> JSONResponse:
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")


class BodyLimit:
    """Refuses bodies over a limit of bytes, by their announced length and while they stream."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._too_large()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(TOO_LARGE, self._detail())
            return message

        await self._app(scope, counted, send)

    def _detail(self) -> str:
        return f"The body is larger than {self._limit:,} bytes."

    def _too_large(self) -> JSONResponse:
        return _problem(TOO_LARGE, self._detail())


def serve(host: str, port: int, model: str) -> None:
    """Run the service until it is told to stop; settings not given come from the environment."""
    settings = Settings()
    if model:
        settings = Settings.model_validate({**settings.model_dump(), "model": model})
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.INFO, force=True)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port or settings.port,
        log_config=None,
        timeout_graceful_shutdown=8,
    )


class _ToLoguru(logging.Handler):
    """Hands the server's own log lines to loguru, the one place where lines are written."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


class OneLineStartupErrors:
    """Gives the server the reason a start failed, without the traceback around it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""

        async def short(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                reason = message.get("message", "").strip().splitlines()[-1]
                message = {**message, "message": reason.partition("ShelfmarkError: ")[2] or reason}
            await send(message)

        await self._app(scope, receive, short if scope["type"] == "lifespan" else send)
