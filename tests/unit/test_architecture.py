"""The shape of the package, beside the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "shelfmark"
MODULES = sorted(SOURCE.rglob("*.py"))
TRAINING_ONLY = {"hydra", "omegaconf", "matplotlib", "invoke", "wandb", "dvc", "google", "dask"}
SERVE = (
    "from shelfmark.service.workers import preload; preload.import_service()\n"
    "from shelfmark.service.workers import process; process.create_worker_app()"
)


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that a statement loads in a new interpreter."""
    watched = f"import sys; before = {{*sys.modules}}\n{code}\nprint(*({{*sys.modules}} - before))"
    done = subprocess.run(
        [sys.executable, "-c", watched], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("code", "loaded", "not_loaded"),
    [
        (SERVE, "fastapi", TRAINING_ONLY | {"evidently", "pandas", "pyarrow", "xgboost"}),
        ("import shelfmark.models.predict", "shelfmark", {"sklearn", "xgboost", "scipy", "pandas"}),
        (
            "import shelfmark.cloud.job",
            "shelfmark",
            {"wandb", "dvc", "google", "fastapi", "dask", "evidently"},
        ),
    ],
    ids=["service", "sharing work among processes", "training"],
)
def test_an_entry_point_loads_only_the_libraries_it_needs(
    code: str, loaded: str, not_loaded: set[str]
) -> None:
    names = loaded_by(code)
    assert loaded in names
    assert not names & not_loaded


def test_the_service_runs_without_the_libraries_that_its_image_leaves_out() -> None:
    absent = ["hydra", "invoke", "matplotlib", "pandas", "pyarrow"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent}))\n{SERVE}"
    assert "fastapi" in loaded_by(code)


def test_no_module_is_over_500_lines_and_no_folder_over_16_modules() -> None:
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {file: count for file, count in lines.items() if count > 500} == {}
    folders = Counter(file.parent for file in MODULES if file.stem != "__init__")
    assert {folder: count for folder, count in folders.items() if count > 16} == {}


def test_only_the_public_face_stands_outside_the_rooms() -> None:
    assert {file.name for file in SOURCE.glob("*.py")} <= {"__init__.py", "api.py", "errors.py"}


# Properties and attributes may be participles (`written`, `learnt`); functions are verbs.
PARTICIPLE = re.compile(
    r"\w+ed|asked|brought|built|chosen|done|drawn|found|given|gone|held|kept|known|learnt"
    r"|left|made|seen|sent|shown|taken|told|written"
)


def test_no_public_function_is_named_by_a_participle_alone() -> None:
    named = []
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            is_property = any("property" in ast.unparse(one) for one in node.decorator_list)
            if "_" not in node.name and PARTICIPLE.fullmatch(node.name) and not is_property:
                named.append(f"{file.relative_to(SOURCE)}: {node.name}")
    assert named == []
