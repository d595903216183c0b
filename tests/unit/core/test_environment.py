"""Environment variables: empty ones, keys, and names that nothing reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError
from tests.conftest import ROOT

BLANK = ("", " ", "\n", "\t \r\n")


@pytest.mark.parametrize("value", BLANK)
def test_a_blank_variable_is_unset(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHELFMARK_COMMIT", "WANDB_MODE", "PORT", "AIP_MODEL_DIR", "NOTHING_OF_OURS"):
        monkeypatch.setenv(name, value)
    assert environment.read("SHELFMARK_COMMIT") == ""
    assert environment.read("WANDB_MODE", "online") == "online"
    assert environment.read_key("SHELFMARK_COMMIT") == ""
    environment.set_default("PORT", "8000")
    environment.drop_blank()
    assert os.environ["PORT"] == "8000"
    assert not {"SHELFMARK_COMMIT", "WANDB_MODE", "AIP_MODEL_DIR"} & set(os.environ)
    assert os.environ["NOTHING_OF_OURS"] == value, "the variables of others stay"


def test_the_blanks_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", " offline\n")
    assert environment.read("WANDB_MODE", "online") == "offline"
    environment.set_default("WANDB_MODE", "online")
    environment.drop_blank()
    assert environment.read("WANDB_MODE") == "offline"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("short", "at least 16 characters, this one 5"),
        ("x" * 15 + "\n", "at least 16 characters, this one 15"),
        ("é" * 20, "printable ASCII"),
        ("x" * 20 + "\ny", "printable ASCII"),
        ("x" * 20 + "\x7f", "printable ASCII"),
    ],
)
def test_a_weak_key_is_refused_and_not_shown(
    key: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_API_KEY", key)
    with pytest.raises(ShelfmarkError, match=f"^SHELFMARK_API_KEY: .*{why}") as raised:
        environment.read_key("SHELFMARK_API_KEY")
    assert key.strip() not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_key_of_a_secret_file_is_read_without_its_line_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELFMARK_API_KEY", "a key of 16 char\r\n")
    assert environment.read_key("SHELFMARK_API_KEY") == "a key of 16 char"


def test_an_unknown_variable_gets_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHELFMARK_ADMIN_KYE", "SHELFMARK_PORT", "SHELFMARK_COMMIT", "SHELFMARK_XYZZYQ"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SHELFMARK_API_KY", "")
    assert environment.describe_unknown({"SHELFMARK_ADMIN_KEY", "PORT"}) == [
        "SHELFMARK_ADMIN_KYE: no such variable, it is ignored; did you mean SHELFMARK_ADMIN_KEY?",
        "SHELFMARK_PORT: no such variable, it is ignored; did you mean PORT?",
        "SHELFMARK_XYZZYQ: no such variable, it is ignored",
    ]


def test_the_variables_that_kubernetes_sets_for_a_service_are_no_mistakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for name, value in {
        "SHELFMARK_SERVICE_HOST": "10.0.0.2", "SHELFMARK_SERVICE_PORT_HTTP": "8000",
        "SHELFMARK_PORT": "tcp://10.0.0.2:8000", "SHELFMARK_PORT_8000_TCP_ADDR": "10.0.0.2",
        "SHELFMARK_API_SERVICE_HOST": "10.0.0.3",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert environment.describe_unknown({"PORT"}) == []


def test_every_variable_is_read_in_one_place() -> None:
    """No other module asks os.environ for a value, where an empty one would count as set."""
    allowed = {
        "core/environment.py",
        "cli/completion.py",  # the shell sets its two
        "experiments/benchmarks/load_users.py",  # the parent sets its two
        "experiments/sweeps/wandb.py",  # W&B's agent sets its two
    }
    source = ROOT / "src" / "shelfmark"
    reads = ("os.environ[", "os.environ.get(", "os.getenv(", "os.environ.setdefault(", "in os.env")
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(read in line for read in reads) and "] = " not in line
    }
    # A block that sets variables remembers what was there before it.
    assert found - allowed <= {"training/wandb.py"}


def test_a_command_runs_as_without_its_blank_variables(tmp_path: Path) -> None:
    code = (
        "import sys; from shelfmark.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: import os; print([n for n in os.environ if not os.environ[n]])"
    )
    env = dict.fromkeys(["WANDB_API_KEY", "PROMETHEUS_MULTIPROC_DIR", "SHELFMARK_MODELS"], "")
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/usr/bin", **env}, capture_output=True,
        text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
