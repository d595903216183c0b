"""Training on a cluster of two real workers: as accurate as one process, also if one is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from fastapi.testclient import TestClient

from shelfmark.config.load import load_config
from shelfmark.core import checkpoint
from shelfmark.data import splits
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted import features
from shelfmark.models.boosted.boosting import BoostingRun
from shelfmark.models.boosted.dask import trees, workers
from shelfmark.models.boosted.fitting import engine
from shelfmark.models.boosted.heads import RerankerHead
from shelfmark.service.workers import process
from shelfmark.training import train
from tests.conftest import QUICK, paths_in
from tests.support.moments import PATIENCE, until
from tests.support.serving import ROBOT

pytestmark = pytest.mark.filterwarnings(
    # What Dask and its event loop leave to the garbage collector, most of all of a killed worker.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

POINTS = 0.005
# Few papers to learn from and many to measure on; neither chance in the trees nor coarse bins nor
# long steps, so that what differs is what the cluster does.
PAPERS = (
    *QUICK,
    "data.options.papers=6000",
    "data.fractions.train=0.3",
    "data.fractions.validation=0.2",
    "data.fractions.test=0.5",
    "model.rounds=60",
    "model.max_depth=3",
    "model.learning_rate=0.05",
    "model.max_bin=256",
    "features.chosen_terms=100",
    "model.early_stopping=null",
    "model.subsample=1",
    "model.colsample_bytree=1",
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A running cluster: two workers with a nanny each, which restarts them."""
    folder = str(tmp_path_factory.mktemp("fleet"))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", local_directory=folder
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


def trained(home: Path, name: str, *overrides: str) -> artifact.Model:
    settings = load_config([*PAPERS, f"name={name}", *overrides, *paths_in(home)])
    return artifact.load(train.train_model(settings).folder, threads=1)


def on(fleet: LocalCluster) -> tuple[str, ...]:
    address = f"engine.scheduler={fleet.scheduler_address}"
    return ("engine=dask", address, "engine.workers=2", "engine.timeout=600")


@pytest.fixture(scope="module")
def alone(shared: Path) -> artifact.Model:
    return trained(shared, "alone")


@pytest.fixture(scope="module")
def together(shared: Path, fleet: LocalCluster) -> artifact.Model:
    return trained(shared, "together", *on(fleet))


def accuracy(model: artifact.Model) -> float:
    """Return the share of right answers on all papers that were not trained on."""
    table = splits.open_splits(Path(model.card.data.folder))
    right = []
    for split in ("validation", "test"):
        papers = table.read(split)
        best = model.probabilities(papers["text"].to_pylist())[0].argmax(axis=1)
        right.append(np.array(model.classes)[best] == papers["label"].to_pylist())
    return float(np.concatenate(right).mean())


def words(model: artifact.Model) -> list[Any]:
    """Return what the fields of TF-IDF have learnt."""
    terms = []
    for _, field in model.classifier.pipeline.steps[0][1].transformer_list:
        vectorizer = getattr(field, "vectorizer", field)
        terms += [vectorizer.vocabulary_, list(vectorizer.vocabulary_), vectorizer.idf_.tobytes()]
    return terms


def test_two_workers_are_as_accurate_as_one_process(
    alone: artifact.Model, together: artifact.Model
) -> None:
    assert together.classes == alone.classes
    assert together.card.rounds == alone.card.rounds
    assert accuracy(alone) > 0.6
    assert accuracy(together) == pytest.approx(accuracy(alone), abs=POINTS)


def test_words_and_linear_models_are_the_same_to_the_last_bit(
    alone: artifact.Model, together: artifact.Model
) -> None:
    assert words(together) == words(alone)
    assert len(words(alone)) == 6
    ours, theirs = (
        one.classifier.pipeline.steps[1][1].transformer_list[0][1] for one in (together, alone)
    )
    for mine, other in zip(ours.fitted_, theirs.fitted_, strict=True):
        assert mine.weights_.tobytes() == other.weights_.tobytes()
    assert ours.means_.tobytes() == theirs.means_.tobytes()


