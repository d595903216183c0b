"""shelfmark deploy and shelfmark rollback: the traffic moves only to a revision that has answered.

The service that is asked is a real one; gcloud is a program that keeps the state of a service.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shelfmark.cloud import account, deploy
from shelfmark.cloud.account import Account
from shelfmark.errors import ShelfmarkError
from tests.conftest import ROOT
from tests.support.serving import running
from tests.unit.cloud.conftest import Project

REGISTRY = "europe-west4-docker.pkg.dev/my-project/shelfmark"
DIGEST = f"sha256:{'0' * 64}"
MODELS = "gs://my-bucket/models"


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """A service that runs."""
    with running(home) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def ready(project: Project, address: str) -> Project:
    """A project with an image and a model, and a service that will answer."""
    card = json.dumps({"versions": {"python": deploy.image_python()}})
    objects = {f"{MODELS}/production": "newest\n"}
    objects |= {f"{MODELS}/{name}/card.json": card for name in ("newest", "older")}
    images = {f"{REGISTRY}/api:abc": DIGEST}
    project.update(objects=objects, images=images, address=address)
    return project


@pytest.fixture(autouse=True)
def _one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFMARK_COMMIT", "abc")


def verbs(project: Project) -> list[str]:
    """What was done to the service, in order."""
    return [words[2] for words in project["calls"] if words[:2] == ["run", "services"]]


def test_deploying_twice_and_rolling_back(ours: Account, ready: Project) -> None:
    first = deploy.deploy(ours)
    assert verbs(ready) == ["describe", "replace", "update-traffic"]
    assert ready["traffic"] == [{"revisionName": first, "percent": 100}]
    second = deploy.deploy(ours, "older", f"{REGISTRY}/api@{DIGEST}")
    assert second != first
    moved = ready["documents"][1]["spec"]["traffic"]
    assert moved[0] == {"revisionName": first, "percent": 100}
    assert moved[1] == {"latestRevision": True, "tag": "candidate", "percent": 0}
    assert deploy.serving_revision(deploy.describe_service(ours)) == second
    assert deploy.rollback(ours) == first
    assert deploy.serving_revision(deploy.describe_service(ours)) == first
    assert deploy.rollback(ours) == second


def test_a_dry_run_prints_the_commands_that_a_deployment_runs(
    ours: Account, ready: Project
) -> None:
    planned = deploy.deploy_commands(ours, "newest") + deploy.rollback_commands(ours)
    deploy.deploy(ours)
    deploy.deploy(ours, "older")
    before = len(ready["calls"])
    deploy.deploy(ours, "newest")
    deploy.rollback(ours)
    done = [words for words in ready["calls"][before:] if words[0] != "auth"]
    assert [words[:3] for words in done] == [command[:3] for command in planned]
    for words, command in zip(done, planned, strict=True):
        named = [word for word in command if word.startswith("--") and "REVISION" not in word]
        assert set(named) <= set(words)


def test_a_dry_run_needs_no_account(ours: Account) -> None:
    nobody = account.with_placeholders(Account(region=ours.region))
    typed = [" ".join(command) for command in deploy.deploy_commands(nobody)]
    assert any("gs://BUCKET/models/production" in line for line in typed)
    assert all("None" not in line for line in typed)
    assert any("--region=europe-west4 --project=PROJECT" in line for line in typed)


def test_a_deployment_pins_image_model_and_account(ours: Account, ready: Project) -> None:
    deploy.deploy(ours)
    (document,) = ready["documents"]
    spec = document["spec"]["template"]["spec"]
    service = spec["containers"][0]
    assert service["image"] == f"{REGISTRY}/api@{DIGEST}"
    assert service["env"] == [{"name": "SHELFMARK_MODEL", "value": "newest"}]
    assert spec["serviceAccountName"] == "shelfmark-serve@my-project.iam.gserviceaccount.com"
    assert spec["volumes"][0]["csi"]["volumeAttributes"]["bucketName"] == "my-bucket"
    assert "$" not in json.dumps(document)


def test_a_revision_that_fails_its_check_gets_no_traffic(
    ours: Account, ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = deploy.deploy(ours)
    monkeypatch.setattr("shelfmark.service.probe.READY_SECONDS", 0.0)
    ready.update(address="http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(ShelfmarkError) as raised:
        deploy.deploy(ours)
    assert str(raised.value).endswith(f"the traffic stays with {first}")
    assert "shelfmark-00002 fails its check" in str(raised.value)
    assert verbs(ready)[-1] == "replace"
    assert deploy.serving_revision(deploy.describe_service(ours)) == first


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"objects": {}},
            f"{MODELS} has no production: shelfmark promote VERSION --models {MODELS}",
        ),
        (
            {"objects": {f"{MODELS}/production": "gone"}},
            f"no model gone in {MODELS}: gcloud storage cp --recursive",
        ),
        ({"images": {}}, f"no image {REGISTRY}/api:abc: push this commit"),
        (
            {"objects": {f"{MODELS}/production/card.json": '{"versions": {"python": "3.1"}}'}},
            "model production was trained with Python 3.1, the image has",
        ),
        ({"objects": {f"{MODELS}/production/card.json": "{}"}}, "damaged"),
        ({"objects": {f"{MODELS}/production": "../up"}}, "../up: not the name of a version"),
    ],
)
def test_a_missing_model_or_image_is_reported_before_anything_starts(
    ours: Account, ready: Project, change: dict[str, Any], line: str
) -> None:
    ready.update(**change)
    with pytest.raises(ShelfmarkError) as raised:
        deploy.deploy(ours)
    assert line in str(raised.value)
    assert "replace" not in verbs(ready)


def test_a_rollback_without_a_previous_revision_is_one_line(ours: Account, ready: Project) -> None:
    with pytest.raises(ShelfmarkError, match="no revision before the first"):
        deploy.rollback(ours)
    first = deploy.deploy(ours)
    with pytest.raises(ShelfmarkError, match=f"no revision before {first}"):
        deploy.rollback(ours)


def test_the_python_of_the_image_is_read_from_its_dockerfile() -> None:
    minor = platform.python_version_tuple()[:2]
    assert deploy.image_python().split(".")[0] == minor[0]


@pytest.mark.parametrize("gpu", [False, True])
def test_a_build_says_which_images_are_made(ours: Account, gpu: bool) -> None:
    [command] = deploy.build_commands(ours, "newest", deploy=False, gpu=gpu)
    [given] = [word for word in command if word.startswith("--substitutions=")]
    filled = dict(pair.split("=") for pair in given.removeprefix("--substitutions=").split(","))
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    assert set(filled) == set(build["substitutions"])
    assert (filled["_DEPLOY"], filled["_GPU"]) == ("false", str(gpu).lower())
    assert build["substitutions"]["_GPU"] == "false"
