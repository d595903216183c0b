"""The pages of commands and of the Python API, and the tables of environment variables."""

from __future__ import annotations

import ast
import inspect
import tomllib
from pathlib import Path

import click
from invoke import Task

import tasks
from scripts.config_page import row
from shelfmark.cli.command import Command
from shelfmark.cli.overrides import Override
from shelfmark.service import settings
from shelfmark.service.monitor import MonitorSettings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shelfmark"
COMMANDS = """\
# Commands

`shelfmark --help` lists them, `shelfmark COMMAND --help` explains one. In a checkout,
`uv run inv COMMAND` is `uv run shelfmark COMMAND`; the developers' own commands are of `inv` alone.
Both install the packages that a command needs. Words such as `model.max_depth=4` are
[configuration keys](configuration.md).
"""
WORDS = "any number of key=value, +key=value, ~key"
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
    pages = {name: _task(task) for name, task in tasks.namespace.tasks.items()}
    pages |= {name: _command(command) for name, command in tasks.COMMANDS.items()}
    return "\n".join([COMMANDS, *(pages[name] for name in sorted(pages))])


def _command(command: click.Command) -> str:
    first, _, rest = inspect.cleandoc(command.help or "").partition("\n")
    context, rows = click.Context(command), []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = " ".join([*parameter.opts, *parameter.secondary_opts])
            rows.append((names, parameter.get_default(context), parameter.help or ""))
        else:
            words = WORDS if isinstance(parameter.type, Override) else ""
            rows.append((parameter.make_metavar(context), None, words))
    examples = "\n".join(command.examples) if isinstance(command, Command) else ""
    return _section(str(command.name), first, f"{rest}\n\n{examples}", rows)


def _task(task: Task[None]) -> str:
    first, _, rest = inspect.cleandoc(task.__doc__ or "").partition("\n")
    rows = [
        (f"--{argument.name.replace('_', '-')}", argument.default, argument.help or "")
        for argument in task.get_arguments()
    ]
    return _section(str(task.name), first, rest, rows)


def _section(name: str, first: str, rest: str, options: list[tuple[str, object, str]]) -> str:
    lines = [f"## {name}", "", first, ""]
    if rest.strip():
        lines += ["```text", *rest.strip("\n").splitlines(), "```", ""]
    rows = []
    for option, default, help_text in options:
        shown = "" if default in (None, "", False) else f"`{str(default).lower()}`"
        rows.append(row([f"`{option}`", shown, help_text]))
    if rows:
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *rows, ""]
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
