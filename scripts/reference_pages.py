"""The reference pages: commands, the Python API, and the tables of environment variables."""

from __future__ import annotations

import ast
import inspect
import tomllib
from pathlib import Path

import click
from invoke import Task

import tasks
from scripts.config_page import table_row
from shelfmark.cli.parsing.command import Command
from shelfmark.cli.parsing.overrides import Override
from shelfmark.service import settings
from shelfmark.service.settings import MonitorSettings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "shelfmark"
COMMANDS = """\
# Commands

`shelfmark --help` lists the commands, and `shelfmark COMMAND --help` describes one of them. In a
checkout, `uv run inv COMMAND` is the same as `uv run shelfmark COMMAND`; the commands for
developers exist only under `inv`. Both install the packages that a command needs. Arguments such
as `model.max_depth=4` set [configuration keys](configuration.md).
"""
WORDS = "any number of key=value, +key=value, ~key"
OVERVIEW = """\
These pages are generated from the docstrings, one page per room. A room imports only from the
rooms below it, which `inv lint` checks; [the architecture](../../architecture.md) shows all rooms.
Shapes of arrays are (rows, columns).
"""


def render_environment(page: str) -> str:
    """Return the page of the environment with its two marks replaced by tables of the settings."""
    for kind in (settings.Settings, MonitorSettings):
        mark = f"<!-- table of {kind.__name__} -->"
        if mark not in page:
            raise ValueError(f"docs/environment.md has no {mark}")
        page = page.replace(mark, settings.settings_table(kind))
    return page


def render_commands() -> str:
    """Return the page of all commands: description, options and defaults."""
    pages = {name: _render_task(task) for name, task in tasks.namespace.tasks.items()}
    pages |= {name: _render_command(command) for name, command in tasks.COMMANDS.items()}
    return "\n".join([COMMANDS, *(pages[name] for name in sorted(pages))])


def _render_command(command: click.Command) -> str:
    first, _, rest = inspect.cleandoc(command.help or "").partition("\n")
    context, rows = click.Context(command), []
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = " ".join([*parameter.opts, *parameter.secondary_opts])
            default = None if parameter.required else parameter.get_default(context)
            about = f"{parameter.help or ''}{' Required.' if parameter.required else ''}"
            rows.append((names, default, about.strip()))
        else:
            words = WORDS if isinstance(parameter.type, Override) else ""
            rows.append((parameter.make_metavar(context), None, words))
    examples = "\n".join(command.examples) if isinstance(command, Command) else ""
    return _render_section(str(command.name), first, f"{rest}\n\n{examples}", rows)


def _render_task(task: Task[None]) -> str:
    first, _, rest = inspect.cleandoc(task.__doc__ or "").partition("\n")
    rows = [
        (f"--{argument.name.replace('_', '-')}", argument.default, argument.help or "")
        for argument in task.get_arguments()
    ]
    return _render_section(str(task.name), first, rest, rows)


def _render_section(
    name: str, first: str, rest: str, options: list[tuple[str, object, str]]
) -> str:
    lines = [f"## {name}", "", first, ""]
    if rest.strip():
        lines += ["```text", *rest.strip("\n").splitlines(), "```", ""]
    rows = []
    for option, default, help_text in options:
        shown = "" if default in (None, "", False) else f"`{str(default).lower()}`"
        rows.append(table_row([f"`{option}`", shown, help_text]))
    if rows:
        lines += ["| option | default | meaning |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def render_api() -> dict[str, str]:
    """Return the pages of the API by path: an overview, and a page per room."""
    pages, overview = {}, ["# Python API", "", OVERVIEW]
    for room, modules in list_rooms().items():
        entries = [f"::: shelfmark.{module}\n" for module in modules]
        pages[f"reference/api/{room}.md"] = "\n".join(
            [f"# {room}", "", summary(room), "", *entries]
        )
        overview += [
            f"## [{room}]({room}.md)",
            "",
            summary(room),
            "",
            "| module | |",
            "| --- | --- |",
        ]
        overview += [f"| [`{x}`]({room}.md#shelfmark.{x}) | {summary(x)} |" for x in modules] + [""]
    return {"reference/api/index.md": "\n".join(overview)} | pages


def list_rooms() -> dict[str, list[str]]:
    """Return the public face, and the rooms with their modules from the lowest layer up."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.removeprefix("shelfmark.") for row in layers[::-1] for name in row.split(" | ")]
    rooms = {name: list_modules(name) for name in names if (SOURCE / name).is_dir()}
    return {"shelfmark": ["api", "errors"], **rooms}


def list_modules(room: str) -> list[str]:
    """Return the modules of a room, those in subfolders last."""
    files = sorted((SOURCE / room).rglob("*.py"), key=lambda x: (len(x.parts), x))
    paths = [x.relative_to(SOURCE).with_suffix("") for x in files if x.stem != "__init__"]
    return [".".join(path.parts) for path in paths]


def summary(module: str) -> str:
    """Return the first line of the docstring of a module or a room."""
    path = SOURCE / module.removeprefix("shelfmark").replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
