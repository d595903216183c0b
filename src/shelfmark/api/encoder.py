"""The encoder of the Python interface: load one, and turn papers into vectors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from shelfmark.api.papers import Paper, pairs_of, split_batches
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pandas as pd

    from shelfmark.core.arrays import Floats
    from shelfmark.embeddings.artifact import OpenEncoder
    from shelfmark.embeddings.card import EncoderCard


class Encoder:
    """A trained encoder that turns papers into vectors; `Encoder.load` opens one.

    A paper is a text (`str`) or a tuple (title, abstract). Many papers are a list or
    another iterable of these, or a DataFrame with the columns `title` and `abstract`.

    Args:
        encoder: an opened artifact.
    """

    def __init__(self, encoder: OpenEncoder) -> None:
        self._encoder = encoder

    def __repr__(self) -> str:
        return f"<Encoder {self.name}: {self.size} numbers>"

    @classmethod
    def load(
        cls,
        encoder: str | Path = "latest",
        encoders: str | Path = "encoders",
        *,
        threads: int | None = None,
    ) -> Self:
        """Open a trained encoder.

        Args:
            encoder: the encoder's folder, such as encoders/latest, a name or an alias in the folder
                of the encoders, or an address such as gs://bucket/encoders/latest.
            encoders: folder or address of the encoders, where a name is looked up.
            threads: number of threads; one for each core if not given.

        Raises:
            ShelfmarkError: there is no such encoder, it was made with other versions, or is
                damaged.
        """
        from shelfmark.embeddings import artifact
        from shelfmark.embeddings.locate import locate_encoder

        for value in (encoder, encoders):
            if not isinstance(value, str | Path):
                raise ShelfmarkError(f"load: {value!r}: should be a name, a path or an address")
        with locate_encoder(str(encoder), str(encoders)) as located:
            return cls(artifact.load(located.folder, threads, located.digest))

    @property
    def name(self) -> str:
        """The encoder's name, a folder of the encoders."""
        return self._encoder.name

    @property
    def digest(self) -> str:
        """The SHA-256 of the card, which stands for the whole encoder: vectors are of one digest.

        Vectors of two digests cannot be compared.
        """
        return self._encoder.digest

    @property
    def card(self) -> EncoderCard:
        """The encoder's card: configuration, data, figures."""
        return self._encoder.card

    @property
    def size(self) -> int:
        """The numbers of a whole vector."""
        return self._encoder.size

    @property
    def sizes(self) -> list[int]:
        """The sizes that `encode` takes, ascending; the last is that of whole vectors."""
        return sorted({*self.card.sizes, self.size})

    def encode(
        self, papers: Paper | Iterable[Paper] | pd.DataFrame, *, size: int | None = None
    ) -> Floats:
        """Return the vectors of papers; the cosine of two is their dot product.

        Args:
            papers: a paper, or many of them.
            size: one of `sizes`, to which vectors are cut, at unit length again; None for whole
                vectors.

        Returns:
            Shape (papers, size), float32, one row for one paper, in the same order. A row has unit
            length; that of a paper without any term that the encoder knows, such as one without a
            text, is zero.

        Raises:
            ShelfmarkError: one is no paper, there is no paper, or vectors cannot be cut to this
                size.
        """
        import numpy as np

        return np.concatenate(
            [
                self._encoder.encode([self._encoder.text(*pair) for pair in batch], size)
                for batch in split_batches(pairs_of(papers, blank=True))
            ]
        )
