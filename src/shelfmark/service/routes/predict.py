"""POST /predict: the categories of one paper, or of a list of papers."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from shelfmark.models.answers import Answer, PaperQuery
from shelfmark.service.auth import API_KEY, document_key
from shelfmark.service.batching import EncodedAnswer
from shelfmark.service.direct_route import direct_route
from shelfmark.service.messages import VALUES_OF_A_PAPER, Answers, InvalidFieldError, PredictRequest
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.protocol.connection import CONNECTION, MEMORY, LimitedConnection
from shelfmark.service.responses import BODY_PROBLEMS, document_problems

PROBLEMS = document_problems(
    **BODY_PROBLEMS,
    s401="The API key is missing or wrong",
    s503="The service is busy or stops; ask again after the seconds of `Retry-After`",
    s504="The answer took too long",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that predicts."""
    most_values = VALUES_OF_A_PAPER * (service.settings.max_papers + 1)
    router = APIRouter(route_class=direct_route(most_values))

    @router.post(
        "/predict",
        response_model=Answer | Answers,
        responses=PROBLEMS,
        openapi_extra=document_key(API_KEY),
    )
    async def predict(body: PredictRequest, request: Request) -> Response:
        """Predict the category of a paper, or of each paper of a list."""
        papers = body.queries(service.settings)
        queries = [paper for paper in papers if isinstance(paper, PaperQuery)]
        state = request.scope["state"]
        future = service.batcher.submit(queries, state[MEMORY])
        connection: LimitedConnection | None = state.get(CONNECTION)
        model, answers = await (connection.wait_for(future) if connection else future)
        service.telemetry.batches.observe(len(papers))
        service.telemetry.count_refused(len(papers) - len(queries))
        summaries = [answer.summary for answer in answers]
        service.record(model, queries, summaries, request.state.request_id)
        if body.papers is None:
            content = answers[0].json
        else:
            content = _list_json(papers, answers, model.version)
        return Response(content, media_type="application/json")

    return router


def _list_json(
    papers: list[PaperQuery | InvalidFieldError], answers: list[EncodedAnswer], version: str
) -> bytes:
    """Return the answers to a list, and the errors of its invalid papers, in its order."""
    in_order = iter(answers)
    entries = [
        next(in_order).json
        if isinstance(paper, PaperQuery)
        else orjson.dumps({"error": paper.problem, "field": paper.field})
        for paper in papers
    ]
    return b'{"predictions":[%b],"model":%b}' % (b",".join(entries), orjson.dumps(version))
