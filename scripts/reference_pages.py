"""The pages of commands and of the Python API, and the tables of environment variables."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from invoke.collection import Collection
from invoke.loader import FilesystemLoader
from invoke.tasks import Task

from scripts.config_page import row
from shelfmark import settings
from shelfmark.monitor import MonitorSettings

ROOT = Path(__file__).parents[1]
# The pages of the API: the module with which each begins, in the order of the imports.
PAGES = {
    "errors": ("ground", "Configuration, texts and files"),
    "sources.snapshot": ("papers", "Papers and splits"),
    "threads": ("tfidf", "TF-IDF"),
    "targets": ("machines", "Trees, processes and clusters"),
    "scorers": ("model", "The model"),
    "metrics": ("records", "Figures and records"),
    "cloud": ("training", "Training"),
    "sweep_file": ("sweeps", "Sweeps"),
    "answers": ("answers", "Answers"),
    "changes": ("robustness", "Robustness"),
    "pace": ("harvest", "New papers"),
    "settings": ("service", "The service"),
    "drift_config": ("drift", "Drift"),
    "memory": ("benchmarks", "Benchmarks"),
    "report_pictures": ("reports", "Reports"),
    "commands": ("cloud", "Commands and the cloud"),
}
COMMANDS = """\
# Commands

`uv run inv --list` lists them, `uv run inv COMMAND --help` tells of one. Each installs what it
needs when it is called. Words such as `model.max_depth=4` are
[configuration keys](configuration.md).
"""
# Of a help text: what the page of the configuration keys tells in full.
GROUPS = re.compile(r"^Groups:$.*", re.MULTILINE | re.DOTALL)
OVERVIEW = """\
Made of the docstrings. A module imports from those before it alone, and a test holds it to that;
[the architecture](../../architecture.md) shows them together. Shapes of arrays are (rows, columns).
"""


def environment(page: str) -> str:
    """Return the page of the environment, its two marks replaced by the settings' own tables."""
    for kind in (settings.Settings, MonitorSettings):
        mark = f"<!-- table of {kind.__name__} -->"
        if mark not in page:
            raise ValueError(f"docs/environment.md has no {mark}")
        page = page.replace(mark, settings.table(kind))
    return page


def commands() -> str:
    """Return the page of all commands: what each does, its options and their defaults."""
    module, _ = FilesystemLoader(start=str(ROOT)).load("tasks")
    tasks = Collection.from_module(module).tasks
    return "\n".join([COMMANDS, *(_command(tasks[name]) for name in sorted(tasks))])


def _command(task: Task) -> str:  # type: ignore[type-arg]
    first, _, rest = GROUPS.sub("", task.__doc__ or "").strip().partition("\n")
    lines = [f"## {task.name}", "", first, ""]
    if rest.strip():
        lines += ["```text", *(line.removeprefix("    ") for line in rest.strip("\n").splitlines())]
        lines += ["```", ""]
    options = []
    for argument in task.get_arguments():
        default = argument.default
        shown = "" if default in (None, "", False) else f"`{str(default).lower()}`"
        word = "words" if argument.kind is list else f"--{argument.name.replace('_', '-')}"
        options.append(row([f"`{word}`", shown, argument.help or ""]))
    if options:
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *options, ""]
    return "\n".join(lines)


def api() -> dict[str, str]:
    """Return the pages of the API by their path: an overview, and the modules in their order."""
    pages, overview = {}, ["# Python API", "", OVERVIEW]
    for name, title, modules in slices():
        entries = [f"::: shelfmark.{module}\n" for module in modules]
        pages[f"reference/api/{name}.md"] = "\n".join([f"# {title}", "", *entries])
        overview += [f"## [{title}]({name}.md)", "", "| module | |", "| --- | --- |"]
        overview += [f"| [`{x}`]({name}.md#shelfmark.{x}) | {about(x)} |" for x in modules] + [""]
    return {"reference/api/index.md": "\n".join(overview)} | pages


def slices() -> list[tuple[str, str, list[str]]]:
    """Return the API's pages, each with its title and its modules in the order of the imports."""
    found: list[tuple[str, str, list[str]]] = []
    for module in order():
        if module in PAGES:
            found.append((*PAGES[module], []))
        found[-1][2].append(module)
    return found


def order() -> list[str]:
    """Return the modules in the one order that tests/test_architecture.py holds them to."""
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER":
            return list(ast.literal_eval(node.value))
    raise ValueError("tests/test_architecture.py has no ORDER")


def about(module: str) -> str:
    """Return the first line of a module's docstring."""
    path = ROOT / "src" / "shelfmark" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return told.partition("\n")[0]
