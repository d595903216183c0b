"""Deploys an image and a model: a revision without traffic, its check, then the traffic."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from string import Template
from typing import Any

import yaml
from loguru import logger

from shelfmark.artifacts.aliases import PRODUCTION
from shelfmark.cloud import gcloud
from shelfmark.cloud.account import Account
from shelfmark.cloud.gcloud import Command
from shelfmark.cloud.setup import service_account_email
from shelfmark.config.schema import VERSION
from shelfmark.core.project import ROOT
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import CARD
from shelfmark.service import probe
from shelfmark.training import train

SERVICE = ROOT / "cloud" / "service.yaml"
DOCKERFILE = ROOT / "dockerfiles" / "api.dockerfile"
NAME = "shelfmark"
CANDIDATE, PREVIOUS = "candidate", "previous"  # the tags of revisions
DIGEST = "@sha256:"


def deploy(ours: Account, model: str = PRODUCTION, image: str = "") -> str:
    """Start a revision without traffic, check it, and move the traffic to it.

    Args:
        ours: the account, complete.
        model: a version in the bucket's models/, or an alias there, a file that names a version.
        image: by its digest or a tag; by default the image of the commit checked out here.

    Returns:
        The name of the revision that serves now.

    Raises:
        ShelfmarkError: the model or the image is missing, or the revision fails its check. The
            traffic stays where it was.
    """
    model = resolve_version(ours, model)
    image = pin_image(ours, image or _image_of_commit(ours))
    before = serving_revision(describe_service(ours))
    document = render_service(ours, model, image, before)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "service.json")
        file.write_text(json.dumps(document), encoding="utf-8")
        service = gcloud.run_json(_replace(ours, str(file)))
    revision = str(service["status"]["latestCreatedRevisionName"])
    logger.info("{} started, without traffic", revision)
    try:
        category = probe.check_service(
            revision_url(service, CANDIDATE), _token(service["status"]["url"])
        )
    except ShelfmarkError as error:
        stays = f"the traffic stays with {before}" if before else "there was no revision before it"
        raise ShelfmarkError(f"{revision} fails its check: {error}; {stays}") from error
    logger.info("{} is ready and answers: {}", revision, category)
    gcloud.run(_move(ours, revision, before))
    return revision


def deploy_commands(ours: Account, model: str = PRODUCTION, image: str = "") -> list[Command]:
    """Return the commands of `deploy`, with capitals for values that only their outputs give."""
    return [
        _cat(ours, model),
        _cat(ours, f"{model}/{CARD}"),
        _digest(ours, image or _image_of_commit(ours)),
        _describe(ours),
        _replace(ours, "FILE"),
        _move(ours, "NEW_REVISION", "REVISION_NOW"),
    ]


def rollback_commands(ours: Account) -> list[Command]:
    """Return the commands of `rollback`, with capitals for values that only their outputs give."""
    return [_describe(ours), _move(ours, "REVISION_BEFORE", "REVISION_NOW")]


def build(ours: Account, model: str = PRODUCTION, deploy: bool = True, gpu: bool = False) -> str:
    """Send this checkout to Cloud Build, which runs cloudbuild.yaml, and wait for its end.

    Args:
        ours: the account, complete.
        model: as `deploy` takes it.
        deploy: whether to deploy the service's image.
        gpu: whether to build the image for trainings on a GPU too, which has several gigabytes.

    Returns:
        The service's image.

    Raises:
        ShelfmarkError: this is no git checkout, or the build fails.
    """
    [command] = build_commands(ours, model, deploy, gpu)
    gcloud.run_visible(command)
    return _image_of_commit(ours)


def build_commands(
    ours: Account, model: str = PRODUCTION, deploy: bool = True, gpu: bool = False
) -> list[Command]:
    """Return the command that sends the checkout, run as the account that may build.

    Raises:
        ShelfmarkError: this is no git checkout.
    """
    commit = train.git_commit()
    if commit is None:
        raise ShelfmarkError("no commit to name the images by: build from a git checkout")
    filled = {
        "_COMMIT": commit,
        "_REGION": ours.region,
        "_REPOSITORY": ours.repository,
        "_MODEL": model,
        "_DEPLOY": str(deploy).lower(),
        "_GPU": str(gpu).lower(),
    }
    builder = service_account_email(ours, "build")
    return [[
        "builds", "submit", str(ROOT), f"--config={ROOT / 'cloudbuild.yaml'}",
        f"--service-account=projects/{ours.project}/serviceAccounts/{builder}",
        f"--gcs-source-staging-dir=gs://{ours.bucket}/builds",
        "--substitutions=" + ",".join(f"{name}={value}" for name, value in filled.items()),
        *_where(ours),
    ]]  # fmt: skip


def rollback(ours: Account) -> str:
    """Move the traffic back to the previous revision; a second call moves it to the newer one.

    Returns:
        The name of the revision that serves now.

    Raises:
        ShelfmarkError: there is no previous revision.
    """
    service = describe_service(ours)
    now = serving_revision(service)
    before = tagged_traffic(service, PREVIOUS).get("revisionName")
    if not before or before == now:
        raise ShelfmarkError(f"no revision before {now or 'the first'} to go back to")
    gcloud.run(_move(ours, before, now))
    return str(before)


def resolve_version(ours: Account, model: str) -> str:
    """Return the version that a name or an alias in the bucket stands for.

    Raises:
        ShelfmarkError: there is no such model, or it was trained with another Python than the
            image has.
    """
    models = f"gs://{ours.bucket}/models"
    named, model = model, gcloud.run_or_none(_cat(ours, model)) or model
    if not re.fullmatch(VERSION, model):
        raise ShelfmarkError(f"{model}: not the name of a version")
    card = gcloud.run_or_none(_cat(ours, f"{model}/{CARD}"))
    if card is None and named == model == PRODUCTION:
        raise ShelfmarkError(
            f"{models} has no {PRODUCTION}: shelfmark promote VERSION --models {models} names one"
        )
    if card is None:
        raise ShelfmarkError(
            f"no model {model} in {models}: "
            f"gcloud storage cp --recursive models/{model} {models}/ brings one"
        )
    try:
        made_with = str(json.loads(card)["versions"]["python"])
    except (ValueError, LookupError, TypeError) as error:
        raise ShelfmarkError(f"{models}/{model}/{CARD}: damaged ({error})") from error
    if made_with != (here := image_python()):
        raise ShelfmarkError(
            f"model {model} was trained with Python {made_with}, the image has {here}: "
            f"train it in the training image, or change the base image in dockerfiles/"
        )
    return model


def image_python() -> str:
    """Return the minor version of Python in the service's image."""
    match = re.search(r"^FROM python:(\d+\.\d+)", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    assert match, DOCKERFILE
    return match[1]


def image_registry(ours: Account) -> str:
    """Return the address of the images' repository."""
    return f"{ours.region}-docker.pkg.dev/{ours.project}/{ours.repository}"


def pin_image(ours: Account, image: str) -> str:
    """Return an image by its digest.

    Raises:
        ShelfmarkError: there is no such image.
    """
    if DIGEST in image:
        return image
    digest = gcloud.run_or_none(_digest(ours, image))
    if not digest:
        raise ShelfmarkError(f"no image {image}: push this commit, and the build makes it")
    return f"{image.rpartition(':')[0]}@{digest}"


def render_service(ours: Account, model: str, image: str, before: str | None) -> dict[str, Any]:
    """Return the service with the new revision under a tag, and the traffic where it was."""
    text = Template(SERVICE.read_text(encoding="utf-8")).substitute(
        project=ours.project,
        bucket=ours.bucket,
        image=image,
        model=model,
        service_account=service_account_email(ours, "serve"),
    )
    document: dict[str, Any] = yaml.safe_load(text)
    new = {"latestRevision": True, "tag": CANDIDATE}
    document["spec"]["traffic"] = (
        [{"revisionName": before, "percent": 100}, {**new, "percent": 0}]
        if before
        else [{**new, "percent": 100}]
    )
    return document


def describe_service(ours: Account) -> dict[str, Any] | None:
    """Return the service as gcloud describes it, None if it does not exist yet."""
    text = gcloud.run_or_none([*_describe(ours), "--format=json"])
    return json.loads(text) if text else None


def serving_revision(service: dict[str, Any] | None) -> str | None:
    """Return the revision that has most of the traffic, None if there is no revision."""
    shares = service["status"].get("traffic", []) if service else []
    ranked = sorted((share for share in shares if share.get("percent")), key=_percent)
    return str(ranked[-1]["revisionName"]) if ranked else None


def _percent(share: dict[str, Any]) -> int:
    return int(share["percent"])


def tagged_traffic(service: dict[str, Any] | None, tag: str) -> dict[str, Any]:
    """Return the entry of the service's traffic that has a tag, empty if there is no such entry."""
    shares = service["status"].get("traffic", []) if service else []
    return next((share for share in shares if share.get("tag") == tag), {})


def revision_url(service: dict[str, Any], tag: str) -> str:
    """Return the address of a tagged revision, which answers also without traffic."""
    return str(tagged_traffic(service, tag).get("url") or service["status"]["url"])


def _image_of_commit(ours: Account) -> str:
    return f"{image_registry(ours)}/api:{train.git_commit()}"


def _cat(ours: Account, path: str) -> Command:
    return ["storage", "cat", f"gs://{ours.bucket}/models/{path}"]


def _digest(ours: Account, image: str) -> Command:
    return ["artifacts", "docker", "images", "describe", image,
            "--format=value(image_summary.digest)", f"--project={ours.project}"]  # fmt: skip


def _describe(ours: Account) -> Command:
    return ["run", "services", "describe", NAME, *_where(ours)]


def _replace(ours: Account, file: str) -> Command:
    return ["run", "services", "replace", file, *_where(ours)]


def _move(ours: Account, to: str, before: str | None) -> Command:
    tags = f"--set-tags={PREVIOUS}={before}" if before else "--clear-tags"
    return ["run", "services", "update-traffic", NAME, f"--to-revisions={to}=100", tags,
            *_where(ours)]  # fmt: skip


def _where(ours: Account) -> list[str]:
    return [f"--region={ours.region}", f"--project={ours.project}"]


def _token(audience: str) -> str:
    """Return a token for this account's requests to the service; a person's takes no audience."""
    command = ["auth", "print-identity-token"]
    for more in ([f"--audiences={audience}"], []):
        try:
            return gcloud.run([*command, *more])
        except ShelfmarkError as error:
            logger.debug("{}", error)
    return ""  # a public service
