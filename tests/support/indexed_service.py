"""A service with a small index, whose encoder is one of hashed words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
from fastapi.testclient import TestClient

from shelfmark.service.settings import Settings
from tests.conftest import ROOT
from tests.support.moments import FOREVER, until

# Python that each process of a service runs first, with `PYTHONPATH` below.
REGISTER = """
from shelfmark.config import encoders
from shelfmark.embeddings import families
from tests.support import hashed_encoder
families.MODULES[hashed_encoder.KIND] = hashed_encoder.__name__
encoders.ENCODER_KINDS[hashed_encoder.KIND] = hashed_encoder.HashedConfig
"""
PYTHONPATH = str(ROOT)


def settings_of(home: Path, folder: Path, **values: Any) -> Settings:
    """Return the settings of a service with the models of one folder and the index of another."""
    chosen = {
        "models": str(home / "models"), "model": "quick", "index": folder / "index",
        "encoders": str(folder / "encoders"), "request_seconds": FOREVER,
    }  # fmt: skip
    return Settings.model_validate(chosen | values)


def index_state(client: httpx.Client | TestClient) -> dict[str, Any]:
    """Return what the service says of its index, empty without one."""
    state: dict[str, Any] = client.get("/ready").json().get("index", {})
    return state


def wait_for_index(client: httpx.Client | TestClient, generation: int = 1) -> None:
    """Wait until the service serves a generation of its index."""
    until(lambda: index_state(client).get("generation") == generation)


def metric(client: httpx.Client | TestClient, name: str) -> float:
    """Return the sum of the series of a metric whose lines begin so."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
