"""Jobs at Vertex AI: built, checked, sent, watched, cancelled; against a stand-in for Google."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shelfmark.cloud import machines, rest, spec, submit, vertex
from shelfmark.cloud.vertex import Jobs, RetryPolicy
from shelfmark.config import groups
from shelfmark.config.load import load_config, load_encoder_config
from shelfmark.config.trainings import ENCODER
from shelfmark.errors import ShelfmarkError
from tests.support.moments import PATIENCE
from tests.support.vertex_jobs import GPU, HURRIED, KEY, NOBODY, OURS, WANDB
from tests.support.vertex_server import DIGEST, JOBS, Google


def built(*overrides: str) -> Any:
    """Return the spec that is shown for overrides, read as JSON."""
    return json.loads(submit.preview([*OURS, *overrides]))


def test_the_job_runs_the_overrides_of_the_training() -> None:
    words = ["experiment=best", "data=snapshot", "data.path=gs://my-bucket/a b.zip", "~cloud.extra"]
    words += ["data.labels=[cs.AI,'cs.CL']", "+model.params.gamma=1", "tracking=local", "seed=3"]
    job = built(*words, "cloud/machine=e2-highmem-4", "cloud.timeout_hours=1.5", "++cloud.extra={}")
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    assert pool["containerSpec"]["args"] == [word for word in words if "cloud" not in word]
    assert pool["containerSpec"]["command"] == ["python", "-m", "shelfmark.cli", "train"]
    load_config(pool["containerSpec"]["args"])
    assert pool["machineSpec"] == {"machineType": "e2-highmem-4"}
    assert pool["diskSpec"] == {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100}
    assert pool["containerSpec"]["imageUri"].startswith(
        "europe-west4-docker.pkg.dev/my-project/shelfmark/train@sha256:"
    )
    assert job["jobSpec"]["scheduling"] == {
        "timeout": "5400s",
        "strategy": "SPOT",
        "restartJobOnWorkerRestart": True,
    }
    assert job["jobSpec"]["serviceAccount"] == "train@my-project.iam.gserviceaccount.com"
    output = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
    assert output == f"gs://my-bucket/jobs/{job['displayName']}"
    assert job["displayName"].endswith("-snapshot-best")
    assert "env" not in pool["containerSpec"]
    assert job["labels"] == {
        "project": "shelfmark", "data": "snapshot", "experiment": "best", "model": "boosted"
    }  # fmt: skip


def test_the_settings_of_a_job_reach_its_spec() -> None:
    job = built(
        f"cloud.image=europe-west4-docker.pkg.dev/other/images/train@{DIGEST}",
        "cloud.output=gs://elsewhere/some/runs/",
        "cloud.strategy=STANDARD",
        "cloud.restarts=false",
        "+cloud.labels.team=library",
        "+cloud.extra.jobSpec.network=projects/1/global/networks/mine",
        "name=mine",
    )
    assert job["jobSpec"]["network"] == "projects/1/global/networks/mine"
    assert job["jobSpec"]["scheduling"]["strategy"] == "STANDARD"
    assert job["jobSpec"]["scheduling"]["disableRetries"] is True
    assert "restartJobOnWorkerRestart" not in job["jobSpec"]["scheduling"]
    assert job["labels"]["team"] == "library"
    container = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container["imageUri"] == f"europe-west4-docker.pkg.dev/other/images/train@{DIGEST}"
    output = job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
    assert output == f"gs://elsewhere/some/runs/{job['displayName']}"
    assert job["displayName"].endswith("-mine")


def test_a_preview_needs_no_account(log: Callable[[], str]) -> None:
    job = json.loads(submit.preview(["experiment=best", "cloud=vertex_cpu", *NOBODY]))
    container = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container["imageUri"] == "REGION-docker.pkg.dev/PROJECT/REPOSITORY/train@sha256:DIGEST"
    assert job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].startswith("gs://BUCKET/jobs/")
    missing = "missing: project, region, service_account, bucket, repository; shelfmark cloud-init"
    assert missing in log()
    assert "DIGEST becomes that of the tag latest" in log()


IMAGE = f"cloud.image=europe-west4-docker.pkg.dev/p/r/train@{DIGEST}"


@pytest.mark.parametrize("machine", groups.list_groups()["cloud/machine"])
def test_every_configured_machine_exists(machine: str) -> None:
    found = built(f"cloud/machine={machine}", IMAGE)["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    kind, accelerator = found["machineType"], found.get("acceleratorType", "")
    attached = f"-{accelerator.rpartition('_')[2].lower()}" if kind.startswith("n1-") else ""
    assert machine == kind + attached.rstrip("-")
    text = (groups.CONFIGS / "cloud" / "machine" / f"{machine}.yaml").read_text(encoding="utf-8")
    cores, memory = machines.MACHINES[kind]
    assert f"# {cores} " in text
    assert f", {memory:.0f} GB" in text
    if accelerator:
        about = machines.ACCELERATORS[accelerator]
        assert f"{about.name} with {about.memory} GB" in text


def encoder(*overrides: str) -> Any:
    """Return the spec of a training of an encoder on a GPU."""
    return json.loads(submit.preview([*GPU, *overrides], ENCODER))


def test_a_job_with_a_gpu_names_accelerator_image_and_command() -> None:
    words = ["experiment=fast", "encoder.epochs=2", "data.unlabelled=drop"]
    job = encoder(*words)
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    assert pool["machineSpec"] == {
        "machineType": "n1-standard-4",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 1,
    }
    container = pool["containerSpec"]
    assert container["command"] == ["python", "-m", "shelfmark.cli", "train-encoder"]
    assert container["args"] == words
    assert container["imageUri"].startswith(
        "europe-west4-docker.pkg.dev/my-project/shelfmark/train-gpu@sha256:"
    )
    there = load_encoder_config(container["args"])
    assert there == spec.compose_submission([*GPU, *words], ENCODER).training
    assert there.data.unlabelled == "drop"
    assert job["jobSpec"]["scheduling"]["strategy"] == "SPOT"
    assert job["labels"] == {
        "project": "shelfmark", "data": "sample", "experiment": "fast", "encoder": "static"
    }  # fmt: skip


def test_the_accelerators_of_another_machine_reach_the_spec() -> None:
    found = [
        encoder(*words)["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
        for words in (
            ["cloud/machine=g2-standard-8"],
            ["cloud.machine.type=n1-highmem-32", "cloud.machine.accelerator_count=2"],
        )
    ]
    assert found == [
        {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1},
        {
            "machineType": "n1-highmem-32",
            "acceleratorType": "NVIDIA_TESLA_T4",
            "acceleratorCount": 2,
        },
    ]


@pytest.mark.parametrize(
    ("kind", "image"), [("static", "train"), ("minilm", "train-gpu"), ("sentence", "train-gpu")]
)
def test_an_encoder_runs_without_a_gpu_in_the_image_that_has_what_it_needs(
    kind: str, image: str
) -> None:
    job = json.loads(submit.preview([*OURS, f"encoder={kind}"], ENCODER))
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    assert pool["machineSpec"] == {"machineType": "n1-highmem-4"}
    assert f"/shelfmark/{image}@sha256:" in pool["containerSpec"]["imageUri"]
    assert pool["containerSpec"]["command"][-1] == "train-encoder"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["cloud.machine.accelerator=NVIDIA_L4"], "n1-standard-4 takes no NVIDIA_L4; it is for g"),
        (["cloud.machine.accelerator=T4"], "no accelerator 'T4'; there are NVIDIA_TESLA_T4, "),
        (["cloud.machine.accelerator=TPU_V3"], "no accelerator 'TPU_V3'"),
        (["cloud.machine.accelerator_count=3"], "3: n1-standard-4 takes 1, 2 or 4 of NVIDIA_TES"),
        (["cloud.machine.accelerator_count=-1"], "cloud.machine.accelerator_count: -1: should be"),
        (["cloud.machine.accelerator=null"], "1 of no accelerator: set cloud.machine.accelerator"),
        (["cloud/machine=n1-standard-8-v100"], "V100 is older than CUDA 13, with which the image"),
        (["+cloud.extra.jobSpec.workerPoolSpecs=[]"], "it needs one worker pool"),
        (["features.min_df=2"], "features.min_df: this command has no such key; shelfmark train"),
        (["encoder.epoch=2"], "encoder.epoch: no such key; did you mean encoder.epochs?"),
        (["data=snapshot", "data.path=a.zip"], "copy it to a bucket, data.path=gs://my-bucket"),
    ],
)
def test_an_invalid_gpu_or_encoder_is_one_line_before_anything_is_sent(
    overrides: list[str], line: str
) -> None:
    with pytest.raises(ShelfmarkError, match=re.escape(line)) as raised:
        encoder(*overrides)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["cloud.machine.type=n1-highmem-5"], "no machine 'n1-highmem-5'; did you mean n1-highmem"),
        (["cloud.machine=e2-highmem-4"], "choose it as cloud/machine=e2-highmem-4"),
        (["cloud.machine.disk=floppy"], "cloud.machine.disk: 'floppy': one of pd-ssd"),
        (["cloud.machine.disk_gb=5"], "cloud.machine.disk_gb: 5: should be at least"),
        (["cloud.machine.dsk=5"], "cloud.machine.dsk: no such key; did you mean cloud.machine.d"),
        (["+cloud.machin=5"], "cloud.machin: no such key; did you mean cloud.machine?"),
        (["cloud.strategy=spot"], "cloud.strategy: 'spot': should be 'SPOT' or 'STANDARD'"),
        (["cloud.timeout_hours=0"], "cloud.timeout_hours: 0.*: should be greater than 0"),
        (["cloud.output=my-bucket"], "cloud.output: 'my-bucket': should match"),
        (["cloud.region=Europe"], "cloud.region: 'Europe': should match"),
        (["+cloud.labels.Team=x"], "cloud.labels.Team: 'Team': should match"),
        (["cloud.image=python:3.12"], "cloud.image: python:3.12 is no image of Artifact Registry"),
        (["+cloud.extra.jobSpec.netwrk=x"], 'the job\'s spec: .*no field named "netwrk"'),
        (["+cloud.extra.colour=x"], 'the job\'s spec: .*no field named "colour"'),
        (["+cloud.extra.jobSpec.workerPoolSpecs=[]"], "it needs one worker pool"),
        (["+cloud.extra.jobSpec.baseOutputDirectory=null"], "no baseOutputDirectory"),
        (["+cloud.extra.jobSpec.scheduling.timeout=null"], "no timeout"),
        (["+cloud.extra.jobSpec.scheduling.strategy=FAST"], "the job's spec: .*FAST"),
        (["model.max_dept=3"], "model.max_dept: no such key"),
        (
            ["data=snapshot", "data.path=[gs://my-bucket/a.zip,b.zip]"],
            "data.path=b.zip is of this machine: copy it to a bucket, data.path=gs://my-buck",
        ),
        (
            ["data=snapshot", "data.path=../arxiv.zip"],
            "copy it to a bucket, data.path=gs://my-buck",
        ),
        (
            ["tracking=wandb", "cloud.wandb_secret=null"],
            "tracking=wandb in a job needs cloud.wandb_secret=NAME",
        ),
    ],
)
def test_an_invalid_override_is_one_line_before_anything_is_sent(
    overrides: list[str], line: str
) -> None:
    with pytest.raises(ShelfmarkError, match=line):
        submit.preview([*OURS, *overrides])


def test_a_job_needs_a_cloud_and_a_local_training_refuses_one() -> None:
    with pytest.raises(
        ShelfmarkError, match="say where the job runs: cloud=vertex_cpu, cloud=vertex_gpu"
    ):
        submit.preview(["experiment=best"])
    with pytest.raises(ShelfmarkError, match="shelfmark submit sends a training there"):
        load_config(["cloud=vertex_cpu"])
    assert "cloud" not in load_config().model_dump()


STACK = "model.stack.scorers.transformer"


@pytest.mark.parametrize(
    "words", [["experiment=distilbert"], ["model=transformer"], [f"{STACK}.base=minilm"]]
)
def test_a_transformer_is_trained_in_the_image_with_pytorch(words: list[str]) -> None:
    gpu = [*OURS, *GPU, *words]
    job = json.loads(submit.preview(gpu))
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    assert "/shelfmark/train-gpu@sha256:" in pool["containerSpec"]["imageUri"]
    assert pool["containerSpec"]["command"][-1] == "train"
    assert pool["machineSpec"]["acceleratorType"] == "NVIDIA_TESLA_T4"
    found = submit._check_machine(None, spec.compose_submission(gpu))
    assert found.right, "it uses the GPU"


def test_the_base_of_a_transformer_is_no_folder_of_this_machine(tmp_path: Path) -> None:
    for key, words in (("model.base", ["model=transformer"]), (f"{STACK}.base", [])):
        with pytest.raises(ShelfmarkError) as caught:
            submit.preview([*OURS, *words, f"{key}={tmp_path}"])
        assert str(caught.value).startswith(f"{key}={tmp_path} is of this machine: a job takes")


def test_a_pretrained_model_of_this_machine_is_refused(tmp_path: Path) -> None:
    words = ["encoder=sentence", f"encoder.base={tmp_path}"]
    assert encoder("encoder=sentence")["labels"]["encoder"] == "sentence"
    with pytest.raises(ShelfmarkError, match=f"encoder.base={tmp_path} is of this machine: a job"):
        encoder(*words)
    encoder(*words, IMAGE)  # whose folder of this name is the user's affair
    with pytest.raises(ShelfmarkError, match="is of this machine: a job takes encoder.path=null"):
        encoder("encoder=minilm", f"encoder.path={tmp_path}")


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the fields of a good job after a change to its worker pool."""
    wanted = spec.compose_submission(OURS)
    values = spec.job_fields(wanted, f"europe-west4-docker.pkg.dev/p/r/train@{DIGEST}")
    change(values["jobSpec"]["workerPoolSpecs"][0])
    return values


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda pool: pool.pop("containerSpec"), "no container"),
        (lambda pool: pool["containerSpec"].pop("imageUri"), "no container"),
        (lambda pool: pool["containerSpec"].update(imageUri="a/b:latest"), "@sha256: digest"),
        (lambda pool: pool["containerSpec"].update(imageURI="a"), 'no field named "imageURI"'),
        (lambda pool: pool["machineSpec"].update(machineType="n1"), "no machine 'n1'"),
        (lambda pool: pool.pop("machineSpec"), "no machine ''"),
        (
            lambda pool: pool["machineSpec"].update(
                acceleratorType="NVIDIA_TESLA_K80", acceleratorCount=1
            ),
            "no accelerator 'NVIDIA_TESLA_K80'",
        ),
        (lambda pool: pool["machineSpec"].update(acceleratorCount=1), "1 of no accelerator"),
        (lambda pool: pool.update(replicaCount="2"), "1 machine trains"),
        (
            lambda pool: pool["containerSpec"].update(
                env=[{"name": "WANDB_API_KEY", "value": "x"}]
            ),
            "WANDB_API_KEY would be readable",
        ),
    ],
)
def test_invalid_jobs_that_pass_google_s_types_are_refused(
    change: Callable[[dict[str, Any]], Any], line: str
) -> None:
    spec.build_job(changed(lambda pool: None))
    with pytest.raises(ShelfmarkError, match=line):
        spec.build_job(changed(change))


