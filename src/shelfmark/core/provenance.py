"""Where a record came from: the command that made it, and when."""

from __future__ import annotations

import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import PurePath

from shelfmark.core import project

TASKS = ("inv", "invoke")
PROGRAM = "shelfmark"
PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def is_invoke() -> bool:
    """Whether this process is `inv`, which hands commands to `shelfmark`."""
    program = PurePath(sys.argv[0])
    return program.stem in TASKS or (program.stem == "__main__" and program.parent.name in TASKS)


def command() -> str | None:
    """Return the running command as a user types it, quoted for a shell.

    None if another program than Shelfmark's command runs. A password in an address is left out.
    """
    program = PurePath(sys.argv[0])
    if is_invoke():
        start = ["inv"]
    elif program.stem == PROGRAM or program.parts[-3:] == (PROGRAM, "cli", "__main__.py"):
        start = [PROGRAM]
    elif program.suffix == ".py" and PROGRAM in program.parent.parts:
        package = program.with_suffix("").parts
        start = ["python", "-m"]
        start += [".".join(package[len(package) - 1 - package[::-1].index(PROGRAM) :])]
    else:
        return None
    if project.checkout() is not None:
        start = ["uv", "run", *start]
    return PASSWORD.sub("…", shlex.join([*start, *sys.argv[1:]]))


def stamp() -> dict[str, str | None]:
    """Return what every record of a run holds: its command, and the time as ISO 8601 in UTC."""
    return {"command": command(), "created": datetime.now(UTC).isoformat(timespec="seconds")}
