"""POST /search: the papers of the index that are like a text, or like other papers."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.auth import API_KEY, document_key
from shelfmark.service.direct_route import direct_route
from shelfmark.service.messages import InvalidFieldError
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.protocol.connection import CONNECTION, MEMORY, LimitedConnection
from shelfmark.service.responses import BODY_PROBLEMS, document_problems
from shelfmark.service.search.answering import list_json, search_answerer, shelf_predictor
from shelfmark.service.search.search_answers import SearchAnswer, SearchAnswers
from shelfmark.service.search.search_messages import (
    VALUES_OF_A_REQUEST,
    VALUES_OF_A_SEARCH,
    SearchRequest,
)
from shelfmark.service.search.turns import QueryAnswer

PROBLEMS = document_problems(
    **BODY_PROBLEMS,
    s401="The API key is missing or wrong",
    s404="The service has no index of papers",
    s503="The index is being opened, does not open or cannot be searched, or the service is busy "
    "or stops; ask again after the seconds of `Retry-After`",
    s504="The answer took too long",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that searches."""
    most_values = VALUES_OF_A_SEARCH * (service.settings.max_searches + 1) + VALUES_OF_A_REQUEST
    router = APIRouter(route_class=direct_route(most_values))

    @router.post(
        "/search",
        response_model=SearchAnswer | SearchAnswers,
        responses=PROBLEMS,
        openapi_extra=document_key(API_KEY),
    )
    async def search(body: SearchRequest, request: Request) -> Response:
        """Find the papers of the index that are most like a text, a paper or a set of papers."""
        served = service.index.require_index()
        searches = body.queries(service.settings, served.index.categories)
        _count(service, searches)
        queries = [search for search in searches if isinstance(search, SearchQuery)]
        shelf = shelf_predictor(service.slot.model, service.batcher)
        answer = search_answerer(served.index, shelf, service.telemetry)
        state = request.scope["state"]
        index = orjson.dumps(served.about())
        future = service.turns.submit(queries, state[MEMORY], answer, served)
        connection: LimitedConnection | None = state.get(CONNECTION)
        answers = await (connection.wait_for(future) if connection else future)
        if body.searches is not None:
            found = list_json(searches, answers, "searches")
            return _json(b'{"searches":%b,"index":%b}' % (found, index))
        return _json(b'%b,"index":%b}' % (_only(answers)[:-1], index))

    return router


def _count(service: PredictionService, searches: Sequence[SearchQuery | InvalidFieldError]) -> None:
    """Count searches by what they search for."""
    for search in searches:
        if isinstance(search, InvalidFieldError):
            by = "refused"
        elif search.like:
            by = "papers"
        else:
            by = "text" if search.text else "paper"
        service.telemetry.searches.labels(by).inc()


def _only(answers: Sequence[QueryAnswer]) -> bytes:
    """Return the answer to a single search.

    Raises:
        InvalidFieldError: the index cannot answer it.
    """
    [answer] = answers
    if isinstance(answer, InvalidFieldError):
        raise answer
    return answer


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
