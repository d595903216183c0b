"""What a job in the cloud is made of: the group `cloud`, and the overrides of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shelfmark.cloud.account import Account
from shelfmark.config.groups import CLOUD, is_cloud_override, list_groups
from shelfmark.config.load import compose_values, validate_config
from shelfmark.config.schema import Config, Strict
from shelfmark.errors import ShelfmarkError

Label = Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,63}$")]
LabelKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class MachineConfig(Strict):
    """A machine, and its boot disk."""

    type: str
    disk: str
    disk_gb: int = Field(ge=100, le=64_000)


def _by_its_group(machine: object) -> object:
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
    machine: Annotated[MachineConfig, BeforeValidator(_by_its_group)]


class _Composed(Strict):
    cloud: CloudConfig


@dataclass(frozen=True)
class Submission:
    """A training that is to run in the cloud.

    Args:
        name: of the job, of the folder of its output and, unless it has its own, of the model.
        cloud: where and how it runs.
        training: its configuration.
        overrides: the very words that `inv train` would be given.
    """

    name: str
    cloud: CloudConfig
    training: Config
    overrides: list[str]

    @property
    def wandb_secret(self) -> str | None:
        """The resource name of the secret that holds the W&B key, None where none is needed."""
        if self.training.tracking.kind != "wandb":
            return None
        return f"projects/{self.cloud.project}/secrets/{self.cloud.wandb_secret}"

    @property
    def output(self) -> str:
        """The folder of everything the job leaves."""
        root = self.cloud.output or f"gs://{self.cloud.bucket}/jobs"
        return f"{root.rstrip('/')}/{self.name}"


def read(overrides: Sequence[str]) -> Submission:
    """Compose and check a training and its cloud, from what is typed behind `inv submit`.

    Raises:
        ShelfmarkError: no cloud is chosen, something is wrong with either, or the training would
            need what only this machine has.
    """
    values = compose_values(list(overrides))
    chosen = values.pop(CLOUD, None)
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
    path = training.data.path
    if path is not None and not path.startswith("gs://"):
        bucket = cloud.bucket or "BUCKET"
        raise ShelfmarkError(
            f"data.path={path} is of this machine: copy it to a bucket, data.path=gs://{bucket}/…"
        )
    if training.tracking.kind == "wandb" and cloud.wandb_secret is None:
        raise ShelfmarkError(
            "tracking=wandb in a job needs cloud.wandb_secret=NAME, the secret in Secret Manager "
            "that holds the W&B key; tracking=local works without"
        )
