"""The commands that prepare a project and put the service into it, which tasks.py takes in."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.tasks import task

DRY = {"dry_run": "print the commands and run none"}
WITHOUT = "docker run and inv serve work as they are"


@task(
    name="cloud-init",
    help={
        "project": "id of the Google Cloud project, which exists already",
        "region": "where everything is, as europe-west4",
        "bucket": "name of the bucket for data, models and runs, without gs://",
        "github": "OWNER/REPOSITORY whose workflows may sign in without a key",
        "channel": "notification channel of the alerts, projects/…/notificationChannels/…",
        "wandb_key": "keep W&B's key, read from standard input, in Secret Manager",
        **DRY,
    },
)
def cloud_init(
    c: Context,
    project: str,
    region: str,
    bucket: str,
    github: str = "",
    channel: str = "",
    wandb_key: bool = False,
    dry_run: bool = False,
) -> None:
    """Make bucket, repository, service accounts, secrets and alerts; what is there stays."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the same command goes on from what was made"):
        from shelfmark.cloud import account, gcloud
        from shelfmark.cloud import setup as init
        from shelfmark.data import dvc as versioning

        ours = init.account_of(project, region, bucket)
        number = "PROJECT_NUMBER"
        if not dry_run:
            gcloud.require(WITHOUT)
            number = gcloud.run(["projects", "describe", project, "--format=value(projectNumber)"])
        needed = init.steps(ours, number=number, github=github, channel=channel, secret=wandb_key)
        if dry_run:
            print(init.listed(needed))
            return
        init.carry_out(needed, sys.stdin.read().strip() if wandb_key else "", print)
        account.write(ours)
        remote = versioning.set_remote(bucket, init.FOLDER.parent)
        print(f"{account.FILE.name} and {remote.name} filled in; commit them, they hold no secret")


@task(
    help={
        "version": "model in the bucket, or an alias; `production` when not given",
        "image": "of the service, by digest or tag; the one of this commit when not given",
        **DRY,
    }
)
def deploy(c: Context, version: str = "production", image: str = "", dry_run: bool = False) -> None:
    """Start a revision without traffic, try it, then move the traffic to it."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the traffic stays where it was"):
        if dry_run:
            _show("deploy", version, image)
        else:
            print(_with_account("deploy", version, image), "has the traffic")


@task(
    help={
        "version": "model in the bucket to deploy, or an alias",
        "deploy": "put it into service too; with --no-deploy, build, try and push alone",
        **DRY,
    }
)
def build(
    c: Context, version: str = "production", deploy: bool = True, dry_run: bool = False
) -> None:
    """Build, try and push both images of this commit in Cloud Build, then deploy."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the build goes on; gcloud builds cancel ends it"):
        if dry_run:
            _show("build", version, deploy)
        else:
            print(_with_account("build", version, deploy))


@task(help=DRY)
def rollback(c: Context, dry_run: bool = False) -> None:
    """Give the traffic back to the revision before; again, to the newer one."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the traffic stays where it was"):
        if dry_run:
            _show("rollback")
        else:
            print(_with_account("rollback"), "has the traffic")


def _with_account(name: str, *arguments: str | bool) -> str:
    from shelfmark.cloud import account, gcloud

    ours = account.read()
    account.require(ours, "project", "region", "bucket", "repository", without=WITHOUT)
    gcloud.require(WITHOUT)
    from shelfmark.cloud import deploy  # with the libraries of models, so only now

    done: str = getattr(deploy, name)(ours, *arguments)
    return done


def _show(name: str, *arguments: str | bool) -> None:
    """Print the commands of a task; names that are missing stand in them in capitals."""
    from shelfmark.cloud import account, deploy, gcloud

    commands = getattr(deploy, f"{name}_commands")(account.spelt_out(account.read()), *arguments)
    print("\n".join(gcloud.typed(command) for command in commands))
