"""`inv load-test`: the service under many users at once, told as one table and held to budgets.

The users live in `load_users.py`, a locust file that is run and never imported.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from rich import box
from rich.table import Table

from shelfmark import console, memory, questions
from shelfmark.errors import ShelfmarkError
from shelfmark.settings import Settings
from shelfmark.sources import sample

USERS = Path(__file__).with_name("load_users.py")
PAPERS = 20_000  # so many that a phase of single papers hardly asks for one of them twice
LIST = 64
LISTS = f"lists of {LIST}"
LONGEST = Settings.model_fields["max_characters"].default
WARM_UP = 10.0  # seconds at most
READY = 120.0  # seconds that a service started here may take to load its model
STOP = 20.0  # and to end
BUSY = 0.9  # of a core: beyond it the load generator may be what limits the figures

BUDGETS = {
    "requests/s of predict over health": ("at least", 0.40),
    "p99 over p50 of predict": ("at most", 8.0),
    f"papers/s in {LISTS} over single": ("at least", 5.0),
    "errors": ("at most", 0.0),
    "memory at the end over that after warm-up": ("at most", 1.10),
}

Papers = Sequence[dict[str, str]]
Bodies = Sequence[dict[str, Any]]
Server = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Figures:
    """What was measured in one phase."""

    milliseconds: np.ndarray[Any, np.dtype[np.float64]]  # of each request that was answered
    papers: int
    seconds: float
    errors: int
    first_error: str
    own_cpu: float  # of the load generator, in cores
    memory: list[float]  # MB of the service at the start, in the middle, at the end, if known

    @property
    def requests_rate(self) -> float:
        """How many requests were answered in a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def papers_rate(self) -> float:
        """How many papers were answered in a second."""
        return self.papers / self.seconds

    def percentile(self, percent: float) -> float:
        """Return the time that so many of the answers kept to: one of those measured."""
        if not len(self.milliseconds):
            return math.nan
        return float(np.percentile(self.milliseconds, percent, method="inverted_cdf"))


def run(
    url: str | None = None,
    file: str | None = None,
    users: int = 32,
    seconds: float = 30,
    workers: int = 1,
    model: str = "latest",
    models: str = "models",
) -> dict[str, Figures]:
    """Put load on a service, print a table and its ratios, and return the figures of each phase.

    Args:
        url: a service that runs, its key in SHELFMARK_API_KEY; without it one is started here.
        file: papers to ask about, as `inv predict --file` reads them; else synthetic ones.
        users: how many ask at the same time.
        seconds: how long each phase lasts.
        workers: how many processes answer.
        model: name of the model.
        models: folder of the models.

    Raises:
        ShelfmarkError: the file cannot be read, the service does not answer, or a figure is past
            its budget.
    """
    if users < 1 or seconds <= 0:
        raise ShelfmarkError(f"--users {users} --seconds {seconds:g}: both should be above 0")
    asked = phases(_read(file))
    with contextlib.ExitStack() as stack:
        server = None
        if not url:
            url, server = stack.enter_context(_service(workers, model, models))
        figures = _measured(url, asked, users, seconds, server)
    console.STDOUT.print(_table(figures, f"{url}: {users} users, {seconds:g} s a phase"))
    _hold(figures)
    return figures


def _read(file: str | None) -> Papers:
    """Return the papers to ask about, each with title and abstract."""
    if not file:
        made = sample.records(None, PAPERS)
        return [{"title": paper.title, "abstract": paper.abstract} for _, paper in made]
    found = (questions.question(*one) for batch in questions.batches(file) for one in batch)
    papers = (
        {"title": one.title[:LONGEST], "abstract": one.abstract[:LONGEST]}
        for one in found
        if isinstance(one, questions.Question) and one.abstract.strip()
    )
    if not (some := list(itertools.islice(papers, PAPERS))):
        raise ShelfmarkError(f"--file: {file} holds no paper with an abstract")
    return some


def phases(papers: Papers) -> dict[str, Bodies]:
    """Return what is asked in each phase, the bodies for POST /predict; none asks GET /health."""
    chance = random.Random(0)
    enough = [*papers] * math.ceil(LIST / len(papers))
    starts = range(0, len(enough) - LIST + 1, LIST)
    return {
        "health": [],
        "predict": [{"text": paper["abstract"]} for paper in papers],
        "mix": [_drawn(papers, chance) for _ in papers],
        LISTS: [{"papers": enough[start : start + LIST]} for start in starts],
    }


def _drawn(papers: Papers, chance: random.Random) -> dict[str, Any]:
    """Draw what a user may ask: a paper, a bare title, a long text, some papers at once."""
    kind, paper = chance.random(), chance.choice(papers)
    if kind < 0.2 and paper["title"].strip():
        return {"title": paper["title"]}
    some = chance.choices(papers, k=chance.randint(2, 16))
    if kind < 0.3:
        return {"text": "\n".join(one["abstract"] for one in some)[:LONGEST]}
    return {"papers": some} if kind < 0.4 else paper


def _measured(
    url: str, asked: dict[str, Bodies], users: int, seconds: float, server: Server | None
) -> dict[str, Figures]:
    """Warm a service up and let the users go through the phases."""
    if why := _not_ready(url):
        raise ShelfmarkError(f"{url} does not answer GET /ready: {why}")
    bar = console.progress("asking", len(asked) + 1)
    with tempfile.TemporaryDirectory() as folder, bar as shown:

        def phase(bodies: Bodies, seconds: float) -> Figures:
            file = Path(folder, "bodies")
            file.write_bytes(b"\n".join(map(orjson.dumps, bodies)))
            figures = _phase(url, file, users, seconds, server)
            shown.advance()
            return figures

        # With what takes most memory, so that only what piles up counts as growth.
        phase(asked[LISTS], min(seconds, WARM_UP))
        return {name: phase(bodies, seconds) for name, bodies in asked.items()}


