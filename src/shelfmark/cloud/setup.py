"""Sets a Google Cloud project up by gcloud commands; what exists already stays unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from shelfmark.cloud import gcloud
from shelfmark.cloud.account import Account
from shelfmark.cloud.gcloud import Command
from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.core.project import project_folder
from shelfmark.errors import ShelfmarkError

FOLDER = project_folder("cloud")
REPOSITORY = "shelfmark"
SECRET = "wandb-api-key"  # noqa: S105 - its name in Secret Manager
APIS = ("aiplatform", "artifactregistry", "cloudbuild", "iamcredentials", "monitoring", "run",
        "secretmanager", "storage")  # fmt: skip
ACCOUNTS = {
    "train": "trains: reads data, writes models and runs",
    "serve": "runs the service: reads models",
    "build": "builds, tests and deploys the images",
    "read": "shows pull requests what a change of the data or of the model means",
}
ACCOUNT = ["iam", "service-accounts"]
GITHUB = "https://token.actions.githubusercontent.com"


@dataclass(frozen=True)
class Step:
    """One resource of the project.

    Args:
        what: its name for a person.
        create: the command that creates it.
        describe: the command that describes it if it exists; None where creating it twice does no
            harm.
        reads_secret: whether `create` reads a secret from standard input.
    """

    what: str
    create: Command
    describe: Command | None = None
    reads_secret: bool = False


def make_account(project: str, region: str, bucket: str) -> Account:
    """Return the account with these names, its repository and its service account.

    Raises:
        ShelfmarkError: one of the names is invalid.
    """
    names = {"project": project, "region": region, "bucket": bucket, "repository": REPOSITORY}
    try:
        ours = Account.model_validate(names)
    except ValidationError as error:
        first = first_problem(error)
        option, reason = first["loc"][0], describe_problem(first)
        raise ShelfmarkError(f"--{option} {first['input']}: {reason}") from error
    return ours.model_copy(update={"service_account": service_account_email(ours, "train")})


def service_account_email(account: Account, role: str) -> str:
    """Return the address of a service account, given a key of `ACCOUNTS`."""
    return f"shelfmark-{role}@{account.project}.iam.gserviceaccount.com"


def plan_steps(
    ours: Account, *, number: str = "", github: str = "", channel: str = "", secret: bool = False
) -> list[Step]:
    """Return the resources that the project needs, in the order in which they can be created.

    Args:
        ours: the account, with project, region and bucket.
        number: the project's number, for `github`.
        github: OWNER/REPOSITORY whose workflows may sign in without a key; empty to disable.
        channel: the notification channel of the alerts; empty to disable.
        secret: whether Secret Manager is to hold W&B's key.

    Raises:
        ShelfmarkError: `github` is not the name of a repository.
    """
    project = f"--project={ours.project}"
    apis = [f"{api}.googleapis.com" for api in APIS]
    return [
        Step("APIs", ["services", "enable", *apis, project]),
        *_storage(ours, project),
        *_accounts(ours, project),
        *_roles(ours, project),
        *(_secret(ours, project) if secret else ()),
        *(_github(ours, project, number, github) if github else ()),
        *_monitoring(project, channel),
    ]


def _accounts(ours: Account, project: str) -> Iterator[Step]:
    for role, what in ACCOUNTS.items():
        yield Step(
            f"service account {role}",
            [*ACCOUNT, "create", f"shelfmark-{role}", f"--display-name={what}", project],
            [*ACCOUNT, "describe", service_account_email(ours, role), project],
        )


def _storage(ours: Account, project: str) -> Iterator[Step]:
    bucket, place = f"gs://{ours.bucket}", f"--location={ours.region}"
    yield Step(
        f"bucket {ours.bucket}",
        ["storage", "buckets", "create", bucket, place, project,
         "--uniform-bucket-level-access", "--public-access-prevention"],
        ["storage", "buckets", "describe", bucket, project],
    )  # fmt: skip
    repository = ["artifacts", "repositories"]
    yield Step(
        f"repository {REPOSITORY}",
        [*repository, "create", REPOSITORY, "--repository-format=docker", place, project],
        [*repository, "describe", REPOSITORY, place, project],
    )


def _roles(ours: Account, project: str) -> Iterator[Step]:
    """Yield the fewest roles that each service account needs; granting twice changes nothing."""
    bucket = ["storage", "buckets", "add-iam-policy-binding", f"gs://{ours.bucket}", project]
    whole = ["projects", "add-iam-policy-binding", str(ours.project)]
    repository = ["artifacts", "repositories", "add-iam-policy-binding", REPOSITORY,
                  f"--location={ours.region}", project]  # fmt: skip
    builds = f"projects/_/buckets/{ours.bucket}/objects/builds/"
    only = f'--condition=title=builds,expression=resource.name.startsWith("{builds}")'
    always = "--condition=None"
    grants: list[tuple[str, Command, str, list[str]]] = [
        ("train", bucket, "storage.objectUser", [always]),
        ("train", whole, "logging.logWriter", [always]),
        ("serve", bucket, "storage.objectViewer", [always]),
        ("serve", whole, "monitoring.metricWriter", [always]),
        ("read", bucket, "storage.objectViewer", [always]),
        ("build", bucket, "storage.legacyBucketReader", [always]),
        ("build", bucket, "storage.objectViewer", [always]),
        ("build", bucket, "storage.objectUser", [only]),
        ("build", repository, "artifactregistry.writer", []),
        ("build", whole, "cloudbuild.builds.editor", [always]),
        ("build", whole, "logging.logWriter", [always]),
        ("build", whole, "run.developer", [always]),
        ("build", whole, "run.invoker", [always]),
        ("build", _act_as(ours, "serve", project), "iam.serviceAccountUser", []),
        ("build", _act_as(ours, "build", project), "iam.serviceAccountUser", []),
    ]
    for role, where, name, more in grants:
        member = f"--member=serviceAccount:{service_account_email(ours, role)}"
        yield Step(f"{role} has {name}", [*where, member, f"--role=roles/{name}", *more])


def _act_as(ours: Account, role: str, project: str) -> Command:
    return [*ACCOUNT, "add-iam-policy-binding", service_account_email(ours, role), project]


def _secret(ours: Account, project: str) -> Iterator[Step]:
    from_stdin = ["--data-file=-", project]
    yield Step(
        f"secret {SECRET}",
        ["secrets", "create", SECRET, "--replication-policy=automatic", *from_stdin],
        ["secrets", "describe", SECRET, project],
        reads_secret=True,
    )
    yield Step(
        f"train reads {SECRET}",
        ["secrets", "add-iam-policy-binding", SECRET, project,
         f"--member=serviceAccount:{service_account_email(ours, 'train')}",
         "--role=roles/secretmanager.secretAccessor"],
    )  # fmt: skip


def _github(ours: Account, project: str, number: str, github: str) -> Iterator[Step]:
    """Yield the sign-in of GitHub's workflows: main may build and deploy, every branch may read."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", github):
        raise ShelfmarkError(f"--github {github}: not of the form OWNER/REPOSITORY")
    pools = ["iam", "workload-identity-pools"]
    pool = [*pools, "create", "github", "--location=global", project]
    yield Step("GitHub's pool", pool, [*pools, "describe", *pool[3:]])
    provider = ["github", "--workload-identity-pool=github", "--location=global", project]
    yield Step(
        f"GitHub's provider, {github} alone",
        [*pools, "providers", "create-oidc", *provider, f"--issuer-uri={GITHUB}",
         "--attribute-mapping=google.subject=assertion.sub,attribute.ref=assertion.ref,"
         "attribute.repository=assertion.repository",
         f"--attribute-condition=assertion.repository=='{github}'"],
        [*pools, "providers", "describe", *provider],
    )  # fmt: skip
    principals = f"principalSet://iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/github"
    for role, who in (
        ("build", f"{principals}/attribute.ref/refs/heads/main"),
        ("read", f"{principals}/attribute.repository/{github}"),
    ):
        yield Step(
            f"workflows act as {role}",
            [*_act_as(ours, role, project), f"--member={who}",
             "--role=roles/iam.workloadIdentityUser"],
        )  # fmt: skip


