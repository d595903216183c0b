"""The service as a command: its settings, its workers, and their end."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from loguru import logger
from pydantic import ValidationError

from shelfmark.core import console, environment
from shelfmark.errors import ShelfmarkError
from shelfmark.service.settings import Settings, variable_names
from shelfmark.service.workers.board import METRICS_FOLDER, Board, Wanted
from shelfmark.service.workers.listening import listen
from shelfmark.service.workers.supervisor import Supervisor

BLAS_THREADS = "OPENBLAS_NUM_THREADS"  # read when NumPy and SciPy are imported
SettingsType = TypeVar("SettingsType", bound=Settings)


def serve(host: str, port: int = 0, model: str = "", workers: int = 0, root_path: str = "") -> None:
    """Run the service until a signal stops it.

    Args:
        host: address to listen on.
        port: the settings give it by default, as they do the model and the workers.
        model: version to start with.
        workers: number of processes that answer requests.
        root_path: path of a proxy under which the service stands.

    Raises:
        ShelfmarkError: a setting is invalid, the port is taken, or the model is missing or damaged.
    """
    # The workers read their settings from the environment. Products of small matrices are faster
    # without threads; those of a process that has them cannot be forked.
    blas = {BLAS_THREADS: environment.read(BLAS_THREADS, "1")}
    overrides = {"SHELFMARK_MODEL": model, "SHELFMARK_WORKERS": workers, "PORT": port,
                 "SHELFMARK_ROOT_PATH": root_path}  # fmt: skip
    with environment.override({name: str(value) for name, value in overrides.items() if value}):
        settings = read_settings(Settings, [name for name, value in overrides.items() if value])
        with (
            _runtime_folder() as runtime,
            environment.override(
                {"SHELFMARK_RUNTIME": str(runtime), METRICS_FOLDER: str(runtime), **blas}
            ),
        ):
            Board(runtime).write_wanted(Wanted(settings.model))
            sockets = listen(host, settings.port)
            Supervisor(sockets, settings, runtime).run()


@contextlib.contextmanager
def _runtime_folder() -> Iterator[Path]:
    """Yield a folder for what the workers share, which is removed after the block.

    Raises:
        ShelfmarkError: no folder for temporary files can be written.
    """
    try:
        folder = tempfile.mkdtemp(prefix="shelfmark-")
    except OSError as error:
        raise ShelfmarkError(f"the workers need a temporary folder: {error.strerror or error}; "
                             "name one in TMPDIR") from error  # fmt: skip
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_settings(kind: type[SettingsType], options: Iterable[str] = ()) -> SettingsType:
    """Return settings read from the environment; log a warning for each unknown variable.

    Args:
        kind: of settings.
        options: the variables that options of the command have set, for the errors.

    Raises:
        ShelfmarkError: a setting is invalid.
    """
    try:
        settings = kind()
    except ValidationError as error:
        # Its text, which a traceback would show, may hold a key.
        line = kind.describe(error.errors()[0])
        variable = line.partition(":")[0]
        option = f"--{variable.removeprefix(environment.PREFIX).lower().replace('_', '-')}"
        line = line.replace(variable, option, 1) if variable in options else line
        raise ShelfmarkError(line) from None
    for line in environment.describe_unknown(variable_names()):
        logger.warning(line)
    return settings


def main() -> None:
    """Serve on all addresses, as in a container, with the settings of the environment."""
    environment.drop_blank()
    console.configure_logging()
    with console.one_line_errors():
        serve("0.0.0.0")  # noqa: S104 - a container's own network


if __name__ == "__main__":
    main()
