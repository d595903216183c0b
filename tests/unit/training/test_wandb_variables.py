"""What is said of an invalid variable of W&B, whose settings Pydantic checks."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from shelfmark.training import wandb


class Settings(BaseModel):
    init_timeout: float = 90.0
    x_graphql_timeout_seconds: float = 10.0
    api_key: float | None = None


@pytest.mark.parametrize(
    ("variable", "field", "line"),
    [
        ("WANDB_INIT_TIMEOUT", "init_timeout", "WANDB_INIT_TIMEOUT: 'abc' should be a number"),
        ("WANDB_HTTP_TIMEOUT", "x_graphql_timeout_seconds",
         "WANDB_HTTP_TIMEOUT: 'abc' should be a number"),
        ("WANDB_API_KEY", "api_key", "WANDB_API_KEY: should be a number"),
    ],
)  # fmt: skip
def test_the_variable_is_named_and_no_key_is_shown(
    variable: str, field: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "abc")
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({field: "abc"})
    assert wandb._line(raised.value) == line