def _monitoring(project: str, channel: str) -> Iterator[Step]:
    """Yield the alerts and the dashboard; each is found again by its display name."""
    # Alpha, because the older gcloud has no other; newer ones have both.
    notify = [f"--notification-channels={channel}"] if channel else []
    policies = ["alpha", "monitoring", "policies"]
    for file in sorted((FOLDER / "alerts").glob("*.json")):
        name = f"displayName='Shelfmark: {file.stem.replace('_', ' ')}'"
        yield Step(
            f"alert {file.stem}",
            [*policies, "create", f"--policy-from-file={file}", *notify, project],
            [*policies, "list", f"--filter={name}", "--format=value(name)", project],
        )
    dashboards = ["monitoring", "dashboards"]
    yield Step(
        "dashboard",
        [*dashboards, "create", f"--config-from-file={FOLDER / 'dashboard.json'}", project],
        [*dashboards, "list", "--filter=displayName=Shelfmark", "--format=value(name)", project],
    )


def as_script(steps: list[Step]) -> str:
    """Return the commands as a shell script, each after the check for its resource."""
    lines = []
    for step in steps:
        unless = f"{gcloud.as_shell(step.describe)} || " if step.describe else ""
        lines += [f"# {step.what}", f"{unless}{gcloud.as_shell(step.create)}"]
    return "\n".join(lines)


def apply(steps: list[Step], secret: str, report: Callable[[str], None]) -> None:
    """Create what is missing, one step after the other; a second call continues a stopped one.

    Args:
        steps: as `plan_steps` returns them.
        secret: what a step with `reads_secret` reads.
        report: receives one line for each step.

    Raises:
        ShelfmarkError: gcloud refuses a step; the earlier ones stay.
    """
    for step in steps:
        if step.describe and gcloud.run_or_none(step.describe):
            report(f"exists  {step.what}")
            continue
        gcloud.run(step.create, secret if step.reads_secret else None)
        report(f"{'created' if step.describe else 'applied'} {step.what}")
