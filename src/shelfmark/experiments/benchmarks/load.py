"""`inv load-test`: the service under many users at once, told, recorded and held to budgets.

The users live in `load_users.py`, a locust file that is run and never imported.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import math
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from loguru import logger

from shelfmark.config.schema import VERSION
from shelfmark.core import console, provenance
from shelfmark.data import readers
from shelfmark.data.sources import sample
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import load_figures, memory
from shelfmark.experiments.benchmarks.load_figures import LIST, LISTS, Figures
from shelfmark.service.settings import Settings

USERS = Path(__file__).with_name("load_users.py")
PAPERS = 20_000  # so many that a phase of single papers hardly asks for one of them twice
LONGEST = Settings.model_fields["max_characters"].default
WARM_UP = 10.0  # seconds at most
READY = 120.0  # seconds that a service started here may take to load its model
STOP = 20.0  # and to end


Papers = Sequence[dict[str, str]]
Bodies = Sequence[dict[str, Any]]
Server = subprocess.Popen[bytes]


def run(
    url: str | None = None,
    file: str | None = None,
    users: int = 32,
    seconds: float = 30,
    workers: int = 1,
    model: str = "latest",
    models: str = "models",
    reports: str = "reports",
) -> dict[str, Figures]:
    """Put load on a service, print a table and its ratios, and return the figures of each phase.

    They are recorded in `reports/<model>-load/metrics.json`, past their budgets or not.

    Args:
        url: a service that runs, its key in SHELFMARK_API_KEY; without it one is started here.
        file: papers to ask about, as `inv predict --file` reads them; else synthetic ones.
        users: how many ask at the same time.
        seconds: how long each phase lasts.
        workers: how many processes answer.
        model: name of the model.
        models: folder of the models.
        reports: folder of the reports.

    Raises:
        ShelfmarkError: the file cannot be read, the service does not answer, the record cannot be
            written, or a figure is past its budget.
    """
    if users < 1 or seconds <= 0:
        raise ShelfmarkError(f"--users {users} --seconds {seconds:g}: both should be above 0")
    papers = _read(file)
    asked = phases(papers)
    with contextlib.ExitStack() as stack:
        server = None
        if not url:
            url, server = stack.enter_context(_service(workers, model, models))
        known = _model_of(url)
        figures = _measured(url, asked, users, seconds, server)
    console.STDOUT.print(
        load_figures.table(figures, f"{url}: {users} users, {seconds:g} s a phase")
    )
    about = {
        "users": users, "seconds_a_phase": seconds, "workers": workers if server else None,
        "papers": len(papers), **known, "synthetic": known["synthetic"] or not file,
    }  # fmt: skip
    folder = Path(reports, f"{known['model']}-load")
    written = load_figures.write({**provenance.stamp(), **about}, figures, folder)
    logger.info("report: {}", written)
    load_figures.hold(figures)
    return figures


def _read(file: str | None) -> Papers:
    """Return the papers to ask about, each with title and abstract."""
    if not file:
        made = sample.records(None, PAPERS)
        return [{"title": paper.title, "abstract": paper.abstract} for _, paper in made]
    found = (readers.parse_record(*one) for batch in readers.read_batches(file) for one in batch)
    papers = (
        {"title": one.title[:LONGEST], "abstract": one.abstract[:LONGEST]}
        for one in found
        if isinstance(one, readers.InputRecord) and one.abstract.strip()
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
from shelfmark.core import console
from shelfmark.service import server
console.configure_logging()
with console.one_line_errors():
    server.serve("127.0.0.1", {port}, {model!r}, {workers})
"""
    return [sys.executable, "-c", code]


def _not_ready(url: str) -> str:
    """Return why a service is not ready, nothing if it is."""
    try:
        status, reason, _ = _got(url, "ready")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"{status} {reason}"


def _model_of(url: str) -> dict[str, Any]:
    """Return what a service says of its model: its name, and whether it learnt synthetic papers."""
    card: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        status, _, told = _got(url, "model")
        card = orjson.loads(told) if status == 200 else {}
    name = str(card.get("name"))
    synthetic = card.get("data", {}).get("synthetic", False)
    return {"model": name if re.match(VERSION, name) else "service", "synthetic": synthetic}


def _got(url: str, path: str) -> tuple[int, str, bytes]:
    """Return status, reason and body of an answer."""
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    parts = urlsplit(url)
    if parts.scheme not in kinds or not parts.netloc:
        raise ValueError("not an http:// or https:// address")
    key = {"X-API-Key": os.environ.get("SHELFMARK_API_KEY", "")}
    with contextlib.closing(kinds[parts.scheme](parts.netloc, timeout=60)) as connection:
        connection.request("GET", f"{parts.path.rstrip('/')}/{path}", headers=key)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.read()
