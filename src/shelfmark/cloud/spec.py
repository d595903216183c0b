"""A training as a job of Vertex AI: composed from overrides, built by Google's types, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shelfmark.cloud.account import Account
from shelfmark.config.groups import CLOUD, is_cloud_override, list_groups
from shelfmark.config.load import compose_values, validate_config
from shelfmark.config.schema import Config, Strict
from shelfmark.data import inputs
from shelfmark.errors import ShelfmarkError, nearest

# The machine types that Vertex AI trains on, without accelerators, as its manual lists them. The
# service itself decides, and has further types in some regions: add a new one here.
# Source: cloud.google.com/vertex-ai/docs/training/configure-compute#machine-types
MACHINES_AS_OF = "2025-01"
# Gigabytes of memory for each core, and how many cores there are to choose from.
_FAMILIES: dict[str, tuple[float, tuple[int, ...]]] = {
    "e2-standard": (4, (4, 8, 16, 32)),
    "e2-highmem": (8, (2, 4, 8, 16)),
    "e2-highcpu": (1, (16, 32)),
    "n1-standard": (3.75, (4, 8, 16, 32, 64, 96)),
    "n1-highmem": (6.5, (2, 4, 8, 16, 32, 64, 96)),
    "n1-highcpu": (0.9, (16, 32, 64, 96)),
    "n2-standard": (4, (4, 8, 16, 32, 48, 64, 80)),
    "n2-highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n2-highcpu": (1, (16, 32, 48, 64, 80)),
    "n2d-standard": (4, (4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
    "n2d-highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
    "n2d-highcpu": (1, (16, 32, 48, 64, 80, 96, 128, 224)),
    "c2-standard": (4, (4, 8, 16, 30, 60)),
    "m1-ultramem": (24.025, (40, 80, 160)),
    "m1-megamem": (14.93, (96,)),
}
# Cores and gigabytes of memory by the machine's type.
MACHINES = {
    f"{family}-{cores}": (cores, cores * memory)
    for family, (memory, sizes) in _FAMILIES.items()
    for cores in sizes
}
DISKS = ("pd-ssd", "pd-standard")

SECRET = "WANDB_SECRET"  # the environment variable for a secret's name  # noqa: S105
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")
# The spec and the console show the value of a variable of such a name to anyone who may look.
EXPOSED_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)

Label = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class MachineConfig(Strict):
    """A machine, and its boot disk."""

    type: str
    disk: str
    disk_gb: int = Field(ge=100, le=64_000)


def _reject_bare_name(machine: object) -> object:
    if isinstance(machine, str):
        raise ValueError(f"choose it as cloud/machine={machine}, or set cloud.machine.type")
    return machine


class CloudConfig(Account):
    """Where and how a job runs; the account's names are part of it, so that each can be set."""

    image: str | None
    output: Annotated[str, Field(pattern=r"^gs://[^/\s]+(/[^\s]*)?$")] | None
    strategy: Literal["SPOT", "STANDARD"]
    timeout_hours: float = Field(gt=0, le=168)
    restarts: bool
    labels: dict[LabelKey, Label]
    wandb_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")] | None
    extra: dict[str, Any]
    machine: Annotated[MachineConfig, BeforeValidator(_reject_bare_name)]


class _Composed(Strict):
    cloud: CloudConfig


@dataclass(frozen=True)
class Submission:
    """A training that is to run in the cloud.

    Args:
        name: of the job, of the folder of its output and, unless `name` is set, of the model.
        cloud: where and how it runs.
        training: its configuration.
        overrides: the words that `shelfmark train` would be given.
    """

    name: str
    cloud: CloudConfig
    training: Config
    overrides: list[str]

    @property
    def wandb_secret(self) -> str | None:
        """The resource name of the secret that holds the W&B key; None if W&B is not used."""
        if self.training.tracking.kind != "wandb":
            return None
        return f"projects/{self.cloud.project}/secrets/{self.cloud.wandb_secret}"

    @property
    def output(self) -> str:
        """The folder for everything that the job writes."""
        root = self.cloud.output or f"gs://{self.cloud.bucket}/jobs"
        return f"{root.rstrip('/')}/{self.name}"


