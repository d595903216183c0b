""".ci/hashes.txt: the files of all locked packages, which alone are installed and audited."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from scripts import audit, check_hashes
from tests.support.http_server import http_server
from tests.support.moments import PATIENCE

ROOT = Path(__file__).parents[2]
LOCK, HASHES = ROOT / "uv.lock", ROOT / ".ci" / "hashes.txt"
WHEEL = "hello-1.0-py3-none-any.whl"
PROJECT = """[project]
name = "project"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["hello"]
"""


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def listed() -> dict[check_hashes.Package, set[str]]:
    return check_hashes.read_hashes(HASHES.read_text(encoding="utf-8"))


def make_wheel(folder: Path, answer: int) -> str:
    """Write the wheel of a package with one module; return its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "hello-1.0.dist-info"
    content = {
        "hello.py": f"ANSWER = {answer}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{name},sha256={digest.decode()},{len(text)}\n"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, text in {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


def test_every_package_of_the_lock_has_hashes() -> None:
    hashes = listed()
    lock = LOCK.read_text(encoding="utf-8")
    assert check_hashes.compare(lock, hashes) == []
    assert len(hashes) == lock.count("[[package]]") - 1  # the project itself has none
    assert all(hashes.values())
    for text in (HASHES.read_text(encoding="utf-8"), (ROOT / ".ci/uv.txt").read_text("utf-8")):
        assert "://" not in text
        assert not re.search(r"--(?:index|extra-index|find-links|trusted-host)", text)
        assert "hash=sha256:" in text


def test_a_lock_that_uv_has_filled_in_names_no_other_package() -> None:
    done = run("uv", "export", "--quiet", "--frozen", "--all-extras", "--all-groups",
               "--no-emit-project", "--no-annotate", "--no-hashes", "--no-header")  # fmt: skip
    assert done.returncode == 0, done.stderr
    exported = {re.sub(r" *\\?$", "", line) for line in done.stdout.splitlines()}
    pinned = re.findall(r"^[\w.-]+==.*?(?= *\\$)", HASHES.read_text("utf-8"), re.MULTILINE)
    assert exported == set(pinned)  # with the markers, which constraints need too


def test_what_is_built_from_source_is_built_by_listed_packages() -> None:
    """uv checks the hash of a build's requirement only if it is listed."""
    names = {name for name, _ in listed()}
    assert {"hatchling", "setuptools"} <= names


@pytest.mark.parametrize("missing", ["hash", "lock"])
def test_a_package_on_one_side_alone_is_named(missing: str) -> None:
    lock, hashes = LOCK.read_text(encoding="utf-8"), listed()
    (version,) = [version for name, version in hashes if name == "pip-audit"]
    if missing == "hash":
        del hashes["pip-audit", version]
        assert check_hashes.compare(lock, hashes) == [f"pip-audit {version}: no hash"]
    else:
        hashes["pip-audit", "0"] = {"sha256:00"}
        assert check_hashes.compare(lock, hashes) == ["pip-audit 0: not locked"]


@pytest.mark.parametrize("kind", ["same", "altered", "unlisted"])
def test_only_a_file_with_its_hash_is_installed(tmp_path: Path, kind: str) -> None:
    """The options are those of the Dockerfile."""
    dockerfile = (ROOT / "dockerfiles" / "api.dockerfile").read_text(encoding="utf-8")
    words = re.sub(r"\\\n *", "", dockerfile)
    options = re.findall(r"(--require-hashes .* --requirement requirements.txt)", words)[0].split()
    digest = make_wheel(tmp_path / "index", 1)
    (tmp_path / "requirements.txt").write_text("hello==1.0\n")
    if kind == "altered":
        assert make_wheel(tmp_path / "index", 2) != digest
    name = "other" if kind == "unlisted" else "hello"
    (tmp_path / "hashes.txt").write_text(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n")
    environment = tmp_path / "environment"
    assert run("uv", "venv", "--quiet", "--python", sys.executable, environment).returncode == 0
    install = ["uv", "pip", "install", "--no-cache", "--no-deps", "--python", environment]
    done = run(*install, "--no-index", "--find-links", tmp_path / "index", *options, cwd=tmp_path)
    installed = [*environment.rglob("hello.py")]
    assert bool(installed) == (done.returncode == 0) == (kind == "same")
    if kind == "altered":
        assert "Hash mismatch" in done.stderr
        assert digest in done.stderr
    if kind == "unlisted":
        assert "must have a hash" in done.stderr


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index of the folder tmp_path/index."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(tmp_path / "index"))
    with http_server(handler) as url:
        yield f"{url}/simple"


def offer(tmp_path: Path, *answers: int) -> list[str]:
    """Offer wheels of one version in the index; return their SHA-256."""
    links, digests = "", []
    for answer in answers:
        folder = tmp_path / "index" / "files" / str(answer)
        digests.append(make_wheel(folder, answer))
        name = WHEEL if answer == answers[0] else WHEEL.replace("py3", f"{answer}_build-py3")
        if name != WHEEL:
            (folder / WHEEL).rename(folder / name)
        links += f'<a href="/files/{answer}/{name}#sha256={digests[-1]}">{name}</a>\n'
    page = tmp_path / "index" / "simple" / "hello" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return digests


def start_project(tmp_path: Path, digest: str) -> Path:
    """Return a project with its list of hashes and this project's script."""
    project = tmp_path / "project"
    for folder in ("scripts", ".ci"):
        (project / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "check_hashes.py", project / "scripts")
    (project / "pyproject.toml").write_text(PROJECT)
    pinned = f"hello==1.0 \\\n    --hash=sha256:{digest}\n"
    (project / ".ci" / "hashes.txt").write_text(pinned)
    return project


def lock_and_check(project: Path, index: str) -> subprocess.CompletedProcess[str]:
    done = run("uv", "lock", "--no-cache", "--default-index", index, cwd=project)
    assert done.returncode == 0, done.stderr
    return run(sys.executable, "scripts/check_hashes.py", "--files", cwd=project)


def test_uv_sync_installs_only_listed_files(tmp_path: Path, index: str) -> None:
    """The index offers a later build of the same version, which uv would prefer."""
    first, _ = offer(tmp_path, 1, 2)
    project = start_project(tmp_path, first)
    done = lock_and_check(project, index)
    assert (done.returncode, done.stderr) == (0, "")
    lock = (project / "uv.lock").read_text()
    assert re.findall(r"sha256:(\w+)", lock) == [first]
    sync = ("uv", "sync", "--no-cache", "--default-index", index, "--python", sys.executable)
    done = run(*sync, cwd=project)
    assert done.returncode == 0, done.stderr
    [module] = (project / ".venv").rglob("hello.py")
    assert module.read_text() == "ANSWER = 1\n"
    assert (project / "uv.lock").read_text() == lock  # uv adds no file again


def test_an_index_with_altered_files_is_refused(tmp_path: Path, index: str) -> None:
    (first,) = offer(tmp_path, 1)
    project = start_project(tmp_path, first)
    offer(tmp_path, 2)
    done = lock_and_check(project, index)
    assert done.returncode == 1
    line = ".ci/hashes.txt: hello 1.0: the index has no file with a listed hash"
    assert done.stderr.splitlines() == [line, check_hashes.REMEDY]
    assert first not in (project / "uv.lock").read_text()


def test_a_file_that_changes_after_the_check_is_refused(tmp_path: Path, index: str) -> None:
    (first,) = offer(tmp_path, 1)
    project = start_project(tmp_path, first)
    assert lock_and_check(project, index).returncode == 0
    make_wheel(tmp_path / "index" / "files" / "1", 2)
    sync = ("uv", "sync", "--no-cache", "--default-index", index, "--python", sys.executable)
    done = run(*sync, cwd=project)
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr
    assert not [*(project / ".venv").rglob("hello.py")]


def test_the_audit_covers_the_whole_lock() -> None:
    parts = audit.split_versions(listed())
    names = [re.findall(r"^([\w.-]+==\S+) --hash=", part, re.MULTILINE) for part in parts]
    audited = {tuple(pin.split("==")) for part in names for pin in part}
    assert audited == check_hashes.read_packages(LOCK.read_text(encoding="utf-8"))
    done = run(sys.executable, "-m", "scripts.audit", "--dry-run")
    assert done.returncode == 0, done.stderr
    counts = [int(n) for n in re.findall(r"would have audited (\d+) packages", done.stderr)]
    assert counts == [len(part) for part in names]
    assert sum(counts) == len(audited)
