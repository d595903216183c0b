"""`shelfmark completion`: what a shell needs to complete commands, options and overrides."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

from shelfmark.cli.parsing.command import Command

PROGRAM, VARIABLE = "shelfmark", "_SHELFMARK_COMPLETE"


@add_completion_class
class OverridesBashComplete(BashComplete):
    """Completion for Bash, which divides `experiment=fast` at the sign into three words."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that word, rejoined."""
        typed = os.environ["COMP_WORDS"].split()[: int(os.environ["COMP_CWORD"]) + 1]
        before, incomplete = super().get_completion_args()
        if "=" not in typed[-2:]:
            return before, incomplete
        words = [*before, incomplete] if incomplete else before
        sign = len(words) - 1 - words[::-1].index("=")
        return words[: sign - 1], "".join(words[sign - 1 :])

    def format_completion(self, item: CompletionItem) -> str:
        """Return an item as the script reads it; Bash replaces only the part after the sign."""
        _, incomplete = self.get_completion_args()
        start = incomplete.partition("=")[0] + "=" if "=" in incomplete else ""
        return f"{item.type},{item.value.removeprefix(start)}"


@click.command(
    "completion",
    cls=Command,
    examples=[
        'eval "$(shelfmark completion bash)"     # in ~/.bashrc',
        'eval "$(shelfmark completion zsh)"      # in ~/.zshrc',
        "shelfmark completion fish | source      # in ~/.config/fish/config.fish",
    ],
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell script that completes commands, options and overrides."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())


COMMANDS = (completion,)
