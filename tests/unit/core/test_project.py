"""Where the project's files are, in a checkout and in an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.core import project

HERE = Path(__file__).parents[3]


def test_in_a_checkout_the_folders_are_its_own() -> None:
    assert project.checkout() == HERE
    assert project.project_folder("configs") == HERE / "configs"


def test_an_installed_package_brings_copies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site-packages" / "shelfmark"
    (package / "project" / "configs").mkdir(parents=True)
    monkeypatch.setattr(project, "PACKAGE", package)
    monkeypatch.setattr(project, "ROOT", tmp_path)
    assert project.checkout() is None
    assert project.project_folder("configs") == package / "project" / "configs"
    assert project.project_folder("cloud") == tmp_path / "cloud"


def test_an_extra_is_installed_by_uv_in_a_checkout_and_by_pip_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert project.install_command("gs") == "uv sync --extra gs"
    monkeypatch.setattr(project, "checkout", lambda: None)
    assert project.install_command("gs") == 'pip install "shelfmark[gs]"'
