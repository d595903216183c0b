"""The encoder of an index: the very one that made its vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shelfmark.embeddings.locate import LocatedEncoder, locate_encoder
from shelfmark.errors import ShelfmarkError
from shelfmark.search.manifest import Manifest, require_digest


@contextmanager
def locate_index_encoder(
    manifest: Manifest, index: Path, encoders: str
) -> Iterator[LocatedEncoder]:
    """Yield the encoder that an index names.

    Args:
        manifest: of the index.
        index: its folder.
        encoders: folder or address of the encoders.

    Raises:
        ShelfmarkError: it is missing, damaged, or another one now.
    """
    with ExitStack() as stack:
        try:
            located = stack.enter_context(locate_encoder(manifest.encoder, encoders))
        except ShelfmarkError as error:
            raise ShelfmarkError(
                f"{index}: the encoder {manifest.encoder}, which made this index, does not open in "
                f"{encoders}: put it there again, or build the index again ({error})"
            ) from error
        require_digest(manifest, index, located.folder.name, located.digest)
        yield located