def _phase(url: str, bodies: Path, users: int, seconds: float, server: Server | None) -> Figures:
    """Run the users in a process of their own, and look at the server's memory meanwhile."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(USERS), "--headless",
               "--only-summary", "--host", url.rstrip("/"), "--users", str(users),
               "--spawn-rate", str(users), "--stop-timeout", "60", "--exit-code-on-error",
               "0"]  # fmt: skip
    held = [_held_mb(server)]
    asked = {"SHELFMARK_LOAD_BODIES": str(bodies), "SHELFMARK_LOAD_SECONDS": str(seconds)}
    env, pipe = os.environ | asked, subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as generator:
        with contextlib.suppress(subprocess.TimeoutExpired):
            generator.communicate(timeout=2 + seconds / 2)  # it takes a while to start
        held.append(_held_mb(server))
        out, complaints = generator.communicate()
    if generator.returncode:
        raise ShelfmarkError(f"locust: {''.join(complaints.strip().splitlines()[-1:])}")
    held.append(_held_mb(server))
    told = orjson.loads(out.splitlines()[-1])
    told["milliseconds"] = np.array(told["milliseconds"], np.float64)
    return Figures(**told, memory=held if all(held) else [])


def _held_mb(server: Server | None) -> float:
    return sum(map(memory.held_mb, memory.family(server.pid))) if server else 0.0


def ratios(figures: dict[str, Figures]) -> dict[str, float]:
    """Return the figures that have a budget; memory only where it is known."""
    health, predict, lists = figures["health"], figures["predict"], figures[LISTS]
    values = [
        _over(predict.requests_rate, health.requests_rate),
        _over(predict.percentile(99), predict.percentile(50)),
        _over(lists.papers_rate, predict.papers_rate),
        float(sum(one.errors for one in figures.values())),
    ]
    if health.memory and lists.memory:
        values.append(_over(lists.memory[-1], health.memory[0]))
    return dict(zip(BUDGETS, values, strict=False))


def _over(one: float, other: float) -> float:
    return one / other if other else math.nan


def _hold(figures: dict[str, Figures]) -> None:
    """Print each ratio with its budget, and raise an error that names those past theirs."""
    past = []
    for name, value in ratios(figures).items():
        side, limit = BUDGETS[name]
        told = f"{name} {value:.3g} (budget: {side} {limit:g})"
        met = value >= limit if side == "at least" else value <= limit
        console.STDOUT.print("met    " if met else "NOT MET", told)
        past += [] if met else [told]
    for name, one in figures.items():
        if one.own_cpu > BUSY:
            console.STDOUT.print(f"{name}: the load generator itself may have been the limit")
    if past:
        errors = [f"; {name}: {one.first_error}" for name, one in figures.items() if one.errors]
        raise ShelfmarkError(f"past the budget: {', '.join(past)}{''.join(errors[:1])}")


def _table(figures: dict[str, Figures], title: str) -> Table:
    told = "MB: the service's memory at start, middle, end; CPU: the load generator's, of a core"
    table = Table("", title=title, caption=told, title_justify="left", caption_justify="left",
                  box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))  # fmt: skip
    for heading in ("req/s", "papers/s", "p50 ms", "p95 ms", "p99 ms", "errors", "MB", "CPU"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in figures.items():
        percentiles = (f"{one.percentile(percent):,.1f}" for percent in (50, 95, 99))
        held = " ".join(f"{mb:.0f}" for mb in one.memory)
        papers = f"{one.papers_rate:,.0f}" if one.papers else ""
        table.add_row(name, f"{one.requests_rate:,.0f}", papers, *percentiles, f"{one.errors:,}",
                      held, f"{one.own_cpu:.0%}")  # fmt: skip
    return table


@contextlib.contextmanager
def _service(workers: int, model: str, models: str) -> Iterator[tuple[str, Server]]:
    """Run the service in a process of its own, as `inv serve` does, while the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "SHELFMARK_MODELS": models}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(_serving(port, model, workers), env=env, stderr=log)
        try:
            last_moment = time.monotonic() + READY
            while why := _not_ready(url):
                if server.poll() is not None or time.monotonic() > last_moment:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").splitlines() or [why]
                    why = lines[-1].removeprefix("error: ")
                    raise ShelfmarkError(f"the service did not start: {why}")
                time.sleep(0.1)
            yield url, server
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP)
            server.kill()


def _serving(port: int, model: str, workers: int) -> list[str]:
    code = f"""
from shelfmark import console, server
console.set_up()
with console.one_line_errors():
    server.serve("127.0.0.1", {port}, {model!r}, {workers})
"""
    return [sys.executable, "-c", code]


def _not_ready(url: str) -> str:
    """Return why a service is not ready, nothing if it is."""
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        parts = urlsplit(url)
        if parts.scheme not in kinds or not parts.netloc:
            return "not an http:// or https:// address"
        with contextlib.closing(kinds[parts.scheme](parts.netloc, timeout=60)) as connection:
            connection.request("GET", f"{parts.path.rstrip('/')}/ready")
            answer = connection.getresponse()
            return "" if answer.status == 200 else f"{answer.status} {answer.reason}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
