"""The service of models in a bucket."""

from __future__ import annotations

from pathlib import Path

from shelfmark.core import storage
from tests.support.serving import ROBOT, running


def test_a_bucket_is_served_and_its_latest_file_names_the_version(home: Path, gcs: str) -> None:
    bucket, _ = storage.filesystem_for(gcs)
    bucket.put(f"{home}/models/quick", f"{gcs}/models/quick", recursive=True)
    bucket.pipe_file(f"{gcs}/models/latest", b"quick\n")
    with running(home, SHELFMARK_MODELS=f"{gcs}/models") as client:
        assert client.get("/ready").json()["model"] == "quick"
        assert client.post("/predict", json={"text": ROBOT}).json()["category"] == "cs.RO"
