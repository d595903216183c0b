"""Runs that were killed after their artifact was saved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from shelfmark.config.trainings import Settings
from shelfmark.core import files
from shelfmark.core.checkpoint import has_unfinished, remove_unfinished
from shelfmark.embeddings.card import EncoderCard
from shelfmark.errors import ShelfmarkError
from shelfmark.models.card import ModelCard


def complete_saved_run(
    folder: Path,
    settings: Settings,
    read_card: Callable[[Path], ModelCard | EncoderCard],
    point_latest_at: Callable[[Path], None],
) -> None:
    """Complete a run that was killed after its model or encoder was saved.

    Args:
        folder: of the artifact.
        settings: the configuration of the run.
        read_card: reads the card of such an artifact.
        point_latest_at: points the alias at it.

    Raises:
        ShelfmarkError: the folder holds the artifact of another run.
    """
    card = None
    with contextlib.suppress(ShelfmarkError):
        card = read_card(folder)
    same = card is not None and card.config == settings.model_dump(mode="json")
    if card is None or not same or not has_unfinished(folder.parent, card.key):
        raise ShelfmarkError(f"name={folder.name}: {folder} exists already; choose another name")
    files.clear_leftovers(folder.parent)
    point_latest_at(folder)
    remove_unfinished(folder.parent, card.key)
