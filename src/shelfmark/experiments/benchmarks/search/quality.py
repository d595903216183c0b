"""What an index finds, and how quickly: run as a process of its own, which prints one JSON line."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil

from shelfmark.core import console
from shelfmark.core.arrays import Floats, Ints
from shelfmark.search.filters import Filters, Selection
from shelfmark.search.index import Index, open_encoder
from shelfmark.search.manifest import read_manifest
from shelfmark.search.papers import PaperRow
from shelfmark.search.query.search_query import SearchQuery

QUERIES = 300  # papers whose abstract and title are queries
K = 10
CHUNK = 4096  # papers that are encoded at a time
BRUTE = 20  # searches by a product with all vectors in floats, which take long
SEED = 7
SEED_SIZE = 384  # numbers of MiniLM's vectors
SEED_LISTS = 4096
SEED_READ = 64
PER_LIST = 39  # vectors that FAISS wants for each list at least
TRAINED = 200_000  # vectors that the lists are fitted to


@dataclass(frozen=True, eq=False)
class Queries:
    """Papers of an index, and the vectors of their titles and of their abstracts."""

    rows: Ints
    papers: list[PaperRow]
    vectors: dict[str, Floats]


def draw_queries(index: Index) -> Queries:
    """Return papers of an index as queries."""
    every = np.concatenate([one.every() for one in index.select(Filters())])
    rows = np.random.default_rng(SEED).permutation(np.flatnonzero(every))[:QUERIES]
    papers = index.read(rows)
    texts = {
        "abstract": [index.encoder.text("", paper.abstract) for paper in papers],
        "title": [index.encoder.text(paper.title, "") for paper in papers],
    }
    return Queries(rows, papers, {name: index.encode(some) for name, some in texts.items()})


def measure_recall(index: Index, queries: Queries) -> dict[str, float]:
    """Return the share of the ten nearest by exact vectors in floats that the index finds.

    A query's own paper counts for neither side.
    """
    selections = index.select(Filters())
    exact = {name: _Nearest(len(vectors)) for name, vectors in queries.vectors.items()}
    begin = 0
    for texts in _chunks(index):
        block = index.encode(texts)
        for name, vectors in queries.vectors.items():
            exact[name].add(vectors @ block.T, begin)
        begin += len(block)
    gone = _deleted_rows(selections)
    recall = {}
    for name, vectors in queries.vectors.items():
        found = wanted = 0
        for place, vector in enumerate(vectors):
            left_out = gone | {int(queries.rows[place])}
            near, _ = index.nearest(vector, K + 1, selections, None)
            truth = _first(exact[name].rows[place], left_out)
            found += len(truth & _first(near, left_out))
            wanted += len(truth)
        recall[name] = found / wanted
    return recall


def _first(ranked: Ints, left_out: set[int]) -> set[int]:
    """Return the first ten of ranked rows, without some."""
    return set([row for row in ranked.tolist() if row not in left_out][:K])


class _Nearest:
    """Keeps the nearest rows of each query, a few more than are needed."""

    def __init__(self, queries: int) -> None:
        self.rows = np.empty((queries, 0), np.int64)
        self._scores = np.empty((queries, 0), np.float32)

    def add(self, scores: Floats, begin: int) -> None:
        """Add the cosines of further rows, shape (queries, rows)."""
        rows = np.broadcast_to(np.arange(begin, begin + scores.shape[1]), scores.shape)
        rows = np.concatenate([self.rows, rows], axis=1)
        scores = np.concatenate([self._scores, scores], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * K]
        self.rows = np.take_along_axis(rows, best, axis=1)
        self._scores = np.take_along_axis(scores, best, axis=1)


def _chunks(index: Index) -> Iterator[list[str]]:
    """Yield the texts of all papers, deleted ones too, in the order of their rows."""
    for one in index.segments:
        papers = one.segment.papers.read_all()
        while some := list(islice(papers, CHUNK)):
            yield [index.encoder.text(paper.title, paper.abstract) for paper in some]


def _deleted_rows(selections: Sequence[Selection]) -> set[int]:
    every = np.concatenate([one.every() for one in selections])
    return set(np.flatnonzero(~every).tolist())


def measure_known_items(index: Index, queries: Queries) -> dict[str, list[float]]:
    """Return how often a title finds its own paper first, and among the first ten, by each way."""
    ways: dict[str, Callable[[str], SearchQuery]] = {
        "as a user types it": lambda title: SearchQuery(title),
        "hybrid, without the lookup of titles": lambda title: SearchQuery(title=title),
        "words alone": lambda title: SearchQuery(title=title, words=1.0),
        "meaning alone": lambda title: SearchQuery(title=title, words=0.0),
    }
    figures = {}
    for name, ask in ways.items():
        results = index.search([ask(paper.title) for paper in queries.papers])
        found = [[hit.id for hit in result.hits] for result in results]
        first = [ids[:1] == [x.id] for ids, x in zip(found, queries.papers, strict=True)]
        among = [x.id in ids for ids, x in zip(found, queries.papers, strict=True)]
        figures[name] = [statistics.fmean(first), statistics.fmean(among)]
    return figures


def measure_vectors(folder: str, encoders: str) -> dict[str, float]:
    """Return milliseconds of searches by vectors, and MB of the process that makes them.

    Args:
        folder: of the index.
        encoders: folder of the encoders.

    Returns:
        The milliseconds of a search of the vectors ("ours"), of encoding an abstract ("encode"),
        and of a product with all vectors in floats ("brute", if they fit into the memory); the MB
        that the open index adds to a process with an encoder ("mb"), words and papers included,
        and those of the floats ("brute_mb").
    """
    encoder = open_encoder(read_manifest(Path(folder)), Path(folder), encoders)
    encoder.encode(["a text"])
    before = psutil.Process().memory_info().rss
    with Index.open(Path(folder), encoder, whole=False) as index:
        queries, selections = draw_queries(index), index.select(Filters())
        vectors = queries.vectors["abstract"]
        ours = _median_ms(lambda v: index.nearest(v, K, selections, None), vectors)
        used = (psutil.Process().memory_info().rss - before) / 2**20
        texts = [index.encoder.text("", paper.abstract) for paper in queries.papers]
        encode = _median_ms(lambda text: index.encode([text]), texts)
        return {"ours": ours, "encode": encode, "mb": used, **_time_brute(index, vectors)}


def _time_brute(index: Index, vectors: Floats) -> dict[str, float]:
    """Return the time of a product with all vectors in floats, nothing if they do not fit."""
    if not _fits(index):
        return {}
    floats = np.empty((sum(len(one.segment) for one in index.segments), vectors.shape[1]), "f4")
    start = 0
    for one in index.segments:
        for _, block in one.segment.vectors.blocks():
            floats[start : start + len(block)] = block
            start += len(block)
    nearest = min(K, len(floats) - 1)
    ms = _median_ms(lambda v: np.argpartition(-(floats @ v), nearest)[:K], vectors[:BRUTE])
    return {"brute": ms, "brute_mb": floats.nbytes / 2**20}


def _fits(index: Index) -> bool:
    """Whether all vectors in floats take less than half of the free memory."""
    count = sum(len(one.segment) for one in index.segments)
    return bool(4 * count * index.encoder.size < psutil.virtual_memory().available / 2)


def _median_ms(work: Callable[[Any], Any], inputs: Iterable[Any]) -> float:
    times = []
    for one in inputs:
        start = time.perf_counter()
        work(one)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def build_seed(papers: int, file: str) -> dict[str, int]:
    """Write FAISS IVFFlat of made-up vectors of MiniLM's size, and return its number of lists.

    Args:
        papers: number of vectors.
        file: of the index of FAISS.
    """
    import faiss

    lists = max(1, min(SEED_LISTS, papers // PER_LIST))
    inner = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(SEED_SIZE), SEED_SIZE, lists, inner)
    index.cp.niter = 4
    rng = np.random.default_rng(SEED)
    index.train(_draw_vectors(rng, min(papers, TRAINED)))
    for begin in range(0, papers, 100_000):
        index.add(_draw_vectors(rng, min(100_000, papers - begin)))
    faiss.write_index(index, file)
    return {"lists": lists}


def measure_seed(file: str) -> dict[str, float]:
    """Return the milliseconds of a search of an index of FAISS by one thread, and its MB.

    Args:
        file: of the index, which this process reads as a service would.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    queries = _draw_vectors(np.random.default_rng(SEED + 1), 100)
    before = psutil.Process().memory_info().rss
    index = faiss.read_index(file)
    index.nprobe = min(SEED_READ, index.nlist)
    ms = _median_ms(lambda vector: index.search(vector[None], K), queries)
    return {"ms": ms, "mb": (psutil.Process().memory_info().rss - before) / 2**20}


