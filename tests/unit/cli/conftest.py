"""The command line in this process: what it prints, and with which status it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from loguru import logger

from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import run

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """Run a command in this process; return its status, its output and its errors."""

    def type_words(*words: str) -> tuple[int, str, str]:
        try:
            status = run(shelfmark, list(words), "shelfmark")
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    yield type_words
    logger.remove()  # each command logs to the standard error of its moment
