"""The command `shelfmark`, with a subcommand for everything a user does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

import shelfmark as package
from shelfmark.cli import (
    cloud,
    completion,
    deploy,
    drift,
    encoders,
    evaluate,
    predict,
    search,
    serve,
    training,
)
from shelfmark.cli.parsing.command import run

TOPICS = (
    training, evaluate, predict, encoders, search, serve, drift, cloud, deploy, completion
)  # fmt: skip


class Commands(click.Group):
    """The commands, in the order in which they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the topics."""
        return list(self.commands)


@click.group(
    cls=Commands,
    commands=[command for topic in TOPICS for command in topic.COMMANDS],
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package.__version__, prog_name="shelfmark")
@click.pass_context
def shelfmark(ctx: click.Context) -> None:
    """Classify arXiv papers: train, evaluate, serve and monitor a model."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with the arguments of the process, or others, and end with its status."""
    sys.exit(run(shelfmark, arguments, "shelfmark"))