def _draw_vectors(rng: np.random.Generator, count: int) -> Floats:
    """Return made-up vectors of unit length around a thousand centres."""
    centres = np.random.default_rng(SEED).standard_normal((1000, SEED_SIZE), np.float32)
    some = centres[rng.integers(1000, size=count)]
    some += rng.standard_normal((count, SEED_SIZE), np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    return some


def measure_index(folder: str, encoders: str) -> dict[str, Any]:
    """Return what an index finds: its papers, its recall, and how often titles are found."""
    with Index.open(Path(folder), encoders=encoders, whole=False) as index:
        queries = draw_queries(index)
        return {
            "papers": index.papers,
            "recall": measure_recall(index, queries),
            "known": measure_known_items(index, queries),
        }


def choose_categories(index: Index) -> tuple[str, str]:
    """Return the category with most papers, and that with fewest of those that fill an answer."""
    counts = {
        name: sum(one.count for one in index.select(Filters(categories=(name,))))
        for name in sorted(index.categories)
    }
    enough = {name: count for name, count in counts.items() if count >= K} or counts
    return max(enough, key=enough.__getitem__), min(enough, key=enough.__getitem__)


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "index": measure_index,
    "vectors": measure_vectors,
    "build-seed": lambda papers, file: build_seed(int(papers), file),
    "seed": measure_seed,
}


if __name__ == "__main__":
    console.configure_logging("WARNING")
    with console.one_line_errors():
        print(orjson.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])).decode())
