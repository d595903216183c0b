"""A training as a job of Vertex AI: composed from overrides, built by Google's types, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shelfmark.cloud import machines
from shelfmark.cloud.account import Account
from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.groups import CLOUD, is_cloud_override, list_groups
from shelfmark.config.load import compose_training, validate_config
from shelfmark.config.schema import Config
from shelfmark.config.sections import Strict
from shelfmark.config.trainings import CLASSIFIER, AnyTraining, Settings
from shelfmark.data import inputs
from shelfmark.embeddings import families as encoders
from shelfmark.embeddings.protocol import EncoderFamily
from shelfmark.errors import ShelfmarkError
from shelfmark.models import families as models
from shelfmark.models.protocol import Family

IMAGE, IMAGE_GPU = "train", "train-gpu"  # the images of trainings; the second has PyTorch
TORCH = {"sentence", "transformer"}  # the extras with PyTorch, which alone uses a GPU
SECRET = "WANDB_SECRET"  # the environment variable for a secret's name  # noqa: S105
DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")
# The spec and the console show the value of a variable of such a name to anyone who may look.
EXPOSED_SECRET = re.compile(r"KEY|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)

Label = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class MachineConfig(Strict):
    """A machine, its accelerators, and its boot disk."""

    type: str
    accelerator: str | None
    accelerator_count: int = Field(ge=0)
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
        name: of the job, of the folder of its output and, unless `name` is set, of what it makes.
        kind: of training.
        cloud: where and how it runs.
        training: its configuration.
        overrides: the words that the command of the training would be given.
    """

    name: str
    kind: AnyTraining
    cloud: CloudConfig
    training: Settings
    overrides: list[str]

    @property
    def needs(self) -> set[str]:
        """The extras that the training needs."""
        families = _families(self.training)
        return {
            extra for one in families for extra in (*one.needs.values(), *one.fit_needs.values())
        }

    @property
    def image_name(self) -> str:
        """The image of the repository that has what the training needs."""
        return IMAGE_GPU if self.cloud.machine.accelerator or self.needs else IMAGE

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


def compose_submission(overrides: Sequence[str], kind: AnyTraining = CLASSIFIER) -> Submission:
    """Compose and check a training and its cloud, from the overrides of `shelfmark submit`.

    Args:
        overrides: of the training, and of the cloud.
        kind: of training.

    Raises:
        ShelfmarkError: no cloud is chosen, one of the two configurations is invalid, the training
            needs a file of this machine, or the image does not run on the accelerator.
    """
    training: Settings
    training, chosen = compose_training(kind, overrides)
    if chosen is None:
        known = ", ".join(f"cloud={name}" for name in list_groups()[CLOUD])
        raise ShelfmarkError(f"say where the job runs: {known}")
    cloud = validate_config(_Composed, {CLOUD: chosen}).cloud
    _check_reach(training, cloud)
    if cloud.machine.accelerator and cloud.image is None:
        machines.check_capability(cloud.machine.accelerator)
    what = training.name or "-".join(filter(None, (training.data.source, training.experiment)))
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{what}"[:100]
    words = [word for word in overrides if not is_cloud_override(word)]
    return Submission(name, kind, cloud, training, words)


def _families(training: Settings) -> Sequence[EncoderFamily | Family]:
    if isinstance(training, EncoderSettings):
        return [encoders.family_of(training.encoder.kind)]
    return [models.family_of(kind) for kind in training.model.kinds]


def _check_reach(training: Settings, cloud: CloudConfig) -> None:
    for path in inputs.split_list(training.data.path or []):
        if not path.startswith("gs://"):
            bucket = cloud.bucket or "BUCKET"
            raise ShelfmarkError(
                f"data.path={path} is of this machine: copy it to a bucket, "
                f"data.path=gs://{bucket}/…"
            )
    for key, folder in _model_folders(training):
        if cloud.image is None and Path(folder).expanduser().exists():
            takes = f"{key}=null" if key == "encoder.path" else "minilm or a name on the hub"
            raise ShelfmarkError(
                f"{key}={folder} is of this machine: a job takes {takes}, or a folder of an image "
                "of your own, cloud.image=…"
            )
    if training.tracking.kind == "wandb" and cloud.wandb_secret is None:
        raise ShelfmarkError(
            "tracking=wandb in a job needs cloud.wandb_secret=NAME, the secret in Secret Manager "
            "that holds the W&B key; tracking=local works without"
        )


def _model_folders(training: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys that may name the folder of a pretrained model, with their values."""
    if isinstance(training, Config):
        if (network := training.model.network) is not None:
            yield f"{training.model.network_section}.base", network.base
        return
    for key in ("base", "guide", "path"):
        if value := getattr(training.encoder, key, None):
            yield f"encoder.{key}", value


def job_fields(submission: Submission, image: str) -> dict[str, Any]:
    """Return the job as the fields of the REST interface, `cloud.extra` merged over them.

    Args:
        submission: what is to run, and where.
        image: by its digest, `…@sha256:…`.
    """
    cloud = submission.cloud
    container: dict[str, Any] = {
        "imageUri": image,
        "command": ["python", "-m", "shelfmark.cli", submission.kind.command],
        "args": submission.overrides,
    }
    if submission.wandb_secret:
        value = f"{submission.wandb_secret}/versions/latest"
        container["env"] = [{"name": SECRET, "value": value}]
    pool = {
        "machineSpec": _machine_fields(cloud.machine),
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


def _machine_fields(machine: MachineConfig) -> dict[str, Any]:
    """Return the machine as the fields of the REST interface.

    Raises:
        ShelfmarkError: there is no such accelerator; Google's types would not name those there are.
    """
    fields: dict[str, Any] = {"machineType": machine.type}
    if machine.accelerator is not None:
        machines.check_accelerator(machine.accelerator)
        fields["acceleratorType"] = machine.accelerator
    if machine.accelerator_count:
        fields["acceleratorCount"] = machine.accelerator_count
    return fields


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
            machine, its accelerator or the disk is not in the list, the output or the timeout is
            missing, or the environment holds the value of a secret.
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
    machine, disk = pool.machine_spec, pool.disk_spec.boot_disk_type
    accelerator = machine.accelerator_type.name if machine.accelerator_type else None
    machines.check_machine(machine.machine_type, accelerator, machine.accelerator_count)
    if disk not in machines.DISKS:
        raise ShelfmarkError(f"cloud.machine.disk: {disk!r}: one of {', '.join(machines.DISKS)}")


def _labels(submission: Submission) -> dict[str, str]:
    """Return labels to find a job by: data, experiment, kind, in the allowed characters."""
    training = submission.training
    encoder, model = (getattr(training, name, None) for name in ("encoder", "model"))
    named = {
        "data": training.data.source,
        "experiment": training.experiment,
        "encoder": encoder.kind if encoder else None,
        "model": model.kind if model else None,
    }
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
