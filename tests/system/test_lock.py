"""uv.lock as committed: names no address, and agrees with pyproject.toml."""

from __future__ import annotations

import importlib.util
import itertools
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LONG = """version = 1

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://packages.example/simple" }
dependencies = [
    { name = "b", version = "2.0", source = { registry = "https://packages.example/simple" } },
]
sdist = { url = "https://files.example/a-1.0.tar.gz", hash = "sha256:00", size = 1 }
wheels = [
    { url = "https://files.example/a-1.0-py3-none-any.whl", hash = "sha256:00", size = 1 },
    { url = "https://files.example/a-1.0-cp311-any.whl", hash = "sha256:00", size = 1 },
]

[[package]]
name = "own"
version = "0.1.0"
source = { editable = "." }
dependencies = [
    { name = "a" },
]

[package.dev-dependencies]
dev = [
    { name = "a" },
]

[package.metadata]
requires-dist = [{ name = "a", specifier = ">=1" }]

[package.metadata.requires-dev]
dev = [{ name = "a" }]
"""


@pytest.fixture(scope="module")
def committed() -> str:
    command = ["git", "show", "HEAD:uv.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not in a git checkout: only a commit can be judged")
    return done.stdout.decode()


@pytest.fixture(scope="module")
def shorten_lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / "scripts" / "shorten_lock.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_lock_names_no_address(committed: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"]+", committed))
    assert addresses == {"https://index.invalid/simple"}
    assert "hash =" not in committed


def test_the_committed_lock_is_in_its_short_form(committed: str, shorten_lock: ModuleType) -> None:
    assert shorten_lock.shorten(committed) == committed


def test_the_committed_lock_agrees_with_pyproject(committed: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    locked = tomllib.loads(committed)
    versions: dict[str, list[Version]] = {}
    for package in locked["package"]:
        versions.setdefault(package["name"], []).append(Version(package["version"]))
    (own,) = (package for package in locked["package"] if package["name"] == "shelfmark")
    wanted = {
        None: (project["project"]["dependencies"], own["dependencies"]),
        **{
            f"extra {name}": (expanded(specs, extras), own["optional-dependencies"][name])
            for name, specs in extras.items()
        },
        **{
            f"group {name}": (specs, own["dev-dependencies"][name])
            for name, specs in project["dependency-groups"].items()
        },
    }
    for place, (specs, entries) in wanted.items():
        requirements = [Requirement(spec) for spec in specs]
        assert {r.name for r in requirements} == {entry["name"] for entry in entries}, place
        for requirement in requirements:
            for version in versions[requirement.name]:
                assert requirement.specifier.contains(version), requirement
    assert locked["requires-python"].replace(" ", "") == project["project"]["requires-python"]


def expanded(specs: list[str], extras: dict[str, list[str]]) -> list[str]:
    """Return the requirements of an extra, those of the extras that it includes in their place."""
    found: list[str] = []
    for spec in specs:
        requirement = Requirement(spec)
        own = [extras[name] for name in requirement.extras if requirement.name == "shelfmark"]
        found += [inner for part in own for inner in expanded(part, extras)] or [spec]
    return found


def packages_of(locked: dict[str, Any], *extras: str) -> set[str]:
    """Return the names of the packages that the core, the groups and the given extras install."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in locked["package"]:
        by_name.setdefault(package["name"], []).append(package)
    (own,) = by_name["shelfmark"]
    wanted = [*own["dependencies"], *itertools.chain(*own["dev-dependencies"].values())]
    wanted += itertools.chain(*(own["optional-dependencies"][extra] for extra in extras))
    seen: set[tuple[str, str | None]] = set()
    while wanted:
        entry = wanted.pop()
        for extra in (None, *entry.get("extra", ())):
            if (entry["name"], extra) not in seen:
                seen.add((entry["name"], extra))
                for package in by_name[entry["name"]]:
                    sections = package.get("optional-dependencies", {})
                    wanted += package.get("dependencies", []) if extra is None else sections[extra]
    return {name for name, _ in seen}


def test_only_the_extras_of_trainings_bring_torch_and_gpu_libraries(committed: str) -> None:
    locked = tomllib.loads(committed)
    (own,) = (package for package in locked["package"] if package["name"] == "shelfmark")
    extras = {*own["optional-dependencies"]} - {"sentence", "transformer"}
    names = packages_of(locked, *extras)
    assert {"xgboost", "dvc-gs", "pytest"} <= names
    heavy = re.compile("torch$|triton$|nvidia-|cuda-|transformers$|sentence-transformers$")
    assert {name for name in names if heavy.match(name)} == set()
    for extra in ("sentence", "transformer"):
        assert {"torch", "nvidia-nccl-cu13", "transformers"} <= packages_of(locked, extra)


def test_shortening_keeps_versions_and_dependencies(shorten_lock: ModuleType) -> None:
    short = shorten_lock.shorten(LONG)
    assert "example" not in short
    parsed = tomllib.loads(short)
    first, own = parsed["package"]
    assert first == {
        "name": "a",
        "version": "1.0",
        "source": {"registry": "https://index.invalid/simple"},
        "dependencies": [
            {"name": "b", "version": "2.0", "source": {"registry": "https://index.invalid/simple"}}
        ],
    }
    assert own["dev-dependencies"] == {"dev": [{"name": "a"}]}
    assert "metadata" not in own
    assert shorten_lock.shorten(short) == short
