"""The commands that speak to Google Cloud, which tasks.py takes in."""

from __future__ import annotations

import functools

from invoke.context import Context
from invoke.tasks import task

from shelfmark.cli.overrides import OverridesTask, bring, with_choices

bring_cloud = functools.partial(bring, "google.cloud.aiplatform_v1", extra="cloud")
PLACE = {
    "project": "as in configs/cloud/account.yaml",
    "region": "as in configs/cloud/account.yaml",
}
GOES_ON = "the job goes on; inv cancel JOB ends it"


@task(
    klass=OverridesTask,
    help={"dry_run": "print the job's spec and send nothing", "wait": "until the job has ended"},
)
@functools.partial(with_choices, cloud=True)
def submit(c: Context, overrides: list[str], dry_run: bool = False, wait: bool = False) -> None:
    """Send a training to Vertex AI, checked before: inv train's overrides and cloud=vertex_cpu."""
    bring_cloud()
    from shelfmark.cloud import submit as sending
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors(GOES_ON if wait else "look with inv jobs whether it was sent"):
        if dry_run:
            print(sending.show(overrides))
            return
        jobs, job = sending.send(overrides)
        print(job.name)
        if wait:
            jobs.wait(job.name, tell=lambda state: print(state, flush=True))


@task(klass=OverridesTask)
@functools.partial(with_choices, cloud=True)
def preflight(c: Context, overrides: list[str]) -> None:
    """Look whether a job could run: credentials, APIs, bucket, image, machine, quota."""
    bring_cloud()
    from shelfmark.cloud import submit as sending
    from shelfmark.core import console
    from shelfmark.errors import ShelfmarkError

    console.configure_logging()
    with console.one_line_errors():
        chosen = any(word.startswith("cloud=") for word in overrides)
        _, findings = sending.look(overrides if chosen else [*overrides, "cloud=vertex_cpu"])
        marks = {True: "ok", False: "wrong", None: "hint"}
        for finding in findings:
            print(f"{marks[finding.right]:<5}  {finding.what:<7}  {finding.text}")
        if any(finding.right is False for finding in findings):
            raise ShelfmarkError("a job would fail; what is wrong stands above")


@task(help={"count": "how many, the newest first", **PLACE})
def jobs(c: Context, count: int = 20, project: str = "", region: str = "") -> None:
    """List the jobs sent to Vertex AI, with their state."""
    bring_cloud()
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.cloud import vertex

        for job in vertex.opened(project, region).newest(count):
            number, made = job.name.rpartition("/")[2], f"{job.create_time:%Y-%m-%d %H:%M}"
            print(f"{number:<20}  {vertex.state_of(job):<10}  {made}  {job.display_name}")


@task(
    positional=["job"],
    help={"job": "number or full name", "follow": "go on until the job has ended", **PLACE},
)
def logs(c: Context, job: str, follow: bool = False, project: str = "", region: str = "") -> None:
    """Print what a job has written."""
    bring_cloud()
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors(GOES_ON):
        from shelfmark.cloud import logs, vertex

        for line in logs.lines(vertex.opened(project, region, job), job, follow):
            print(f"{line.time}  {line.severity:<8}  {line.text}", flush=True)


@task(positional=["job"], help={"job": "number or full name", **PLACE})
def cancel(c: Context, job: str, project: str = "", region: str = "") -> None:
    """Cancel a job."""
    bring_cloud()
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.cloud import vertex

        vertex.opened(project, region, job).cancel(job)
        print("asked to end; inv jobs shows when it has")
