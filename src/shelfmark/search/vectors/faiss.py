"""The vectors of a segment in an index of the library FAISS.

A file of FAISS is opened only if it is the one that the segment's card names: its parser trusts
what it reads. The index lies in the mapped file itself, whose pages the processes of a service
share.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from shelfmark.config.search import FaissConfig
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError, one_line
from shelfmark.search.filters import Columns, Selection
from shelfmark.search.vectors.exact import search_rows
from shelfmark.search.vectors.protocol import ArrayFiles, Neighbours, VectorIndex, VectorMethod
from shelfmark.search.vectors.stored import StoredVectors

FILE = "index.faiss"
LIST_PAPERS = 39  # fewest papers that FAISS trains a list or a code on without a warning
CODE_PAPERS = LIST_PAPERS * 256  # and fewest for the 256 codes of eight bits
LISTS = re.compile(r"IVF(\d{1,9})")
# What needs no more papers than its lists do: no codes that are learnt from them.
SIMPLE = re.compile(r"(IVF\d{1,9}(_HNSW\d*)?,)?(Flat|SQ\w+)|HNSW\d*([_,](Flat|SQ\w+))?")
FEW = 1000  # of so few selected papers all are compared
# Where codes are coarse: so many candidates, or so many times as many as papers asked for.
CANDIDATES, OVERFETCH = 400, 4
WIDER = 4  # times as many lists, until they hold enough papers
VISITED = 2  # papers that a graph compares for each of its candidates


class FaissIndex(VectorIndex):
    """An index of FAISS, whose candidates are compared by the stored vectors.

    Args:
        index: of FAISS.
        content: the memory that it lies in.
        vectors: of the segment.
        nprobe: lists of an IVF index that are read.
        ef_search: candidates of an HNSW index.
    """

    def __init__(
        self, index: Any, content: Array, vectors: StoredVectors, nprobe: int, ef_search: int
    ) -> None:
        self._index, self._content = index, content
        self._vectors = vectors
        inner = inner_index(index)
        self._lists = int(getattr(inner, "nlist", 0))
        self._is_graph = hasattr(inner, "hnsw")
        self._effort = min(nprobe, self._lists) if self._lists else ef_search
        self._is_coarse = has_coarse_codes(inner)

    def search(
        self, queries: Floats, k: int, selection: Selection, effort: int | None = None
    ) -> Neighbours:
        """Return the papers nearest to each query, as the protocol.

        The effort is the number of lists that are read, or of the candidates of a graph. Without
        one, a search among a part of the papers reads as many more lists as the part is smaller.
        """
        share = selection.count / max(len(self._vectors), 1)
        if selection.count <= max(FEW, k) or self._is_slower(selection.count, share):
            return search_rows(self._vectors, queries, k, selection.rows())
        effort = effort or int(self._effort / share)
        wanted = max(CANDIDATES, OVERFETCH * k) if self._is_coarse else k
        wanted = min(wanted, selection.count)
        queries = np.ascontiguousarray(queries)
        with _one_thread(), _select(selection) as selector:
            found = self._find(queries, wanted, selector, effort)
            for place, rows in enumerate(found):
                if len(rows) < k:
                    found[place] = self._find_more(queries[place], k, selection, selector, effort)
        best = [
            search_rows(self._vectors, query[None], k, np.sort(rows))
            for query, rows in zip(queries, found, strict=True)
        ]
        return Neighbours(*(np.concatenate(part) for part in zip(*best, strict=True)))

    def _is_slower(self, count: int, share: float) -> bool:
        """Whether a graph compares more papers than are selected."""
        return self._is_graph and count <= self._effort / share * VISITED

    def _find(self, queries: Floats, k: int, selector: Any, effort: int) -> list[Ints]:
        """Return the rows that FAISS finds for each query."""
        parameters = make_parameters(self._index, selector, effort)
        _, rows = self._index.search(queries, k, params=parameters)
        return [one[one >= 0] for one in rows]

    def _find_more(
        self, query: Floats, k: int, selection: Selection, selector: Any, effort: int
    ) -> Ints:
        """Return at least k rows for a query whose lists hold fewer."""
        while effort < self._lists:
            effort *= WIDER
            (rows,) = self._find(query[None], k, selector, effort)
            if len(rows) >= k:
                return rows
        return selection.rows()


class FaissMethod(VectorMethod):
    """Writes an index of FAISS.

    Args:
        config: of the index.
        seed: of all random choices.
    """

    name = "faiss"
    needs = {"faiss": "faiss"}  # noqa: RUF012 - as the protocol has it

    def __init__(self, config: FaissConfig, seed: int) -> None:
        self._config, self._seed = config, seed

    def check(self, size: int) -> None:
        """Check that FAISS makes such an index of vectors of a size, as the protocol.

        Raises:
            ShelfmarkError: it makes none, or one that has no filters.
        """
        make_index(self._config.factory, size)

    def write(
        self, vectors: StoredVectors, columns: Columns, segment: str, folder: Path
    ) -> dict[str, ArraySpec]:
        """Train the index on some of the vectors, add all, and write it."""
        import faiss

        most = self._config.train_papers
        factory = fit_factory(self._config.factory, min(len(vectors), most))
        if factory != self._config.factory:
            logger.info(
                f"index.factory={factory} for the {len(vectors):,} papers of {segment}: "
                f"{self._config.factory} needs more"
            )
        index = make_index(factory, vectors.size)
        if lists := faiss.try_extract_index_ivf(index):
            lists.cp.seed = self._seed
        with _report_errors(f"index.factory={factory}"):
            if not index.is_trained:
                index.train(vectors.sample(most, self._seed))
            for _, block in vectors.blocks():
                index.add(block)
        with _report_errors(f"cannot write {folder / FILE}"):
            faiss.write_index(index, str(folder / FILE))
        return {}

    def open(
        self, files: ArrayFiles, vectors: StoredVectors, segment: str, settings: Mapping[str, Any]
    ) -> FaissIndex:
        """Open the index in its mapped file, whose digest is checked before.

        Raises:
            ShelfmarkError: the file is damaged, or belongs to another segment.
        """
        import faiss

        content = np.frombuffer(files.checked_content(FILE), np.uint8)
        with _report_errors(f"{files.folder / FILE} cannot be opened"):
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), len(content))
            index = faiss.read_index(reader)
        if (index.ntotal, index.d) != (len(vectors), vectors.size):
            raise ShelfmarkError(f"{files.folder / FILE} has other vectors; build the index again")
        effort = (int(settings["nprobe"]), int(settings["ef_search"]))
        return FaissIndex(index, content, vectors, *effort)

    def settings(self) -> dict[str, Any]:
        """Return how much of the index a query reads."""
        return {"nprobe": self._config.nprobe, "ef_search": self._config.ef_search}


def fit_factory(factory: str, papers: int) -> str:
    """Return an index that so many papers can train, as `faiss.index_factory` takes it.

    It has fewer lists than the configured one, so that each has papers enough. Where the papers are
    too few for lists, or for codes that are learnt, all vectors are compared.

    Args:
        factory: that is configured.
        papers: that it is trained on.
    """
    most = papers // LIST_PAPERS
    has_lists, is_simple = LISTS.search(factory), SIMPLE.fullmatch(factory)
    if (has_lists and most < 2) or (papers < CODE_PAPERS and not is_simple):
        return "Flat"
    return LISTS.sub(lambda match: f"IVF{min(int(match[1]), most)}", factory)


def make_index(factory: str, size: int) -> Any:
    """Return an empty index of inner products.

    Args:
        factory: as `faiss.index_factory` takes it.
        size: the numbers of a vector.

    Raises:
        ShelfmarkError: there is no such index, it has no filters, or it changes the cosines.
    """
    import faiss

    if "PCA" in factory:
        raise ShelfmarkError(
            f"index.factory={factory}: PCA subtracts the mean of the vectors, which changes their "
            "cosines; choose another transform, such as OPQ, or index.size"
        )
    with _report_errors(f"index.factory={factory} with vectors of {size} numbers"):
        index = faiss.index_factory(size, factory, faiss.METRIC_INNER_PRODUCT)
    filtered = (faiss.IndexIVF, faiss.IndexHNSW, faiss.IndexFlat, faiss.IndexScalarQuantizer,
                faiss.IndexPQ)  # fmt: skip
    if not isinstance(inner_index(index), filtered):
        raise ShelfmarkError(
            f"index.factory={factory}: FAISS has no filters for it; choose an IVF or HNSW index, "
            "such as IVF4096,SQ8"
        )
    return index


def inner_index(index: Any) -> Any:
    """Return the index behind the transforms of vectors, such as OPQ."""
    import faiss

    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def has_coarse_codes(index: Any) -> bool:
    """Whether an index has fewer than eight bits a number of a vector."""
    import faiss

    storage = faiss.downcast_index(index.storage) if hasattr(index, "hnsw") else index
    return int(storage.code_size) < int(storage.d)


def make_parameters(index: Any, selector: Any, effort: int) -> Any:
    """Return the parameters of one search, which leave the index as it is.

    Args:
        index: of FAISS.
        selector: of the papers to choose from, None for all.
        effort: lists of an IVF index, or candidates of an HNSW index.
    """
    import faiss

    if isinstance(index, faiss.IndexPreTransform):
        inner = make_parameters(faiss.downcast_index(index.index), selector, effort)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=effort)
    return faiss.SearchParameters(sel=selector)


@contextlib.contextmanager
def _select(selection: Selection) -> Iterator[Any]:
    """Yield what selects the papers of a search, None for all."""
    import faiss

    if selection.mask is None:
        yield None
        return
    bits = np.packbits(selection.mask, bitorder="little")
    yield faiss.IDSelectorBitmap(len(selection.mask), faiss.swig_ptr(bits))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let FAISS search in this thread alone: a service has one for each query.

    OpenMP keeps the number of threads for each calling thread. XGBoost reads the same number where
    it shares the library of OpenMP, so it is put back.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextlib.contextmanager
def _report_errors(what: str) -> Iterator[None]:
    """Turn an error of FAISS into one line."""
    try:
        yield
    except RuntimeError as error:
        # "Error in <function> at <file>:<line>: Error: '<condition>' failed: <message>"
        message = re.split(r"\.cpp:\d+: ", str(error), maxsplit=1)[-1].rpartition(" failed: ")[2]
        raise ShelfmarkError(f"{what}: {one_line(message)}") from error
