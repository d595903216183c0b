"""POST /embed: the vectors of texts."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.sizes import choose_size
from shelfmark.errors import ShelfmarkError
from shelfmark.service.auth import API_KEY, document_key
from shelfmark.service.direct_route import direct_route
from shelfmark.service.messages import InvalidFieldError
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.protocol.connection import CONNECTION, MEMORY, LimitedConnection
from shelfmark.service.responses import BODY_PROBLEMS, document_problems
from shelfmark.service.search.answering import embed_answerer, list_json
from shelfmark.service.search.embed_messages import (
    VALUES_OF_A_PAPER,
    Embedding,
    Embeddings,
    EmbedQuery,
    EmbedRequest,
)

PROBLEMS = document_problems(
    **BODY_PROBLEMS,
    s401="The API key is missing or wrong",
    s404="The service has no encoder",
    s503="The encoder is being opened or does not open, or the service is busy or stops; ask again "
    "after the seconds of `Retry-After`",
    s504="The answer took too long",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that encodes texts."""
    most_values = VALUES_OF_A_PAPER * (service.settings.max_searches + 1)
    router = APIRouter(route_class=direct_route(most_values))

    @router.post(
        "/embed",
        response_model=Embedding | Embeddings,
        responses=PROBLEMS,
        openapi_extra=document_key(API_KEY),
    )
    async def embed_papers(body: EmbedRequest, request: Request) -> Response:
        """Return the vector of a paper, or of each paper of a list."""
        papers = body.queries(service.settings)
        encoder = await service.index.require_encoder()
        size = _choose_size(encoder, body.size)
        queries = [paper for paper in papers if isinstance(paper, EmbedQuery)]
        service.telemetry.embeddings.labels("encoded").inc(len(queries))
        service.telemetry.embeddings.labels("refused").inc(len(papers) - len(queries))
        answer = embed_answerer(encoder, size, body.encoding)
        state = request.scope["state"]
        future = service.turns.submit(queries, state[MEMORY], answer)
        connection: LimitedConnection | None = state.get(CONNECTION)
        answers = await (connection.wait_for(future) if connection else future)
        about = orjson.dumps({"encoder": encoder.name, "digest": encoder.digest, "size": size})[:-1]
        vectors = list_json(papers, answers, "papers")
        content = b'%b,"vectors":%b}' % (about, vectors)
        if body.papers is None:
            content = b'%b,"vector":%b}' % (about, vectors[1:-1])
        return Response(content, media_type="application/json")

    return router


def _choose_size(encoder: OpenEncoder, size: int | None) -> int:
    """Return the numbers of a vector.

    Raises:
        InvalidFieldError: vectors cannot be cut to this size.
    """
    try:
        return choose_size(size, encoder.size, encoder.card.sizes)
    except ShelfmarkError as error:
        raise InvalidFieldError("size", str(error)) from None
