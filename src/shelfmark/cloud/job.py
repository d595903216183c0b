"""A training inside a managed job, whose disk is lost when the job ends or moves.

Vertex AI names two folders of a bucket: AIP_MODEL_DIR for a job's output and AIP_CHECKPOINT_DIR for
its checkpoints. The finished stages of a training are copied to the second as they appear, and
restored when the job starts again on an empty disk; the model or encoder and its report are copied
to the first. Outside a job the training runs unchanged.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from loguru import logger

from shelfmark.artifacts.aliases import HISTORY, LATEST, first_history
from shelfmark.cloud import rest
from shelfmark.config.schema import VERSION
from shelfmark.config.trainings import AnySettings, Training
from shelfmark.core import checkpoint, environment, files, storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import CARD

MODEL, STAGES = "AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR"
MOUNT = "SHELFMARK_GCS_MOUNT"  # the folder in which a job has all buckets as folders
SECRET_NAME = "WANDB_SECRET"  # noqa: S105 - names projects/P/secrets/S/versions/latest
WANDB_KEY, WANDB_MODE = "WANDB_API_KEY", "WANDB_MODE"
REPORTS = "reports"
ADDRESS = re.compile(r"gs://[^/\s]+(/|$)")
SECONDS = 0.5  # between two looks for finished stages


def run_in_job(
    settings: AnySettings, kind: Training[AnySettings], work: Callable[[AnySettings], Path]
) -> Path:
    """Run a training; in a managed job, with checkpoints and output in the job's bucket.

    The artifact takes the name of the job's folder unless `name` is set, so that all attempts of a
    job make the same one; an attempt that finds it finished does nothing.

    Args:
        settings: the configuration of the training.
        kind: of the training.
        work: the training, which returns the folder of its model or encoder.

    Returns:
        The folder of the artifact.

    Raises:
        ShelfmarkError: as `work`, or the bucket does not take the artifact.
    """
    address = environment.read(MODEL)
    if not address:
        return work(settings)
    output = _open_folder(MODEL, address)
    settings = _with_name(settings, output)
    if settings.tracking.kind == "wandb":
        set_wandb_key()
    artifacts = kind.folder(settings)
    if f"{settings.name}/{CARD}" in output:
        logger.info("{}/{}: finished by an earlier attempt", output.address, settings.name)
        return artifacts / str(settings.name)
    stages = _open_folder(STAGES, environment.read(STAGES, f"{output.parent}/checkpoints"))
    _restore(stages, artifacts)
    with _copying_stages(artifacts, stages):
        folder = work(settings)
    _deliver(folder, Path(settings.paths.reports) / folder.name, output)
    stages.clear()
    return folder


@dataclass(frozen=True)
class BucketFolder:
    """A folder of a bucket, through the job's mount if there is one, else over the network.

    Args:
        address: gs://BUCKET/PATH, for people.
        system: a file system of fsspec, None if the mount is used.
        root: the folder's path there.
    """

    address: str
    system: Any
    root: str

    @classmethod
    def open(cls, address: str) -> BucketFolder:
        """Return the folder at an address.

        Raises:
            ShelfmarkError: the address is not in a bucket, or cannot be reached.
        """
        address = address.rstrip("/")
        mount = Path(environment.read(MOUNT, "/gcs"))
        bucket = address.removeprefix("gs://").partition("/")[0]
        if os.access(mount / bucket, os.R_OK | os.W_OK | os.X_OK):
            return cls(address, None, str(mount / address.removeprefix("gs://")))
        return cls(address, *storage.filesystem_for(address))

    @property
    def parent(self) -> str:
        """The address of the folder around it."""
        return self.address.rpartition("/")[0]

    def __contains__(self, name: str) -> bool:
        """Whether there is a file of this name; a slash leads into a folder."""
        if self.system is None:
            return Path(self.root, name).is_file()
        with storage.user_errors(self.address):
            return bool(self.system.isfile(f"{self.root}/{name}"))

    def names(self) -> list[str]:
        """Return the relative paths of all files below, sorted."""
        if self.system is None:
            paths = [path.as_posix() for path in Path(self.root).rglob("*") if path.is_file()]
        else:
            with storage.user_errors(self.address):
                paths = self.system.find(self.root)
        return sorted(str(PurePosixPath(path).relative_to(self.root)) for path in paths)

    def put(self, source: Path, name: str) -> None:
        """Copy a file from the disk; readers see the whole file or nothing."""
        if self.system is not None:  # an object of a bucket appears when it is whole
            with storage.user_errors(f"{self.address}/{name}"):
                self.system.put_file(str(source), f"{self.root}/{name}")
            return
        target = Path(self.root, name)
        files.clear_leftovers(target.parent)  # of an attempt that was killed
        # One write from beginning to end, which is what the mount is made for.
        with source.open("rb") as read, files.atomic_write(target) as written:
            shutil.copyfileobj(read, written, 1 << 20)

    def get(self, name: str, target: Path) -> None:
        """Copy a file to the disk."""
        with files.atomic_write(target) as written:
            if self.system is None:
                with Path(self.root, name).open("rb") as read:
                    shutil.copyfileobj(read, written, 1 << 20)
            else:
                with storage.user_errors(f"{self.address}/{name}"):
                    self.system.get_file(f"{self.root}/{name}", written.name)

    def clear(self, below: str = "") -> None:
        """Remove all files below, or below a folder in it; an error is logged only."""
        root = f"{self.root}/{below}".rstrip("/")
        try:
            if self.system is None:
                shutil.rmtree(root, ignore_errors=True)
            elif self.names():
                with storage.user_errors(self.address):
                    self.system.rm(root, recursive=True)
        except ShelfmarkError as error:
            logger.warning("{} is not cleared: {}", self.address, error)


def _open_folder(variable: str, address: str) -> BucketFolder:
    """Return the folder whose address a variable holds.

    Raises:
        ShelfmarkError: the address is not in a bucket, or cannot be reached; names the variable.
    """
    if not ADDRESS.match(address):
        raise ShelfmarkError(
            f"{variable}: {address!r} should be a folder of a bucket, gs://BUCKET/…"
        )
    return BucketFolder.open(address)


def _with_name(settings: AnySettings, output: BucketFolder) -> AnySettings:
    """Name a training after the job's folder, gs://BUCKET/jobs/NAME/model, unless it has a name."""
    name = output.parent.rpartition("/")[2]
    if settings.name or not re.match(VERSION, name):
        return settings
    return cast("AnySettings", settings.model_copy(update={"name": name}))


