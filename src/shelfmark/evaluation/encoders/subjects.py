"""What is measured: an encoder or a baseline, its vectors of the sample, and its speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import norm as sparse_norm
from threadpoolctl import threadpool_limits

from shelfmark.core import console
from shelfmark.core.arrays import Ints
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.baselines import LsaBaseline, TfidfBaseline
from shelfmark.embeddings.sizes import cut_vectors
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.encoders.samples import Part, Sample
from shelfmark.evaluation.encoders.tasks import Side
from shelfmark.evaluation.retrieval import Vectors

BATCH = 2048  # texts encoded at once
REPEATS = 5  # of the measurement of speed, whose median counts
WARM_UP = 16  # texts, the first of which an encoder may be slow on
REPEAT_SECONDS = 1.0  # that a repeat should take
MOST_TIMED = 4000  # texts of a repeat
INT8, FLOAT32 = 1, 4  # bytes of a number
INDEX = 4  # bytes of the column of a number, in a sparse vector

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Subject:
    """An encoder or a baseline.

    Args:
        name: its column of the table.
        encode: texts to vectors, on all cores.
        encode_alone: the same on one thread.
        size: the numbers of a vector.
        seconds: that its training took, None where it was not trained here.
        sizes: the smaller numbers that its vectors may be cut to.
        about: what the record says of it.
    """

    name: str
    encode: Encode
    encode_alone: Encode
    size: int
    seconds: float | None
    sizes: Sequence[int] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_encoder(cls, opened: OpenEncoder, alone: OpenEncoder) -> Subject:
        """Return the subject of an encoder, opened with all threads and with one."""
        card = opened.card
        return cls(
            opened.name, opened.encode, alone.encode, opened.size,
            sum(card.seconds.values()) if card.seconds else None,
            [size for size in card.sizes if size < opened.size],
            {"kind": card.kind, "size": opened.size, "digest": opened.digest,
             "trained": card.created, "versions": card.versions},
        )  # fmt: skip

    @classmethod
    def of_baseline(cls, baseline: TfidfBaseline | LsaBaseline, papers: int) -> Subject:
        """Return the subject of a baseline that was fitted on a number of papers."""
        about = {"kind": "baseline", "size": baseline.size, "papers": papers}
        return cls(
            baseline.name, baseline.encode, baseline.encode, baseline.size, baseline.seconds,
            about=about,
        )  # fmt: skip


@dataclass(frozen=True)
class PartVectors:
    """The vectors of the parts of papers.

    Args:
        name: of the subject that made them.
        parts: for each part the papers, ascending, and their vectors.
    """

    name: str
    parts: Mapping[Part, tuple[Ints, Vectors]]

    def of(self, side: Side) -> Vectors:
        """Return the vectors of one side of a task."""
        rows, vectors = self.parts[side.part]
        return vectors[np.searchsorted(rows, side.rows)]

    def cut(self, size: int) -> PartVectors:
        """Return the first numbers of each vector, of unit length again."""
        cut = {
            part: (rows, cut_vectors(vectors, size)) for part, (rows, vectors) in self.parts.items()
        }
        return replace(self, name=f"{self.name}:{size}", parts=cut)

    def bytes_a_paper(self, a_number: int) -> float:
        """Return the mean bytes of a stored vector, in whose numbers each takes so many."""
        vectors = (self.parts.get("paper") or next(iter(self.parts.values())))[1]
        if sp.issparse(vectors):
            return float(vectors.nnz / vectors.shape[0] * (a_number + INDEX))
        return float(vectors.shape[1] * a_number)


def encode_parts(subject: Subject, sample: Sample, needed: Mapping[Part, Ints]) -> PartVectors:
    """Encode the texts that the tasks need.

    Raises:
        ShelfmarkError: a vector is not finite, or neither of unit length nor zero.
    """
    parts: dict[Part, tuple[Ints, Vectors]] = {}
    with console.progress(f"encoding, {subject.name}", sum(map(len, needed.values()))) as bar:
        for part, rows in needed.items():
            blocks = []
            for start in range(0, len(rows), BATCH):
                block = rows[start : start + BATCH]
                blocks.append(_check(subject, subject.encode(sample.texts(part, block))))
                bar.advance(len(block))
            stack = sp.vstack if sp.issparse(blocks[0]) else np.concatenate
            parts[part] = rows, stack(blocks)
    return PartVectors(subject.name, parts)


def _check(subject: Subject, vectors: Vectors) -> Vectors:
    norm = sparse_norm if sp.issparse(vectors) else np.linalg.norm
    lengths = norm(vectors, axis=1)
    if not np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-3)):  # NaN is neither
        raise ShelfmarkError(
            f"{subject.name}: a vector is neither of unit length nor zero; train the encoder again"
        )
    return vectors


def measure_speed(subject: Subject, texts: Sequence[str]) -> float:
    """Return how many texts a second are encoded on one thread, the median of some repeats.

    Args:
        subject: an encoder or a baseline.
        texts: as many as a repeat may take; a slow encoder gets fewer.
    """
    with threadpool_limits(1):
        subject.encode_alone(texts[:WARM_UP])
        rate = _rate(subject.encode_alone, texts[:WARM_UP])
        count = int(np.clip(rate * REPEAT_SECONDS, WARM_UP, MOST_TIMED))
        rates = [_rate(subject.encode_alone, texts[:count]) for _ in range(REPEATS)]
    return statistics.median(rates)


def _rate(encode: Encode, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    encode(texts)
    return len(texts) / (time.perf_counter() - started)
