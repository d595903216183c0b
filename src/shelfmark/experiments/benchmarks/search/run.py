"""Measures an index: what it finds, its speed, its memory, and what changes it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from shelfmark.artifacts.aliases import LATEST
from shelfmark.config.load import load_index_config
from shelfmark.core import storage
from shelfmark.experiments.benchmarks.child import measure_child, run_child
from shelfmark.experiments.benchmarks.row import Row, format_ratio
from shelfmark.experiments.benchmarks.search import quality, service
from shelfmark.experiments.benchmarks.search.service import Body, Latency
from shelfmark.experiments.benchmarks.servers import start_service
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
        if not (index / MANIFEST).exists():
            index = Path(folder, "index")
            if not storage.is_remote(encoders) and not Path(encoders, LATEST).exists():
                encoders = str(Path(folder, "encoders"))  # one is trained, and not kept
            rows += _build([*overrides, f"paths.encoders={encoders}"], index)
        rows += _describe(index)
        rows += _measure_quality(index, encoders)
        copy = Path(folder, "copy")
        shutil.copytree(index, copy, copy_function=_link)
        port, pid = stack.enter_context(_serve(copy, encoders, Path(folder)))
        rows += _measure_service(port, pid, copy, encoders, Path(folder))
    return rows


def _link(source: str, target: str) -> None:
    """Link to a file, which an index never writes to again; copy it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _build(overrides: Sequence[str], index: Path) -> list[Row]:
    """Build an index in a process of its own."""
    own = [word for word in overrides if not word.startswith("paths.index=")]
    command = [sys.executable, "-m", "shelfmark.cli", "index", *own, f"paths.index={index}"]
    used, papers = measure_child(command), read_manifest(index).papers
    rate = papers / used.seconds
    speed = f"{used.seconds:,.0f} s, {rate:,.0f} papers/s, {used.peak_mb:,.0f} MB"
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
    figures: dict[str, Any] = orjson.loads(run_child(command).splitlines()[-1])
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
    return rows + _measure_vectors(index, encoders, run["papers"])


def _measure_vectors(index: Path, encoders: str, papers: int) -> list[Row]:
    run = _run("vectors", str(index), encoders)
    ours = run["ours"]
    rows = [
        Row("search of the vectors alone, queries by vector", f"{ours:.1f} ms, {run['mb']:,.0f} MB",
            f"with encoding the abstract {ours + run['encode']:.1f} ms")
    ]  # fmt: skip
    if "brute" in run:
        rows.append(Row("  beside NumPy, a product with all vectors in floats", "",
                        f"{run['brute']:.1f} ms, {run['brute_mb']:,.0f} MB",
                        _compare(run["brute"] / ours, run["brute_mb"] / run["mb"])))  # fmt: skip
    return [*rows, _measure_seed(papers, run)]


def _measure_seed(papers: int, ours: dict[str, Any]) -> Row:
    what = f"  beside index=seed: FAISS IVFFlat, {papers:,} made-up vectors of MiniLM's size"
    if find_spec("faiss") is None:
        return Row(what, "", "not measured: the extra faiss is not installed")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "index.faiss"))
        lists = _run("build-seed", str(papers), file)["lists"]
        seed = _run("seed", file)
    text = f"{seed['ms']:.1f} ms, {seed['mb']:,.0f} MB, {lists:,.0f} lists"
    return Row(what, "", text, _compare(seed["ms"] / ours["ours"], seed["mb"] / ours["mb"]))


@contextlib.contextmanager
def _serve(index: Path, encoders: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the port and the number of the process of a service with an index."""
    models = folder / "models"
    train = [sys.executable, "-m", "shelfmark.cli", "train", *MODEL, f"paths.models={models}",
             f"paths.data={folder / 'data'}", f"paths.reports={folder / 'reports'}"]  # fmt: skip
    run_child(train)
    own = {"SHELFMARK_INDEX": str(index), "SHELFMARK_ENCODERS": encoders}
    with start_service(1, "small", str(models), own) as (url, process):
        yield int(url.rpartition(":")[2]), process.pid


def _measure_service(port: int, pid: int, index: Path, encoders: str, folder: Path) -> list[Row]:
    service.wait_until(service.Searcher(port).is_answered, "opening the index")
    opened = service.memory_of(pid)
    papers, common, rare = _read_papers(index, encoders)
    ways = _name_searches(papers, common, rare)
    abstracts = ways["an abstract"]
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
    rows += _show_memory(opened, service.memory_of(pid))
    return rows + _add(port, papers, index, encoders, folder)


def _name_searches(papers: Sequence[PaperRow], common: str, rare: str) -> dict[str, list[Body]]:
    """Return the searches that are timed: abstracts and titles, with and without filters."""
    filters: dict[str, Body] = {
        "": {},
        f", category {common}": {"category": [common]},
        f", category {rare}": {"category": [rare]},
        ", since 2018": {"since": "2018"},
        ", with the words that decided": {"explain": True},
    }
    texts: dict[str, list[Body]] = {
        "an abstract": [{"abstract": paper.abstract} for paper in papers],
        "a title": [{"text": paper.title} for paper in papers],
    }
    return {
        what + filtered: [body | more for body in bodies]
        for what, bodies in texts.items()
        for filtered, more in filters.items()
    }


def _show_memory(opened: dict[str, float], after: dict[str, float]) -> list[Row]:
    def show(used: dict[str, float]) -> tuple[str, str]:
        return (
            f"{used['rss']:,.0f} MB resident",
            f"{used['pss']:,.0f} MB proportional, {used['uss']:,.0f} MB private",
        )

    return [
        Row("memory of the service, the index open", *show(opened)),
        Row("  after the searches", *show(after)),
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


def _read_papers(index: Path, encoders: str) -> tuple[list[PaperRow], str, str]:
    """Return papers whose texts are queries, a common category and a rare one."""
    with Index.open(index, encoders=encoders, whole=False) as opened:
        return quality.draw_queries(opened).papers, *quality.choose_categories(opened)


def _show(latency: Latency) -> str:
    return f"p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms, p99 {latency.p99:.1f} ms"


def _compare(time: float, memory: float) -> str:
    return f"{format_ratio(time)} the time, {format_ratio(memory)} the memory"
