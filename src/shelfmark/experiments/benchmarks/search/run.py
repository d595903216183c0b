"""Measures an index: what it finds, its speed, its memory, and what changes it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from shelfmark.artifacts.aliases import LATEST
from shelfmark.config.load import load_index_config
from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory
from shelfmark.experiments.benchmarks.load import start_service
from shelfmark.experiments.benchmarks.row import Row
from shelfmark.experiments.benchmarks.search import quality, service
from shelfmark.experiments.benchmarks.search.service import Body, Latency
from shelfmark.search.index import Index
from shelfmark.search.manifest import MANIFEST, read_manifest
from shelfmark.search.papers import PaperRow

ADDED = 2000
# The service needs a model, of which nothing is measured here.
MODEL = ["experiment=fast", "data.options.papers=1500", "data.min_papers=20", "model.rounds=30",
         "name=small"]  # fmt: skip


def bench_search(overrides: Sequence[str]) -> list[Row]:
    """Measure an index: the one in `paths.index` if there is one, else a new one of the papers.

    Raises:
        ShelfmarkError: the configuration or the data do not allow it.
    """
    paths = load_index_config(overrides).paths
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        index, encoders = Path(paths.index), paths.encoders
        rows = []
        if not storage.is_remote(encoders) and not Path(encoders, LATEST).exists():
            encoders = str(Path(folder, "encoders"))
        if not (index / MANIFEST).exists():
            index = Path(folder, "index")
            rows += _build([*overrides, f"paths.encoders={encoders}"], index)
        rows += _describe(index)
        rows += _measure_quality(index, encoders)
        # Segments are never written to, so that links to them are a copy.
        copy = Path(folder, "copy")
        shutil.copytree(index, copy, copy_function=os.link)
        port, pid = stack.enter_context(_serve(copy, encoders, Path(folder)))
        rows += _measure_service(port, pid, copy, encoders, Path(folder))
    return rows


def _build(overrides: Sequence[str], index: Path) -> list[Row]:
    """Build an index in a process of its own."""
    own = [word for word in overrides if not word.startswith("paths.index=")]
    command = [sys.executable, "-m", "shelfmark.cli", "index", *own, f"paths.index={index}"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with memory.monitor_peak(process) as monitor:
        _, errors = process.communicate()
    if process.returncode:
        raise ShelfmarkError(errors.strip().splitlines()[-1].removeprefix("error: "))
    seconds, papers = time.monotonic() - start, read_manifest(index).papers
    speed = f"{seconds:,.0f} s, {papers / seconds:,.0f} papers/s, {monitor.peak_mb:,.0f} MB"
    return [Row(f"build an index of {papers:,} papers", speed)]


def _describe(index: Path) -> list[Row]:
    manifest = read_manifest(index)
    size = sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
    each = f"{size / manifest.papers:,.0f} bytes a paper"
    return [Row(f"{manifest.papers:,} papers on disk", f"{size / 2**20:,.0f} MB", each)]


def _run(name: str, *arguments: str) -> dict[str, Any]:
    """Run a measurement in a process of its own.

    Raises:
        ShelfmarkError: it fails.
    """
    command = [sys.executable, "-m", quality.__name__, name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ShelfmarkError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    figures: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return figures


def _measure_quality(index: Path, encoders: str) -> list[Row]:
    run = _run("index", str(index), encoders)
    rows = [
        Row(f"recall@10 beside exact vectors in floats, {name}s", f"{share:.4f}")
        for name, share in run["recall"].items()
    ]
    rows += [
        Row(f"title finds its paper, {way}: R@1, R@10", f"{first:.4f}, {among:.4f}")
        for way, (first, among) in run["known"].items()
    ]
    times = run["vectors"]
    rows.append(Row("search of the vectors alone, one thread", f"{times['ours']:.1f} ms"))
    if "brute" in times:
        rows.append(Row("  beside NumPy, a product with all vectors in floats", "",
                        f"{times['brute']:.1f} ms, {times['brute_mb']:,.0f} MB",
                        _ratio(times["brute"], times["ours"])))  # fmt: skip
    return rows + _measure_seed(run["papers"], times["ours"])


def _measure_seed(papers: int, ours: float) -> list[Row]:
    what = f"  beside index=seed: FAISS IVFFlat, {papers:,} made-up vectors of MiniLM's size"
    if find_spec("faiss") is None:
        return [Row(what, "", "not measured: the extra faiss is not installed")]
    seed = _run("seed", str(papers))
    text = f"{seed['ms']:.1f} ms, {seed['mb']:,.0f} MB, {seed['lists']:,.0f} lists"
    return [Row(what, "", text, _ratio(seed["ms"], ours))]


@contextlib.contextmanager
def _serve(index: Path, encoders: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the port and the number of the process of a service with an index."""
    models = folder / "models"
    train = [sys.executable, "-m", "shelfmark.cli", "train", *MODEL, f"paths.models={models}",
             f"paths.data={folder / 'data'}", f"paths.reports={folder / 'reports'}"]  # fmt: skip
    subprocess.run(train, check=True, capture_output=True)
    own = {"SHELFMARK_INDEX": str(index), "SHELFMARK_ENCODERS": encoders}
    with start_service(1, "small", str(models), own) as (url, process):
        yield int(url.rpartition(":")[2]), process.pid


