"""`shelfmark submit`, `preflight`, `jobs`, `logs` and `cancel`: trainings on Vertex AI."""

from __future__ import annotations

import click

from shelfmark.cli.extras import require_extra
from shelfmark.cli.parsing.command import Command, Whole
from shelfmark.cli.parsing.overrides import OverridesCommand, cloud_overrides_argument

CONTINUES = "the job continues; shelfmark cancel JOB ends it"
project_option = click.option(
    "--project", default="", help="By default that of configs/cloud/account.yaml."
)
region_option = click.option(
    "--region", default="", help="By default that of configs/cloud/account.yaml."
)
encoder_option = click.option(
    "--encoder", is_flag=True, help="Train an encoder, as train-encoder does, instead of a model."
)
job_argument = click.argument("job", metavar="JOB")


def require_cloud() -> None:
    """Check that Google's libraries are installed."""
    require_extra("google.cloud.aiplatform_v1", "cloud")


@click.command(
    "submit",
    cls=OverridesCommand,
    cloud=True,
    stopped="shelfmark jobs shows whether the job was submitted",
)
@cloud_overrides_argument
@encoder_option
@click.option("--dry-run", is_flag=True, help="Print the job's spec and send nothing.")
@click.option("--wait", is_flag=True, help="Wait until the job has ended.")
def submit(overrides: tuple[str, ...], encoder: bool, dry_run: bool, wait: bool) -> None:
    """Check a training and submit it to Vertex AI.

    The overrides are those of train, or with --encoder those of train-encoder, and
    cloud=vertex_cpu or cloud=vertex_gpu. It prints the full name of the job, which logs and cancel
    take as JOB.
    """
    require_cloud()
    from shelfmark.cloud.submit import preview, send_job
    from shelfmark.config.trainings import training_kind
    from shelfmark.core import console

    kind = training_kind(encoder)
    if dry_run:
        click.echo(preview(overrides, kind))
        return
    jobs, job = send_job(overrides, kind=kind)
    click.echo(job.name)
    if wait:
        with console.one_line_errors(CONTINUES):
            jobs.wait(job.name, on_change=click.echo)


@click.command("preflight", cls=OverridesCommand, cloud=True)
@cloud_overrides_argument
@encoder_option
def preflight(overrides: tuple[str, ...], encoder: bool) -> None:
    """Check whether a job could run: credentials, APIs, bucket, image, machine, quota."""
    require_cloud()
    from shelfmark.cloud import submit
    from shelfmark.config.trainings import training_kind
    from shelfmark.errors import ShelfmarkError

    chosen = any(word.startswith("cloud=") for word in overrides)
    words = overrides if chosen else (*overrides, "cloud=vertex_cpu")
    _, findings = submit.preflight(words, training_kind(encoder))
    marks = {True: "ok", False: "wrong", None: "hint"}
    for finding in findings:
        click.echo(f"{marks[finding.right]:<5}  {finding.what:<7}  {finding.text}")
    if any(finding.right is False for finding in findings):
        raise ShelfmarkError("a job would fail; see the findings above")


@click.command("jobs", cls=Command)
@click.option(
    "--count", type=Whole(1), default=20, show_default=True,
    help="Number of jobs, the newest first.",
)  # fmt: skip
@project_option
@region_option
def jobs(count: int, project: str, region: str) -> None:
    """List the jobs on Vertex AI with their states."""
    require_cloud()
    from shelfmark.cloud import vertex

    for job in vertex.open_jobs(project, region).list_newest(count):
        number, made = job.name.rpartition("/")[2], f"{job.create_time:%Y-%m-%d %H:%M}"
        click.echo(f"{number:<20}  {vertex.job_state(job):<10}  {made}  {job.display_name}")


@click.command("logs", cls=Command, stopped=CONTINUES)
@job_argument
@click.option("--follow", is_flag=True, help="Follow the log until the job ends.")
@project_option
@region_option
def logs(job: str, follow: bool, project: str, region: str) -> None:
    """Print the log of a job; JOB is its number or full name."""
    require_cloud()
    from shelfmark.cloud import vertex

    for line in vertex.stream_logs(vertex.open_jobs(project, region, job), job, follow):
        click.echo(f"{line.time}  {line.severity:<8}  {line.text}")


@click.command("cancel", cls=Command)
@job_argument
@project_option
@region_option
def cancel(job: str, project: str, region: str) -> None:
    """Cancel a job; JOB is its number or full name."""
    require_cloud()
    from shelfmark.cloud import vertex

    vertex.open_jobs(project, region, job).cancel(job)
    click.echo("asked to end; shelfmark jobs shows when it has")


COMMANDS = (submit, preflight, jobs, logs, cancel)
