"""Files in the local folders of workers, which other workers read past the queue of tasks."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client, WorkerPlugin, get_worker
from distributed.protocol import to_serialize

from shelfmark.core import files

T = TypeVar("T")
Read = Callable[[Path], T]  # of a folder of `worker_folder`

PREFIX = "shelfmark-"  # of the folders, and of the request to a worker


class PeerFiles(WorkerPlugin):  # type: ignore[misc]
    """Answers the requests of other workers while this one computes a task.

    Args:
        name: of the folder; other clients of the cluster have folders of their own.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = Path()

    def setup(self, worker: Any) -> None:
        """Begin to answer, and remove what a client has left that is gone."""
        self._folder = Path(worker.local_directory) / self.name
        worker.handlers[self.name] = self.answer

    def teardown(self, worker: Any) -> None:
        """Remove the files."""
        worker.handlers.pop(self.name, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def answer(self, read: Read[Any]) -> dict[str, Any]:
        """Return what a function reads from the folder, or its error."""
        try:
            return {"result": to_serialize(await asyncio.to_thread(read, self._folder))}
        except Exception as error:
            return {"error": to_serialize(error)}


@contextlib.contextmanager
def serve_files(client: Client) -> Iterator[str]:
    """Let the workers of a client keep files for a block, and yield the name of their folders."""
    known = {f"{PREFIX}{name}" for name in client.run_on_scheduler(_clients)}
    client.run(_remove_leftovers, known)
    name = f"{PREFIX}{client.id}"
    client.register_plugin(PeerFiles(name), name)
    try:
        yield name
    finally:
        with contextlib.suppress(Exception):  # of a cluster that is gone
            client.unregister_worker_plugin(name)


def worker_folder(name: str) -> Path:
    """Return the folder of the worker that computes this task.

    Raises:
        ShelfmarkError: it cannot be made.
    """
    folder = Path(get_worker().local_directory) / name
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def read_from_peers(name: str, wanted: Sequence[tuple[str, Read[T]]]) -> Future[list[T]]:
    """Begin to read from the folders of other workers, within a task.

    The future raises OSError if a worker is lost.

    Args:
        name: of the folder.
        wanted: pairs of the address of a worker and a function that reads from its folder.
    """
    worker = get_worker()

    async def ask(address: str, read: Read[T]) -> T:
        if address == worker.address:
            return await asyncio.to_thread(read, Path(worker.local_directory) / name)
        answer = await getattr(worker.rpc(address), name)(read=to_serialize(read))
        if "error" in answer:
            raise answer["error"]
        result: T = answer["result"]
        return result

    async def ask_all() -> list[T]:
        return await asyncio.gather(*(ask(*one) for one in wanted))

    return asyncio.run_coroutine_threadsafe(ask_all(), worker.loop.asyncio_loop)


def _clients(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.clients)


def _remove_leftovers(known: set[str], dask_worker: Any) -> None:
    """Remove the folders of clients that are gone, as of a training that was killed."""
    for folder in Path(dask_worker.local_directory).glob(f"{PREFIX}*"):
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
