"""Where a record came from: the command that made it, and when."""

from __future__ import annotations

import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import PurePath

TASKS = ("inv", "invoke")
PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def command() -> str | None:
    """Return the command that runs as one types it, quoted for a shell.

    None where no command of Shelfmark runs: another program calls it. A password in an address is
    left out.
    """
    program = PurePath(sys.argv[0])
    if program.stem in TASKS or (program.stem == "__main__" and program.parent.name in TASKS):
        start = ["uv", "run", "inv"]
    elif program.suffix == ".py" and "shelfmark" in program.parent.parts:
        package = program.with_suffix("").parts
        start = ["uv", "run", "python", "-m"]
        start += [".".join(package[len(package) - 1 - package[::-1].index("shelfmark") :])]
    else:
        return None
    return PASSWORD.sub("…", shlex.join([*start, *sys.argv[1:]]))


def stamp() -> dict[str, str | None]:
    """Return what every record of a run holds: its command, and the time as ISO 8601 in UTC."""
    return {"command": command(), "created": datetime.now(UTC).isoformat(timespec="seconds")}
