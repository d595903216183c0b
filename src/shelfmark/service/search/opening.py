"""How the service opens its index and its encoder."""

from __future__ import annotations

from pathlib import Path

from shelfmark.artifacts.aliases import LATEST
from shelfmark.core import storage
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.errors import ShelfmarkError
from shelfmark.search.index import Index
from shelfmark.search.manifest import read_manifest
from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.settings import Settings

WARM_UP = SearchQuery(text="The first search takes longer than those that come after it.",
                      explain=True)  # fmt: skip


def open_index(
    settings: Settings, before: Index | None = None, encoder: OpenEncoder | None = None
) -> Index:
    """Return the index of the settings, which has answered its first search.

    Args:
        settings: its folder and its encoder.
        before: an older state of the same index, whose segments are shared.
        encoder: that is open, and is not opened again if it made this index.

    Raises:
        ShelfmarkError: there is no index, a file is damaged, or another encoder made it.
    """
    chosen = _choose_encoder(settings, encoder)
    index = Index.open(settings.index, chosen, settings.encoders, before)
    try:
        index.search([WARM_UP])
    except BaseException:
        index.close(before)
        raise
    return index


def _choose_encoder(settings: Settings, encoder: OpenEncoder | None) -> OpenEncoder | None:
    """Return the encoder of the settings, or the open one; None to open the index's own.

    Raises:
        ShelfmarkError: the encoder of the settings is missing, or did not make the index.
    """
    manifest = read_manifest(settings.index)
    if encoder is not None and encoder.digest != manifest.encoder_sha256:
        encoder = None
    if not settings.encoder:
        return encoder
    with locate_encoder(settings.encoder, settings.encoders) as located:
        if located.digest != manifest.encoder_sha256:
            raise ShelfmarkError(
                f"{settings.index} was made by the encoder {manifest.encoder}, not by "
                f"SHELFMARK_ENCODER={settings.encoder}: unset it, or build the index again"
            )
        return encoder or artifact.load(located.folder, digest=located.digest)


def has_encoder(settings: Settings) -> bool:
    """Whether an encoder can be opened without an index: the one of the settings, or the latest."""
    remote = storage.is_remote(settings.encoders)
    return bool(settings.encoder) or remote or Path(settings.encoders, LATEST).exists()


def open_encoder(settings: Settings) -> OpenEncoder:
    """Return the encoder of the settings, or the latest one.

    Raises:
        ShelfmarkError: it is missing or damaged.
    """
    with locate_encoder(settings.encoder or LATEST, settings.encoders) as located:
        return artifact.load(located.folder, digest=located.digest)
