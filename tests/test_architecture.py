"""The shape of the package: imports go one way, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "shelfmark"
# The one way of the data. A module imports only from those before it.
ORDER = [
    "errors", "provenance", "probe", "groups", "taxonomy", "text", "papers", "schema", "config",
    "labels",
    "console", "remote", "files", "pointer", "versioning",
    "parallel", "locks", "shared", "prediction_log", "shipping",
    "sources.snapshot", "sources.csv", "sources.sample", "sources",
    "splits", "cleaning", "preprocess",
    "threads", "tokens", "ngrams", "trie", "counts", "weights", "vectorizer", "sketches",
    "targets", "pickles", "checkpoint", "boosting",
    "partitions", "workers", "forest", "cluster", "engine",
    "scorers", "embedding", "stacking", "selection",
    "classifiers", "decision", "features", "model", "artifact", "explain", "metrics",
    "confidence", "pictures", "robustness_pictures",
    "wandb_record", "wandb_run", "wandb_sync", "tracking",
    "evaluate", "model_card", "identity", "traits", "reference",
    "cloud", "cloud.rest", "cloud.secret", "job", "train",
    "sweep_file", "sweep_trial", "sweep_optuna", "sweep_wandb", "sweep_report", "sweep",
    "answers", "questions", "predict",
    "changes", "robustness_figures", "ageing", "robustness_report", "robustness",
    "pace", "oai_page", "oai", "harvest_store", "harvest_file", "harvest",
    "moderation_page", "moderation",
    "settings", "registry", "aliases", "behaviour", "promote",
    "telemetry", "serving", "batching", "messages", "problems",
    "middleware", "model_page", "service", "server",
    "drift_config", "windows", "log_window", "paper_window", "domain", "drift_statistics", "drift",
    "drift_report", "drift_page", "drift_run", "monitor", "retrain",
    "memory", "load_users", "load_figures", "load_test", "measure", "scaling", "bench",
    "drift_bench",
    "report_pictures", "report_runs", "report_tables", "report_models", "report_watch",
    "report_text", "report", "report_html", "report_numbers", "report_check",
    "commands",
    "cloud.account", "cloud.gcloud", "cloud.init", "cloud.deploy", "cloud.deploying",
    "cloud.machines", "cloud.submission", "cloud.spec", "cloud.digests", "cloud.vertex",
    "cloud.logs", "cloud.preflight", "cloud.sending", "cloud.tasks",
]  # fmt: skip
MODULES = {
    ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file
    for file in SOURCE.rglob("*.py")
    if file != SOURCE / "__init__.py"
}


def imports_of(file: Path) -> set[str]:
    """Return the package's own modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    ours = {name.removeprefix("shelfmark.") for name in found if name.startswith("shelfmark.")}
    return ours & set(ORDER)


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(MODULES) == sorted(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_one_way(module: str) -> None:
    above = ORDER[ORDER.index(module) :]
    assert not imports_of(MODULES[module]) & set(above)


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("wandb", {"wandb_run", "sweep_wandb"}),
        ("optuna", {"sweep_optuna"}),
        ("hydra", {"config"}),
        ("matplotlib", {"pictures", "robustness_pictures"}),
        ("dask", {"forest"}),
        ("distributed", {"workers", "forest", "cluster"}),
        ("dvc", {"versioning"}),
        ("fsspec", {"remote", "shipping"}),
        ("evidently", {"drift_statistics"}),
    ],
)
def test_a_heavy_library_is_named_where_it_belongs(name: str, home: set[str]) -> None:
    naming = {
        module
        for module, file in MODULES.items()
        if f"import {name}" in (text := file.read_text(encoding="utf-8")) or f"from {name}" in text
    }
    assert naming == home


def loaded_by(statement: str) -> set[str]:
    """Return the libraries that a statement brings into a fresh interpreter."""
    names = modules_after(statement) - modules_after("pass")  # some install themselves at its start
    return {name.partition(".")[0] for name in names}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_serving_needs_no_training_library() -> None:
    heavy = {
        "hydra", "omegaconf", "matplotlib", "wandb", "dvc", "google", "invoke", "dask", "evidently",
    }  # fmt: skip
    assert not loaded_by("import shelfmark.server; shelfmark.server.create()") & heavy


def test_serving_works_without_what_only_training_needs() -> None:
    # As in the service's image, which leaves them out.
    absent = ["hydra", "invoke", "matplotlib", "pandas", "pyarrow"]
    code = f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"
    assert "fastapi" in loaded_by(f"{code}import shelfmark.server; shelfmark.server.create()")


def test_sharing_work_out_needs_no_model_library() -> None:
    assert not loaded_by("import shelfmark.predict") & {"sklearn", "xgboost", "scipy", "pandas"}


def test_training_needs_no_tracking_library_and_no_web_server() -> None:
    heavy = {"wandb", "dvc", "google", "fastapi", "dask", "evidently"}
    assert not loaded_by("import shelfmark.train") & heavy


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_file_stays_readable(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 310