def compose_submission(overrides: Sequence[str]) -> Submission:
    """Compose and check a training and its cloud, from the overrides of `shelfmark submit`.

    Raises:
        ShelfmarkError: no cloud is chosen, one of the two configurations is invalid, or the
            training needs a file of this machine.
    """
    values = compose_values(list(overrides))
    chosen = values.pop(CLOUD, None)
    values.pop("encoder")
    training = validate_config(Config, values)
    if chosen is None:
        known = ", ".join(f"cloud={name}" for name in list_groups()[CLOUD])
        raise ShelfmarkError(f"say where the job runs: {known}")
    cloud = validate_config(_Composed, {CLOUD: chosen}).cloud
    _check_reach(training, cloud)
    what = training.name or "-".join(filter(None, (training.data.source, training.experiment)))
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{what}"[:100]
    return Submission(
        name, cloud, training, [word for word in overrides if not is_cloud_override(word)]
    )


def _check_reach(training: Config, cloud: CloudConfig) -> None:
    for path in inputs.split_list(training.data.path or []):
        if not path.startswith("gs://"):
            bucket = cloud.bucket or "BUCKET"
            raise ShelfmarkError(
                f"data.path={path} is of this machine: copy it to a bucket, "
                f"data.path=gs://{bucket}/…"
            )
    if training.tracking.kind == "wandb" and cloud.wandb_secret is None:
        raise ShelfmarkError(
            "tracking=wandb in a job needs cloud.wandb_secret=NAME, the secret in Secret Manager "
            "that holds the W&B key; tracking=local works without"
        )


def job_fields(submission: Submission, image: str) -> dict[str, Any]:
    """Return the job as the fields of the REST interface, `cloud.extra` merged over them.

    Args:
        submission: what is to run, and where.
        image: by its digest, `…@sha256:…`.
    """
    cloud = submission.cloud
    container: dict[str, Any] = {"imageUri": image, "args": submission.overrides}
    if submission.wandb_secret:
        value = f"{submission.wandb_secret}/versions/latest"
        container["env"] = [{"name": SECRET, "value": value}]
    pool = {
        "machineSpec": {"machineType": cloud.machine.type},
        "replicaCount": "1",
        "diskSpec": {
            "bootDiskType": cloud.machine.disk,
            "bootDiskSizeGb": cloud.machine.disk_gb,
        },
        "containerSpec": container,
    }
    job = {
        "displayName": submission.name,
        "jobSpec": {
            "workerPoolSpecs": [pool],
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
    return _merge(job, cloud.extra)


def build_job(values: dict[str, Any]) -> Any:
    """Return a CustomJob of Google's type; a field that the type lacks is refused.

    Raises:
        ShelfmarkError: a field is unknown or of a wrong type, or `check_job` refuses the job.
    """
    from google.cloud.aiplatform_v1.types import CustomJob
    from google.protobuf.json_format import ParseError

    try:
        job = CustomJob.from_json(json.dumps(values), ignore_unknown_fields=False)
    except ParseError as error:
        raise ShelfmarkError(f"the job's spec: {error}") from error
    check_job(job)
    return job


def job_json(job: Any) -> str:
    """Return a job as the JSON that is sent."""
    text = type(job).to_json(
        job, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def check_job(job: Any) -> None:
    """Check the rules for a job that Google's types do not know.

    Raises:
        ShelfmarkError: the pool or the container is missing, the image is named by a tag, the
            machine or the disk is not in the list, the output or the timeout is missing, or the
            environment holds the value of a secret.
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
        if EXPOSED_SECRET.search(variable.name):
            raise ShelfmarkError(
                f"the job's spec: {variable.name} would be readable in it: "
                "keep it in Secret Manager, and name it as cloud.wandb_secret"
            )


def _check_machine(pool: Any) -> None:
    kind, disk = pool.machine_spec.machine_type, pool.disk_spec.boot_disk_type
    if kind not in MACHINES:
        raise ShelfmarkError(
            f"cloud.machine.type: no machine {kind!r}{nearest(kind, MACHINES)} "
            f"(Vertex AI's list of {MACHINES_AS_OF})"
        )
    if disk not in DISKS:
        raise ShelfmarkError(f"cloud.machine.disk: {disk!r}: one of {', '.join(DISKS)}")


def _labels(submission: Submission) -> dict[str, str]:
    """Return labels to find a job by: its data and its experiment, in the allowed characters."""
    training = submission.training
    named = {"data": training.data.source, "experiment": training.experiment}
    return {
        key: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:63]
        for key, value in named.items()
        if value
    }


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _merge(known, value)
        else:
            merged[key] = value
    return merged
