"""Inside a managed job: the training entry as the container runs it, killed and restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from shelfmark.cloud import job, rest
from shelfmark.cloud.job import MOUNT
from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.config.trainings import CLASSIFIER, ENCODER, Settings
from shelfmark.data import splits
from shelfmark.embeddings import artifact as embeddings
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.registry import Registry
from shelfmark.training import train
from tests.conftest import QUICK, paths_in
from tests.support import hashed_encoder
from tests.support.moments import PATIENCE, kill_group_when, until
from tests.support.vertex_server import Google, running

Training = Callable[[Config], Path]
NAME = "20261122-100000-sample-fast"
WORDS = [
    *QUICK,
    "data.options.papers=800",
    "data.min_papers=10",
    "data.top=3",
    "model.rounds=100",
    "model.early_stopping=null",
]
SECRET = "projects/my-project/secrets/wandb-key"
KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Cluster:
    """Machines with empty disks, and a bucket that outlives them."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def bucket(self) -> Path:
        return self.root / "gcs" / "my-bucket"

    @property
    def output(self) -> Path:
        return self.bucket / "jobs" / NAME

    def start(self, machine: str, *words: str) -> subprocess.Popen[str]:
        """Start the training on a machine, by the entry point and the arguments of the image."""
        (self.root / machine).mkdir()
        uri = f"gs://my-bucket/jobs/{NAME}"
        names = {"AIP_MODEL_DIR": f"{uri}/model/", "AIP_CHECKPOINT_DIR": f"{uri}/checkpoints/"}
        mount = {MOUNT: str(self.root / "gcs")}
        env = {**os.environ, **self.env, **names, **mount}
        command = [sys.executable, "-W", "ignore", "-m", "shelfmark.cli", "train", *WORDS, *words]
        return subprocess.Popen(
            command, cwd=self.root / machine, env=env, text=True, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def run(self, machine: str, *words: str) -> str:
        """Run the training to its end, and return what it wrote."""
        with self.start(machine, *words) as process:
            said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, said
        return said


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    cluster = Cluster(tmp_path)
    cluster.bucket.mkdir(parents=True)
    return cluster


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with running() as google:
        monkeypatch.setenv(rest.ENDPOINT, google.url)
        yield google


def outcome(model: Path, report: Path, machine: Path) -> list[bytes]:
    """Return what a model answers for the test split, its trees, and the record of its rounds."""
    opened = artifact.load(model, threads=1)
    table = splits.open_splits(machine / opened.card.data.folder).read("test")
    answers = opened.probabilities(table["text"].to_pylist())
    return [
        *(numbers.tobytes() for numbers in answers),
        (model / "booster.ubj").read_bytes(),
        (report / "history.jsonl").read_bytes(),
        orjson.dumps(opened.card.metrics),
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGSTOP")
def test_a_killed_job_resumes_on_an_empty_disk_and_makes_the_same_model(
    cluster: Cluster, google: Google
) -> None:
    google.secrets[SECRET] = KEY.encode()
    cluster.env = {"WANDB_SECRET": f"{SECRET}/versions/latest", "WANDB_MODE": "offline"}
    stages = cluster.output / "checkpoints"
    kill_group_when(cluster.start("first"), lambda: [*stages.glob(".unfinished-*/svm-0.zip")])
    assert not (cluster.output / "model").exists()
    said = cluster.run("second", "tracking=wandb")
    assert "finished stages brought back from gs://my-bucket/jobs" in said
    assert "svm-0: read from the checkpoint" in said
    delivered = cluster.output / "model"
    assert {path.name for path in delivered.iterdir()} == {
        NAME, "latest", "latest.history.json", "reports"
    }  # fmt: skip
    assert (delivered / "latest").read_text() == NAME
    assert not stages.exists()

    alone = cluster.root / "alone"
    train.train_model(load_config([*WORDS, f"name={NAME}", *paths_in(alone)]))
    assert outcome(
        delivered / NAME, delivered / "reports" / NAME, cluster.root / "second"
    ) == outcome(alone / "models" / NAME, alone / "reports" / NAME, alone)
    served = Registry(f"file://{delivered}").open("latest")
    assert served.version == NAME

    before = {path: path.stat().st_mtime_ns for path in delivered.rglob("*")}
    said = cluster.run("third")
    assert f"gs://my-bucket/jobs/{NAME}/model/{NAME}: finished by an earlier attempt" in said
    assert {path: path.stat().st_mtime_ns for path in delivered.rglob("*")} == before

    assert len(google.sent("GET", ":access")) == 1
    written = b"".join(path.read_bytes() for path in cluster.root.rglob("*") if path.is_file())
    assert KEY.encode() not in written


@pytest.fixture
def work(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """Stands for a training: a stage is kept, and the model is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(job.MODEL, f"gs://my-bucket/jobs/{NAME}/model/")
    monkeypatch.setenv(job.STAGES, f"gs://my-bucket/jobs/{NAME}/checkpoints/")
    monkeypatch.setenv(job.MOUNT, str(tmp_path / "gcs"))
    (tmp_path / "gcs" / "my-bucket").mkdir(parents=True)

    def trained(settings: Config) -> Path:
        stage = Path("models", ".unfinished-0123456789-1", "words.zip")
        stage.parent.mkdir(parents=True, exist_ok=True)
        stage.write_bytes(b"words")
        folder = Path("models", str(settings.name))
        shutil.copytree(home / "models" / "quick", folder)
        return folder

    return trained


def test_a_bucket_that_refuses_the_model_is_one_line_and_the_model_stays(
    work: Training, tmp_path: Path
) -> None:
    output = tmp_path / "gcs" / "my-bucket" / "jobs" / NAME
    output.mkdir(parents=True)
    (output / "model").write_text("a file where a folder should be")
    with pytest.raises(ShelfmarkError, match=f"finished, but gs://my-bucket/jobs/{NAME}/model"):
        job.run_in_job(load_config(), CLASSIFIER, work)
    assert Path("models", NAME, "card.json").exists()
    kept = output / "checkpoints" / ".unfinished-0123456789-1" / "words.zip"
    assert kept.read_bytes() == b"words"


def test_a_named_model_keeps_its_name(work: Training, tmp_path: Path) -> None:
    job.run_in_job(load_config(["name=mine"]), CLASSIFIER, work)
    output = tmp_path / "gcs" / "my-bucket" / "jobs" / NAME
    assert (output / "model" / "latest").read_text() == "mine"
    artifact.check(output / "model" / "mine")
    assert not (output / "checkpoints").exists()
    assert job.run_in_job(load_config(["name=mine"]), CLASSIFIER, never) == Path("models", "mine")


@pytest.mark.usefixtures("work")
def test_an_encoder_is_resumed_and_delivered_like_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_encoder.register(monkeypatch)
    settings = hashed_encoder.make_settings()
    stages = Path("encoders", ".unfinished-0123456789-1")
    trainer = stages / "trainer"
    output = tmp_path / "gcs" / "my-bucket" / "jobs" / NAME

    def preempted(_: EncoderSettings) -> Path:
        stages.mkdir(parents=True)
        (stages / "pairs.zip").write_bytes(b"pairs")
        save_trainer(trainer / "checkpoint-1")
        save_trainer(trainer / "checkpoint-2")
        kept = output / "checkpoints" / trainer.relative_to("encoders")
        until(lambda: len([*kept.rglob("trainer_state.json")]) == 2)
        shutil.rmtree(trainer / "checkpoint-1")
        until(lambda: not (kept / "checkpoint-1").exists())
        (trainer / "checkpoint-3").mkdir()
        (trainer / "checkpoint-3" / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    def resumed(named: EncoderSettings) -> Path:
        found = [path.relative_to(stages).as_posix() for path in stages.rglob("*")]
        assert sorted(found) == [
            "pairs.zip", "trainer", "trainer/checkpoint-2", "trainer/checkpoint-2/1_Pooling",
            "trainer/checkpoint-2/1_Pooling/config.json", "trainer/checkpoint-2/model.safetensors",
            "trainer/checkpoint-2/trainer_state.json",
        ]  # fmt: skip
        assert (stages / "pairs.zip").read_bytes() == b"pairs"
        return hashed_encoder.save_encoder(
            Path("encoders"), ["one text", "another"], str(named.name), settings=named
        )

    with pytest.raises(KeyboardInterrupt):
        job.run_in_job(settings, ENCODER, preempted)
    shutil.rmtree("encoders")
    assert job.run_in_job(settings, ENCODER, resumed) == Path("encoders", NAME)
    assert not (output / "checkpoints").exists()
    delivered = output / "model"
    assert {path.name for path in delivered.iterdir()} == {NAME, "latest", "latest.history.json"}
    with locate_encoder("latest", f"file://{delivered}") as located:
        there = embeddings.load(located.folder, digest=located.digest)
    here = embeddings.load(Path("encoders", NAME))
    assert there.digest == here.digest
    assert there.encode(["one text"]).tobytes() == here.encode(["one text"]).tobytes()
    shutil.rmtree("encoders")
    assert job.run_in_job(settings, ENCODER, never) == Path("encoders", NAME)


def save_trainer(folder: Path) -> None:
    """Write a checkpoint as the trainer of transformers does, its state last."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "trainer_state.json").write_bytes(b"{}")


def test_outside_a_job_a_training_runs_unchanged(
    work: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(job.MODEL)
    job.run_in_job(load_config(["name=mine"]), CLASSIFIER, work)
    assert list((tmp_path / "gcs" / "my-bucket").iterdir()) == []


@pytest.fixture
def wandb_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(job.SECRET_NAME, f"{SECRET}/versions/latest")
    for name in (
        job.WANDB_KEY,
        job.WANDB_MODE,
    ):  # set by the tested code, reset after
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("wandb_secret")
def test_the_wandb_key_is_read_into_the_process_only(
    google: Google, log: Callable[[], str]
) -> None:
    google.secrets[SECRET] = f"{KEY}\n".encode()
    google.refusals = [(503, "busy")]
    job.set_wandb_key()
    assert os.environ[job.WANDB_KEY] == KEY
    assert job.WANDB_MODE not in os.environ
    assert KEY not in log()


@pytest.mark.usefixtures("wandb_secret")
@pytest.mark.parametrize(
    ("value", "refusal", "message"),
    [
        (None, None, "answers 404"),
        (None, (403, "Permission denied."), "answers 403: Permission denied"),
        (b" \n", None, "the secret is empty"),
        (b"\xff\xfe", None, "Secret Manager's answer holds no text"),
    ],
)
def test_without_the_key_a_run_is_recorded_offline(
    google: Google,
    log: Callable[[], str],
    value: bytes | None,
    refusal: tuple[int, str] | None,
    message: str,
) -> None:
    if value is not None:
        google.secrets[SECRET] = value
    google.refusals = [refusal] if refusal else []
    job.set_wandb_key()
    assert job.WANDB_KEY not in os.environ
    assert os.environ[job.WANDB_MODE] == "offline"
    assert message in log()
    assert "recorded offline" in log()


def test_a_secret_manager_that_does_not_answer_times_out(
    google: Google, wandb_secret: None, monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    monkeypatch.setattr(rest, "SECONDS", 0.1)
    monkeypatch.setattr(rest, "TRIES", 2)
    google.answering.clear()
    job.set_wandb_key()
    assert "is not reached" in log()
    assert os.environ[job.WANDB_MODE] == "offline"


def test_a_mounted_folder_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MOUNT, str(tmp_path / "gcs"))
    (tmp_path / "gcs" / "my-bucket").mkdir(parents=True)
    check_folder(job.BucketFolder.open("gs://my-bucket/some/where/"), tmp_path)
    paths = [path for path in (tmp_path / "gcs").rglob("*") if path.is_file()]
    assert paths == []


def test_a_folder_of_a_bucket_is_read_and_written_over_the_network(
    tmp_path: Path, gcs: str
) -> None:
    check_folder(job.BucketFolder.open(f"{gcs}/some/where/"), tmp_path)


def test_without_a_mount_a_job_s_outputs_go_over_the_network(
    work: Training, gcs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(job.MODEL, f"{gcs}/jobs/{NAME}/model/")
    monkeypatch.setenv(job.STAGES, f"{gcs}/jobs/{NAME}/checkpoints/")
    with pytest.raises(KeyboardInterrupt):
        job.run_in_job(load_config(), CLASSIFIER, lambda settings: interrupted(work(settings)))
    shutil.rmtree("models")
    output = job.BucketFolder.open(f"{gcs}/jobs/{NAME}")
    assert output.names() == ["checkpoints/.unfinished-0123456789-1/words.zip"]
    job.run_in_job(load_config(), CLASSIFIER, lambda settings: brought_back(work, settings))
    assert {name.partition("/")[0] for name in output.names()} == {"model"}
    assert Registry(f"{gcs}/jobs/{NAME}/model").open("latest").card.name == NAME


def never(settings: Settings) -> Path:
    raise AssertionError("trained again")


def interrupted(result: Path) -> Path:
    raise KeyboardInterrupt


def brought_back(work: Training, settings: Config) -> Path:
    assert Path("models", ".unfinished-0123456789-1", "words.zip").read_bytes() == b"words"
    return work(settings)


def check_folder(folder: job.BucketFolder, here: Path) -> None:
    """Check that files go to a folder, are found there, come back, and are removed."""
    assert folder.names() == []
    (here / "one").write_bytes(b"1" * 100_000)
    folder.put(here / "one", "a/one")
    folder.put(here / "one", "two")
    (here / "one").write_bytes(b"11")
    folder.put(here / "one", "two")
    assert folder.names() == ["a/one", "two"]
    assert "a/one" in folder
    assert "a" not in folder
    assert "three" not in folder
    folder.get("a/one", here / "back" / "one")
    assert (here / "back" / "one").read_bytes() == b"1" * 100_000
    folder.get("two", here / "back" / "one")
    assert (here / "back" / "one").read_bytes() == b"11"
    folder.clear()
    assert folder.names() == []
    folder.clear()


def test_an_invalid_address_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="nowhere://x"):
        job.BucketFolder.open("nowhere://x/y")
