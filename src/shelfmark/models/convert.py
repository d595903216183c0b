"""Conversion of models of an older format, which held all of a pipeline in one pickle."""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.artifact import REFERENCE, Model
from shelfmark.models.card import FORMAT, ModelCard
from shelfmark.models.families import family_of

TEXTS = ("", "Title\nAn abstract on galaxies.", "We train a robot arm to grasp unseen objects.")


def convert_model(folder: Path) -> Path:
    """Convert a model in place: all of its files at once, or nothing.

    Opening the older pickle could run code, so the model's maker has to be trusted.

    Args:
        folder: of the model, or the link of an alias.

    Returns:
        The folder, with any link resolved.

    Raises:
        ShelfmarkError: there is no such model, it is of the present format, made with other
            versions, or damaged, or the disk does not take the files.
    """
    folder, _ = artifact.follow(folder)
    card = artifact.read_card(folder)
    if card.format == FORMAT:
        raise ShelfmarkError(f"{folder} is of the present format already")
    model, reference = _open_older(folder, card)
    with files.atomic_folder(folder, replace=True) as aside:
        if reference is not None:
            (aside / REFERENCE).write_bytes(reference)
        artifact.write_files(model, aside)
        _require_same_answers(model, artifact.load(aside))
    return folder


def _open_older(folder: Path, card: ModelCard) -> tuple[Model, bytes | None]:
    """Return the model and its reference; no file stays open, or Windows would not move it."""
    older = artifact.check_files(folder, card)
    logger.warning("{}: its pickle is opened, which can run code: its maker is trusted", folder)
    try:
        classifier = family_of(card.kind).load_older(older, card)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{folder}: {error}; train again") from error
    reference = bytes(older.content(REFERENCE)) if REFERENCE in older else None
    return Model(classifier, card, artifact.read_about(older)), reference


def _require_same_answers(older: Model, converted: Model) -> None:
    texts = [*TEXTS, *(label.name for label in older.card.classes)]
    for before, after in zip(
        older.probabilities(texts), converted.probabilities(texts), strict=True
    ):
        if before.tobytes() != after.tobytes():
            raise ShelfmarkError("the converted model answers otherwise; nothing was changed")