def _measure_service(port: int, pid: int, index: Path, encoders: str, folder: Path) -> list[Row]:
    before = service.memory_of(pid)
    service.wait_until(service.Searcher(port).is_answered)
    opened = service.memory_of(pid)
    papers = _read_papers(index, encoders)
    categories = [paper.categories.split()[0] for paper in papers]
    common = max(set(categories), key=categories.count)
    rare = min(set(categories), key=lambda name: (categories.count(name), name))
    abstracts: list[Body] = [{"abstract": paper.abstract} for paper in papers]
    ways = {
        "an abstract": abstracts,
        f"an abstract, category {common}": [body | {"category": [common]} for body in abstracts],
        f"an abstract, category {rare}": [body | {"category": [rare]} for body in abstracts],
        "an abstract, since 2018": [body | {"since": "2018"} for body in abstracts],
        "a title": [{"text": paper.title} for paper in papers],
        "an abstract, with the words that decided": [x | {"explain": True} for x in abstracts],
    }
    rows = [
        Row(f"POST /search, one connection: {what}", _show(service.measure_one(port, bodies)))
        for what, bodies in ways.items()
    ]
    one = service.measure_one(port, abstracts)
    several = service.measure_several(port, abstracts)
    rows.append(Row(f"  {service.CONNECTIONS} connections: an abstract", _show(several),
                    f"{several.rate:,.0f} searches/s",
                    f"p99 {several.p99 / several.p50:.1f}x their p50, "
                    f"{several.p99 / one.p50:.1f}x that of one"))  # fmt: skip
    rows += _show_memory(before, opened, service.memory_of(pid))
    return rows + _add(port, papers, index, encoders, folder)


def _show_memory(
    before: dict[str, float], opened: dict[str, float], after: dict[str, float]
) -> list[Row]:
    def show(used: dict[str, float]) -> str:
        return f"{used['rss']:,.0f} MB resident, {used['pss']:,.0f} MB proportional"

    return [
        Row("memory of the service, the index open", show(opened), show(before) + " before"),
        Row("  after the searches", show(after)),
    ]


def _add(
    port: int, papers: Sequence[PaperRow], index: Path, encoders: str, folder: Path
) -> list[Row]:
    file = folder / "more.jsonl"
    marker = service.write_additions(papers, file, ADDED)
    command = service.add_command(index, encoders, file)
    run = service.measure_addition(port, command, marker)
    return [
        Row(f"add {ADDED:,} papers, until the service finds the last of them",
            f"{run['seconds']:.1f} s", f"{run['failures']:.0f} of {run['searches']:,.0f} searches "
            "meanwhile failed")
    ]  # fmt: skip


def _read_papers(index: Path, encoders: str) -> list[PaperRow]:
    with Index.open(index, encoders=encoders, whole=False) as opened:
        return quality.draw_queries(opened).papers


def _show(latency: Latency) -> str:
    return f"p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms, p99 {latency.p99:.1f} ms"


def _ratio(slow: float, fast: float) -> str:
    ratio = slow / fast
    return f"{ratio:.1f}x" if ratio >= 1 else f"1/{1 / ratio:.1f}"
