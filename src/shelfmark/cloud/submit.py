"""From the overrides of `shelfmark submit` to a job: previewed, checked, sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from loguru import logger

from shelfmark.cloud import account, machines, rest, spec
from shelfmark.cloud.spec import CloudConfig, Submission
from shelfmark.cloud.vertex import Jobs, RetryPolicy, console_url
from shelfmark.config.trainings import CLASSIFIER, AnyTraining
from shelfmark.errors import ShelfmarkError

UNKNOWN_DIGEST = "0" * 64  # stands for a digest that only the registry knows
IMAGE = re.compile(
    r"^(?P<host>[a-z0-9-]+-docker\.pkg\.dev)/(?P<path>[a-z0-9._/-]+?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
SERVICES = ("aiplatform", "storage", "artifactregistry", "logging")
# Buckets of several regions, and how the regions that lie in them begin.
MULTI_REGIONS = {"eu": ("europe-",), "us": ("us-",), "asia": ("asia-",)}
# What the names of the quotas of a strategy begin with.
QUOTAS = {"SPOT": "custom_model_training_preemptible_", "STANDARD": "custom_model_training_"}
REGIONS = "cloud.google.com/vertex-ai/docs/general/locations#accelerators"
QUOTA, GPUS = "quota", "GPUs"  # the checks that only give hints


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Args:
        what: the thing that was checked, in one word.
        right: whether the job can use it; None for a hint that stops nothing.
        text: what was found.
    """

    what: str
    right: bool | None
    text: str


def preview(overrides: Sequence[str], kind: AnyTraining = CLASSIFIER) -> str:
    """Return the JSON of the job that would be sent; needs no account and no network.

    A name that is missing stands in it in capitals; the log lists them.

    Raises:
        ShelfmarkError: the overrides, or the spec that they make, are invalid.
    """
    wanted = spec.compose_submission(overrides, kind)
    lacking = _missing_keys(wanted.cloud)
    filled = wanted.cloud.model_copy(update={key: key.upper() for key in lacking})
    wanted = replace(wanted, cloud=filled)
    image = image_of(wanted)
    if filled.image:
        parse_image(image)
    name, _, digest = image.partition("@")
    if not digest:
        name, _, tag = image.rpartition(":")
        logger.info("DIGEST becomes that of the tag {} when the job is sent", tag)
    image = f"{name}@{digest or f'sha256:{UNKNOWN_DIGEST}'}"
    values = spec.job_fields(wanted, image)
    if lacking:
        logger.warning("still missing: {}; shelfmark cloud-init fills them in", ", ".join(lacking))
    return spec.job_json(spec.build_job(values)).replace(UNKNOWN_DIGEST, "DIGEST")


def preflight(
    overrides: Sequence[str], kind: AnyTraining = CLASSIFIER
) -> tuple[Submission, list[Finding]]:
    """Check everything that a job needs, and return the job with the findings.

    Raises:
        ShelfmarkError: the overrides are invalid, or an account or credentials are missing.
    """
    wanted = spec.compose_submission(overrides, kind)
    lacking = _missing_keys(wanted.cloud)
    account.require_keys(wanted.cloud, *lacking, without=rest.WITHOUT)
    return wanted, run_checks(wanted, image_of(wanted))


def send_job(
    overrides: Sequence[str], policy: RetryPolicy | None = None, kind: AnyTraining = CLASSIFIER
) -> tuple[Jobs, Any]:
    """Check a job and send it; return the client to watch it with, and the job.

    Raises:
        ShelfmarkError: something is missing or wrong, or Vertex AI refuses the job.
    """
    wanted, findings = preflight(overrides, kind)
    wrong = [finding for finding in findings if finding.right is False]
    if wrong:
        reasons = "; ".join(f"{finding.what}: {finding.text}" for finding in wrong)
        raise ShelfmarkError(f"not sent: {reasons}")
    for finding in findings:
        if finding.right is None:
            logger.warning("{}: {}", finding.what, finding.text)
    image = resolve_digest(rest.open_session(), image_of(wanted))
    job = spec.build_job(spec.job_fields(wanted, image))
    jobs = Jobs(wanted.cloud.project or "", wanted.cloud.region or "", policy)
    sent = jobs.submit(job)
    logger.info("sent: {} ({})", sent.name, console_url(sent))
    logger.info("output: {}", job.job_spec.base_output_directory.output_uri_prefix)
    return jobs, sent


