"""The site, built once as `inv docs` builds it, in a separate folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import make_site
from tests.support.moments import PATIENCE

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that the site is built from."""
    folder = tmp_path_factory.mktemp("docs") / "build" / "pages"
    make_site.write_pages(folder)
    return folder


@pytest.fixture(scope="session")
def site(pages: Path) -> Path:
    """The site, of which no page had a warning."""
    home = pages.parents[1]
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert 'paths = ["src"]' in settings
    source = (ROOT / "src").as_posix()
    (home / "zensical.toml").write_text(
        settings.replace('paths = ["src"]', f'paths = ["{source}"]'), encoding="utf-8"
    )
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(
        build, cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "site"
