"""The smaller sizes that vectors may be cut to: their first numbers, at unit length again.

Encoders trained at several sizes at once keep most of a vector in its first numbers:
Matryoshka Representation Learning, arXiv:2205.13147.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError


def choose_size(size: int | None, whole: int, smaller: Sequence[int]) -> int:
    """Return the numbers of a vector as asked for.

    Args:
        size: as asked for; None for whole vectors.
        whole: the numbers of a whole vector.
        smaller: the sizes that vectors may be cut to.

    Raises:
        ShelfmarkError: vectors cannot be cut to this size.
    """
    allowed = sorted({*smaller, whole})
    if size is None:
        return whole
    if isinstance(size, bool) or size not in allowed:
        raise ShelfmarkError(
            f"size {size}: vectors of this encoder have {', '.join(map(str, allowed))} numbers"
        )
    return int(size)


def cut_vectors(vectors: Floats, size: int) -> Floats:
    """Return the first numbers of vectors, at unit length; zero rows stay zero.

    Args:
        vectors: shape (papers, numbers).
        size: of the cut vectors.

    Returns:
        Shape (papers, size), float32.
    """
    if size == vectors.shape[1]:
        return vectors
    cut: Floats = np.array(vectors[:, :size], np.float32, order="C")
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    np.divide(cut, lengths, out=cut, where=lengths > 0)
    return cut
