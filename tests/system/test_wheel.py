"""The wheel, installed into an empty environment outside any checkout, in an empty folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import orjson
import pytest

from shelfmark.cli.main import shelfmark
from tests.support.moments import PATIENCE
from tests.support.serving import ROBOT, free_port, wait_until_ready

ROOT = Path(__file__).parents[2]
SMALL = ["data.options.papers=1500", "data.min_papers=20", "model.rounds=10"]
SIX_LINES = f"""\
import shelfmark
folder = shelfmark.train(["experiment=fast", "name=by-python", *{SMALL!r}])
model = shelfmark.load(folder)
answer = model.predict({ROBOT!r})
print(model.name, len(model.classes), model.predict_proba([{ROBOT!r}]).shape)
print(model.explain({ROBOT!r}).strongest(1)[0][0])
"""
pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="installs by uv")


@dataclass
class Installed:
    """An environment with the wheel, and the empty folder in which its user works."""

    programs: Path
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        hidden = ("VIRTUAL_ENV", "PYTHONPATH", "SHELFMARK_", "COV_", "COVERAGE_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        return {**kept, "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}"}

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which(program, path=str(self.programs)) or program, *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip


def uv(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["uv", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it with the versions of the lock, from uv's cache if it can."""
    root = tmp_path_factory.mktemp("user")
    build = ("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--quiet")
    done = uv(*build, "--out-dir", root)
    assert done.returncode == 0, done.stderr
    requirements = root / "requirements.txt"
    export = ("export", "--frozen", "--no-emit-project", "--no-default-groups", "--no-hashes")
    assert uv(*export, "--quiet", "--output-file", requirements).returncode == 0
    environment = root / "environment"
    assert uv("venv", "--quiet", "--python", sys.executable, environment).returncode == 0
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    [wheel] = root.glob("*.whl")
    install = ("pip", "install", "--quiet", "--no-deps", "--python", environment,
               "--requirement", requirements, wheel)  # fmt: skip
    if uv(*install, "--offline").returncode:
        done = uv(*install)
        assert done.returncode == 0, done.stderr
    (root / "work").mkdir()
    return Installed(programs, root / "work")


def test_the_wheel_asks_for_all_that_it_needs(installed: Installed) -> None:
    done = uv("pip", "check", "--python", installed.programs.parent, cwd=installed.folder)
    missing = [line for line in done.stderr.splitlines() if line.startswith("The package")]
    # Of XGBoost, for GPUs alone: the project leaves it out.
    assert [line for line in missing if "nvidia-nccl" not in line] == []


def test_train_predict_and_serve(installed: Installed) -> None:
    done = installed.run("shelfmark", "train", "experiment=fast", "name=fast", *SMALL)
    assert done.returncode == 0, done.stderr
    card = orjson.loads((installed.folder / "models" / "fast" / "card.json").read_bytes())
    assert card["command"] == f"shelfmark train experiment=fast name=fast {' '.join(SMALL)}"
    assert card["data"]["synthetic"] is True
    done = installed.run("shelfmark", "predict", "--text", ROBOT)
    assert done.returncode == 0, done.stderr
    answer = orjson.loads(done.stdout)
    assert answer["category"] == "cs.RO"
    with serving(installed) as client:
        served = client.post("/predict", json={"text": ROBOT}).json()
        assert served["category"] == answer["category"]
        assert served["confidence"] == answer["confidence"]
        for page in ("/", "/docs", "/model"):
            text = client.get(page, headers={"Accept": "text/html"}).text
            parts = re.findall(r'(?:src|href)="(\./[^"]+)"', text)
            assert parts
            for part in parts:
                assert client.get(f"/{part}").status_code == 200


@contextlib.contextmanager
def serving(installed: Installed) -> Iterator[httpx.Client]:
    """Run `shelfmark serve` while the block does; it ends in order."""
    port = free_port()
    program = shutil.which("shelfmark", path=str(installed.programs))
    assert program is not None
    with subprocess.Popen(
        [program, "serve", "--port", str(port)], cwd=installed.folder, env=installed.env,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                wait_until_ready(process, client)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=PATIENCE)
    assert status == 0 or os.name == "nt"


def test_six_lines_of_python_do_the_same(installed: Installed) -> None:
    assert len(SIX_LINES.splitlines()) == 6
    done = installed.run("python", "-c", SIX_LINES)
    assert done.returncode == 0, done.stderr
    first, word = done.stdout.splitlines()
    name, classes, *shape = first.split()
    assert name == "by-python"
    assert shape == ["(1,", f"{classes})"]
    assert word in ROBOT.lower()


def test_help_of_each_command(installed: Installed) -> None:
    assert installed.run("shelfmark", "--help").stdout.startswith("Usage: shelfmark ")
    code = """
from shelfmark.cli.parsing.command import run
from shelfmark.cli.main import shelfmark
for name in shelfmark.commands:
    assert run(shelfmark, [name, "--help"], "shelfmark") == 0
"""
    done = installed.run("python", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    used = re.findall(r"^Usage: shelfmark ([\w-]+) ", done.stdout, re.MULTILINE)
    assert used == list(shelfmark.commands)


def test_the_configuration_comes_with_the_wheel(installed: Installed) -> None:
    done = installed.run("shelfmark", "train", "--help")
    experiments = "|".join(
        sorted(file.stem for file in (ROOT / "configs" / "experiment").glob("*.yaml"))
    )
    assert f"experiment={experiments}" in done.stdout
    done = installed.run("shelfmark", "drift", "--papers", "missing.csv", "levle=0.1")
    assert done.stderr.startswith("error: levle: no such key; did you mean level?")


def test_cloud_init_finds_its_files(installed: Installed) -> None:
    names = ["--project", "my-project", "--region", "europe-west4", "--bucket", "my-bucket"]
    done = installed.run("shelfmark", "cloud-init", *names, "--dry-run")
    assert done.returncode == 0, done.stderr
    for file in sorted((ROOT / "cloud" / "alerts").glob("*.json")):
        assert file.name in done.stdout
    assert "dashboard.json" in done.stdout


MISSING = [
    (["sync"], 'wandb, which is not installed: pip install "shelfmark[wandb]"'),
    (["train", "tracking=wandb"], 'wandb, which is not installed: pip install "shelfmark[wandb]"'),
    (
        ["train", "engine=dask"],
        'distributed, which is not installed: pip install "shelfmark[dask]"',
    ),
    (["sweep", "--engine", "optuna"], 'optuna, which is not installed: pip install "shelfmark[swe'),
    (["jobs"], 'google, which is not installed: pip install "shelfmark[cloud]"'),
    (["load-test"], "locust, which is not installed: pip install locust"),
    (["build"], "build needs a checkout of Shelfmark"),
    (["deploy", "--dry-run"], "deploy needs a checkout of Shelfmark"),
    (["rollback"], "rollback needs a checkout of Shelfmark"),
]


@pytest.mark.parametrize(("words", "line"), MISSING, ids=lambda value: " ".join(value)[:20])
def test_what_is_not_installed_is_named_in_one_line(
    installed: Installed, words: list[str], line: str
) -> None:
    done = installed.run("shelfmark", *words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