def _restore(stages: BucketFolder, artifacts: Path) -> None:
    """Copy the stages that an earlier attempt has finished to the disk, and nothing else."""
    found = _list_stages(map(PurePosixPath, stages.names()))
    for name in (name for stage in found for name in stage):
        if not (artifacts / name).exists():
            stages.get(name.as_posix(), artifacts / name)
    if found:
        logger.info("{} finished stages brought back from {}", len(found), stages.address)


@contextlib.contextmanager
def _copying_stages(artifacts: Path, stages: BucketFolder) -> Iterator[None]:
    """Copy finished stages to the bucket while the block runs, and the rest at its end."""
    copied: dict[Path, tuple[int, int]] = {}
    ended = threading.Event()

    def copy() -> None:
        try:
            _copy_new(artifacts, stages, copied)
        except (OSError, ShelfmarkError) as error:  # the training does not depend on it
            logger.warning("stages are not copied to {}: {}", stages.address, error)

    def copy_on() -> None:
        while not ended.wait(SECONDS):
            copy()

    thread = threading.Thread(target=copy_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        copy()


def _copy_new(artifacts: Path, stages: BucketFolder, copied: dict[Path, tuple[int, int]]) -> None:
    paths = artifacts.glob(f"{checkpoint.UNFINISHED}*/**/*")
    names = (path.relative_to(artifacts) for path in paths if path.is_file())
    found = _list_stages(PurePosixPath(name.as_posix()) for name in names)
    for stage in found:
        last = artifacts / stage[-1]
        with contextlib.suppress(FileNotFoundError):  # removed: the training has gone on
            state = last.stat()
            mark = (state.st_mtime_ns, state.st_size)
            if copied.get(last) != mark:
                for name in stage:
                    stages.put(artifacts / name, name.as_posix())
                copied[last] = mark
    _remove_replaced({artifacts / stage[-1] for stage in found}, artifacts, stages, copied)


def _remove_replaced(
    present: set[Path], artifacts: Path, stages: BucketFolder, copied: dict[Path, tuple[int, int]]
) -> None:
    """Remove the folders from the bucket that a library has replaced by newer ones beside them."""
    for last in [path for path in copied if path.name == checkpoint.FOLDER_MARK]:
        beside = {path.parent.parent for path in present}
        if last not in present and last.parent.parent in beside:
            stages.clear(last.parent.relative_to(artifacts).as_posix())
            del copied[last]


def _list_stages(names: Iterable[PurePosixPath]) -> list[list[PurePosixPath]]:
    """Return the finished stages among the files of checkpoints.

    A stage is one file, or a folder with a mark, which comes last: where the mark is, the others
    are.
    """
    safe = sorted(name for name in names if _is_visible(name))
    stages = [[name] for name in safe if len(name.parts) == 2 and name.suffix == checkpoint.SUFFIX]
    for mark in (name for name in safe if name.name == checkpoint.FOLDER_MARK):
        inside = [name for name in safe if mark.parent in name.parents and name != mark]
        stages.append([*inside, mark])
    return stages


def _is_visible(name: PurePosixPath) -> bool:
    """Whether a file is of a checkpoint, not half-written, and not outside of it."""
    first, *others = name.parts
    hidden = any(part.startswith(".") for part in others)
    return bool(others) and first.startswith(checkpoint.UNFINISHED) and not hidden


def _deliver(artifact: Path, report: Path, output: BucketFolder) -> None:
    """Copy the report, then the artifact with its card last, and then point `latest` at it.

    Raises:
        ShelfmarkError: the bucket does not take them; the stages stay for another attempt.
    """
    try:
        for path in sorted(path for path in report.rglob("*") if path.is_file()):
            name = path.relative_to(report).as_posix()
            output.put(path, f"{REPORTS}/{report.name}/{name}")
        for path in sorted(artifact.iterdir(), key=lambda path: path.name == CARD):
            output.put(path, f"{artifact.name}/{path.name}")
        digest = files.sha256(artifact / CARD)
        contents = {
            f"{LATEST}{HISTORY}": first_history(artifact.name, digest),
            LATEST: artifact.name.encode(),
        }
        for name, content in contents.items():
            written = artifact.with_name(f"{files.PARTIAL}{os.getpid()}-{name}.txt")
            written.write_bytes(content)
            output.put(written, name)
            written.unlink()
    except (OSError, ShelfmarkError) as error:
        raise ShelfmarkError(
            f"the training is finished, but {output.address} does not take what it made: {error}"
        ) from error
    logger.info("in the bucket: {}/{}", output.address, artifact.name)


def set_wandb_key() -> None:
    """Set W&B's key from the secret that the job names; without it, W&B records offline.

    A training matters more than its record, so that no error here stops it.
    """
    name = environment.read(SECRET_NAME)
    if not name or environment.read(WANDB_KEY):
        return
    try:
        os.environ[WANDB_KEY] = _read_secret(name)
    except ShelfmarkError as error:
        logger.warning("no W&B key from {}: {}; recorded offline", name, error)
        environment.set_default(WANDB_MODE, "offline")


def _read_secret(name: str) -> str:
    """Return a secret's value; no error of this function shows a part of it."""
    url = f"{rest.base_url('secretmanager.googleapis.com')}/v1/{name}:access"
    try:
        answer = rest.request(rest.open_session(), "GET", url)
    except ModuleNotFoundError as error:
        raise ShelfmarkError("google-auth is not installed: the gs extra brings it") from error
    try:
        value = base64.b64decode(answer.json()["payload"]["data"], validate=True).decode().strip()
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ShelfmarkError("Secret Manager's answer holds no text") from None
    if not value:
        raise ShelfmarkError("the secret is empty")
    return value
