"""Runs at W&B: read back from the file, and trainings that W&B's failures never stop."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.config.load import load_config
from shelfmark.models import artifact
from shelfmark.models.card import ClassLabel, ModelCard
from shelfmark.training import tracking, train
from tests.conftest import QUICK, paths_in
from tests.support import wandb_record
from tests.support.moments import PATIENCE, until
from tests.support.wandb_record import ours
from tests.support.wandb_server import KEY, WandbServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and limits")
NAME = "recorded"
SHORT = {"WANDB_HTTP_TIMEOUT": "2", "WANDB_INIT_TIMEOUT": "4", "WANDB_FINISH_TIMEOUT": "3"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a model was trained offline, with a key in the environment."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_API_KEY", KEY)
        before = dict(os.environ)
        words = [*QUICK, "tracking=wandb", f"name={NAME}", *paths_in(home)]
        train.train_model(load_config(words))
        assert dict(os.environ) == before
        yield home


@pytest.fixture(scope="module")
def run_record(home: Path) -> wandb_record.Recorded:
    """What its record holds."""
    return wandb_record.read(home / "reports" / NAME)


@pytest.fixture(scope="module")
def card(home: Path) -> dict[str, Any]:
    return artifact.read_card(home / "models" / NAME).to_json()


@pytest.fixture(scope="module")
def local(home: Path) -> dict[str, Any]:
    """What the local record holds."""
    result: dict[str, Any] = orjson.loads((home / "reports" / NAME / "run.json").read_bytes())
    return result


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with WandbServer() as server:
        for name, value in {**server.environment(), **SHORT}.items():
            monkeypatch.setenv(name, value)
        yield server


def history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the local record, named as W&B names them."""
    rows = [orjson.loads(x) for x in (folder / "history.jsonl").read_bytes().splitlines()]
    return [{"_step": row.pop("step"), **row} for row in rows]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_person_can_read_the_name_and_the_origin(
    run_record: wandb_record.Recorded, local: dict[str, Any], card: dict[str, Any]
) -> None:
    (run,) = run_record.of("run")
    assert (run.project, run.display_name, run.run_group) == ("shelfmark", NAME, card["key"])
    assert run.git.commit == card["git_commit"]
    assert run_record.config["origin"] == {
        "key": card["key"],
        "data_card_sha256": card["data"]["card_sha256"],
        "git_commit": card["git_commit"],
    }
    assert {x: run_record.config[x] for x in local["config"]} == card["config"] == local["config"]


def test_every_round_and_the_summary_are_as_in_the_local_record(
    run_record: wandb_record.Recorded, local: dict[str, Any], home: Path
) -> None:
    rounds = history(home / "reports" / NAME)
    assert len(rounds) == 30
    assert run_record.rows[:-1] == rounds
    summary = run_record.summary
    assert {key: summary[key] for key in local["summary"]} == local["summary"]
    best = min(rounds, key=lambda row: row["validation"])
    assert (summary["best_round"], summary["best_validation"]) == (
        best["_step"],
        best["validation"],
    )


def test_the_pictures_and_the_telling_terms_are_those_of_the_validation_report(
    run_record: wandb_record.Recorded, home: Path
) -> None:
    last = run_record.rows[-1]
    report = home / "reports" / f"{NAME}-validation"
    files = wandb_record.only_record(home / "reports" / NAME).parent / "files"
    pictures = {f"pictures/{path.stem}": path for path in report.glob("*.png")}
    assert {"pictures/confusion", "pictures/reliability"} <= set(pictures)
    assert set(last) == {"_step", "telling_terms", *pictures}
    for key, path in pictures.items():
        assert sha256(files / last[key]["path"]) == last[key]["sha256"] == sha256(path)
    table = orjson.loads((files / last["telling_terms"]["path"]).read_bytes())
    terms = orjson.loads((report / "metrics.json").read_bytes())["telling_terms"]
    assert table["columns"] == ["class", "word", "weight"]
    assert table["data"] == [[label, *term] for label, row in terms.items() for term in row]
    assert len(table["data"]) > 8


def test_the_model_is_an_artifact_with_aliases_and_metadata(
    run_record: wandb_record.Recorded, card: dict[str, Any], home: Path
) -> None:
    (made,) = [x for x in run_record.of("artifact") if x.type == "model"]
    assert made.name == "shelfmark"
    assert set(made.aliases) == {"latest", "fast", NAME}
    about = orjson.loads(made.metadata)
    assert about["classes"] == [entry["label"] for entry in card["classes"]]
    for key in ("git_commit", "data", "metrics", "files", "rounds", "key"):
        assert about[key] == card[key]
    models = home / "models" / NAME
    staged = {entry.path: Path(entry.local_path) for entry in made.manifest.contents}
    assert set(staged) == {"card.json", *card["files"]}
    assert about["digest"] == sha256(models / "card.json")
    for name, path in staged.items():
        assert path.is_relative_to(home / "reports" / NAME / "wandb")
        assert sha256(path) == sha256(models / name)


