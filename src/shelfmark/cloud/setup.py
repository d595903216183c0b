"""What a project needs before anything runs in it, as gcloud commands; those that are done stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from shelfmark.cloud import gcloud
from shelfmark.cloud.account import Account
from shelfmark.cloud.gcloud import Command
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
    """One thing of the project.

    Args:
        what: its name for a person.
        make: the command that makes it.
        there: the command that tells of it if it is there; none where making it twice does no harm.
        secret: whether `make` reads a secret from standard input.
    """

    what: str
    make: Command
    there: Command | None = None
    secret: bool = False


def account_of(project: str, region: str, bucket: str) -> Account:
    """Return the account that these names make.

    Raises:
        ShelfmarkError: one of them cannot be such a name.
    """
    names = {"project": project, "region": region, "bucket": bucket, "repository": REPOSITORY}
    try:
        ours = Account.model_validate(names)
    except ValidationError as error:
        first = error.errors()[0]
        raise ShelfmarkError(f"--{first['loc'][0]} {first['input']}: {first['msg']}") from error
    return ours.model_copy(update={"service_account": email(ours, "train")})


def email(account: Account, role: str) -> str:
    """Return the address of one of the service accounts."""
    return f"shelfmark-{role}@{account.project}.iam.gserviceaccount.com"


def steps(
    ours: Account, *, number: str = "", github: str = "", channel: str = "", secret: bool = False
) -> list[Step]:
    """Return what the project needs, in the order in which it can be made.

    Args:
        ours: the account, with project, region and bucket.
        number: the project's number, for `github`.
        github: OWNER/REPOSITORY whose workflows may sign in without a key; none: no such way.
        channel: the notification channel that alerts tell.
        secret: whether W&B's key is to be kept.

    Raises:
        ShelfmarkError: `github` is no repository's name.
    """
    project = f"--project={ours.project}"
    apis = [f"{api}.googleapis.com" for api in APIS]
    return [
        Step("APIs", ["services", "enable", *apis, project]),
        *_places(ours, project),
        *_accounts(ours, project),
        *_roles(ours, project),
        *(_secret(ours, project) if secret else ()),
        *(_github(ours, project, number, github) if github else ()),
        *_watch(project, channel),
    ]


def _accounts(ours: Account, project: str) -> Iterator[Step]:
    for role, what in ACCOUNTS.items():
        yield Step(
            f"service account {role}",
            [*ACCOUNT, "create", f"shelfmark-{role}", f"--display-name={what}", project],
            [*ACCOUNT, "describe", email(ours, role), project],
        )


def _places(ours: Account, project: str) -> Iterator[Step]:
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
    """Yield the least each service account needs; granting twice changes nothing."""
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
        member = f"--member=serviceAccount:{email(ours, role)}"
        yield Step(f"{role} has {name}", [*where, member, f"--role=roles/{name}", *more])


def _act_as(ours: Account, role: str, project: str) -> Command:
    return [*ACCOUNT, "add-iam-policy-binding", email(ours, role), project]


def _secret(ours: Account, project: str) -> Iterator[Step]:
    kept = ["--data-file=-", project]
    yield Step(
        f"secret {SECRET}",
        ["secrets", "create", SECRET, "--replication-policy=automatic", *kept],
        ["secrets", "describe", SECRET, project],
        secret=True,
    )
    yield Step(
        f"train reads {SECRET}",
        ["secrets", "add-iam-policy-binding", SECRET, project,
         f"--member=serviceAccount:{email(ours, 'train')}",
         "--role=roles/secretmanager.secretAccessor"],
    )  # fmt: skip


def _github(ours: Account, project: str, number: str, github: str) -> Iterator[Step]:
    """Yield the way in for workflows: main may build and deploy, every branch may read."""
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
    everyone = f"principalSet://iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/github"
    for role, who in (
        ("build", f"{everyone}/attribute.ref/refs/heads/main"),
        ("read", f"{everyone}/attribute.repository/{github}"),
    ):
        yield Step(
            f"workflows act as {role}",
            [*_act_as(ours, role, project), f"--member={who}",
             "--role=roles/iam.workloadIdentityUser"],
        )  # fmt: skip


def _watch(project: str, channel: str) -> Iterator[Step]:
    """Yield the alerts and the dashboard; they are told apart by the name shown to people."""
    # Alpha, because the older gcloud has no other; newer ones have both.
    told = [f"--notification-channels={channel}"] if channel else []
    policies = ["alpha", "monitoring", "policies"]
    for file in sorted((FOLDER / "alerts").glob("*.json")):
        name = f"displayName='Shelfmark: {file.stem.replace('_', ' ')}'"
        yield Step(
            f"alert {file.stem}",
            [*policies, "create", f"--policy-from-file={file}", *told, project],
            [*policies, "list", f"--filter={name}", "--format=value(name)", project],
        )
    dashboards = ["monitoring", "dashboards"]
    yield Step(
        "dashboard",
        [*dashboards, "create", f"--config-from-file={FOLDER / 'dashboard.json'}", project],
        [*dashboards, "list", "--filter=displayName=Shelfmark", "--format=value(name)", project],
    )


def listed(needed: list[Step]) -> str:
    """Return the commands as one would type them, each behind the one that looks first."""
    lines = []
    for step in needed:
        looks = f"{gcloud.typed(step.there)} || " if step.there else ""
        lines += [f"# {step.what}", f"{looks}{gcloud.typed(step.make)}"]
    return "\n".join(lines)


def carry_out(needed: list[Step], secret: str, tell: Callable[[str], None]) -> None:
    """Make what is not there yet, one step after the other; a second call goes on where it stopped.

    Raises:
        ShelfmarkError: gcloud refuses a step; those before it stay.
    """
    for step in needed:
        if step.there and gcloud.found(step.there):
            tell(f"there   {step.what}")
            continue
        gcloud.run(step.make, secret if step.secret else None)
        tell(f"{'made' if step.there else 'settled':7} {step.what}")