def test_a_job_is_sent_once_watched_and_ends(google: Google) -> None:
    jobs, job = submit.send_job([*OURS, "experiment=fast"], HURRIED)
    [sent] = google.sent("POST", "/customJobs")
    image = sent["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"]
    assert image == f"europe-west4-docker.pkg.dev/my-project/shelfmark/train@{DIGEST}"
    assert job.name == JOBS.removeprefix("/v1/") + "/7000000000"
    assert vertex.console_url(job) == (
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/7000000000"
        "?project=my-project"
    )
    states: list[str] = []
    ended = jobs.wait(job.name, states.append)
    assert states == ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    assert vertex.job_state(ended) == "SUCCEEDED"


def test_a_failed_job_raises_with_its_reason(google: Google) -> None:
    google.course = ["JOB_STATE_RUNNING", "JOB_STATE_FAILED"]
    google.reason = "The replica workerpool0-0 exited with a non-zero status of 1.\nmore"
    jobs, job = submit.send_job(OURS, HURRIED)
    with pytest.raises(
        ShelfmarkError, match=r"7000000000 failed: The replica .* shelfmark logs 70000"
    ):
        jobs.wait(job.name, lambda state: None)


def test_jobs_are_listed_over_pages_and_cancelled(google: Google) -> None:
    jobs = Jobs("my-project", "europe-west4", HURRIED)
    google.course = ["JOB_STATE_RUNNING"] * 5
    made = [submit.send_job(OURS, HURRIED)[1].name for _ in range(3)]
    assert [job.name for job in jobs.list_newest(20)] == made[::-1]
    assert [job.name for job in jobs.list_newest(1)] == made[:1:-1]
    jobs.cancel("7000000001")
    assert google.asked[-1][1].endswith("/7000000001:cancel")
    with pytest.raises(ShelfmarkError, match="7000000001 cancelled: no reason given"):
        jobs.wait(made[1], lambda state: None)
    assert vertex.job_state(jobs.get(made[0])) == "RUNNING"
    with pytest.raises(ShelfmarkError, match="404: The CustomJob does not exist"):
        jobs.get("99")
    with pytest.raises(ShelfmarkError, match="latest: a job is its number, or projects/my-project"):
        jobs.get("latest")


