"""From what is typed behind `inv submit` to a job: looked at, checked, sent and waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loguru import logger

from shelfmark.cloud import account, digests, preflight, rest, spec, submission
from shelfmark.cloud.submission import CloudConfig, Submission
from shelfmark.cloud.vertex import Jobs, Patience, console
from shelfmark.errors import ShelfmarkError

IMAGE = "train:latest"
UNKNOWN = "0" * 64  # stands for a digest that only the registry knows


def show(overrides: Sequence[str]) -> str:
    """Return the spec that would be sent, without a request to anyone; needs no account.

    What is still missing stands in it in capitals, and is told on standard error.

    Raises:
        ShelfmarkError: the overrides, or the spec they come to, are wrong.
    """
    wanted = submission.read(overrides)
    lacking = _lacking(wanted.cloud)
    filled = wanted.cloud.model_copy(update={key: key.upper() for key in lacking})
    image = image_of(filled)
    if wanted.cloud.image:
        digests.parsed(image)
    named, _, digest = image.partition("@")
    if not digest:
        named, _, tag = image.rpartition(":")
        logger.info("DIGEST becomes that of the tag {} when the job is sent", tag)
    values = spec.fields(replace(wanted, cloud=filled), f"{named}@{digest or f'sha256:{UNKNOWN}'}")
    if lacking:
        logger.warning("still missing: {}; inv cloud-init fills them in", ", ".join(lacking))
    return spec.shown(spec.build(values)).replace(UNKNOWN, "DIGEST")


def look(overrides: Sequence[str]) -> tuple[Submission, list[preflight.Finding]]:
    """Check everything about a job, and return it with what was found.

    Raises:
        ShelfmarkError: the overrides are wrong, or an account or credentials are missing.
    """
    wanted = submission.read(overrides)
    lacking = _lacking(wanted.cloud)
    account.require(wanted.cloud, *lacking, without=rest.WITHOUT)
    return wanted, preflight.check(wanted, image_of(wanted.cloud))


def send(overrides: Sequence[str], patience: Patience | None = None) -> tuple[Jobs, Any]:
    """Check a job and send it; return it, and where it is looked at.

    Raises:
        ShelfmarkError: something is missing or wrong, or Vertex AI refuses it.
    """
    wanted, findings = look(overrides)
    wrong = [finding for finding in findings if finding.right is False]
    if wrong:
        told = "; ".join(f"{finding.what}: {finding.text}" for finding in wrong)
        raise ShelfmarkError(f"not sent: {told}")
    for finding in findings:
        if finding.right is None:
            logger.warning("{}: {}", finding.what, finding.text)
    image = digests.resolved(rest.session(), image_of(wanted.cloud))
    job = spec.build(spec.fields(wanted, image))
    jobs = Jobs(wanted.cloud.project or "", wanted.cloud.region or "", patience)
    sent = jobs.submit(job)
    logger.info("sent: {} ({})", sent.name, console(sent))
    logger.info("output: {}", job.job_spec.base_output_directory.output_uri_prefix)
    return jobs, sent


def image_of(cloud: CloudConfig) -> str:
    """Return the image to run, by its digest or a tag."""
    host = f"{cloud.region}-docker.pkg.dev"
    return cloud.image or f"{host}/{cloud.project}/{cloud.repository}/{IMAGE}"


def _lacking(cloud: CloudConfig) -> list[str]:
    needed = ["project", "region", "service_account"]
    if cloud.output is None:
        needed.append("bucket")
    if cloud.image is None:
        needed.append("repository")
    return account.missing(cloud, *needed)
