"""Finds an encoder by its name, its folder or its address."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shelfmark.artifacts import aliases
from shelfmark.artifacts.store import VersionStore
from shelfmark.core import storage
from shelfmark.embeddings import artifact
from shelfmark.errors import ShelfmarkError


class LocatedEncoder(NamedTuple):
    """The folder of an encoder on this machine, no link, and the digest that its card has."""

    folder: Path
    digest: str


@contextlib.contextmanager
def locate_encoder(encoder: str, encoders: str = "encoders") -> Iterator[LocatedEncoder]:
    """Yield the folder of an encoder; one of a bucket is copied to this machine for the block.

    Args:
        encoder: a folder, a name or an alias in the folder of the encoders, or an address such as
            gs://bucket/encoders/latest.
        encoders: folder or address of the encoders, where a name is looked up.

    Raises:
        ShelfmarkError: there is no such encoder, its card is damaged or has another digest than
            the alias recorded, or the bucket cannot be read.
    """
    if storage.is_remote(encoder):
        encoders, _, encoder = encoder.rstrip("/").rpartition("/")
    elif Path(encoder, artifact.CARD).is_file() or Path(encoder).name != encoder:
        yield _locate_folder(Path(encoder))
        return
    if not storage.is_remote(encoders):
        yield _locate_folder(Path(encoders, encoder))
        return
    store = VersionStore(encoders, artifact.check)  # which keeps the copy
    pin = store.resolve(encoder)
    folder = store.folder(pin.version)
    yield LocatedEncoder(folder, pin.digest or artifact.read_card(folder).digest)


def _locate_folder(path: Path) -> LocatedEncoder:
    try:
        folder, recorded = aliases.follow(path)
    except (OSError, RuntimeError):  # the second for a loop of links, before Python 3.13
        raise ShelfmarkError(f"no encoder in {path}: {artifact.TRAIN}") from None
    return LocatedEncoder(folder, recorded or artifact.read_card(folder).digest)
