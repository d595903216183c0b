"""The commands that use Google Cloud, against a stand-in for Google's services."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType
from loguru import logger

from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing import command
from shelfmark.cloud import account
from tests.support.vertex_jobs import GPU, NOBODY, OURS
from tests.support.vertex_server import DIGEST, Google
from tests.system.cloud.test_vertex import entry

PLACE = ["--project", "my-project", "--region", "europe-west4"]
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inv(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run a command in this process; return its status, its output and its errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["inv", *words])
        try:
            status = command.run(shelfmark, list(words), "inv")
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    yield run
    logger.remove()  # each command logs to the standard error of its moment


def test_a_job_from_beginning_to_end(inv: Typed, google: Google) -> None:
    google.entries = [entry(1, textPayload="model: gs://my-bucket/…")]
    status, out, err = inv("preflight", *OURS)
    assert status == 0, err
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["ok", what] for what in ("APIs", "bucket", "image", "machine", "quota")
    ]
    status, out, err = inv("submit", "experiment=fast", *OURS)
    assert status == 0, err
    name = out.strip()
    assert name == "projects/my-project/locations/europe-west4/customJobs/7000000000"
    assert "output: gs://my-bucket/jobs/" in err
    status, out, err = inv("jobs", *PLACE)
    assert status == 0, err
    assert out.split()[:2] == ["7000000000", "QUEUED"]
    assert out.split()[-1].endswith("-sample-fast")
    for words in ([name], ["7000000000", *PLACE]):
        status, out, err = inv("logs", *words)
        assert status == 0, err
        assert out == "2026-11-22 10:00:01  INFO      model: gs://my-bucket/…\n"
    status, out, err = inv("cancel", name)
    assert status == 0, err
    assert google.asked[-1][1].endswith("7000000000:cancel")


def test_a_training_of_an_encoder_is_checked_and_sent(inv: Typed, google: Google) -> None:
    google.images["my-project/shelfmark/train-gpu:latest"] = DIGEST
    words = ["--encoder", *GPU, "experiment=fast", "encoder.epochs=2"]
    status, out, err = inv("preflight", *words)
    assert status == 0, err
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["ok", "APIs"], ["ok", "bucket"], ["ok", "image"], ["hint", "machine"], ["ok", "quota"],
        ["ok", "GPUs"],
    ]  # fmt: skip
    status, _, err = inv("submit", *words)
    assert status == 0, err
    [sent] = google.sent("POST", "/customJobs")
    [pool] = sent["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"]["acceleratorType"] == AcceleratorType.NVIDIA_TESLA_T4
    assert pool["containerSpec"]["command"][-1] == "train-encoder"
    assert pool["containerSpec"]["args"] == ["experiment=fast", "encoder.epochs=2"]
    status, _, err = inv("submit", *GPU, "encoder.epochs=2")
    assert status == 1
    assert "encoder.epochs: this command has no such key; shelfmark train-encoder has it" in err


def test_an_error_ends_with_a_status_and_one_line(inv: Typed, google: Google) -> None:
    google.location = "US"
    status, out, err = inv("preflight", *OURS)
    assert status == 1
    assert "wrong  bucket   gs://my-bucket is in us, the job would run in europe-west4" in out
    assert err == "error: a job would fail; see the findings above\n"
    status, out, err = inv("submit", *OURS)
    assert (status, out) == (1, "")
    assert err.startswith("error: not sent: bucket: gs://my-bucket is in us")
    google.refusals = [(403, "Permission denied on resource project my-project.")]
    status, out, err = inv("jobs", *PLACE)
    assert (status, out) == (1, "")
    assert "answers 403: Permission denied on resource project my-project; a role" in err
    assert err.count("\n") == 1


def test_a_dry_run_prints_the_spec_only_and_sends_no_request(inv: Typed, google: Google) -> None:
    status, out, err = inv("submit", "experiment=best", "cloud=vertex_cpu", *NOBODY, "--dry-run")
    assert status == 0
    spec = json.loads(out)
    container = spec["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container["args"] == ["experiment=best"]
    assert "still missing: project, region" in err
    assert google.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "experiment=best", "cloud=vertex_cpu", *NOBODY],
        ["preflight", *NOBODY],
        ["jobs"],
        ["logs", "123"],
        ["cancel", "123"],
    ],
)
def test_without_an_account_each_command_names_the_missing_keys_and_what_works(
    inv: Typed, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(account, "FILE", tmp_path / "account.yaml")
    account.FILE.write_text("project: null\n")
    status, out, err = inv(*words)
    assert (status, out) == (1, "")
    assert err.startswith("error: no project, region")
    missing = "in configs/cloud/account.yaml: run shelfmark cloud-init; without an account, "
    assert f"{missing}shelfmark train" in err
    assert err.count("\n") == 1


def test_a_local_training_refuses_cloud_overrides(inv: Typed) -> None:
    status, _, err = inv("train", "cloud=vertex_cpu")
    assert status == 1
    assert err == "error: cloud: this command runs here; shelfmark submit sends a training there\n"
