"""How searches and embeddings are answered, as JSON, in the threads of `SearchTurns`."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import orjson
from loguru import logger

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.search.index import Index
from shelfmark.search.query.search_query import QueryError, SearchQuery, ShelfPredictor
from shelfmark.service.batching import Batcher
from shelfmark.service.limits.bodies import RETRY
from shelfmark.service.messages import InvalidFieldError
from shelfmark.service.responses import RefusedError
from shelfmark.service.search.embed_messages import EmbedQuery
from shelfmark.service.search.turns import AnswerQueries, QueryAnswer
from shelfmark.service.telemetry import Telemetry

BODY = "body"  # the field of an error of the query as a whole
FAILED = "The index of papers cannot be searched now; the log of the service says why."


def search_answerer(
    index: Index, shelf: ShelfPredictor, telemetry: Telemetry
) -> Callable[[Sequence[SearchQuery]], list[QueryAnswer]]:
    """Return what answers searches of an index.

    Args:
        index: that is searched.
        shelf: predicts the categories of a query.
        telemetry: counts the searches.
    """

    def answer(query: SearchQuery) -> QueryAnswer:
        started = time.perf_counter()
        try:
            [result] = index.search([query], shelf)
        except QueryError as error:
            return InvalidFieldError(error.field or BODY, error.problem)
        except ShelfmarkError as error:  # a damaged file, or a server that does not answer
            logger.error("a search failed: {}", error)
            raise RefusedError(503, FAILED, RETRY) from error
        telemetry.search_seconds.observe(time.perf_counter() - started)
        telemetry.search_results.observe(len(result.hits))
        return orjson.dumps(result.to_json())

    return lambda queries: [answer(query) for query in queries]


def shelf_predictor(model: Model, batcher: Batcher) -> ShelfPredictor:
    """Return what predicts the categories of a query by the served model, in its own thread."""

    def predict(title: str, abstract: str) -> Mapping[str, float]:
        text = model.text(title, abstract)
        probabilities, _ = batcher.run_between(lambda: model.probabilities([text]))
        return dict(zip(model.classes, map(float, probabilities[0]), strict=True))

    return predict


def embed_answerer(encoder: OpenEncoder, size: int, encoding: str) -> AnswerQueries:
    """Return what encodes texts.

    Args:
        encoder: of the vectors.
        size: the numbers of a vector.
        encoding: `float` or `base64`.
    """

    def answer(queries: Sequence[EmbedQuery]) -> list[QueryAnswer]:
        texts = [encoder.text(query.title, query.abstract) for query in queries]
        return [_vector_json(vector, encoding) for vector in encoder.encode(texts, size)]

    return answer


def _vector_json(vector: Floats, encoding: str) -> bytes:
    if encoding == "base64":
        content = np.ascontiguousarray(vector, "<f4").tobytes()
        return orjson.dumps(base64.b64encode(content).decode())
    return orjson.dumps(np.ascontiguousarray(vector, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)


def list_json(entries: Sequence[object], answers: Sequence[QueryAnswer], name: str) -> bytes:
    """Return the answers to a list, and the errors of its invalid entries, in its order.

    Args:
        entries: of the request, the invalid ones as their errors.
        answers: to the valid ones.
        name: of the list in the request, for the errors that its answers are.
    """
    in_order = iter(answers)
    parts = []
    for number, entry in enumerate(entries):
        answer = entry if isinstance(entry, InvalidFieldError) else next(in_order)
        if isinstance(answer, InvalidFieldError):
            field = answer.field
            if answer is not entry:  # the index knows nothing of the list
                field = f"{name}.{number}" + ("" if field == BODY else f".{field}")
            answer = orjson.dumps({"error": answer.problem, "field": field})
        parts.append(answer)
    return b"[%b]" % b",".join(parts)
