"""shelfmark cloud-init: gcloud accepts its commands, and existing resources stay."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from shelfmark.cloud import setup
from shelfmark.cloud.account import Account
from shelfmark.errors import ShelfmarkError
from tests.unit.cli.conftest import Typed
from tests.unit.cloud.conftest import Project

ROOT = Path(__file__).parents[3]
CHANNEL = "projects/my-project/notificationChannels/1"


def needed(ours: Account) -> list[setup.Step]:
    return setup.plan_steps(
        ours, number="123456", github="me/shelfmark", channel=CHANNEL, secret=True
    )


def made(ours: Account, secret: str = "") -> list[str]:
    messages: list[str] = []
    setup.apply(needed(ours), secret, messages.append)
    return messages


def test_a_second_call_creates_nothing(ours: Account, project: Project) -> None:
    first = made(ours, "the-key")
    assert sum(line.startswith("created") for line in first) == 14
    assert not any(line.startswith("exists") for line in first)
    before = project["made"]
    second = made(ours, "the-key")
    assert project["made"] == before
    assert sum(line.startswith("exists") for line in second) == 14


def test_a_stopped_call_continues(ours: Account, project: Project) -> None:
    project.update(refused=["artifacts repositories shelfmark"])
    with pytest.raises(ShelfmarkError, match="gcloud artifacts repositories create.*PERMISSION"):
        made(ours)
    assert project["made"] == ["storage buckets gs://my-bucket"]
    project.update(refused=[])
    assert made(ours)[1:3] == ["exists  bucket my-bucket", "created repository shelfmark"]


def test_no_command_line_shows_the_secret(ours: Account, project: Project) -> None:
    made(ours, "the-key")
    assert project["given"].count("the-key") == 1
    (place,) = (n for n, given in enumerate(project["given"]) if given)
    assert project["calls"][place][:2] == ["secrets", "create"]
    assert "the-key" not in json.dumps(project["calls"])


def test_each_service_account_has_the_documented_roles_only(ours: Account) -> None:
    grants: dict[str, set[str]] = {}
    for step in needed(ours):
        words = dict(word.split("=", 1) for word in step.create if "=" in word)
        if "--role" in words:
            who = words["--member"].removeprefix("serviceAccount:").partition("@")[0]
            grants.setdefault(who, set()).add(words["--role"].removeprefix("roles/"))
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for role in setup.ACCOUNTS:
        mine = grants.pop(f"shelfmark-{role}")
        assert not [name for name in mine if name.rpartition(".")[2] in ("admin", "owner", "editor")
                    and name != "cloudbuild.builds.editor"]  # fmt: skip
        (line,) = (line for line in page.splitlines() if line.startswith(f"| `shelfmark-{role}`"))
        assert set(re.findall(r"`([\w.]+)`", line.split("|")[2])) == mine
    main = "attribute.ref/refs/heads/main"
    assert {who.rpartition("github/")[2] for who in grants} == {
        main, "attribute.repository/me/shelfmark"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("My Project", "europe-west4", "my-bucket"), "--project My Project"),
        (("my-project", "europe", "my-bucket"), "--region europe:"),
        (("my-project", "europe-west4", "gs://my-bucket"), "--bucket gs://my-bucket"),
    ],
)
def test_an_invalid_name_is_one_line(names: tuple[str, str, str], line: str) -> None:
    with pytest.raises(ShelfmarkError, match=line):
        setup.make_account(*names)


def test_an_invalid_repository_is_one_line(ours: Account) -> None:
    with pytest.raises(ShelfmarkError, match="--github me' || true"):
        setup.plan_steps(ours, github="me' || true")


NAMES = ("--project", "my-project", "--region", "europe-west4", "--bucket", "my-bucket")


def test_a_dry_run_prints_all_and_runs_nothing(
    ours: Account, project: Project, typed: Typed
) -> None:
    status, out, err = typed("cloud-init", *NAMES, "--dry-run", "--github", "me/shelfmark")
    assert status == 0, err
    assert not project["calls"]
    shown = [line for line in out.splitlines() if line.startswith("gcloud ")]
    expected = setup.plan_steps(ours, number="PROJECT_NUMBER", github="me/shelfmark")
    assert len(shown) == len(expected)
    assert shlex.split(shown[0])[1:] == expected[0].create


def test_without_an_account_each_task_names_the_missing_keys(
    project: Project, typed: Typed
) -> None:
    project.update(account="")
    status, _, err = typed("cloud-init", *NAMES)
    assert status == 1
    assert err == (
        "error: not signed in: run gcloud auth login; without an account, "
        "docker run and shelfmark serve still work\n"
    )
    for task in ("deploy", "rollback", "build"):
        status, _, err = typed(task)
        assert status == 1
        assert "no project, region, bucket, repository in configs/cloud/account.yaml" in err
        assert "docker run and shelfmark serve still work" in err
        assert len(err.splitlines()) == 1
