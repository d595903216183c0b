"""Overrides of the configuration, the bare words of a command such as `experiment=fast`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from shelfmark.cli.command import Command
from shelfmark.config.groups import CLOUD, list_groups

if TYPE_CHECKING:
    from shelfmark.config.schema import Config

OVERRIDE = re.compile(r"^(?:\+{0,2}[A-Za-z_][\w./@-]*=|~[A-Za-z_])")
EXAMPLES = (
    "experiment=fast model.max_depth=4",
    "data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL]",
    'data=csv "data.path=my papers.csv" data.level=archive',
    "+model.params.gamma=1",
)


class Override(click.ParamType[str]):
    """One override.

    Args:
        choices: returns what completion offers.
    """

    name = "override"

    def __init__(self, choices: Callable[[], Sequence[str]]) -> None:
        self._choices = choices

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word; one that sets nothing is refused."""
        if not OVERRIDE.match(value):
            self.fail(f"{value}: no override: give key=value, +key=value or ~key", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the choices that begin with the word."""
        return [CompletionItem(word) for word in self._choices() if word.startswith(incomplete)]


class NameOrOverride(Override):
    """The name of a file or of a version, or an override."""

    name = "name or override"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word."""
        return value if "=" not in value else super().convert(value, param, ctx)


class OverridesCommand(Command):
    """A command that takes overrides, and lists the configuration groups in its help.

    Args:
        cloud: whether the groups of the cloud are among them.
    """

    def __init__(self, *args: Any, cloud: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cloud = cloud

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the configuration groups, read from `configs/`, and examples of overrides."""
        super().format_epilog(ctx, formatter)
        formatter.write(f"\nGroups:\n{_listed_groups(self._cloud)}\n")
        examples = "".join(f"  {ctx.info_name} {example}\n" for example in EXAMPLES)
        formatter.write(f"\nAny key of configs/ can be set:\n{examples}")


def choices(cloud: bool = False) -> list[str]:
    """Return each choice of each configuration group as an override."""
    return [f"{group}={name}" for group, names in _groups(cloud).items() for name in names]


def cloud_choices() -> list[str]:
    """Return the overrides of `choices`, and those of the groups of the cloud."""
    return choices(cloud=True)


def _groups(cloud: bool) -> dict[str, list[str]]:
    return {
        group: names
        for group, names in list_groups().items()
        if cloud or not group.startswith(CLOUD)
    }


def _listed_groups(cloud: bool) -> str:
    return "\n".join(f"  {group}={'|'.join(names)}" for group, names in _groups(cloud).items())


overrides_argument = click.argument("overrides", nargs=-1, type=Override(choices))
cloud_overrides_argument = click.argument("overrides", nargs=-1, type=Override(cloud_choices))


def load_settings(overrides: Sequence[str]) -> Config:
    """Return the configuration of some overrides, with logging at its level.

    Raises:
        ShelfmarkError: an override names nothing, or a value is wrong.
    """
    from shelfmark.config.load import load_config
    from shelfmark.core import console

    settings = load_config(overrides)
    console.configure_logging(settings.log_level)
    return settings