def test_a_refusal_is_one_line_with_google_s_reason(google: Google) -> None:
    jobs = Jobs("my-project", "europe-west4", HURRIED)
    google.refusals = [(403, "Permission 'aiplatform.customJobs.list' denied.\nDetails")]
    with pytest.raises(ShelfmarkError) as raised:
        jobs.list_newest(1)
    assert str(raised.value) == (
        "europe-west4-aiplatform.googleapis.com answers 403: Permission "
        "'aiplatform.customJobs.list' denied; a role or an enabled API is missing: "
        "shelfmark preflight names it"
    )


def test_requests_to_a_busy_service_are_retried_and_the_job_is_created_once(google: Google) -> None:
    jobs = Jobs("my-project", "europe-west4", HURRIED)
    job = spec.build_job(changed(lambda pool: None))
    google.refusals = [(429, "Quota exceeded.")] * 3
    sent = jobs.submit(job)
    assert len(google.sent("POST", "/customJobs")) == 4
    assert len(google.jobs) == 1
    google.refusals = [(503, "Try again."), (429, "Quota exceeded.")]
    assert vertex.job_state(jobs.get(sent.name)) == "QUEUED"


def test_a_job_that_may_have_been_taken_is_not_sent_again(google: Google) -> None:
    jobs = Jobs("my-project", "europe-west4", HURRIED)
    google.refusals = [(503, "The service is currently unavailable.")]
    with pytest.raises(ShelfmarkError, match="answers 503: The service is currently unavailable"):
        jobs.submit(spec.build_job(changed(lambda pool: None)))
    assert len(google.sent("POST", "/customJobs")) == 1