def image_of(submission: Submission) -> str:
    """Return the image to run, by its digest or a tag."""
    cloud = submission.cloud
    host = f"{cloud.region}-docker.pkg.dev"
    return (
        cloud.image or f"{host}/{cloud.project}/{cloud.repository}/{submission.image_name}:latest"
    )


def _missing_keys(cloud: CloudConfig) -> list[str]:
    needed = ["project", "region", "service_account"]
    if cloud.output is None:
        needed.append("bucket")
    if cloud.image is None:
        needed.append("repository")
    return account.missing_keys(cloud, *needed)


def parse_image(image: str) -> re.Match[str]:
    """Return the parts of an image's name: host, path, and tag or digest.

    Raises:
        ShelfmarkError: it is no image of Artifact Registry, the only place that Google's token
            may be sent to.
    """
    match = IMAGE.match(image)
    if match is None:
        raise ShelfmarkError(
            f"cloud.image: {image} is no image of Artifact Registry: "
            "REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME@sha256:… or :TAG"
        )
    return match


def resolve_digest(session: Any, image: str) -> str:
    """Return an image by the digest that its tag has in the registry now.

    Raises:
        ShelfmarkError: it is not there, its name is invalid, or the registry refuses.
    """
    parts = parse_image(image)
    name = parts["digest"] or parts["tag"] or "latest"
    url = f"{rest.base_url(parts['host'])}/v2/{parts['path']}/manifests/{name}"
    try:
        answer = rest.request(session, "HEAD", url, headers={"Accept": ", ".join(MANIFESTS)})
    except rest.RefusedError as error:
        if error.status == 404:
            raise ShelfmarkError(
                f"cloud.image: there is no {image}: build and push it first, docs/deployment.md"
            ) from error
        raise
    digest = answer.headers.get("Docker-Content-Digest", "")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or parts["digest"] not in (None, digest):
        raise ShelfmarkError(f"cloud.image: the registry returns no digest of {image}")
    return f"{parts['host']}/{parts['path']}@{digest}"


Check = Callable[[Any, Submission], Finding]


def run_checks(submission: Submission, image: str) -> list[Finding]:
    """Run every check that a job needs, also where one of them fails.

    Raises:
        ShelfmarkError: credentials are missing.
    """
    session = rest.open_session()
    checks: dict[str, Check] = {
        "APIs": _check_services,
        "bucket": _check_bucket,
        "image": lambda session, _: Finding("image", True, resolve_digest(session, image)),
        "machine": _check_machine,
        QUOTA: _check_cores,
    }
    if submission.cloud.machine.accelerator:
        checks[GPUS] = _check_accelerators
    if submission.wandb_secret:
        checks["secret"] = _check_secret
    return [_finding(what, check, session, submission) for what, check in checks.items()]


def _finding(what: str, check: Check, session: Any, submission: Submission) -> Finding:
    try:
        return check(session, submission)
    except ShelfmarkError as error:
        return Finding(what, None if what in (QUOTA, GPUS) else False, str(error))


def _check_services(session: Any, submission: Submission) -> Finding:
    cloud = submission.cloud
    wanted = (*SERVICES, "secretmanager") if submission.wandb_secret else SERVICES
    project = f"projects/{cloud.project}"
    url = f"{rest.base_url('serviceusage.googleapis.com')}/v1/{project}/services:batchGet"
    names = [f"{project}/services/{name}.googleapis.com" for name in wanted]
    answer = rest.request(session, "GET", url, params={"names": names}).json()
    enabled = {
        service["name"].rpartition("/")[2]
        for service in answer.get("services", ())
        if service.get("state") == "ENABLED"
    }
    lacking = [
        f"{name}.googleapis.com" for name in wanted if f"{name}.googleapis.com" not in enabled
    ]
    if lacking:
        do = f"gcloud services enable {' '.join(lacking)} --project {cloud.project}"
        return Finding("APIs", False, f"not enabled: {', '.join(lacking)}; {do}")
    return Finding("APIs", True, f"{len(wanted)} are enabled")


