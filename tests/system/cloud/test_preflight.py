"""The checks before a job at Vertex AI is sent; against a stand-in for Google."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shelfmark.cloud import submit
from shelfmark.config.trainings import ENCODER
from shelfmark.errors import ShelfmarkError
from tests.support.vertex_jobs import GPU, HURRIED, KEY, OURS, WANDB
from tests.support.vertex_server import DIGEST, Google


def findings(*overrides: str) -> dict[str, tuple[bool | None, str]]:
    checks = submit.preflight([*OURS, *overrides])[1]
    return {finding.what: (finding.right, finding.text) for finding in checks}


def test_all_checks_pass_before_a_job(google: Google) -> None:
    google.secrets["projects/my-project/secrets/wandb-key"] = KEY
    checks = findings(*WANDB)
    assert {what: right for what, (right, _) in checks.items()} == dict.fromkeys(
        ("APIs", "bucket", "image", "machine", "quota", "secret"), True
    )
    assert checks["bucket"][1] == "gs://my-bucket is in europe-west4"
    assert checks["machine"][1] == "n1-highmem-4: 4 cores, 26 GB"
    assert checks["quota"][1].endswith("preemptible_cpus in europe-west4: 42 cores, 4 wanted")
    assert not [path for _, path, _ in google.asked if path.endswith(":access")]


def test_each_failed_check_is_named_and_nothing_is_sent(google: Google) -> None:
    google.enabled = {"storage", "logging"}
    google.location = "US-CENTRAL1"
    google.images = {}
    google.quotas = {"": 2}
    checks = findings(*WANDB, "cloud.machine.type=n9-mega")
    assert {what for what, (right, _) in checks.items() if right is False} == {
        "APIs", "bucket", "image", "machine", "secret"
    }  # fmt: skip
    assert "gcloud services enable aiplatform.googleapis.com artifactr" in checks["APIs"][1]
    assert "us-central1, the job would run in europe-west4" in checks["bucket"][1]
    with pytest.raises(ShelfmarkError, match=r"not sent: APIs: .*; bucket: .*; image: .*; machine"):
        submit.send_job([*OURS, *WANDB, "cloud.machine.type=n9-mega"])
    assert not google.jobs


def test_a_hint_does_not_stop_a_job(google: Google, log: Callable[[], str]) -> None:
    google.quotas = {"": 2200, "europe-west4": 2}
    google.location = "EU"
    submit.send_job(OURS, HURRIED)
    assert "europe-west4: 2 cores, 4 wanted: ask for more" in log()
    assert len(google.jobs) == 1


def test_the_quota_of_gpus_is_checked_beside_that_of_cores(google: Google) -> None:
    google.images = {"my-project/shelfmark/train-gpu:latest": DIGEST}
    google.quotas_of["custom_model_training_preemptible_nvidia_t4_gpus"] = {"europe-west4": 0}
    checks = {found.what: (found.right, found.text) for found in submit.preflight(GPU, ENCODER)[1]}
    assert checks["image"][0] is True
    assert checks["quota"][0] is True
    assert checks["GPUs"] == (
        None,
        "aiplatform.googleapis.com/custom_model_training_preemptible_nvidia_t4_gpus in "
        "europe-west4: 0 of T4, 1 wanted: ask for more in the console, under IAM, Quotas; not "
        "every region has them, cloud.google.com/vertex-ai/docs/general/locations#accelerators "
        "lists those",
    )
    google.quotas_of["custom_model_training_nvidia_l4_gpus"] = {"": 4}
    words = [*GPU, "cloud/machine=g2-standard-8", "cloud.strategy=STANDARD"]
    found = {one.what: one for one in submit.preflight(words, ENCODER)[1]}["GPUs"]
    assert found.right is True
    assert found.text.endswith("custom_model_training_nvidia_l4_gpus in europe-west4: 4 of L4, "
                               "1 wanted")  # fmt: skip


def test_the_encoder_that_uses_a_gpu_gets_no_hint(google: Google) -> None:
    google.images = {"my-project/shelfmark/train-gpu:latest": DIGEST}
    findings = submit.preflight([*GPU, "encoder=sentence"], ENCODER)[1]
    assert {found.what: found.right for found in findings} == dict.fromkeys(
        ("APIs", "bucket", "image", "machine", "quota", "GPUs"), True
    )


def test_a_training_that_uses_no_gpu_gets_a_hint_about_its_machine(
    google: Google, log: Callable[[], str]
) -> None:
    google.images = {"my-project/shelfmark/train-gpu:latest": DIGEST}
    submit.send_job([*GPU, "experiment=fast"], HURRIED)
    assert "1 T4 of 16 GB each; this training uses no GPU: cloud=vertex_cpu" in log()
    assert len(google.jobs) == 1


def test_a_foreign_bucket_is_reported_with_google_s_reason(google: Google) -> None:
    checks = findings("cloud.bucket=not-mine")
    assert checks["bucket"][0] is False
    assert "404: /storage/v1/b/not-mine is not found" in checks["bucket"][1]
