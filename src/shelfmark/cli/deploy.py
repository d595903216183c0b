"""`shelfmark cloud-init`, `build`, `deploy` and `rollback`: the project and its service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from shelfmark.cli.parsing.command import Command

if TYPE_CHECKING:
    from shelfmark.cloud.account import Account

WITHOUT = "docker run and shelfmark serve still work"
STAYS = "the traffic is unchanged"
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the commands without running them."
)


@click.command("cloud-init", cls=Command, stopped="the same command creates what is missing")
@click.option("--project", required=True, help="Id of an existing Google Cloud project.")
@click.option("--region", required=True, help="Region of all resources, as europe-west4.")
@click.option(
    "--bucket", required=True, help="Name of the bucket for data, models and runs, without gs://."
)
@click.option(
    "--github", default="", help="OWNER/REPOSITORY whose workflows may sign in without a key."
)
@click.option(
    "--channel", default="",
    help="Notification channel of the alerts, projects/…/notificationChannels/….",
)  # fmt: skip
@click.option(
    "--wandb-key", is_flag=True,
    help="Store the W&B key, read from standard input, in Secret Manager.",
)  # fmt: skip
@dry_run_option
def cloud_init(
    project: str, region: str, bucket: str, github: str, channel: str, wandb_key: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Create bucket, repository, service accounts, secrets and alerts, if they are missing."""
    from shelfmark.cloud import account, gcloud, setup
    from shelfmark.core.project import checkout
    from shelfmark.data import dvc

    ours = setup.make_account(project, region, bucket)
    number = "PROJECT_NUMBER"
    if not dry_run:
        gcloud.require_login(WITHOUT)
        number = gcloud.run(["projects", "describe", project, "--format=value(projectNumber)"])
    needed = setup.plan_steps(ours, number=number, github=github, channel=channel, secret=wandb_key)
    if dry_run:
        click.echo(setup.as_script(needed))
        return
    setup.apply(needed, sys.stdin.read().strip() if wandb_key else "", click.echo)
    root = checkout()
    if root is None:
        _print_account(ours)
        return
    account.write_account(ours)
    remote = dvc.set_remote(bucket, root)
    click.echo(f"{account.FILE.name} and {remote.name} filled in; commit them, they hold no secret")


@click.command("build", cls=Command, stopped="the build continues; gcloud builds cancel stops it")
@click.option(
    "--version", default="production", show_default=True,
    help="Model in the bucket to deploy, or an alias.",
)  # fmt: skip
@click.option(
    "--deploy/--no-deploy", default=True, show_default=True,
    help="Deploy too; otherwise only build, test and push.",
)  # fmt: skip
@click.option(
    "--gpu", is_flag=True, help="Build, test and push the image for trainings on a GPU too."
)
@dry_run_option
def build(version: str, deploy: bool, gpu: bool, dry_run: bool) -> None:
    """Build, test and push the images of this commit in Cloud Build, then deploy."""
    if dry_run:
        _print_commands("build", version, deploy, gpu)
    else:
        click.echo(_with_account("build", version, deploy, gpu))


@click.command("deploy", cls=Command, stopped=STAYS)
@click.option(
    "--version", default="production", show_default=True, help="Model in the bucket, or an alias."
)
@click.option(
    "--image", default="",
    help="Image of the service, by digest or tag; that of this commit if not given.",
)  # fmt: skip
@dry_run_option
def deploy(version: str, image: str, dry_run: bool) -> None:
    """Start a revision without traffic, check it, then move the traffic to it."""
    if dry_run:
        _print_commands("deploy", version, image)
    else:
        click.echo(f"{_with_account('deploy', version, image)} has the traffic")


@click.command("rollback", cls=Command, stopped=STAYS)
@dry_run_option
def rollback(dry_run: bool) -> None:
    """Move the traffic back to the previous revision; again, to the newer one."""
    if dry_run:
        _print_commands("rollback")
    else:
        click.echo(f"{_with_account('rollback')} has the traffic")


def _print_account(ours: Account) -> None:
    """Print the overrides that replace the file of the account, which only a checkout has."""
    values = ours.model_dump(mode="json", exclude_none=True).items()
    words = " ".join(f"cloud.{key}={value}" for key, value in values)
    click.echo(f"the project is ready; with submit and preflight, type {words}")


def _require_checkout(name: str) -> None:
    from shelfmark.core.project import checkout
    from shelfmark.errors import ShelfmarkError

    if checkout() is None:
        raise ShelfmarkError(f"{name} needs a checkout of Shelfmark, whose commit it deploys")


def _with_account(name: str, *arguments: str | bool) -> str:
    from shelfmark.cloud import account, gcloud

    _require_checkout(name)
    ours = account.read_account()
    account.require_keys(ours, "project", "region", "bucket", "repository", without=WITHOUT)
    gcloud.require_login(WITHOUT)
    from shelfmark.cloud import deploy  # with the libraries of models, so only now

    result: str = getattr(deploy, name)(ours, *arguments)
    return result


def _print_commands(name: str, *arguments: str | bool) -> None:
    """Print the commands of a task; missing names stand in them in capitals."""
    from shelfmark.cloud import account, deploy, gcloud

    _require_checkout(name)
    ours = account.with_placeholders(account.read_account())
    commands = getattr(deploy, f"{name}_commands")(ours, *arguments)
    click.echo("\n".join(gcloud.as_shell(command) for command in commands))


COMMANDS = (cloud_init, build, deploy, rollback)
