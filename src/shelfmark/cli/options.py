"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

model_option = click.option(
    "--model", default="latest", show_default=True, help="Name of a model in the models folder."
)
models_option = click.option(
    "--models", type=Path, default="models", show_default=True, help="Folder of the models."
)
reports_option = click.option(
    "--reports", type=Path, default="reports", show_default=True, help="Folder of the reports."
)
host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), default=0,
    help="Port to listen on; $PORT if not given, else 8000.",
)  # fmt: skip
root_path_option = click.option(
    "--root-path", default="",
    help="Path of a proxy under which the service stands, such as /shelf; $SHELFMARK_ROOT_PATH.",
)  # fmt: skip
