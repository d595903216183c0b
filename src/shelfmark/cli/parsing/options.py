"""Options that several commands have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from shelfmark.cli.parsing.command import Whole


def expand_home(text: str) -> str:
    """Return a path whose `~` is the user's home, as in `--out=~/a`, which no shell expands."""
    return os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for ~$draft.csv


class LocalPath(click.ParamType[Path]):
    """A path of this machine; an address such as gs://bucket/folder is refused.

    Args:
        existing: whether it has to be a folder that exists, if it is given.
        file: whether it has to be a file, so that it cannot end in a slash.
    """

    name = "path"

    def __init__(self, *, existing: bool = False, file: bool = False) -> None:
        self._existing = existing
        self._file = file

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        text = str(value)
        if not text:
            self.fail("the path is empty", param, ctx)
        if "://" in text:
            self.fail(f"{text} is an address, a path of this machine is needed", param, ctx)
        if self._file and text.endswith("/"):  # which a Path would drop
            self.fail(f"{text} is a folder, a file is needed", param, ctx)
        path = Path(expand_home(text))
        given = (
            ctx is not None
            and param is not None
            and param.name is not None
            and (ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT)
        )
        if self._existing and given and not path.is_dir():
            self.fail(f"there is no folder {path}", param, ctx)
        return path


@contextlib.contextmanager
def local_model(models: str, model: str) -> Iterator[Path]:
    """Yield the folder of a model; one of a bucket is copied to this machine for the block.

    Args:
        models: folder or address of the models.
        model: name of one of them, or the address of a model.

    Raises:
        ShelfmarkError: the bucket cannot be read, or has no such model.
    """
    from shelfmark.cli.extras import require_extra, require_family
    from shelfmark.core import storage

    models = expand_home(models)
    if storage.is_remote(model):
        models, _, model = model.rstrip("/").rpartition("/")
    if not storage.is_remote(models):
        require_family(Path(models, model))
        yield Path(models, model)
        return
    if models.partition("://")[0] in storage.GOOGLE:
        require_extra("gcsfs", "gs")
    from shelfmark.models.registry import Registry

    registry = Registry(models)  # which keeps the copy
    folder = registry.folder(model)
    require_family(folder)
    yield folder
    del registry


model_option = click.option(
    "--model", default="latest", show_default=True, help="Name of a model in the models folder."
)
models_option = click.option(
    "--models", type=LocalPath(), default="models", show_default=True, help="Folder of the models."
)
models_or_bucket_option = click.option(
    "--models", default="models", show_default=True,
    help="Folder or bucket (gs://...) of the models.",
)  # fmt: skip
reports_option = click.option(
    "--reports", type=LocalPath(), default="reports", show_default=True,
    help="Folder of the reports.",
)  # fmt: skip
host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
port_option = click.option(
    "--port", type=Whole(0, 65535), default=0,
    help="Port to listen on; $PORT if not given, else 8000.",
)  # fmt: skip
root_path_option = click.option(
    "--root-path", default="",
    help="Path of a proxy under which the service stands, such as /shelf; $SHELFMARK_ROOT_PATH.",
)  # fmt: skip


def without_empty(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the values of an option that may be given several times; an empty one is none."""
    return tuple(value for value in values if value)
