"""The variables of a job and of its submission: invalid ones are named, empty ones are unset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shelfmark.cloud import job, rest
from shelfmark.cloud.spec import compose_submission
from shelfmark.config.load import load_config
from shelfmark.config.trainings import CLASSIFIER
from shelfmark.errors import ShelfmarkError


@pytest.mark.parametrize("name", [job.MODEL, job.STAGES])
@pytest.mark.parametrize("address", ["models", "gs:/bucket", "/gcs/bucket/model", "gs://"])
def test_a_folder_that_is_in_no_bucket_is_named(
    name: str, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bucket").mkdir()
    monkeypatch.setenv(job.MOUNT, str(tmp_path))
    monkeypatch.setenv(job.MODEL, "gs://bucket/model")
    monkeypatch.setenv(name, address)
    with pytest.raises(
        ShelfmarkError, match=f"^{name}: '{address}' should be a folder of a bucket"
    ):
        job.run_in_job(load_config(), CLASSIFIER, lambda _: pytest.fail("the training began"))


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_variable_makes_no_job(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (job.MODEL, job.STAGES, job.MOUNT, job.SECRET_NAME, rest.ENDPOINT):
        monkeypatch.setenv(name, value)
    result = Path("models/here")
    assert job.run_in_job(load_config(), CLASSIFIER, lambda _: result) is result
    assert rest.base_url("storage.googleapis.com") == "https://storage.googleapis.com"


def test_an_endpoint_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rest.ENDPOINT, "localhost:8080")
    line = f"^{rest.ENDPOINT}: 'localhost:8080' should be an address, such as http://"
    with pytest.raises(ShelfmarkError, match=line):
        rest.base_url("storage.googleapis.com")


def test_the_overrides_of_a_job_are_read_there_as_here() -> None:
    typed: list[str] = [
        "data=snapshot", "data.path=gs://bucket/archive (1), März=&'.zip", "name=mine",
        "+data.options.note=R&D (new)", "data.labels=[cs.AI,'cs.CL']",
    ]  # fmt: skip
    wanted = compose_submission([*typed, "cloud=vertex_cpu", "cloud.bucket=bucket"])
    assert wanted.overrides == typed
    there: Any = load_config(wanted.overrides)
    assert there == wanted.training
    assert there.data.path == "gs://bucket/archive (1), März=&'.zip"
