"""The pages of commands and of the Python API, and the tables of environment variables."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from invoke.collection import Collection
from invoke.loader import FilesystemLoader
from invoke.tasks import Task

from scripts.config_page import row
from shelfmark.service import settings
from shelfmark.service.monitor import MonitorSettings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shelfmark"
COMMANDS = """\
# Commands

`uv run inv --list` lists them, `uv run inv COMMAND --help` tells of one. Each installs what it
needs when it is called. Words such as `model.max_depth=4` are
[configuration keys](configuration.md).
"""
# Of a help text: what the page of the configuration keys tells in full.
GROUPS = re.compile(r"^Groups:$.*", re.MULTILINE | re.DOTALL)
OVERVIEW = """\
Made of the docstrings, one page a room. A room imports only from the rooms below it, and
`inv lint` holds it to that; [the architecture](../../architecture.md) shows them together. Shapes
of arrays are (rows, columns).
"""


def environment(page: str) -> str:
    """Return the page of the environment, its two marks replaced by the settings' own tables."""
    for kind in (settings.Settings, MonitorSettings):
        mark = f"<!-- table of {kind.__name__} -->"
        if mark not in page:
            raise ValueError(f"docs/environment.md has no {mark}")
        page = page.replace(mark, settings.settings_table(kind))
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
    """Return the pages of the API by their path: an overview, and a page for each room."""
    pages, overview = {}, ["# Python API", "", OVERVIEW]
    for room, modules in rooms().items():
        entries = [f"::: shelfmark.{module}\n" for module in modules]
        pages[f"reference/api/{room}.md"] = "\n".join([f"# {room}", "", about(room), "", *entries])
        overview += [
            f"## [{room}]({room}.md)",
            "",
            about(room),
            "",
            "| module | |",
            "| --- | --- |",
        ]
        overview += [f"| [`{x}`]({room}.md#shelfmark.{x}) | {about(x)} |" for x in modules] + [""]
    return {"reference/api/index.md": "\n".join(overview)} | pages


def rooms() -> dict[str, list[str]]:
    """Return the rooms, each with its modules, in the order of the imports from the ground up."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.removeprefix("shelfmark.") for row in layers[::-1] for name in row.split(" | ")]
    return {name: modules_of(name) for name in names if (SOURCE / name).is_dir()}


def modules_of(room: str) -> list[str]:
    """Return the modules of a room, those of its own folders behind the others."""
    files = sorted((SOURCE / room).rglob("*.py"), key=lambda x: (len(x.parts), x))
    paths = [x.relative_to(SOURCE).with_suffix("") for x in files if x.stem != "__init__"]
    return [".".join(path.parts) for path in paths]


def about(module: str) -> str:
    """Return the first line of a module's docstring."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return told.partition("\n")[0]
