"""A command of `shelfmark`: logging to standard error, every mistake on one line, exit status 1."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import click

from shelfmark.cli.output import name_standard_output
from shelfmark.core import environment
from shelfmark.errors import OutputClosedError

INTERRUPTED = 130  # the exit status of a program that Ctrl-C stops


class Command(click.Command):
    """A command that sets logging up and reports errors on one line.

    Args:
        stopped: the message on Ctrl-C, about the state of the work.
        examples: lines that the help shows verbatim.
    """

    def __init__(
        self,
        *args: Any,
        stopped: str = "nothing half-written was kept",
        examples: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.examples = examples
        self._stopped = stopped

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in self.examples))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the user or of the system is one line and exit status 1."""
        from shelfmark.core import console

        console.configure_logging()
        with console.one_line_errors(self._stopped):
            return super().invoke(ctx)


class Whole(click.IntRange):
    """A whole number within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} should be a whole number", param, ctx)
        return int(super().convert(value, param, ctx))


class Number(click.FloatRange):
    """A finite number within limits."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; NaN, which passes every limit, is refused too."""
        try:
            float(value)
        except ValueError:
            self.fail(f"{value!r} should be a number", param, ctx)
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


def run(commands: click.Command, arguments: Sequence[str] | None, program: str) -> int:
    """Run a command line without the program's name, and return its exit status.

    Click's own errors become one line like all others. Their status is 1, as everywhere: that of
    `drift` is 2 where there is drift.
    """
    environment.drop_blank()
    name_standard_output()
    try:
        try:
            # Status of --help and --version; the commands themselves return nothing.
            status = commands.main(arguments, program, standalone_mode=False)
        finally:
            sys.stdout.flush()
    except click.ClickException as error:
        sys.stderr.write(f"error: {_line(error)}\n")
        return 1
    except click.Abort:
        sys.stderr.write("stopped\n")
        return INTERRUPTED
    except OutputClosedError:
        from shelfmark.core import console

        return console.end_in_silence()
    except Exception as error:
        from shelfmark.core import console

        if not console.report_error(error):
            raise
        return 1
    return status if isinstance(status, int) else 0


def _line(error: click.ClickException) -> str:
    text = error.format_message()
    if type(error) is click.BadParameter:
        text = error.message
        if isinstance(error.param, click.Option):
            text = f"{error.param.opts[-1]}: {text}"
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        text += f" (see {error.ctx.command_path} --help)"
    text = " ".join(text.replace(". (", " (").removesuffix(".").split())
    return text[:1].lower() + text[1:]
