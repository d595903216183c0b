"""`shelfmark load-test`: the service under many users at once, recorded and compared with budgets.

The users are in `load_users.py`, a locust file that is run and never imported.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from loguru import logger

from shelfmark.config.schema import VERSION
from shelfmark.core import console, files, provenance
from shelfmark.core.output.tables import Table
from shelfmark.data import readers
from shelfmark.data.inputs import Setting
from shelfmark.data.sources import sample
from shelfmark.data.streams import InvalidCounts, PaperStream
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory
from shelfmark.experiments.benchmarks.servers import Server, describe_unready, get, start_service
from shelfmark.service.settings import Settings

USERS = Path(__file__).with_name("load_users.py")
PAPERS = 20_000  # so many that a phase of single papers hardly asks for one of them twice
LONGEST = Settings.model_fields["max_characters"].default
WARM_UP = 10.0  # seconds at most
LIST = 64
LISTS = f"lists of {LIST}"
BUSY = 0.9  # of a core: beyond it the load generator may be what limits the figures
PERCENTILES = (50, 95, 99)
MOMENTS = ("start", "middle", "end")  # of a phase, at which the service's memory is sampled

Papers = Sequence[dict[str, str]]
Bodies = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Budget:
    """A limit of a figure, from below or from above."""

    side: Literal["at least", "at most"]
    limit: float

    def is_met(self, value: float) -> bool:
        """Whether a value is within the budget; NaN never is."""
        return value >= self.limit if self.side == "at least" else value <= self.limit


BUDGETS = {
    "requests/s of predict over health": Budget("at least", 0.40),
    "p99 over p50 of predict": Budget("at most", 8.0),
    f"papers/s in {LISTS} over single": Budget("at least", 5.0),
    "errors": Budget("at most", 0.0),
    "memory at the end over that after warm-up": Budget("at most", 1.10),
}


@dataclass(frozen=True)
class Verdict:
    """A figure beside its budget."""

    value: float
    side: str
    limit: float
    met: bool

    def __str__(self) -> str:
        """Return the value and the budget, for a person."""
        return f"{self.value:.3g} (budget: {self.side} {self.limit:g})"


@dataclass(frozen=True)
class PhaseFigures:
    """The measurements of one phase.

    Args:
        milliseconds: the response time of each request that was answered.
        papers: that were answered.
        seconds: length of the phase.
        errors: requests that failed.
        first_error: the reason of the first failure.
        own_cpu: of the load generator, in cores.
        memory: MB of the service at the start, in the middle and at the end; empty if unknown.
    """

    milliseconds: np.ndarray[Any, np.dtype[np.float64]]
    papers: int
    seconds: float
    errors: int
    first_error: str
    own_cpu: float
    memory: list[float]

    @property
    def requests_rate(self) -> float:
        """Answered requests a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def papers_rate(self) -> float:
        """Answered papers a second."""
        return self.papers / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a percentile of the response times in ms, a measured one; NaN without any."""
        if not len(self.milliseconds):
            return math.nan
        return float(np.percentile(self.milliseconds, percent, method="inverted_cdf"))

    def to_json(self) -> dict[str, Any]:
        """Return the phase as metrics.json holds it."""
        return {
            "requests_per_second": self.requests_rate,
            "papers_per_second": self.papers_rate,
            **{f"p{percent}_ms": self.percentile(percent) for percent in PERCENTILES},
            "errors": self.errors,
            "first_error": self.first_error,
            **{f"memory_{when}_mb": mb for when, mb in zip(MOMENTS, self.memory, strict=False)},
            "load_generator_cores": self.own_cpu,
        }


@dataclass(frozen=True)
class LoadTest:
    """The figures of all phases of a load test.

    Args:
        title: the service, the users and the length of a phase.
        phases: by name; health, predict, mix and lists.
    """

    title: str
    phases: dict[str, PhaseFigures]

    def table(self) -> Table:
        """Return the figures as a table, a row for each phase."""
        columns = ("", "req/s", "papers/s", "p50 ms", "p95 ms", "p99 ms", "errors", "MB", "CPU")
        note = (
            "MB: the service's memory at start, middle, end; CPU: the load generator's, of a core"
        )
        rows = [[name, *_cells(phase)] for name, phase in self.phases.items()]
        return Table(columns, rows, title=self.title, note=note)

    def ratios(self) -> dict[str, float]:
        """Return the figures that have a budget; memory only where it is known."""
        health, predict, lists = (self.phases[name] for name in ("health", "predict", LISTS))
        values = [
            _divide(predict.requests_rate, health.requests_rate),
            _divide(predict.percentile(99), predict.percentile(50)),
            _divide(lists.papers_rate, predict.papers_rate),
            float(sum(phase.errors for phase in self.phases.values())),
        ]
        if health.memory and lists.memory:
            values.append(_divide(lists.memory[-1], health.memory[0]))
        return dict(zip(BUDGETS, values, strict=False))

    def verdicts(self) -> dict[str, Verdict]:
        """Return each figure that has a budget beside it."""
        return {
            name: Verdict(value, budget.side, budget.limit, budget.is_met(value))
            for name, value in self.ratios().items()
            for budget in [BUDGETS[name]]
        }

    def summary(self) -> list[str]:
        """Return a line for each budget, and one for each phase that the load generator limits."""
        lines = [
            f"{'met    ' if verdict.met else 'NOT MET'} {name} {verdict}"
            for name, verdict in self.verdicts().items()
        ]
        return lines + [
            f"{name}: the load generator itself may have been the limit"
            for name, phase in self.phases.items()
            if phase.own_cpu > BUSY
        ]

    def require_budgets(self) -> None:
        """Raise if a figure is past its budget.

        Raises:
            ShelfmarkError: names the figures, and the first error of a request.
        """
        past = [f"{name} {verdict}" for name, verdict in self.verdicts().items() if not verdict.met]
        if past:
            failed = [(name, phase) for name, phase in self.phases.items() if phase.errors]
            errors = [f"; {name}: {phase.first_error}" for name, phase in failed]
            raise ShelfmarkError(f"past the budget: {', '.join(past)}{''.join(errors[:1])}")

    def write(self, about: dict[str, Any], folder: Path) -> Path:
        """Write the record of the test, `metrics.json` of a folder, and return its path.

        Args:
            about: the service, the command and the time.
            folder: of the test; created if it is missing.

        Raises:
            ShelfmarkError: the disk does not take it; the previous record stays.
        """
        path = folder / "metrics.json"
        record = {
            "kind": "load",
            **about,
            "machine": {"cores": os.cpu_count()},
            "phases": {name: phase.to_json() for name, phase in self.phases.items()},
            "budgets": {name: asdict(verdict) for name, verdict in self.verdicts().items()},
        }
        with files.atomic_write(path) as file:
            file.write(orjson.dumps(record, option=orjson.OPT_INDENT_2))
        return path


def _divide(one: float, other: float) -> float:
    return one / other if other else math.nan


def _cells(phase: PhaseFigures) -> list[str]:
    return [
        f"{phase.requests_rate:,.0f}",
        f"{phase.papers_rate:,.0f}" if phase.papers else "",
        *(f"{phase.percentile(percent):,.1f}" for percent in PERCENTILES),
        f"{phase.errors:,}",
        " ".join(f"{mb:.0f}" for mb in phase.memory),
        f"{phase.own_cpu:.0%}",
    ]


def run_load_test(
    url: str | None = None,
    file: Setting | None = None,
    users: int = 32,
    seconds: float = 30,
    workers: int = 1,
    model: str = "latest",
    models: str = "models",
    reports: str = "reports",
) -> LoadTest:
    """Put load on a service, and record the figures in `reports/<model>-load/metrics.json`.

    Args:
        url: a running service, its key in SHELFMARK_API_KEY; by default one is started.
        file: papers to send, as `shelfmark predict --file` takes them; by default synthetic ones.
        users: how many ask at the same time.
        seconds: length of each phase.
        workers: processes of the service that is started.
        model: name of the model.
        models: folder of the models.
        reports: folder of the reports.

    Raises:
        ShelfmarkError: the file cannot be read, the service does not answer, or the record cannot
            be written.
    """
    if users < 1 or seconds <= 0:
        raise ShelfmarkError(f"--users {users} --seconds {seconds:g}: both should be above 0")
    papers = _read_papers(file)
    bodies = make_phases(papers)
    with contextlib.ExitStack() as stack:
        server = None
        if not url:
            url, server = stack.enter_context(start_service(workers, model, models))
        known = _describe_model(url)
        phases = _run_phases(url, bodies, users, seconds, server)
    test = LoadTest(f"{url}: {users} users, {seconds:g} s a phase", phases)
    about = {
        "users": users, "seconds_a_phase": seconds, "workers": workers if server else None,
        "papers": len(papers), **known, "synthetic": known["synthetic"] or not file,
    }  # fmt: skip
    folder = Path(reports, f"{known['model']}-load")
    logger.info("report: {}", test.write({**provenance.stamp(), **about}, folder))
    return test


def _read_papers(file: Setting | None) -> Papers:
    """Return the papers to ask about, each with title and abstract."""
    if not file:
        made = sample.read_records(None, PAPERS)
        return [{"title": paper.title, "abstract": paper.abstract} for _, paper in made]
    stream, counts = PaperStream(file), InvalidCounts("--file")
    some: list[dict[str, str]] = []
    for name, line, record in stream.read_placed():
        one = readers.parse_record(line, record)
        counts.add(name, line, one.error if isinstance(one, readers.InvalidRecord) else None)
        if isinstance(one, readers.InputRecord) and one.abstract.strip():
            some.append({"title": one.title[:LONGEST], "abstract": one.abstract[:LONGEST]})
        if len(some) == PAPERS:
            break
    counts.log()
    if not some:
        raise ShelfmarkError(f"--file: {stream} holds no paper with an abstract")
    return some


def make_phases(papers: Papers) -> dict[str, Bodies]:
    """Return the bodies for POST /predict of each phase; without any, it asks GET /health."""
    rng = random.Random(0)
    enough = [*papers] * math.ceil(LIST / len(papers))
    starts = range(0, len(enough) - LIST + 1, LIST)
    return {
        "health": [],
        "predict": [{"text": paper["abstract"]} for paper in papers],
        "mix": [_draw_body(papers, rng) for _ in papers],
        LISTS: [{"papers": enough[start : start + LIST]} for start in starts],
    }


def _draw_body(papers: Papers, rng: random.Random) -> dict[str, Any]:
    """Draw a request that a user may make: a paper, a title alone, a long text, several papers."""
    kind, paper = rng.random(), rng.choice(papers)
    if kind < 0.2 and paper["title"].strip():
        return {"title": paper["title"]}
    some = rng.choices(papers, k=rng.randint(2, 16))
    if kind < 0.3:
        return {"text": "\n".join(one["abstract"] for one in some)[:LONGEST]}
    return {"papers": some} if kind < 0.4 else paper


def _run_phases(
    url: str, phases: dict[str, Bodies], users: int, seconds: float, server: Server | None
) -> dict[str, PhaseFigures]:
    """Warm a service up, and run one phase after the other."""
    if why := describe_unready(url):
        raise ShelfmarkError(f"{url} does not answer GET /ready: {why}")
    bar = console.progress("asking", len(phases) + 1)
    with tempfile.TemporaryDirectory() as folder, bar as advancing:

        def run_phase(bodies: Bodies, seconds: float) -> PhaseFigures:
            file = Path(folder, "bodies")
            file.write_bytes(b"\n".join(map(orjson.dumps, bodies)))
            figures = _run_phase(url, file, users, seconds, server)
            advancing.advance()
            return figures

        # With what takes most memory, so that only what piles up counts as growth.
        run_phase(phases[LISTS], min(seconds, WARM_UP))
        return {name: run_phase(bodies, seconds) for name, bodies in phases.items()}


def _run_phase(
    url: str, bodies: Path, users: int, seconds: float, server: Server | None
) -> PhaseFigures:
    """Run the users in a separate process, and sample the server's memory meanwhile."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(USERS), "--headless",
               "--only-summary", "--host", url.rstrip("/"), "--users", str(users),
               "--spawn-rate", str(users), "--stop-timeout", "60", "--exit-code-on-error",
               "0"]  # fmt: skip
    samples = [_memory_mb(server)]
    settings = {"SHELFMARK_LOAD_BODIES": str(bodies), "SHELFMARK_LOAD_SECONDS": str(seconds)}
    env, pipe = os.environ | settings, subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env) as generator:
        with contextlib.suppress(subprocess.TimeoutExpired):
            generator.communicate(timeout=2 + seconds / 2)  # it takes a while to start
        samples.append(_memory_mb(server))
        out, errors = generator.communicate()
    if generator.returncode:
        raise ShelfmarkError(f"locust: {''.join(errors.strip().splitlines()[-1:])}")
    samples.append(_memory_mb(server))
    record = orjson.loads(out.splitlines()[-1])
    record["milliseconds"] = np.array(record["milliseconds"], np.float64)
    return PhaseFigures(**record, memory=samples if all(samples) else [])


def _memory_mb(server: Server | None) -> float:
    return memory.tree_mb(server.pid) if server else 0.0


def _describe_model(url: str) -> dict[str, Any]:
    """Return the name of a service's model, and whether it was trained on synthetic papers."""
    card: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        status, _, body = get(url, "model")
        card = orjson.loads(body) if status == 200 else {}
    name = str(card.get("name"))
    synthetic = card.get("data", {}).get("synthetic", False)
    return {"model": name if re.match(VERSION, name) else "service", "synthetic": synthetic}