def test_everything_stays_in_the_run_and_no_file_knows_the_key(home: Path) -> None:
    assert {x.name for x in home.iterdir()} == {"data", "models", "reports"}
    assert {x.name for x in (home / "reports").iterdir()} == {NAME, f"{NAME}-validation"}
    inside = {x.name for x in (home / "reports" / NAME / "wandb").iterdir()}
    assert {"data", "cache"} <= inside
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def settings(folder: Path, *overrides: str) -> Any:
    return load_config(["tracking=wandb", *overrides, *paths_in(folder)])


def short_run(
    folder: Path, during: Callable[[int], object] = lambda step: None, keep: bool = True
) -> None:
    """Record a few steps, a summary and a model."""
    model = folder / "models" / "small"
    model.mkdir(parents=True, exist_ok=True)
    (model / "pipeline.pkl").write_bytes(b"0123456789" * 10)
    classes = [ClassLabel("cs.AI", "Artificial Intelligence")]
    card = ModelCard(name="small", config={}, classes=classes, key="k")
    with tracking.start_run(settings(folder), "mine", {"key": "k"}) as run:
        for step in range(4):
            run.log(step, {"validation": 1 / (step + 1)})
            during(step)
        run.finish({"accuracy": 0.75})
        if keep:
            run.log_model(model, card)


def check_local(folder: Path) -> None:
    """Check that the local record is whole."""
    assert len(history(folder / "reports" / "mine")) == 4
    assert (folder / "reports" / "mine" / "run.json").exists()


def test_what_was_logged_arrives_at_once(
    tmp_path: Path, server: WandbServer, log: Callable[[], str]
) -> None:
    short_run(tmp_path)
    ((number, run),) = server.runs.items()
    assert f"{server.url}/me/shelfmark/runs/{number}" in log()
    assert (run.name, run.group, run.ended) == ("mine", "k", True)
    rows = [{"_step": row["_step"], **ours(row)} for row in run.history]
    assert rows == history(tmp_path / "reports" / "mine")
    assert ours(run.summary)["best_round"] == 3
    assert server.model()["committed"]
    assert "WARNING" not in log()
    assert list((tmp_path / "reports" / "mine").glob("wandb/run-*/run-*.wandb.synced"))


def test_a_training_that_fails_is_recorded_as_failed(tmp_path: Path, server: WandbServer) -> None:
    with (
        pytest.raises(RuntimeError, match="half-way"),
        tracking.start_run(settings(tmp_path), "mine") as run,
    ):
        run.log(0, {"validation": 0.5})
        raise RuntimeError("half-way")
    (result,) = wandb_record.read(tmp_path / "reports" / "mine").of("exit")
    assert result.exit_code == 1


def test_a_bad_key_makes_it_an_offline_run_with_one_warning(
    tmp_path: Path, server: WandbServer, log: Callable[[], str], capfd: pytest.CaptureFixture[str]
) -> None:
    server.status = 401
    short_run(tmp_path)
    check_offline(tmp_path, log(), "out of order; the run continues offline")
    assert KEY not in log()
    printed = "".join(capfd.readouterr())
    assert "wandb:" not in printed
    assert "Traceback" not in printed


def test_a_server_that_fails_makes_it_an_offline_run_with_one_warning(
    tmp_path: Path, server: WandbServer, log: Callable[[], str]
) -> None:
    server.status = 500
    started = time.monotonic()
    short_run(tmp_path)
    assert time.monotonic() - started < PATIENCE
    check_offline(tmp_path, log(), "the run continues offline")


def check_offline(folder: Path, said: str, why: str) -> None:
    """Check that a run was recorded offline, whole, and that this was said in one warning."""
    check_local(folder)
    run_record = wandb_record.read(folder / "reports" / "mine")
    assert run_record.rows == history(folder / "reports" / "mine")
    assert run_record.of("exit")
    assert "offline-run" in str(wandb_record.only_record(folder / "reports" / "mine"))
    assert said.count("WARNING") == 1
    assert why in said
    assert "shelfmark sync" in said


def test_a_run_without_an_account_is_offline_and_explains_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    short_run(tmp_path)
    check_offline(tmp_path, log(), "no key: set WANDB_API_KEY")