def _check_bucket(session: Any, submission: Submission) -> Finding:
    name = submission.output.removeprefix("gs://").partition("/")[0]
    url = f"{rest.base_url('storage.googleapis.com')}/storage/v1/b/{quote(name, safe='')}"
    location = str(rest.request(session, "GET", url).json().get("location", "")).lower()
    region = submission.cloud.region or ""
    if location == region:
        return Finding("bucket", True, f"gs://{name} is in {region}")
    if region.startswith(MULTI_REGIONS.get(location, ("no region",))):
        return Finding("bucket", True, f"gs://{name} is in {location.upper()}, which has {region}")
    elsewhere = f"gs://{name} is in {location}, the job would run in {region}"
    return Finding("bucket", False, f"{elsewhere}: choose one region for both")


def _check_machine(_: Any, submission: Submission) -> Finding:
    machine = submission.cloud.machine
    wanted = machine.type, machine.accelerator, machine.accelerator_count
    machines.check_machine(*wanted)
    text = machines.describe_machine(*wanted)
    if machine.accelerator and not spec.TORCH & submission.needs:
        return Finding("machine", None, f"{text}; this training uses no GPU: cloud=vertex_cpu")
    return Finding("machine", True, text)


def _check_cores(session: Any, submission: Submission) -> Finding:
    cores = machines.MACHINES.get(submission.cloud.machine.type, (0, 0.0))[0]
    return _check_quota(session, submission.cloud, QUOTA, "cpus", cores, "cores")


def _check_accelerators(session: Any, submission: Submission) -> Finding:
    machine = submission.cloud.machine
    name = machines.ACCELERATORS[machine.accelerator or ""].name
    resource = f"nvidia_{name.lower()}_gpus"
    count = machine.accelerator_count
    found = _check_quota(session, submission.cloud, GPUS, resource, count, f"of {name}")
    if found.right:
        return found
    return replace(found, text=f"{found.text}; not every region has them, {REGIONS} lists those")


def _check_quota(
    session: Any, cloud: CloudConfig, what: str, resource: str, count: int, unit: str
) -> Finding:
    """Compare the quota of a resource, such as `cpus`, with what the job wants of it."""
    metric = f"aiplatform.googleapis.com/{QUOTAS[cloud.strategy]}{resource}"
    place = f"projects/{cloud.project}/services/aiplatform.googleapis.com/consumerQuotaMetrics"
    url = f"{rest.base_url('serviceusage.googleapis.com')}/v1beta1/{place}/{quote(metric, safe='')}"
    limit = _quota_limit(rest.request(session, "GET", url).json(), cloud.region or "")
    if limit is None:
        return Finding(what, None, f"{metric}: unknown for {cloud.region}")
    hint = f"{metric} in {cloud.region}: {limit} {unit}, {count} wanted"
    if limit == -1 or limit >= count:
        return Finding(what, True, hint)
    return Finding(what, None, f"{hint}: ask for more in the console, under IAM, Quotas")


def _quota_limit(metric: dict[str, Any], region: str) -> int | None:
    """Return the limit of a region, or the default for all regions; -1 means unlimited."""
    limits: dict[str, int] = {}
    for limit in metric.get("consumerQuotaLimits", ()):
        for bucket in limit.get("quotaBuckets", ()):
            limits[bucket.get("dimensions", {}).get("region", "")] = int(bucket["effectiveLimit"])
    return limits.get(region, limits.get(""))


def _check_secret(session: Any, submission: Submission) -> Finding:
    """Check that the secret exists, without reading its value."""
    name = submission.wandb_secret
    rest.request(session, "GET", f"{rest.base_url('secretmanager.googleapis.com')}/v1/{name}")
    return Finding("secret", True, f"{name} is there")
