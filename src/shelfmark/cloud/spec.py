"""The CustomJob of Vertex AI of a training: built by Google's own types, and checked."""

from __future__ import annotations

import json
import re
from typing import Any

from shelfmark.cloud import machines
from shelfmark.cloud.submission import Submission
from shelfmark.errors import ShelfmarkError, nearest

SECRET = "WANDB_SECRET"  # the environment's name for a secret's name  # noqa: S105
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")
# A value by such a name would lie open in the spec and in the console.
OPEN_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)


def fields(submission: Submission, image: str) -> dict[str, Any]:
    """Return the job in the words of the REST interface, `cloud.extra` laid over it.

    Args:
        submission: what is to run, and where.
        image: by its digest, `…@sha256:…`.
    """
    cloud = submission.cloud
    container: dict[str, Any] = {"imageUri": image, "args": submission.overrides}
    if submission.wandb_secret:
        value = f"{submission.wandb_secret}/versions/latest"
        container["env"] = [{"name": SECRET, "value": value}]
    job = {
        "displayName": submission.name,
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": cloud.machine.type},
                    "replicaCount": "1",
                    "diskSpec": {
                        "bootDiskType": cloud.machine.disk,
                        "bootDiskSizeGb": cloud.machine.disk_gb,
                    },
                    "containerSpec": container,
                }
            ],
            "scheduling": {
                "timeout": f"{round(cloud.timeout_hours * 3600)}s",
                "restartJobOnWorkerRestart": cloud.restarts,
                "disableRetries": not cloud.restarts,
                "strategy": cloud.strategy,
            },
            "serviceAccount": cloud.service_account,
            "baseOutputDirectory": {"outputUriPrefix": submission.output},
        },
        "labels": {"project": "shelfmark", **_labels(submission), **cloud.labels},
    }
    return _laid_over(job, cloud.extra)


def build(values: dict[str, Any]) -> Any:
    """Return a CustomJob of Google's type; a field it does not know is refused.

    Raises:
        ShelfmarkError: a field is unknown or of a wrong type, or what the types let pass is wrong.
    """
    from google.cloud.aiplatform_v1.types import CustomJob
    from google.protobuf.json_format import ParseError

    try:
        job = CustomJob.from_json(json.dumps(values), ignore_unknown_fields=False)
    except ParseError as error:
        raise ShelfmarkError(f"the job's spec: {error}") from error
    check(job)
    return job


def shown(job: Any) -> str:
    """Return a job as the JSON that is sent."""
    text = type(job).to_json(
        job, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def check(job: Any) -> None:
    """Check what the types let pass.

    Raises:
        ShelfmarkError: no pool or container, an image by its tag, a machine or a disk that is not
            in the list, no output, a timeout of nothing, or a secret's value in the environment.
    """
    if len(job.job_spec.worker_pool_specs) != 1:
        raise ShelfmarkError("the job's spec: it needs one worker pool: one machine trains")
    pool = job.job_spec.worker_pool_specs[0]
    _check_machine(pool)
    image = pool.container_spec.image_uri
    if not image:
        raise ShelfmarkError("the job's spec: its pool has no container, and so no image")
    if not DIGEST.match(image):
        raise ShelfmarkError(f"the job's spec: {image}: an image is named by its @sha256: digest")
    if pool.replica_count != 1:
        raise ShelfmarkError(f"the job's spec: replicaCount {pool.replica_count}: 1 machine trains")
    if not job.job_spec.base_output_directory.output_uri_prefix.startswith("gs://"):
        raise ShelfmarkError("the job's spec: no baseOutputDirectory: the model would be lost")
    if not job.job_spec.scheduling.timeout:
        raise ShelfmarkError("the job's spec: no timeout: it could cost for a week")
    for variable in pool.container_spec.env:
        if OPEN_SECRET.search(variable.name):
            raise ShelfmarkError(
                f"the job's spec: {variable.name} would lie open in it: "
                "keep it in Secret Manager, and name it as cloud.wandb_secret"
            )


def _check_machine(pool: Any) -> None:
    kind, disk = pool.machine_spec.machine_type, pool.disk_spec.boot_disk_type
    if kind not in machines.MACHINES:
        raise ShelfmarkError(
            f"cloud.machine.type: no machine {kind!r}{nearest(kind, machines.MACHINES)} "
            f"(Vertex AI's list of {machines.AS_OF})"
        )
    if disk not in machines.DISKS:
        raise ShelfmarkError(f"cloud.machine.disk: {disk!r}: one of {', '.join(machines.DISKS)}")


def _labels(submission: Submission) -> dict[str, str]:
    """Return labels to find a job by: what it learns from and how, in letters that may be there."""
    training = submission.training
    named = {"data": training.data.source, "experiment": training.experiment}
    return {
        key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63]
        for key, value in named.items()
        if value
    }


def _laid_over(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _laid_over(known, value)
        else:
            merged[key] = value
    return merged