def test_the_wait_for_a_server_that_goes_away_has_a_limit(
    tmp_path: Path, server: WandbServer, log: Callable[[], str]
) -> None:
    def fail(step: int) -> None:
        server.status = 500 if step == 1 else server.status

    started = time.monotonic()
    short_run(tmp_path, fail, keep=False)
    assert time.monotonic() - started < PATIENCE
    check_local(tmp_path)
    assert log().count("WARNING") == 1
    assert "Timed out finishing run; the run continues without it" in log()
    assert not list(tmp_path.rglob("*.synced"))


def test_the_server_that_login_has_noted_is_asked(
    tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "config"
    noted.mkdir()
    (noted / "settings").write_text(f"[default]\nbase_url = {server.url}\n")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(noted))
    monkeypatch.delenv("WANDB_BASE_URL")
    short_run(tmp_path)
    assert len(server.runs) == 1
    assert os.environ["WANDB_CONFIG_DIR"] == str(noted)


FULL = """
import resource, sys
from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.training import tracking

console.configure_logging()
with console.one_line_errors(), tracking.start_run(load_config(sys.argv[1:]), "mine") as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    pid = open(f"/proc/self/task/{__import__('os').getpid()}/children").read().split()
    for each in map(int, pid):
        resource.prlimit(each, resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    for step in range(40):
        run.log(step, {"validation": 0.5})
    run.finish({"accuracy": 0.75})
"""


def test_no_room_for_wandb_is_one_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, "tracking=wandb", *paths_in(tmp_path)]
    env = {**os.environ, "WANDB_MODE": "offline"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "offline under" in lines[0]
    assert "WARNING W&B: " in lines[1]
    assert "the run continues without it" in lines[1]
    assert len(history(tmp_path / "reports" / "mine")) == 40


def children(pid: int, name: str) -> list[int]:
    """Return the children of a process that run a program."""
    processes = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                processes.append(int(child))
    return processes


@pytest.fixture
def command(home: Path, tmp_path: Path) -> list[str]:
    """The command of a training that finds its data made."""
    shutil.copytree(home / "data", tmp_path / "data")
    words = [*QUICK, "model.rounds=60", "tracking=wandb", "name=mine", *paths_in(tmp_path)]
    return [sys.executable, "-m", "shelfmark.cli", "train", *words]


def wait_for_rounds(folder: Path, count: int) -> None:
    """Wait until a training has reported so many rounds."""
    path = folder / "reports" / "mine" / "history.jsonl"
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, PATIENCE)


def rows_kept(folder: Path) -> int:
    """Return how many rows W&B's own process has written of the one run so far."""
    files = (folder / "wandb").glob("*run-*-*/run-*.wandb")
    return sum(len(wandb_record.at(file).rows) for file in files if file.stat().st_size)


def test_a_training_outlives_the_process_of_wandb(command: list[str], tmp_path: Path) -> None:
    env = {**os.environ, "WANDB_MODE": "offline"}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        wait_for_rounds(tmp_path, 2)
        (core,) = children(run.pid, "wandb-core")
        os.kill(core, signal.SIGKILL)
        _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert said.count("WARNING W&B") == 1
    assert "; the run continues without it; shelfmark sync sends what is recorded" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 10
    assert artifact.load(tmp_path / "models" / "mine").version == "mine"


def test_a_killed_training_leaves_its_record_beside_that_of_the_next(
    command: list[str], tmp_path: Path
) -> None:
    env = {**os.environ, "WANDB_MODE": "offline"}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as run:
        wait_for_rounds(tmp_path, 5)
        os.kill(run.pid, signal.SIGSTOP)
        # It may have been stopped between the two records of the last.
        rounds = history(tmp_path / "reports" / "mine")[:-1]
        until(lambda: rows_kept(tmp_path / "reports" / "mine") >= len(rounds))
        run.kill()
    killed = wandb_record.read(tmp_path / "reports" / "mine")
    assert killed.rows[: len(rounds)] == rounds
    assert not killed.of("exit")
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "read from the checkpoint" in done.stderr
    records = sorted((tmp_path / "reports" / "mine" / "wandb").glob("*run-*-*/run-*.wandb"))
    assert len(records) == 2
    assert len({record.stem for record in records}) == 2
    both = [wandb_record.at(record) for record in records]
    assert {one.of("run")[0].run_group for one in both} == {killed.of("run")[0].run_group}
    assert any(one.rows[:-1] == history(tmp_path / "reports" / "mine") for one in both)
