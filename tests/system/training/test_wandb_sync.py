"""Sending the runs that W&B lacks, by W&B's own client, to a server on this machine."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfmark.config.load import load_config
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models.card import ClassLabel, ModelCard
from shelfmark.training import tracking, wandb_sync
from tests.conftest import paths_in
from tests.support import wandb_record
from tests.support.moments import FOREVER
from tests.support.wandb_record import ours
from tests.support.wandb_server import KEY, WandbServer
from tests.system.test_tasks import inv

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and limits")
FILES = {"pipeline.pkl": b"trees" * 1000, "card.json": b"{}"}
# A server that fails is asked twice; 0 would mean W&B's default.
IMPATIENT = {
    f"WANDB__{part}_RETRY_MAX": "1" for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of a run that was recorded offline."""
    home = tmp_path_factory.mktemp("home")
    model, picture = home / "models" / "mine", home / "confusion.png"
    model.mkdir(parents=True)
    for name, content in FILES.items():
        (model / name).write_bytes(content)
    from matplotlib.figure import Figure

    Figure().savefig(picture)
    classes = [ClassLabel("cs.AI", "Artificial Intelligence")]
    card = ModelCard(name="small", config={}, classes=classes, key="k")
    settings = load_config(["tracking=wandb", *paths_in(home)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        with tracking.start_run(settings, "mine", {"key": "k"}) as run:
            for step in range(3):
                run.log(step, {"validation": 1 / (step + 1)})
            run.finish({"accuracy": 0.75})
            run.log_report([picture], {"cs.AI": [("neuron", 0.5)]})
            run.log_model(model, card)
    shutil.rmtree(model)  # the offline run has its own copy
    return home / "reports"


@pytest.fixture(autouse=True)
def _unsent(reports: Path) -> None:
    """Begin each test with a run that nothing is sent of."""
    for mark in reports.rglob("*.wandb.sync*"):
        mark.unlink()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with WandbServer() as server:
        for name, value in {**server.environment(), **IMPATIENT}.items():
            monkeypatch.setenv(name, value)
        yield server


def test_what_arrives_is_what_was_logged_and_it_is_sent_once(
    reports: Path, server: WandbServer, log: Callable[[], str]
) -> None:
    record = wandb_record.read(reports / "mine")
    assert wandb_sync.sync_runs(reports) == 1
    ((number, run),) = server.runs.items()
    assert f"{server.url}/me/shelfmark/runs/{number}" in log()
    assert (run.name, run.group, run.ended) == ("mine", "k", True)
    assert [{"_step": row["_step"], **ours(row)} for row in run.history] == record.rows
    assert [row["validation"] for row in record.rows[:-1]] == [1, 1 / 2, 1 / 3]
    assert ours(run.summary) == record.summary
    assert run.summary["accuracy"] == 0.75
    wanted = ours(record.config)
    del wanted["model"]["params"]  # empty, which W&B's client does not send
    assert ours(run.config) == wanted
    media = [record.rows[-1][key]["path"] for key in ("pictures/confusion", "telling_terms")]
    folder = wandb_record.only_record(reports / "mine").parent / "files"
    for path in media:
        assert server.files[f"{number}/{path}"] == (folder / path).read_bytes()
    model = server.model()
    place = f"artifact-{server.artifacts.index(model)}"
    assert model["committed"]
    assert {x["alias"] for x in model["aliases"]} == {"latest", "mine"}
    assert {name: server.files[f"{place}/{name}"] for name in FILES} == FILES
    asked = len(server.asked)
    assert wandb_sync.sync_runs(reports) == 0
    assert len(server.asked) == asked
    assert KEY not in log()


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_refuses_is_one_line_and_the_run_is_sent_later(
    reports: Path, server: WandbServer, status: int
) -> None:
    server.status = status
    with pytest.raises(
        ShelfmarkError, match=r"mine is not sent: .*; shelfmark sync again"
    ) as raised:
        wandb_sync.sync_runs(reports)
    assert "\n" not in str(raised.value)
    assert wandb_sync.unsent_records(reports)
    server.status = 200
    assert wandb_sync.sync_runs(reports) == 1
    assert not wandb_sync.unsent_records(reports)


def test_time_is_limited(reports: Path, server: WandbServer) -> None:
    answer = threading.Event()
    server.answers["UpsertBucket"] = lambda _: answer.wait(FOREVER)
    with pytest.raises(ShelfmarkError, match="not all sent in 1 s"):
        wandb_sync.sync_runs(reports, seconds=1)
    answer.set()
    assert wandb_sync.unsent_records(reports)


def test_a_run_that_is_written_is_left_for_later(
    reports: Path, server: WandbServer, log: Callable[[], str]
) -> None:
    held = files.try_lock(reports / "mine" / "wandb" / "lock")
    assert held
    with held:
        assert wandb_sync.sync_runs(reports) == 0
    assert "in use, skipped" in log()
    assert server.asked == []


def test_a_run_whose_files_are_elsewhere_is_not_sent_without_them(
    reports: Path, server: WandbServer, tmp_path: Path
) -> None:
    shutil.copytree(reports, tmp_path / "moved", symlinks=True)
    with pytest.raises(ShelfmarkError, match=f"names files in {reports / 'mine'}"):
        wandb_sync.sync_runs(tmp_path / "moved")
    assert server.asked == []


def test_a_run_that_was_killed_before_it_began_is_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "wandb" / "offline-run-1-a"
    folder.mkdir(parents=True)
    (folder / "run-a.wandb").write_bytes(b":W&B\x00\x00\x00")
    assert wandb_sync.sync_runs(tmp_path) == 0


def test_the_command_names_what_is_missing_in_one_line(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = inv("sync", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "nothing to send in reports\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    done = inv("sync", "--folder", str(reports), cwd=tmp_path)
    assert done.returncode == 1
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert "no key: set WANDB_API_KEY" in line
    assert list(tmp_path.iterdir()) == []
