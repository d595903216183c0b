"""POST /predict: the categories of one paper, or of a list of papers."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from shelfmark.models.answers import Answer, PaperQuery
from shelfmark.service.auth import API_KEY, document_key
from shelfmark.service.limits.json_input import bounded_route
from shelfmark.service.messages import VALUES_OF_A_PAPER, Answers, PredictRequest
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.responses import document_problems, json_response

PROBLEMS = document_problems(
    s401="The API key is missing or wrong",
    s413="The body is too large",
    s422="The request is invalid",
    s503="The service is busy",
    s504="The answer took too long",
)


def create_router(service: PredictionService) -> APIRouter:
    """Return the route that predicts."""
    most_values = VALUES_OF_A_PAPER * (service.settings.max_papers + 1)
    router = APIRouter(route_class=bounded_route(most_values))

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
        model, answers = await service.batcher.answer(queries)
        service.telemetry.batches.observe(len(papers))
        service.telemetry.papers.labels("refused").inc(len(papers) - len(queries))
        service.record(model, queries, answers, request.state.request_id)
        if body.papers is None:
            return json_response(answers[0].to_json())
        in_order = iter(answers)
        predictions = [
            next(in_order).to_json()
            if isinstance(paper, PaperQuery)
            else {"error": paper.problem, "field": paper.field}
            for paper in papers
        ]
        return json_response({"predictions": predictions, "model": model.version})

    return router
