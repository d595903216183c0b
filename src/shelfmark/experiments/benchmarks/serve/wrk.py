"""wrk, a compiled load generator: what it sends, and the figures that it prints."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import orjson

from shelfmark.errors import ShelfmarkError

SCRIPT = Path(__file__).with_name("requests.lua")
MISSING = (
    "wrk is not installed, which sends the requests of inv bench serve: apt-get install wrk "
    "(on macOS brew install wrk)"
)
TIMEOUT = 10  # seconds for an answer


@dataclass(frozen=True)
class Load:
    """A kind of load.

    Args:
        path: of the requests.
        connections: each of which waits for its answer before it asks again.
        bodies: a file of JSON lines that are posted in turn; GET without it.
    """

    path: str
    connections: int
    bodies: Path | None = None

    def __str__(self) -> str:
        """Return the method, the path and the connections."""
        method = "POST" if self.bodies else "GET"
        plural = "s" if self.connections > 1 else ""
        return f"{method} {self.path}, {self.connections} connection{plural}"


@dataclass(frozen=True)
class Figures:
    """Answers a second, and the median and the 99th percentile of their latency in ms."""

    rate: float
    p50: float
    p99: float


def require_wrk() -> str:
    """Return the path of wrk.

    Raises:
        ShelfmarkError: it is not installed; says how to get it.
    """
    path = shutil.which("wrk")
    if path is None:
        raise ShelfmarkError(MISSING)
    return path


def send(url: str, load: Load, seconds: int) -> Figures:
    """Put a load on a service, from one thread, and return the figures.

    Raises:
        ShelfmarkError: wrk is missing or fails, or an answer has an error status, is late or cut
            off.
    """
    command = [require_wrk(), "--threads", "1", "--connections", str(load.connections),
               "--duration", f"{seconds}s", "--timeout", f"{TIMEOUT}s", "--script", str(SCRIPT),
               url + load.path, "--", *([str(load.bodies)] if load.bodies else [])]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise ShelfmarkError(f"wrk: {lines[-1]}")
    return parse_output(done.stdout)


def parse_output(output: str) -> Figures:
    """Return the figures in what wrk prints, the last line of which is the script's.

    Raises:
        ShelfmarkError: it has no figures, or an answer had an error status, was late or cut off.
    """
    try:
        line = orjson.loads(output.splitlines()[-1])
    except (IndexError, orjson.JSONDecodeError):
        raise ShelfmarkError(f"wrk printed no figures: {output[-200:].strip()!r}") from None
    failed = {
        "had an error status": line["status"],
        f"took more than {TIMEOUT} s": line["timeout"],
        "were cut off": line["socket"],
    }
    reasons = [f"{count:,} {what}" for what, count in failed.items() if count]
    if reasons:
        raise ShelfmarkError(f"of {line['requests']:,} answers, {', '.join(reasons)}")
    if not line["requests"]:
        raise ShelfmarkError("no request was answered")
    rate = 1e6 * line["requests"] / line["duration"]
    return Figures(rate, line["p50"] / 1e3, line["p99"] / 1e3)
