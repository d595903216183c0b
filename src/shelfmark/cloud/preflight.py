"""What would make a job fail, found before it is sent: one line each, right or wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shelfmark.cloud import digests, machines, rest
from shelfmark.cloud.submission import Submission
from shelfmark.errors import ShelfmarkError, nearest

SERVICES = ("aiplatform", "storage", "artifactregistry", "logging")
# Buckets of several regions, and how the regions that lie in them begin.
MULTI_REGIONS = {"eu": ("europe-",), "us": ("us-",), "asia": ("asia-",)}
QUOTAS = {
    "SPOT": "custom_model_training_preemptible_cpus",
    "STANDARD": "custom_model_training_cpus",
}


@dataclass(frozen=True)
class Finding:
    """What a check came to: right, wrong, or None for a hint that stops nothing."""

    what: str
    right: bool | None
    text: str


def check(submission: Submission, image: str) -> list[Finding]:
    """Look at everything a job needs, whatever of it is wrong.

    Raises:
        ShelfmarkError: there are no credentials to look with.
    """
    session = rest.session()
    checks: list[tuple[str, Callable[[Any, Submission], Finding]]] = [
        ("APIs", _services),
        ("bucket", _bucket),
        ("image", lambda session, _: Finding("image", True, digests.resolved(session, image))),
        ("machine", _machine),
        ("quota", _quota),
    ]
    if submission.wandb_secret:
        checks.append(("secret", _secret))
    return [_found(what, look, session, submission) for what, look in checks]


def _found(
    what: str, look: Callable[[Any, Submission], Finding], session: Any, submission: Submission
) -> Finding:
    try:
        return look(session, submission)
    except ShelfmarkError as error:
        return Finding(what, None if what == "quota" else False, str(error))


def _services(session: Any, submission: Submission) -> Finding:
    cloud = submission.cloud
    wanted = (*SERVICES, "secretmanager") if submission.wandb_secret else SERVICES
    project = f"projects/{cloud.project}"
    url = f"{rest.base('serviceusage.googleapis.com')}/v1/{project}/services:batchGet"
    names = [f"{project}/services/{name}.googleapis.com" for name in wanted]
    told = rest.ask(session, "GET", url, params={"names": names}).json()
    enabled = {
        service["name"].rpartition("/")[2]
        for service in told.get("services", ())
        if service.get("state") == "ENABLED"
    }
    lacking = [
        f"{name}.googleapis.com" for name in wanted if f"{name}.googleapis.com" not in enabled
    ]
    if lacking:
        do = f"gcloud services enable {' '.join(lacking)} --project {cloud.project}"
        return Finding("APIs", False, f"not enabled: {', '.join(lacking)}; {do}")
    return Finding("APIs", True, f"{len(wanted)} are enabled")


def _bucket(session: Any, submission: Submission) -> Finding:
    name = submission.output.removeprefix("gs://").partition("/")[0]
    url = f"{rest.base('storage.googleapis.com')}/storage/v1/b/{quote(name, safe='')}"
    location = str(rest.ask(session, "GET", url).json().get("location", "")).lower()
    region = submission.cloud.region or ""
    if location == region:
        return Finding("bucket", True, f"gs://{name} is in {region}")
    if region.startswith(MULTI_REGIONS.get(location, ("no region",))):
        return Finding("bucket", True, f"gs://{name} is in {location.upper()}, which has {region}")
    elsewhere = f"gs://{name} is in {location}, the job would run in {region}"
    return Finding("bucket", False, f"{elsewhere}: choose one region for both")


def _machine(_: Any, submission: Submission) -> Finding:
    kind = submission.cloud.machine.type
    if kind not in machines.MACHINES:
        text = f"no machine {kind!r}{nearest(kind, machines.MACHINES)} (list of {machines.AS_OF})"
        return Finding("machine", False, text)
    cores, memory = machines.MACHINES[kind]
    return Finding("machine", True, f"{kind}: {cores} cores, {memory:.0f} GB")


def _quota(session: Any, submission: Submission) -> Finding:
    cloud = submission.cloud
    metric = f"aiplatform.googleapis.com/{QUOTAS[cloud.strategy]}"
    place = f"projects/{cloud.project}/services/aiplatform.googleapis.com/consumerQuotaMetrics"
    url = f"{rest.base('serviceusage.googleapis.com')}/v1beta1/{place}/{quote(metric, safe='')}"
    limit = _limit(rest.ask(session, "GET", url).json(), cloud.region or "")
    cores = machines.MACHINES.get(cloud.machine.type, (0, 0.0))[0]
    if limit is None:
        return Finding("quota", None, f"{metric}: not told for {cloud.region}")
    hint = f"{metric} in {cloud.region}: {limit} cores, {cores} wanted"
    if limit == -1 or limit >= cores:
        return Finding("quota", True, hint)
    return Finding("quota", None, f"{hint}: ask for more in the console, under IAM, Quotas")


def _limit(metric: dict[str, Any], region: str) -> int | None:
    """Return the limit that holds in a region: its own, else the one of all; -1 is none."""
    found: dict[str, int] = {}
    for limit in metric.get("consumerQuotaLimits", ()):
        for bucket in limit.get("quotaBuckets", ()):
            found[bucket.get("dimensions", {}).get("region", "")] = int(bucket["effectiveLimit"])
    return found.get(region, found.get(""))


def _secret(session: Any, submission: Submission) -> Finding:
    """Look whether the secret is there, not what is in it."""
    name = submission.wandb_secret
    rest.ask(session, "GET", f"{rest.base('secretmanager.googleapis.com')}/v1/{name}")
    return Finding("secret", True, f"{name} is there")
