"""The TF-IDF rows of the training papers in files of the workers, which read from one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from distributed import get_worker
from threadpoolctl import threadpool_limits

from shelfmark.core import console
from shelfmark.data.splits import PaperGroups
from shelfmark.models.boosted.dask.peers import read_from_peers, worker_folder
from shelfmark.models.boosted.dask.sending import send_each
from shelfmark.models.boosted.dask.workers import Workers
from shelfmark.models.boosted.features import FastFeatureUnion
from shelfmark.models.boosted.fitting.part_files import PartFiles, Segment
from shelfmark.models.boosted.fitting.rows import (
    Block,
    PaperLabels,
    join_segments,
    order_blocks,
)

WEIGHED = 4096  # papers at once: one group of papers takes much more memory than its rows


@dataclass(frozen=True)
class PartPlaces:
    """The parts of the rows, and the workers whose folders have them.

    Args:
        name: of the folders.
        workers: pairs of an address and the numbers of the parts there.
        groups: the number of papers of each part.
        terms: the number of columns.
        seed: of the order of the rows of each part.
    """

    name: str
    workers: tuple[tuple[str, tuple[int, ...]], ...]
    groups: tuple[int, ...]
    terms: int
    seed: int

    def read_blocks(self, numbers: Sequence[int]) -> Iterator[Block]:
        """Yield blocks, within a task of a worker; each is asked for while the last is used.

        Raises:
            OSError: a worker is lost.
        """
        asked = [self._ask(number) for number in numbers[:1]]
        for after in [*numbers[1:], None]:
            received = asked.pop().result()
            if after is not None:
                asked.append(self._ask(after))
            parts = [part for _, parts in self.workers for part in parts]
            segments = [segment for some in received for segment in some]
            yield join_segments([segments[place] for place in np.argsort(parts)], self.terms)

    def _ask(self, number: int) -> Future[list[list[Segment]]]:
        return read_from_peers(
            self.name,
            [
                (address, partial(_read_segments, self.groups, self.seed, parts, number))
                for address, parts in self.workers
            ],
        )


@dataclass(frozen=True)
class PeerRows:
    """Rows in the files of the workers, as the task of a worker reads them.

    Args:
        places: of the parts.
        labels: of the papers.
        stored: the number of stored features.
    """

    places: PartPlaces
    labels: PaperLabels
    stored: int

    @property
    def shape(self) -> tuple[int, int]:
        """The number of papers and of terms."""
        return sum(self.places.groups), self.places.terms

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows in blocks, each a random sample of all; with `rng`, in a random order.

        Raises:
            OSError: a worker is lost.
        """
        yield from self.places.read_blocks(order_blocks(len(self.places.groups), rng))


class ClusterRows:
    """Rows in the files of the workers, as the process of the training knows them.

    Args:
        workers: of the cluster.
        name: of the folders of the workers.
        fields: fitted.
        papers: with a text each, read again where rows are lost.
        labels: of the papers.
        seed: of the order of the rows.
    """

    def __init__(
        self,
        workers: Workers,
        name: str,
        fields: FastFeatureUnion,
        papers: PaperGroups,
        labels: PaperLabels,
        seed: int,
    ) -> None:
        self.labels = labels
        self._workers = workers
        self._fields = fields
        self._papers = papers
        self._files = PartFiles(Path(name), tuple(papers.groups), seed)
        self._written: dict[int, tuple[str, int]] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """The number of papers and of terms."""
        return sum(self._files.groups), self._fields.terms

    @property
    def stored(self) -> int:
        """The number of stored features."""
        return sum(stored for _, stored in self._written.values())

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows in blocks, each a random sample of all; with `rng`, in a random order.

        Raises:
            ShelfmarkError: too many workers were lost, or none came back.
        """
        for number in order_blocks(len(self._files.groups), rng):
            yield self._workers.retry_lost_workers("rows", partial(self._read_block, number))

    def write_missing(self) -> PartPlaces:
        """Write the parts that no worker has, and return where all are."""
        there = self._workers.names()
        self._written = {part: place for part, place in self._written.items() if place[0] in there}
        missing = [part for part in range(len(self._files.groups)) if part not in self._written]
        if missing:
            self._write(missing)
        parts: dict[str, list[int]] = {}
        for part, (address, _) in self._written.items():
            parts.setdefault(address, []).append(part)
        places = tuple((address, tuple(numbers)) for address, numbers in sorted(parts.items()))
        files = self._files
        return PartPlaces(str(files.folder), places, files.groups, self.shape[1], files.seed)

    def _write(self, missing: list[int]) -> None:
        client = self._workers.client
        [fields] = client.scatter([self._fields], hash=False)
        items = (
            (part, self._papers.read_group(part, ["text"])["text"].to_pylist()) for part in missing
        )
        with console.progress("weighing words", len(missing)) as bar:
            for future in send_each(
                self._workers,
                items,
                lambda item: client.submit(_write_part, self._files, fields, item, pure=False),
            ):
                part, address, stored = future.result()
                self._written[part] = address, stored
                bar.advance()

    def _read_block(self, number: int) -> Block:
        places = self.write_missing()
        client = self._workers.client
        block: Block = client.submit(_read_block, places, number, pure=False).result()
        return block


def _write_part(
    files: PartFiles, fields: FastFeatureUnion, item: tuple[int, list[str]]
) -> tuple[int, str, int]:
    """Write a part in the folder of this worker; return its number, the worker and its size."""
    part, texts = item
    here = _files_in(worker_folder(str(files.folder)), files.groups, files.seed)
    with threadpool_limits(1):
        rows = [
            fields.transform(texts[begin : begin + WEIGHED])
            for begin in range(0, len(texts), WEIGHED)
        ]
    here.write(part, sp.vstack(rows, format="csr"))
    return part, get_worker().address, here.count_stored(part)


def _read_block(places: PartPlaces, number: int) -> Block:
    [block] = places.read_blocks([number])
    return block


def _read_segments(
    groups: tuple[int, ...], seed: int, parts: Sequence[int], number: int, folder: Path
) -> list[Segment]:
    files = _files_in(folder, groups, seed)
    return [files.read_segment(part, number) for part in parts]


@lru_cache(maxsize=2)
def _files_in(folder: Path, groups: tuple[int, ...], seed: int) -> PartFiles:
    """Return the files of a folder; a worker reads once where the rows of a part end."""
    return PartFiles(folder, groups, seed)