def test_the_splits_are_the_same_and_the_card_names_an_engine_other_than_the_default(
    alone: artifact.Model, together: artifact.Model
) -> None:
    assert together.card.data == alone.card.data
    assert together.card.key == alone.card.key
    assert together.card.config.pop("engine")["kind"] == "dask"
    names = {"name": None}
    assert together.card.config | names == alone.card.config | names


def test_every_round_is_reported(shared: Path, together: artifact.Model) -> None:
    history = (shared / "reports" / "together" / "history.jsonl").read_bytes().splitlines()
    assert len(history) == 60


def test_the_service_answers_with_it_as_with_any_other(
    shared: Path, together: artifact.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_MODELS", str(shared / "models"))
    monkeypatch.setenv("SHELFMARK_MODEL", "together")
    with TestClient(process.create_worker_app()) as client:
        answer = client.post("/predict", json={"text": ROBOT})
    assert answer.status_code == 200
    assert answer.json()["model"] == "together"
    assert answer.json()["category"] in together.classes


def test_a_cluster_that_ran_is_left_running(fleet: LocalCluster, together: artifact.Model) -> None:
    with Client(fleet.scheduler_address, set_as_default=False) as client:
        assert len(client.run(os.getpid)) == 2
        assert client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3


def test_a_worker_killed_half_way_costs_no_accuracy(
    shared: Path,
    fleet: LocalCluster,
    alone: artifact.Model,
    log: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One worker while the linear models are fitted, one while the trees grow."""
    # The trees of the other: whether the first is back by then is chance.
    doomed = {"svm-0": 0, trees.STAGE: 1}
    pids = [nanny.pid for nanny in fleet.workers.values()]
    keep = checkpoint.Checkpoint.save

    def keep_and_kill(stages: checkpoint.Checkpoint, name: str, result: object) -> None:
        keep(stages, name, result)
        if name in doomed:
            os.kill(pids[doomed.pop(name)], signal.SIGKILL)

    monkeypatch.setattr(checkpoint.Checkpoint, "save", keep_and_kill)
    monkeypatch.setattr(trees, "AHEAD", 1)  # or all rounds may be grown when the first are kept
    model = trained(shared, "survivor", *on(fleet))
    assert not doomed
    assert "trees: a worker was lost" in log()
    assert words(model) == words(alone)
    assert model.card.rounds == 60
    assert accuracy(model) == pytest.approx(accuracy(alone), abs=POINTS)
    history = (shared / "reports" / "survivor" / "history.jsonl").read_bytes().splitlines()
    assert len(history) == 60


def test_a_stage_whose_data_went_with_a_worker_is_done_again(
    fleet: LocalCluster, log: Callable[[], str]
) -> None:
    tries = 0

    def work() -> int:
        nonlocal tries
        tries += 1
        address, pid = next(iter(cluster.client.run(os.getpid).items()))
        [there] = cluster.client.scatter([[1, 2]], workers=[address], hash=False)
        if tries == 1:
            os.kill(pid, signal.SIGKILL)
            until(lambda: address not in cluster.names())
        total: int = cluster.client.submit(sum, there, pure=False).result(timeout=PATIENCE)
        return total

    with workers.open_workers(load_config([*on(fleet)]).engine) as cluster:
        assert cluster.retry_lost_workers("sums", work) == 3
    assert tries == 2
    assert "sums: a worker was lost" in log()


def test_a_candidate_is_never_parted_from_its_paper(fleet: LocalCluster) -> None:
    """The losses of re-ranked candidates are those of one process: sums over whole papers."""
    chance = np.random.default_rng(0)
    targets = chance.integers(0, 6, 301)
    scores = chance.normal(size=(301, 6)) + 2 * (np.arange(6) == targets[:, None])
    matrix = features.sparse(scores.astype(np.float32))
    settings = load_config(["model=reranked", "model.rounds=30", "model.n_jobs=1",
                            "model.subsample=1", "model.colsample_bytree=1"])  # fmt: skip

    def losses(cluster: engine.Engine) -> list[float]:
        losses: list[float] = []
        with checkpoint.temporary_checkpoint() as stages:
            growth = BoostingRun(
                settings.model, 0, stages, lambda _, x: losses.append(x["validation"])
            )
            one = RerankerHead(6, 3, [0], [-1] * 6, [0, 0, 0, 1, 1, 1])
            one.fit((matrix[:200], targets[:200]), (matrix[200:], targets[200:]),
                    lambda *given: cluster.grow(growth, *given))  # fmt: skip
        return losses

    with engine.open_engine(load_config([*on(fleet)]).engine) as cluster:
        there = losses(cluster)
    here = losses(engine.LOCAL)
    assert len(there) == len(here) == 30
    np.testing.assert_allclose(there[0], here[0], atol=2e-4)
    assert there[-1] == pytest.approx(here[-1], abs=0.02)


def test_a_parameter_that_xgboost_refuses_is_one_line(fleet: LocalCluster, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="model: .*max_leaves"):
        trained(tmp_path, "refused", *on(fleet), "data.options.papers=600",
                "+model.params.max_leaves=-3")  # fmt: skip
    assert [path.name for path in (tmp_path / "models").glob("[!.]*")] == []


def opening(*overrides: str) -> None:
    with engine.open_engine(load_config(["engine=dask", "engine.timeout=1", *overrides]).engine):
        raise AssertionError("it opened")


def test_a_scheduler_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening
        port = nobody.getsockname()[1]
        with pytest.raises(ShelfmarkError, match=f"scheduler=tcp://127.0.0.1:{port}: no scheduler"):
            opening(f"engine.scheduler=tcp://127.0.0.1:{port}")


def test_a_cluster_without_a_worker_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # However long it takes to find the scheduler, which would be another error.
    wait = Client.wait_for_workers
    monkeypatch.setattr(Client, "wait_for_workers", lambda self, count, _: wait(self, count, 0.1))
    empty = LocalCluster(n_workers=0, processes=True, dashboard_address="127.0.0.1:0")
    with empty, pytest.raises(ShelfmarkError, match=r"no worker within engine.timeout=600 s"):
        opening(f"engine.scheduler={empty.scheduler_address}", "engine.timeout=600")


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("import shelfmark; shelfmark.__version__ = '0.0.1'", "has shelfmark 0.0.1, this process"),
        ("import sys; sys.modules['shelfmark'] = None", "cannot run shelfmark"),
    ],
)
def test_a_worker_with_another_version_is_named(before: str, message: str) -> None:
    with LocalCluster(n_workers=0, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        arguments = [cluster.scheduler_address, "--no-nanny", "--no-dashboard", "--nthreads", "1"]
        code = f"{before}\nfrom distributed.cli.dask_worker import main\nmain({arguments})"
        worker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        try:
            with pytest.raises(ShelfmarkError, match=message):
                opening(f"engine.scheduler={cluster.scheduler_address}", "engine.timeout=600")
        finally:
            worker.kill()
            worker.wait()


def test_local_processes_by_default_quiet_and_gone_at_the_end(tmp_path: Path) -> None:
    papers = ["data.options.papers=300", "data.min_papers=5", "model.rounds=3"]
    command = [sys.executable, "-m", "shelfmark.cli", "train", *QUICK, *papers, "name=mine",
               "engine=dask", "engine.workers=1", *paths_in(tmp_path)]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert (tmp_path / "models" / "mine" / "pipeline.pkl").exists()
    assert "engine: 1 workers, 1 threads, tcp://127.0.0.1:" in done.stderr
    assert "distributed" not in done.stderr
    assert "rank" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["engine.scheduler=tcp://here:8786"], "engine: scheduler is for engine=dask"),
        (["engine=dask", "engine.scheduler=here"], "engine.scheduler"),
        (["engine=dask", "engine.scheduler=tcp://here:1", "engine.threads=2"], "local processes"),
        (["engine=dask", "engine.memory=much"], "engine.memory"),
    ],
)
def test_a_mistake_in_the_configuration_is_reported(overrides: list[str], message: str) -> None:
    with pytest.raises(ShelfmarkError, match=message):
        load_config(overrides)
