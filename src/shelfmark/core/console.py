"""Output for people: the logging configuration, progress bars, and errors on one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shelfmark.errors import ShelfmarkError

# Standard output is for results, which the commands print.
STDERR = Console(stderr=True)


def configure_logging(level: str = "INFO") -> None:
    """Send all logging to standard error at a level; each entry point calls this once."""
    logger.remove()
    logger.add(
        sys.stderr,
        level=level,
        format="<dim>{time:HH:mm:ss}</dim> <level>{level:<7}</level> {message}",
        # Local values in tracebacks may hold keys and texts of papers.
        diagnose=False,
    )


@contextlib.contextmanager
def one_line_errors(stopped: str = "nothing half-written was kept") -> Iterator[None]:
    """Report a `ShelfmarkError` in one line and exit with status 1; exit with 130 on Ctrl-C.

    Args:
        stopped: the message on Ctrl-C, about the state of the work.
    """
    try:
        yield
    except ShelfmarkError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(f"stopped: {stopped}", file=sys.stderr)
        raise SystemExit(130) from None


class Bar:
    """A counter that moves a progress bar."""

    def __init__(self, progress: Progress, description: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def advance(self, steps: int = 1) -> None:
        """Add finished steps."""
        self._progress.advance(self._task, steps)


@contextlib.contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Bar]:
    """Show a progress bar on standard error during the block, if that is a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=STDERR, disable=not STDERR.is_terminal, transient=True) as bars:
        yield Bar(bars, description, total)