def test_retries_end_when_the_service_stays_busy(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(waits), sleep=waits.append)
    for module in ("retry_unary", "retry_base"):
        monkeypatch.setattr(f"google.api_core.retry.{module}.time", clock)
    jobs = Jobs("my-project", "europe-west4", RetryPolicy(timeout=PATIENCE))
    google.refusals = [(429, "Quota exceeded.")] * 1000
    with pytest.raises(ShelfmarkError, match="answers 429: Quota exceeded; Google's quota is used"):
        jobs.list_newest(1)
    assert sum(waits) <= RetryPolicy.total
    assert 5 < len(google.asked) < 100, "each wait is longer than the one before"


def test_a_request_times_out(google: Google) -> None:
    jobs = Jobs("my-project", "europe-west4", RetryPolicy(timeout=0.2, first_delay=0.01, total=0.5))
    google.answering.clear()
    with pytest.raises(ShelfmarkError, match="is not reached .*Timeout"):
        jobs.submit(spec.build_job(changed(lambda pool: None)))


def entry(number: int, **payload: Any) -> dict[str, Any]:
    moment = f"2026-11-22T10:00:{number:02}.5Z"
    return {"insertId": f"i{number}", "timestamp": moment, "severity": "INFO", **payload}


def test_logs_are_read_over_pages_and_followed_to_the_end(google: Google) -> None:
    jobs, job = submit.send_job(OURS, HURRIED)
    google.page = 2
    google.entries = [
        entry(1, textPayload="one\n"),
        entry(2, jsonPayload={"message": "two"}),
        entry(3, jsonPayload={"other": 3}),
    ]
    result = list(vertex.stream_logs(jobs, job.name, follow=False))
    assert [line.text for line in result] == ["one", "two", "{'other': 3}"]
    assert result[0].time == "2026-11-22 10:00:01"
    body = google.sent("POST", "/v2/entries:list")[0]
    assert body["resourceNames"] == ["projects/my-project"]
    assert 'resource.labels.job_id="7000000000"' in body["filter"]
    texts = []
    for line in vertex.stream_logs(jobs, job.name, follow=True):
        texts.append(line.text)
        if line.text == "two" and len(google.entries) == 3:
            google.entries.insert(1, entry(4, textPayload="late"))
    assert sorted(texts) == ["late", "one", "two", "{'other': 3}"]


