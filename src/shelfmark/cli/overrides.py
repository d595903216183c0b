"""What the tasks share: bare words as overrides, the extras they need, and their help."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.tasks import Task

from shelfmark.config.groups import CLOUD, groups

OVERRIDE = re.compile(r"^(?:\+{0,2}[A-Za-z_][\w./@-]*=|~[A-Za-z_])")


NAME = re.compile(r"^[\w./][\w./-]*$")


class Words(Argument):
    """A positional argument that takes every following word of its kind, none or many.

    Invoke asks a positional argument for its value to learn whether it still wants words: this one
    wants them until it has as many as stand behind its task's name on the command line.
    """

    def __init__(self, name: str, task: OverridesTask, flags: set[str]) -> None:
        words = "any number of key=value, +key=value, ~key"
        super().__init__(name=name, kind=list, positional=True, help=task.first + words)
        self._wanted = task.wanted
        self._named = bool(task.first)
        self._task_name = task.name
        self._flags = flags
        self._copies = 0
        self._turn = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        # The parser copies its prototype each time the task's name appears.
        twin = copy.copy(self)
        twin._copies, twin._turn = 0, self._copies
        twin.raw_value, twin._value = [], []
        self._copies += 1
        return twin

    @property
    def value(self) -> list[str] | None:
        """The words, or None while more are to come."""
        words: list[str] = self._value or []
        return None if len(words) < self._expected() else words

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*(self._value or []), word]

    def _expected(self) -> int:
        """Count the words behind the turn-th appearance of the task's name."""
        counts: list[int] = []
        mine, before = False, ""
        for word in sys.argv[1:]:
            first = self._named and before == self._task_name and NAME.match(word)
            if mine and (first or self._wanted.match(word)):
                counts[-1] += 1
            elif not (word.startswith("-") or (mine and before in self._flags)):
                mine = word == self._task_name
                counts += [0] * mine
            before = word
        return counts[self._turn] if self._turn < len(counts) else 0


class OverridesTask(Task):  # type: ignore[type-arg]
    """A task whose argument `overrides` takes bare words such as `experiment=fast`."""

    wanted = OVERRIDE
    first = ""  # what help says of a first word that may be any name

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments of the task's signature, `overrides` as `Words`."""
        found = super().get_arguments(ignore_unknown_help)
        # The word behind one of these is its value.
        flags = {to_flag(name) for x in found if x.takes_value for name in x.names}
        return [
            Words("overrides", self, flags) if argument.name == "overrides" else argument
            for argument in found
        ]


class NamedTask(OverridesTask):
    """The same, with a name as the first of the words."""

    first = "a name, then "


def run(*command: str, **env: str) -> None:
    """Run a command as it is typed, and end with its status if it fails."""
    done = subprocess.run(command, env={**os.environ, **env}, check=False)
    if done.returncode:
        raise Exit(code=done.returncode)


def uv(*command: str, groups: Iterable[str] = (), extras: Iterable[str] = ()) -> None:
    """Run a command in the project's environment, with the groups and the extras it needs."""
    needs = [word for group in groups for word in ("--group", group)]
    needs += [word for extra in extras for word in ("--extra", extra)]
    # Compiled at installation, for the many processes that the tests start.
    run("uv", "run", "--quiet", *needs, *command, UV_COMPILE_BYTECODE="1")


def bring(module: str, *, group: str | None = None, extra: str | None = None) -> None:
    """Unless a module is installed, run this command again with what brings it, and end with that.

    Raises:
        Exit: the command has been run again, with this status.
    """
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # of a dotted name, whose package is not there
        found = None
    if found is None or found.origin is None:  # or a mere folder of that name
        again = ("python", "-m", "invoke", *sys.argv[1:])
        uv(*again, groups=[group] if group else [], extras=[extra] if extra else [])
        raise Exit(code=0)


def configured(overrides: list[str]) -> Any:
    """Return the configuration of some overrides, logging set up by it."""
    from shelfmark.config.load import load_config
    from shelfmark.core import console

    settings = load_config(overrides)
    console.configure_logging(settings.log_level)
    return settings


def choices(cloud: bool = False) -> str:
    """Return the configuration groups and their choices, for help texts."""
    return "\n".join(
        f"  {group}={'|'.join(names)}"
        for group, names in groups().items()
        if cloud or not group.startswith(CLOUD)
    )


def with_choices(body: Any, cloud: bool = False) -> Any:
    """Append the configuration groups, read from `configs/`, to a task's help."""
    body.__doc__ += f"""
Groups:
{choices(cloud)}

Any key of configs/ can be set: {body.__name__} experiment=fast model.max_depth=4
  data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL]
  data=csv "data.path=my papers.csv" data.level=archive
  +model.params.gamma=1
"""
    return body
