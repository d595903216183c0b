"""Make `.venv-torch`: EXTRAS with the CPU build of torch, where pip finds one locally.

From an index, torch for Linux comes with gigabytes of GPU libraries, which no test needs. A CPU
build lies in a folder that pip is set up to search (`find-links`), or there is none. All other
packages are those of uv.lock. Exits with 3 where there is no such build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-torch"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = ("sentence", "sweep", "wandb")
GPU_ONLY = ("cuda-", "nvidia-", "triton")  # packages that only the GPU build loads
NO_BUILD = 3


def locked_packages() -> dict[str, str]:
    """Return the version of each locked package."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return {package["name"]: package["version"] for package in lock["package"]}


def run(*command: str | Path) -> int:
    """Run a program in the project's folder, and return its status."""
    words = [str(word) for word in command]
    environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(FOLDER)}
    environment.pop("VIRTUAL_ENV", None)
    return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode


def install_locally(version: str) -> bool:
    """Install torch from pip's own folders, without any index; return whether there is a build."""
    pip = shutil.which("pip")
    if pip is None:
        return False
    there = any(FOLDER.rglob(f"torch-{version}+cpu.dist-info"))
    install = (pip, "--python", PYTHON, "install", "--quiet", "--no-index", "--no-deps")
    return there or run(*install, f"torch=={version}+cpu") == 0


def main() -> int:
    """Make or update the environment."""
    packages = locked_packages()
    skipped = ["torch", *(name for name in packages if name.startswith(GPU_ONLY))]
    options = [word for name in skipped for word in ("--no-install-package", name)]
    extras = [word for name in EXTRAS for word in ("--extra", name)]
    sync = ("uv", "sync", "--quiet", "--inexact", "--python", sys.executable, *extras)
    if not FOLDER.exists():
        run("uv", "venv", "--quiet", "--python", sys.executable, FOLDER)
    if not install_locally(packages["torch"]):
        shutil.rmtree(FOLDER, ignore_errors=True)
        print(f"pip finds no CPU build of torch {packages['torch']} in its folders (find-links)")
        return NO_BUILD
    return run(*sync, "--group", "dev", "--group", "weights", *options)


if __name__ == "__main__":
    raise SystemExit(main())