def test_a_tag_resolves_to_its_present_digest(google: Google) -> None:
    image = "europe-west4-docker.pkg.dev/my-project/shelfmark/train"
    assert submit.resolve_digest(rest.open_session(), f"{image}:latest") == f"{image}@{DIGEST}"
    assert submit.resolve_digest(rest.open_session(), image) == f"{image}@{DIGEST}"
    assert submit.resolve_digest(rest.open_session(), f"{image}@{DIGEST}") == f"{image}@{DIGEST}"
    for missing in (f"{image}:v2", f"{image}@sha256:{'0' * 64}"):
        with pytest.raises(ShelfmarkError, match=f"there is no {missing}: build and push it"):
            submit.resolve_digest(rest.open_session(), missing)


def test_a_key_is_in_no_spec_and_no_log(google: Google, log: Callable[[], str]) -> None:
    google.secrets["projects/my-project/secrets/wandb-key"] = KEY
    submit.send_job([*OURS, *WANDB], HURRIED)
    [sent] = google.sent("POST", "/customJobs")
    [variable] = sent["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"]
    assert variable == {
        "name": "WANDB_SECRET",
        "value": "projects/my-project/secrets/wandb-key/versions/latest",
    }
    everything = log() + submit.preview([*OURS, *WANDB]) + json.dumps(google.asked)
    assert KEY.decode() not in everything


def test_without_an_account_one_line_names_the_missing_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        submit.send_job(["cloud=vertex_cpu", *NOBODY, "cloud.project=my-project"])
    assert str(raised.value) == (
        "no region, service_account, bucket, repository in configs/cloud/account.yaml: "
        "run shelfmark cloud-init; without an account, shelfmark train trains here, and "
        "shelfmark submit --dry-run shows what would be sent"
    )
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(ShelfmarkError, match="no Google credentials: run gcloud auth applic"):
        submit.send_job(OURS)
