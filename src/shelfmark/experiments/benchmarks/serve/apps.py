"""The services that are measured, each a server of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.client import Client
from shelfmark.experiments.benchmarks.servers import start_server, start_service

PACKAGE = __package__


@contextlib.contextmanager
def start_plain(folder: Path, workers: int = 1) -> Iterator[str]:
    """Run the plain app during the block, and yield its address.

    Args:
        folder: with the model of the app.
        workers: its processes.

    Raises:
        ShelfmarkError: it does not start.
    """
    words = ["--factory", f"{PACKAGE}.plain_app:create_app", "--workers", str(workers)]
    with _start_app("the plain app", words, folder) as url:
        yield url


@contextlib.contextmanager
def start_empty(folder: Path) -> Iterator[str]:
    """Run the empty app during the block, and yield its address.

    Args:
        folder: in which it runs.

    Raises:
        ShelfmarkError: it does not start.
    """
    with _start_app("the empty app", [f"{PACKAGE}.empty_app:app"], folder) as url:
        yield url


@contextlib.contextmanager
def _start_app(name: str, words: Sequence[str], folder: Path) -> Iterator[str]:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "uvicorn", *words, "--port", str(port)]

    with start_server(name, command, "health", folder=folder) as (url, _):
        yield url


@contextlib.contextmanager
def start_ours(models: str, model: str, folder: Path, workers: int = 1) -> Iterator[str]:
    """Run `shelfmark serve` during the block, and yield its address.

    Args:
        models: folder of the models.
        model: name of the model.
        folder: that has no index, which the service would open meanwhile.
        workers: its processes.

    Raises:
        ShelfmarkError: it does not start.
    """
    own = {"SHELFMARK_API_KEY": "", "SHELFMARK_INDEX": str(folder / "index")}
    with start_service(workers, model, models, own) as (url, _):
        yield url


def require_answers(name: str, url: str, path: str, bodies: Path) -> None:
    """Check that a service answers every body, once each.

    Args:
        name: of the service, for the error.
        url: its address.
        path: of the requests.
        bodies: a file of JSON lines.

    Raises:
        ShelfmarkError: an answer has another status than 200.
    """
    with contextlib.closing(Client(url)) as client:
        for body in bodies.read_bytes().splitlines():
            try:
                client.ask(path, body)
            except ShelfmarkError as error:
                raise ShelfmarkError(f"{name}: {error}") from None
