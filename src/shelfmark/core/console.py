"""Output for people: the logging configuration, progress bars, and errors on one line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shelfmark.errors import OutputClosedError, ShelfmarkError

# Standard output is for results, which the commands print.
STDERR = Console(stderr=True)
OUTPUT_CLOSED = 141  # the exit status that a shell gives to a program that SIGPIPE stops
OUT_OF_MEMORY = (  # of the system's loader, C++, the threads, and Python's own calls
    "failed to map segment", "annot allocate memory", "bad_alloc", "can't start new thread",
    "without setting an exception",
)  # fmt: skip


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
    global _plain
    shown = logger.level("INFO").no >= logger.level(level).no
    _plain = PlainLog() if shown and not sys.stderr.isatty() else None


def log_line(message: str) -> None:
    """Log a line of the level INFO; where this process writes plain lines, in a tenth of the time.

    A service writes one for each request, for which loguru takes longer than for the answer.
    """
    if _plain is None:
        logger.info(message)
        return
    with contextlib.suppress(OSError, ValueError):  # as loguru does with what cannot be written
        _plain.write(message)


class PlainLog:
    """Writes lines to standard error as `configure_logging` has loguru write them.

    Each is written at once, so that none is lost, whatever ends the process.
    """

    def __init__(self) -> None:
        self._second = 0
        self._prefix = ""

    def write(self, message: str) -> None:
        """Write a line.

        Raises:
            OSError: standard error cannot be written.
            ValueError: it is closed.
        """
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%H:%M:%S INFO    ", time.localtime(second))
        sys.stderr.write(f"{self._prefix}{message}\n")
        sys.stderr.flush()


_plain: PlainLog | None = None  # unless lines of the level INFO go to a terminal, or nowhere


@contextlib.contextmanager
def one_line_errors(stopped: str = "nothing half-written was kept") -> Iterator[None]:
    """Report an error of the user or of the system in one line, and exit with status 1.

    Ctrl-C exits with status 130. If the reader of the output has ended, the exit is silent, with
    status 141. An error of the program is passed on.

    Args:
        stopped: the message on Ctrl-C, about the state of the work.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped: {stopped}", file=sys.stderr)
        raise SystemExit(130) from None
    except OutputClosedError:
        raise SystemExit(end_in_silence()) from None
    except Exception as error:
        if not report_error(error):
            raise
        raise SystemExit(1) from None


def report_error(error: Exception) -> bool:
    """Print an error in one line on standard error, if it is of the user or of the system.

    Returns:
        Whether it is; an error of the program deserves its traceback.
    """
    text = str(error) if isinstance(error, ShelfmarkError) else ""
    if _lacks_memory(error):
        place = f"{text.rstrip(': ')}: " if text else ""
        text = f"{place}memory is short: free some, or raise the limit of this process"
    elif not text:
        if not isinstance(error, OSError):
            return False
        text = f"{error.strerror or error}"
        if error.filename is not None:
            text = f"{error.filename}: {text}"
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    _drop_unwritten_output()
    return True


def end_in_silence() -> int:
    """Drop the output that nobody reads, and return the exit status of a program that it stops."""
    _drop_unwritten_output()
    return OUTPUT_CLOSED


def _lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out; libraries, and the import of one, have other words for it."""
    return any(
        isinstance(one, MemoryError)
        or getattr(one, "errno", None) == errno.ENOMEM
        or any(sign in str(one) for sign in OUT_OF_MEMORY)
        for one in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, each once: a library may raise one from itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _drop_unwritten_output() -> None:
    """Drop what standard output does not take: at its exit, Python would try and report it."""
    try:
        sys.stdout.flush()
    except (OSError, OutputClosedError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


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
