"""Overrides of the configuration, the bare words of a command such as `experiment=fast`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from shelfmark.cli.parsing.command import Command
from shelfmark.config.groups import CLOUD, list_groups

if TYPE_CHECKING:
    from shelfmark.config.encoders import EncoderSettings
    from shelfmark.config.schema import Config
    from shelfmark.config.search import IndexSettings

AnySettings = TypeVar("AnySettings", "Config", "EncoderSettings", "IndexSettings")
OVERRIDE = re.compile(r"^(?:\+{0,2}[A-Za-z_][\w./@-]*=|~[A-Za-z_])")
EXAMPLES = (
    "experiment=fast model.max_depth=4",
    "data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL]",
    'data=csv "data.path=my papers.csv" data.level=archive',
    "+model.params.gamma=1",
)
ENCODER_EXAMPLES = (
    "experiment=fast encoder.size=128",
    "data=snapshot data.path=[arxiv.zip,more.jsonl.zst]",
    "encoder=minilm encoder.precision=fp32",
)
INDEX_EXAMPLES = (
    "data=snapshot data.path=[arxiv.zip,more.jsonl.zst]",
    "index=faiss index.factory=HNSW32",
)
# The groups that some commands have, and others have not.
CLASSIFIER_GROUPS = frozenset({"model", "engine", "tracking"})
ENCODER_GROUPS = frozenset({"encoder", "tracking"})
INDEX_GROUPS = frozenset({"index", "engine"})
TRAINING_GROUPS = CLASSIFIER_GROUPS | ENCODER_GROUPS
EXAMPLES_OF = {
    CLASSIFIER_GROUPS: EXAMPLES, ENCODER_GROUPS: ENCODER_EXAMPLES, INDEX_GROUPS: INDEX_EXAMPLES
}  # fmt: skip


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
        cloud: whether the groups of the cloud, and of both kinds of training, are among them.
        groups: of the configuration that the command has, and others have not.
    """

    def __init__(
        self,
        *args: Any,
        cloud: bool = False,
        groups: frozenset[str] = CLASSIFIER_GROUPS,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._groups = _groups(cloud, TRAINING_GROUPS if cloud else groups)
        self._examples = EXAMPLES_OF[groups]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the configuration groups, read from `configs/`, and examples of overrides."""
        super().format_epilog(ctx, formatter)
        listed = "\n".join(f"  {group}={'|'.join(names)}" for group, names in self._groups.items())
        formatter.write(f"\nGroups:\n{listed}\n")
        examples = "".join(f"  {ctx.info_name} {example}\n" for example in self._examples)
        formatter.write(f"\nAny key of configs/ can be set:\n{examples}")


def choices(cloud: bool = False, kind: frozenset[str] = CLASSIFIER_GROUPS) -> list[str]:
    """Return each choice of each configuration group as an override."""
    return [f"{group}={name}" for group, names in _groups(cloud, kind).items() for name in names]


def cloud_choices() -> list[str]:
    """Return the overrides of `choices`, and those of the groups of the cloud."""
    return choices(cloud=True, kind=TRAINING_GROUPS)


def encoder_choices() -> list[str]:
    """Return the overrides of `choices` for a training of an encoder."""
    return choices(kind=ENCODER_GROUPS)


def index_choices() -> list[str]:
    """Return the overrides of `choices` for an index of papers."""
    return choices(kind=INDEX_GROUPS)


def _groups(cloud: bool, kind: frozenset[str]) -> dict[str, list[str]]:
    others = (TRAINING_GROUPS | INDEX_GROUPS) - kind
    return {
        group: names
        for group, names in list_groups().items()
        if group not in others and (cloud or not group.startswith(CLOUD))
    }


overrides_argument = click.argument("overrides", nargs=-1, type=Override(choices))
encoder_overrides_argument = click.argument("overrides", nargs=-1, type=Override(encoder_choices))
index_overrides_argument = click.argument("overrides", nargs=-1, type=Override(index_choices))
cloud_overrides_argument = click.argument("overrides", nargs=-1, type=Override(cloud_choices))


def load_settings(overrides: Sequence[str]) -> Config:
    """Return the configuration of some overrides, with logging at its level.

    Raises:
        ShelfmarkError: an override names nothing, or a value is wrong.
    """
    from shelfmark.config.load import load_config

    return _log_at_level(load_config(overrides))


def load_encoder_settings(overrides: Sequence[str]) -> EncoderSettings:
    """Return the configuration of a training of an encoder, as `load_settings`.

    Raises:
        ShelfmarkError: an override names nothing, or a value is wrong.
    """
    from shelfmark.config.load import load_encoder_config

    return _log_at_level(load_encoder_config(overrides))


def load_index_settings(overrides: Sequence[str]) -> IndexSettings:
    """Return the configuration of an index of papers, as `load_settings`.

    Raises:
        ShelfmarkError: an override names nothing, or a value is wrong.
    """
    from shelfmark.config.load import load_index_config

    return _log_at_level(load_index_config(overrides))


def _log_at_level(settings: AnySettings) -> AnySettings:
    """Set logging to the level of a configuration, and return the configuration."""
    from shelfmark.core import console

    console.configure_logging(settings.log_level)
    return settings
