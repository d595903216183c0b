"""`shelfmark serve`, `promote`, `ship-log` and `load-test`."""

from __future__ import annotations

from pathlib import Path

import click

from shelfmark.cli.extras import require_locust
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, Number, Whole
from shelfmark.cli.parsing.options import (
    LocalPath,
    host_option,
    model_option,
    models_option,
    port_option,
    reports_option,
    root_path_option,
    without_empty,
)


@click.command("serve", cls=Command)
@host_option
@port_option
@click.option("--model", default="", help="Name of a model in the models folder.")
@click.option(
    "--workers", type=Whole(1), default=None,
    help="Server processes; $SHELFMARK_WORKERS if not given, else 1.",
)  # fmt: skip
@root_path_option
def serve(host: str, port: int, model: str, workers: int | None, root_path: str) -> None:
    """Serve the page at /, POST /predict, GET /health, /ready, /model, /metrics, /docs."""
    from shelfmark.service import server

    server.serve(host, port, model, workers or 0, root_path)


@click.command("promote", cls=Command, stopped="nothing was promoted")
@click.argument("version", required=False)
@click.option(
    "--models", default="models", show_default=True,
    help="Folder or bucket (gs://...) of the models that the service loads.",
)  # fmt: skip
@click.option(
    "--alias", default="production", show_default=True,
    help="Alias that the service loads, as in SHELFMARK_MODEL.",
)  # fmt: skip
@click.option("--source", default="", help="Folder of the version to copy to the bucket.")
@reports_option
@click.option(
    "--force", is_flag=True, help="Accept metrics that are worse or cannot be compared."
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check only.")
@click.option("--back", is_flag=True, help="Point the alias back at the previous version.")
def promote(
    version: str | None, models: str, alias: str, source: str, reports: Path, force: bool,
    dry_run: bool, back: bool,
) -> None:  # fmt: skip
    """Point the alias that the service loads at a version, if it passes every check."""
    from shelfmark.errors import ShelfmarkError
    from shelfmark.evaluation import promote

    if bool(version) == back:
        raise ShelfmarkError("name the version, promote VERSION, or go back, promote --back")
    if version is None:
        click.echo(promote.roll_back(models, alias))
        return
    promotion = promote.promote_version(version, models, alias, source, reports, force, dry_run)
    print_table(promotion.table())
    if not promotion.passed:
        raise ShelfmarkError(f"{version} is not promoted: a check failed")


@click.command("ship-log", cls=Command, stopped="the remaining files stay in the folder")
@click.option("--folder", type=LocalPath(), required=True, help="Folder of the prediction log.")
@click.option("--to", required=True, help="Folder or bucket (gs://...) to move to.")
def ship_log(folder: Path, to: str) -> None:
    """Move the closed files of the prediction log to a folder or a bucket."""
    from shelfmark.monitoring import shipping

    click.echo(f"{shipping.ship_log(folder, to)} files moved to {to}")


@click.command("load-test", cls=Command)
@click.option(
    "--url", default="",
    help="URL of a running service (its key in $SHELFMARK_API_KEY); one is started if not given.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, callback=without_empty,
    help="Papers to send, as for predict --file; synthetic if not given.",
)  # fmt: skip
@click.option(
    "--users", type=Whole(1), default=32, show_default=True,
    help="Number of concurrent users.",
)  # fmt: skip
@click.option(
    "--seconds", type=Number(min=0, min_open=True), default=30.0, show_default=True,
    help="Length of each phase.",
)  # fmt: skip
@click.option(
    "--workers", type=Whole(1), default=1, show_default=True,
    help="Worker processes of the started service.",
)  # fmt: skip
@model_option
@models_option
@reports_option
def load_test(
    url: str, files: tuple[str, ...], users: int, seconds: float, workers: int, model: str,
    models: Path, reports: Path,
) -> None:  # fmt: skip
    """Load-test the service; fail if a budget of speed, errors or memory is exceeded."""
    require_locust()
    from shelfmark.experiments.benchmarks.load import run_load_test

    test = run_load_test(url, files, users, seconds, workers, model, str(models), str(reports))
    print_table(test.table())
    click.echo("\n".join(test.summary()))
    test.require_budgets()


COMMANDS = (serve, promote, ship_log, load_test)
