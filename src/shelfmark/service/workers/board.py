"""What the workers share: the model that all of them should serve, and what each of them serves.

Each is a small file of JSON in the runtime folder, written in one step. `wanted.json` names the
model; its generation grows with each change, and a worker has followed when it serves that
generation. `worker-<pid>.json` is a worker's state, which the supervisor removes with the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable that prometheus_client reads
WANTED = "wanted.json"
LOCK_POLL_SECONDS = 0.05

Record = TypeVar("Record", "Wanted", "WorkerState")


@dataclass(frozen=True)
class Wanted:
    """The model that all workers should serve.

    Args:
        version: its name, an alias only in generation 0.
        generation: how often the model has been changed; 0 before the first worker has resolved
            the alias.
        digest: of the model's card, empty where it is not known.
    """

    version: str
    generation: int = 0
    digest: str = ""


@dataclass(frozen=True)
class WorkerState:
    """What a worker serves.

    Args:
        pid: of its process.
        model: the version that it serves.
        generation: of the wanted model that it followed last.
        problem: why it does not serve the wanted model, empty if it has not failed.
    """

    pid: int
    model: str
    generation: int
    problem: str = ""

    def follows(self, wanted: Wanted) -> bool:
        """Whether the worker serves the wanted model."""
        return self.generation >= wanted.generation

    def to_json(self) -> dict[str, Any]:
        """Return the state as responses show it."""
        state: dict[str, Any] = {"pid": self.pid, "model": self.model}
        return {**state, "problem": self.problem} if self.problem else state


@dataclass(frozen=True)
class Overview:
    """The model that all workers should serve, and what each of them serves.

    Args:
        wanted: that model.
        workers: each worker that has started.
        complete: whether the workers are known; if not, they are this one alone.
    """

    wanted: Wanted
    workers: list[WorkerState]
    complete: bool = True

    @property
    def behind(self) -> list[WorkerState]:
        """The workers that do not serve the wanted model."""
        return [state for state in self.workers if not state.follows(self.wanted)]

    @property
    def all_follow(self) -> bool:
        """Whether all workers are known to serve the wanted model."""
        return self.complete and not self.behind


class Board:
    """The shared state of all workers.

    Args:
        folder: the runtime folder; None for a single worker without a supervisor, whose state
            stays in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, bytes] = {}

    def read_wanted(self) -> Wanted | None:
        """Return the model that all workers should serve; None before it is written in memory.

        Raises:
            OSError: the file is missing or cannot be read.
            ShelfmarkError: its content is damaged.
        """
        content = self._read(WANTED)
        return None if content is None else _parse(Wanted, content, WANTED)

    def write_wanted(self, wanted: Wanted) -> None:
        """Name the model that all workers should serve; hold the lock meanwhile.

        Raises:
            ShelfmarkError: the file cannot be written; the previous one stays.
        """
        self._write(WANTED, orjson.dumps(asdict(wanted)))

    def report(self, state: WorkerState) -> None:
        """Publish what a worker serves.

        Raises:
            ShelfmarkError: the file cannot be written; the previous one stays.
        """
        self._write(_state_file(state.pid), orjson.dumps(asdict(state)))

    def workers(self) -> list[WorkerState]:
        """Return the state of each worker that has reported and is not forgotten, by its pid.

        Raises:
            OSError: the folder cannot be read.
            ShelfmarkError: a state is damaged.
        """
        contents = {name: self._memory[name] for name in self._memory if name != WANTED}
        if self._folder is not None:
            # Path.glob would find nothing in a folder that cannot be read.
            for path in self._folder.iterdir():
                if path.match(_state_file("*")):
                    with contextlib.suppress(FileNotFoundError):  # forgotten meanwhile
                        contents[path.name] = path.read_bytes()
        states = [_parse(WorkerState, content, name) for name, content in contents.items()]
        return sorted(states, key=lambda state: state.pid)

    def forget(self, pid: int) -> None:
        """Remove what a worker that has died left.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._folder is not None:
            for path in self._folder.glob(f"{files.PARTIAL}{pid}-*"):
                path.unlink(missing_ok=True)
            (self._folder / _state_file(pid)).unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude changes of the wanted model by other workers during the block.

        Raises:
            OSError: the file of the lock cannot be opened.
        """
        if self._folder is None:
            yield
            return
        while (held := files.try_lock(self._folder / "lock")) is None:
            await asyncio.sleep(LOCK_POLL_SECONDS)
        with held:
            yield

    def _read(self, name: str) -> bytes | None:
        return (
            self._memory.get(name) if self._folder is None else (self._folder / name).read_bytes()
        )

    def _write(self, name: str, content: bytes) -> None:
        if self._folder is None:
            self._memory[name] = content
            return
        with files.atomic_write(self._folder / name) as file:
            file.write(content)


def _state_file(pid: int | str) -> str:
    return f"worker-{pid}.json"


def _parse(kind: type[Record], content: bytes, name: str) -> Record:
    try:
        return kind(**orjson.loads(content))
    except (TypeError, ValueError) as error:
        raise ShelfmarkError(f"{name} in the runtime folder is damaged ({error})") from error
