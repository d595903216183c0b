"""The vectors of a segment in a collection of Milvus: a server, or a file of milvus-lite.

A collection holds the vectors and what papers are filtered by, one row for each paper. It is
written whole before a segment's card names it, and never changed. Its name has a digest of what it
holds, so that indexes that share a server do not share collections.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from shelfmark.core import environment
from shelfmark.core import files as core_files
from shelfmark.core.arrays import Floats, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError, one_line
from shelfmark.search.filters import Columns, Filters, Selection
from shelfmark.search.vectors.exact import search_rows
from shelfmark.search.vectors.protocol import ArrayFiles, Neighbours, VectorIndex, VectorMethod
from shelfmark.search.vectors.stored import StoredVectors

TOKEN = "SHELFMARK_MILVUS_TOKEN"  # noqa: S105 - the name of the variable
PREFIX = "shelfmark_"  # of a collection's name
ROW, VECTOR, PRIMARY, CATEGORIES, DAYS = "row", "vector", "primary", "categories", "days"
SENT = 16 << 20  # bytes of vectors that are sent at a time; Milvus takes 64 MB
MOST_NAMED = 1000  # most rows that an expression names
MOST_DROPPED = 4096  # most papers that are asked for, of which deleted ones are dropped here
WIDER = 4  # times as many papers, until enough of them are not deleted
WRITE_SECONDS = 60.0  # for a batch of vectors
GRAPH = {"M": 32, "efConstruction": 200}  # neighbours of a paper, candidates while it is added
EF = 128  # candidates of a search in a graph


class MilvusClient:
    """A connection to Milvus, made by the first call.

    Args:
        uri: of a server, or the path of a file that ends in `.db`.
        timeout: seconds to wait for a server.
    """

    def __init__(self, uri: str, timeout: float) -> None:
        self._uri, self._timeout = uri, timeout
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return what a method of `pymilvus.MilvusClient` returns.

        The timeout is that of a query, unless the arguments have their own.

        Raises:
            ShelfmarkError: Milvus does not answer, or refuses.
        """
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            client = self._client
        with self._report_errors():
            return getattr(client, method)(*args, **{"timeout": self._timeout} | kwargs)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _connect(self) -> Any:
        import pymilvus

        for name in ("pymilvus", "milvus_lite"):  # they log what they raise as well
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        token = environment.read(TOKEN)
        with self._report_errors():
            return pymilvus.MilvusClient(self._uri, token=token, timeout=self._timeout)

    @contextlib.contextmanager
    def _report_errors(self) -> Iterator[None]:
        """Turn an error of Milvus into one line, which never shows the token."""
        import grpc
        import pymilvus

        try:
            yield
        except (pymilvus.MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            # What gRPC says has an address and a state of its own; nobody can act on it.
            message = one_line(getattr(error, "message", "") or error)
            if token := environment.read(TOKEN):
                message = message.replace(token, "***")
            raise ShelfmarkError(f"engine.uri={self._uri}: {self._advise()} ({message})") from error

    def _advise(self) -> str:
        if is_file(self._uri):
            return "Milvus cannot use the file; one process at a time can, several need a server"
        return f"Milvus does not answer as it should; check the server, engine.uri and {TOKEN}"


class MilvusIndex(VectorIndex):
    """A collection of Milvus; it is opened by the first search.

    Args:
        client: of Milvus.
        collection: its name.
        vectors: of the segment, which the collection holds too.
        exact: whether all vectors are compared; else they are a graph.
    """

    def __init__(
        self, client: MilvusClient, collection: str, vectors: StoredVectors, exact: bool
    ) -> None:
        self._client, self._collection = client, collection
        self._vectors, self._exact = vectors, exact
        self._lock = threading.Lock()
        self._is_loaded = False

    def search(
        self, queries: Floats, k: int, selection: Selection, effort: int | None = None
    ) -> Neighbours:
        """Return the papers nearest to each query, as the protocol.

        Milvus applies the filters. It leaves out rows that are named to it; where more are deleted,
        it is asked for more papers. A query for which that is not enough is compared with all
        selected vectors here.

        Raises:
            ShelfmarkError: Milvus does not answer, or has no such collection.
        """
        if not selection.count:
            return Neighbours.empty(len(queries), k)
        self._load()
        wanted = min(k, selection.count)
        found = self._find(queries, wanted, selection, effort)
        best = [
            search_rows(self._vectors, query[None], k, rows)
            for query, rows in zip(queries, found, strict=True)
        ]
        return Neighbours(*(np.concatenate(part) for part in zip(*best, strict=True)))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _load(self) -> None:
        """Let Milvus load the collection once."""
        with self._lock:
            if self._is_loaded:
                return
            rows = 0
            if self._client.call("has_collection", self._collection):
                rows = self._client.call("get_collection_stats", self._collection)["row_count"]
            if rows != len(self._vectors):
                raise ShelfmarkError(
                    f"Milvus has {rows:,} of the {len(self._vectors):,} papers of "
                    f"{self._collection}; build the index again"
                )
            self._client.call("load_collection", self._collection, timeout=None)
            self._is_loaded = True

    def _find(
        self, queries: Floats, wanted: int, selection: Selection, effort: int | None
    ) -> list[Ints]:
        """Return the rows that are compared again for each query, ascending."""
        expression = express_filters(selection.columns, selection.filters)
        removed, limit = removed_rows(selection), wanted
        if len(removed) > MOST_NAMED:
            passed = selection.columns.mask(selection.filters).sum()
            limit = int(wanted * passed / selection.count) + wanted
        elif len(removed):
            expression = join([expression, f"{ROW} not in {list(removed)}"])
        found = [np.empty(0, np.int64)] * len(queries)
        # Of fewer papers than Milvus would be asked for, all are compared here.
        most = min(max(MOST_DROPPED, wanted), selection.count)
        while limit <= most and (short := [i for i, x in enumerate(found) if len(x) < wanted]):
            answers = self._ask(queries[short], min(limit, len(self._vectors)), expression, effort)
            for place, rows in zip(short, answers, strict=True):
                found[place] = rows if selection.mask is None else rows[selection.mask[rows]]
            limit *= WIDER
        return [np.sort(rows) if len(rows) >= wanted else selection.rows() for rows in found]

    def _ask(self, queries: Floats, limit: int, expression: str, effort: int | None) -> list[Ints]:
        """Return the rows that Milvus finds for each query."""
        graph = {"ef": max(effort or EF, limit)}
        answers = self._client.call(
            "search",
            self._collection,
            list(queries),
            filter=expression,
            limit=limit,
            output_fields=[ROW],
            search_params={"metric_type": "IP", "params": {} if self._exact else graph},
            consistency_level="Eventually",  # nothing changes once a collection is written
        )
        return [np.array([hit[ROW] for hit in hits], np.int64) for hits in answers]


class MilvusMethod(VectorMethod):
    """Writes collections of Milvus.

    Args:
        uri: of a server, or the path of a file that ends in `.db`.
        timeout: seconds to wait for a server.
        exact: whether a search compares all vectors; else a new collection is a graph.

    Raises:
        ShelfmarkError: the URI is none of Milvus, or holds a password.
    """

    name = "milvus"
    needs = {"pymilvus": "milvus"}  # noqa: RUF012 - as the protocol has it
    is_outside = True

    def __init__(self, uri: str, timeout: float, exact: bool = True) -> None:
        check_uri(uri)
        self._uri, self._timeout, self._exact = uri, timeout, exact
        self._collection = ""

    def check(self, size: int) -> None:
        """Check that Milvus answers, as the protocol."""
        with self._client() as client:
            client.call("list_collections")

    def write(
        self, vectors: StoredVectors, columns: Columns, segment: str, folder: Path
    ) -> dict[str, ArraySpec]:
        """Write the collection of a segment; what an interrupted write left of it is replaced."""
        self._collection = name = name_collection(segment, vectors, columns)
        with self._client() as client:
            if client.call("has_collection", name):
                client.call("drop_collection", name)
            client.call("create_collection", name, schema=make_schema(vectors.size, columns))
            for rows in make_rows(vectors, columns):
                client.call("insert", name, rows, timeout=max(self._timeout, WRITE_SECONDS))
            client.call("flush", name, timeout=None)
            client.call("create_index", name, make_index(self._exact), timeout=None)
            client.call("load_collection", name, timeout=None)
            require_rows(client, name, len(vectors))
        return {}

    def open(
        self, files: ArrayFiles, vectors: StoredVectors, segment: str, settings: Mapping[str, Any]
    ) -> MilvusIndex:
        """Return the collection; the first search connects to Milvus."""
        client = MilvusClient(self._uri, self._timeout)
        return MilvusIndex(client, settings["collection"], vectors, settings["exact"])

    def settings(self) -> dict[str, Any]:
        """Return the name of the collection that was written last, and its kind."""
        return {"collection": self._collection, "exact": self._exact}

    def remove(self, segment: str, settings: Mapping[str, Any]) -> None:
        """Drop the collection of a segment.

        Raises:
            ShelfmarkError: Milvus does not answer.
        """
        with self._client() as client:
            client.call("drop_collection", settings["collection"])

    @contextlib.contextmanager
    def _client(self) -> Iterator[MilvusClient]:
        if is_file(self._uri):
            with core_files.report_write_errors(Path(self._uri)):
                Path(self._uri).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(MilvusClient(self._uri, self._timeout)) as client:
            yield client


def is_file(uri: str) -> bool:
    """Whether a URI is the path of a file of milvus-lite."""
    return "://" not in uri


def check_uri(uri: str) -> None:
    """Check that a URI may be that of Milvus, and is no secret.

    Raises:
        ShelfmarkError: it is not; the text shows no password.
    """
    if is_file(uri):
        if not uri.endswith(".db"):
            raise ShelfmarkError(
                f"engine.uri={uri}: a file of Milvus ends in .db, a server is http://host:19530"
            )
        return
    try:
        parts = urlsplit(uri)
        has_secret = "@" in parts.netloc
        is_server = parts.scheme in ("http", "https", "tcp") and bool(parts.hostname)
    except ValueError:
        has_secret, is_server = "@" in uri, False
    if has_secret:
        raise ShelfmarkError(
            f"engine.uri holds a user or a password: set {TOKEN} to user:password instead"
        )
    if not is_server:
        raise ShelfmarkError(f"engine.uri={uri}: a server of Milvus is http://host:19530")


def name_collection(segment: str, vectors: StoredVectors, columns: Columns) -> str:
    """Return the name of a segment's collection, with a digest of what tells segments apart."""
    digest = hashlib.sha256(f"{len(vectors)} {vectors.size} {list(columns.names)}".encode())
    for array in (vectors.scales, columns.primary, columns.categories, columns.days):
        digest.update(np.ascontiguousarray(array).data)
    letters = "".join(one if one.isascii() and one.isalnum() else "_" for one in segment)
    return f"{PREFIX}{letters[:100]}_{digest.hexdigest()[:16]}"


def make_schema(size: int, columns: Columns) -> Any:
    """Return the schema of a collection.

    Args:
        size: the numbers of a vector.
        columns: what its papers are filtered by.
    """
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ROW, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=size)
    schema.add_field(PRIMARY, DataType.INT32)
    most = max(len(columns.names), 1)
    schema.add_field(CATEGORIES, DataType.ARRAY, element_type=DataType.INT16, max_capacity=most)
    schema.add_field(DAYS, DataType.INT32)
    return schema


