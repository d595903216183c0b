"""The service keeps to its own OpenAPI document, whatever is sent."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def test_no_request_breaks_it_and_every_answer_is_as_documented(searchable: httpx.Client) -> None:
    document = schemathesis.openapi.from_url(f"{searchable.base_url}/openapi.json")
    operations = [result.ok() for result in document.get_all_operations()]
    assert {operation.path for operation in operations} == {
        "/predict", "/search", "/embed", "/landscape", "/load", "/health", "/ready", "/model",
        "/metrics",
    }  # fmt: skip
    for operation in operations:

        @MANY
        @given(operation.as_strategy())
        def answered_as_documented(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers={"X-Admin-Key": "admin-key-of-tests"})

        answered_as_documented()
