"""The service of models that a bucket keeps."""

from __future__ import annotations

from pathlib import Path

from shelfmark.core import storage
from tests.support.serving import ROBOT, running


def test_models_of_a_bucket_are_served_and_the_latest_is_the_one_its_file_names(
    home: Path, gcs: str
) -> None:
    bucket, _ = storage.filesystem_for(gcs)
    bucket.put(f"{home}/models/quick", f"{gcs}/models/quick", recursive=True)
    bucket.pipe_file(f"{gcs}/models/latest", b"quick\n")
    with running(home, SHELFMARK_MODELS=f"{gcs}/models") as client:
        assert client.get("/ready").json()["model"] == "quick"
        assert client.post("/predict", json={"text": ROBOT}).json()["category"] == "cs.RO"
