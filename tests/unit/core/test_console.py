"""The console: one line for a mistake, results apart from the log, a bar only for a person."""

from __future__ import annotations

import errno
import io
import subprocess
import sys

import pytest
from rich.console import Console

from shelfmark.core import console
from shelfmark.errors import OutputClosedError, ShelfmarkError

SCRIPT = """
import sys
from loguru import logger
from shelfmark.core import console
from shelfmark.errors import OutputClosedError, ShelfmarkError

console.configure_logging(sys.argv[1])
console.configure_logging(sys.argv[1])
logger.debug("a detail")
logger.info("a step")
logger.warning("a doubt")
with console.progress("working", 3) as bar:
    bar.advance()
def fail(secret):
    raise ValueError("broken")
try:
    fail("s3cr3t")
except ValueError:
    logger.exception("a failure")
with console.one_line_errors():
    raise ShelfmarkError("the file\\nis gone")
"""


@pytest.fixture(scope="module")
def run() -> subprocess.CompletedProcess[str]:
    """A process that logs, counts and fails, all of it into pipes."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, "INFO"], capture_output=True, text=True, check=False
    )


def test_standard_output_is_left_to_results(run: subprocess.CompletedProcess[str]) -> None:
    assert run.stdout == ""


def test_the_log_goes_to_standard_error_at_its_level(run: subprocess.CompletedProcess[str]) -> None:
    lines = run.stderr.splitlines()
    assert not any("a detail" in line for line in lines)
    messages = [line.split(maxsplit=1)[1] for line in lines[:2]]
    assert messages == ["INFO    a step", "WARNING a doubt"]


LINES = """
import os, sys
from loguru import logger
from shelfmark.core import console

console.log_line("before")
console.configure_logging(sys.argv[1])
logger.info("a {step}")
console.log_line("a {step}")
sys.stderr.flush = lambda: None  # what has been written is not lost by an end without a flush
console.log_line("the last")
os._exit(0)
"""


@pytest.mark.parametrize(
    ("level", "expected"),
    [("INFO", ["INFO    a {step}", "INFO    a {step}", "INFO    the last"]), ("WARNING", [])],
)
def test_a_line_of_a_request_looks_like_any_other(level: str, expected: list[str]) -> None:
    command = [sys.executable, "-c", LINES, level]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *lines = run.stderr.splitlines()
    assert "INFO" in first
    assert first.endswith("before")
    assert [line.split(maxsplit=1)[1] for line in lines] == [line.strip() for line in expected]
    assert all(line[8:9] == " " for line in lines)


def test_without_a_terminal_there_is_no_bar_and_no_colour(
    run: subprocess.CompletedProcess[str],
) -> None:
    assert "working" not in run.stderr
    assert "\x1b" not in run.stderr + run.stdout


def test_a_traceback_shows_no_values(run: subprocess.CompletedProcess[str]) -> None:
    assert "ValueError: broken" in run.stderr
    # The call stands in the source line; its value must not be annotated below it.
    assert "secret = " not in run.stderr
    assert "└" not in run.stderr


def test_a_mistake_ends_the_process_with_one_line(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "error: the file is gone"
    assert "ShelfmarkError" not in run.stderr


def test_stopping_by_hand_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped: nothing half-written was kept\n"


def test_ctrl_c_prints_the_state_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, console.one_line_errors("it goes on"):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped: it goes on\n"


def test_any_white_space_of_a_message_becomes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        raise ShelfmarkError("a\n  b\r\n\tc ")
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", "error: a b c\n")


def test_a_fault_of_ours_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), console.one_line_errors():
        _ = 1 / 0


MEMORY = "error: memory is short: free some, or raise the limit of this process\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "not allowed", "a/card.json"), "error: a/card.json: not allowed\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (OSError("the disk\nis gone"), "error: the disk is gone\n"),
        (MemoryError(), MEMORY),
        (OSError(12, "Cannot allocate memory"), MEMORY),
        (ImportError("libx.so: failed to map segment from shared object"), MEMORY),
        (RuntimeError("can't start new thread"), MEMORY),
    ],
)  # fmt: skip
def test_an_error_of_the_system_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        raise error
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", line)


def test_an_error_that_short_memory_causes_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), console.one_line_errors():
        try:
            raise MemoryError
        except MemoryError as error:
            raise ShelfmarkError("pipeline.pkl was not opened:") from error
    assert capsys.readouterr().err.startswith("error: pipeline.pkl was not opened: memory is short")


def test_an_output_without_a_reader_is_silence_and_any_other_broken_pipe_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        raise OutputClosedError("standard output")
    assert caught.value.code == console.OUTPUT_CLOSED
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")  # as of a connection
    assert caught.value.code == 1
    assert capsys.readouterr() == ("", "error: Broken pipe\n")


def test_what_succeeds_is_not_disturbed(capsys: pytest.CaptureFixture[str]) -> None:
    with console.one_line_errors():
        print("done")
    assert capsys.readouterr() == ("done\n", "")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a person's terminal is sent."""
    sent = io.StringIO()
    terminal = Console(file=sent, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    monkeypatch.setattr(console, "STDERR", terminal)
    return sent


def test_a_person_sees_the_bar_move(screen: io.StringIO) -> None:
    with console.progress("reading papers", 4000) as bar:
        bar.advance(1000)
        bar.advance(500)
    assert "reading papers" in screen.getvalue()
    assert "1,500" in screen.getvalue()


def test_a_bar_ends_with_its_block(screen: io.StringIO) -> None:
    with pytest.raises(ShelfmarkError), console.progress("reading") as bar:
        bar.advance()
        raise ShelfmarkError("gone")
    assert screen.getvalue().endswith("\x1b[2K"), "the bar is wiped, so that the error has its line"
    with console.progress("again"):
        pass


def test_an_error_that_a_library_raises_from_itself_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inner = ValueError("the connection is refused")
    inner.__cause__ = inner
    error = ShelfmarkError("the server does not answer")
    error.__cause__ = inner
    assert console.report_error(error)
    assert capsys.readouterr().err == "error: the server does not answer\n"
    inner.__cause__ = MemoryError()
    assert console.report_error(error)
    assert "memory is short" in capsys.readouterr().err