def make_index(exact: bool) -> Any:
    """Return the description of an index of vectors: all are compared, or they are a graph."""
    from pymilvus import MilvusClient

    described = MilvusClient.prepare_index_params()
    kind, params = ("FLAT", {}) if exact else ("HNSW", GRAPH)
    described.add_index(VECTOR, index_type=kind, metric_type="IP", params=params)
    return described


def make_rows(vectors: StoredVectors, columns: Columns) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a collection, some at a time."""
    most = max(SENT // (4 * vectors.size) // 8, 1) * 8  # whole bytes of the categories' bits
    for start, block in vectors.blocks():
        for begin in range(start, start + len(block), most):
            part = block[begin - start : begin - start + most]
            end = begin + len(part)
            bits = np.unpackbits(columns.categories[:, begin // 8 : (end + 7) // 8], axis=1)
            yield [
                {
                    ROW: begin + place,
                    VECTOR: vector,
                    PRIMARY: int(columns.primary[begin + place]),
                    CATEGORIES: np.flatnonzero(bits[:, place]).tolist(),
                    DAYS: int(columns.days[begin + place]),
                }
                for place, vector in enumerate(part)
            ]


def require_rows(client: MilvusClient, collection: str, rows: int) -> None:
    """Check that a collection has all rows that were inserted.

    Raises:
        ShelfmarkError: it has not.
    """
    fields = ["count(*)"]
    (count,) = client.call(
        "query", collection, filter="", output_fields=fields, consistency_level="Strong"
    )
    if count["count(*)"] != rows:
        raise ShelfmarkError(
            f"Milvus kept {count['count(*)']:,} of {rows:,} papers of {collection}: "
            "the index is not changed"
        )


def express_filters(columns: Columns, filters: Filters) -> str:
    """Return filters as an expression of Milvus, "" without any."""
    parts = []
    if filters.categories:
        numbers = columns.numbers(filters.categories)
        is_in = f"{PRIMARY} in {numbers}" if filters.primary else _has_any(numbers)
        parts.append(is_in)
    if filters.exclude and (numbers := columns.numbers(filters.exclude)):
        parts.append(f"not {_has_any(numbers)}")
    if filters.since:
        parts.append(f"{DAYS} >= {filters.since.toordinal()}")
    if filters.until:
        parts.append(f"{DAYS} <= {filters.until.toordinal()}")
    return join(parts)


def _has_any(numbers: Sequence[int]) -> str:
    return f"array_contains_any({CATEGORIES}, {list(numbers)})"


def join(parts: Sequence[str]) -> str:
    """Return an expression that holds where all parts do; a part of "" always holds."""
    return " and ".join(part for part in parts if part)


def removed_rows(selection: Selection) -> Sequence[int]:
    """Return the rows that are deleted or excluded, whether they pass the filters or not."""
    removed = {int(row) for row in selection.excluded}
    if selection.deleted is not None:
        removed.update(np.flatnonzero(selection.deleted).tolist())
    return sorted(removed)
