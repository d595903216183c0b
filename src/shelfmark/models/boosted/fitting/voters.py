"""The training papers that vote, with the vectors of a trained encoder."""

from __future__ import annotations

import numpy as np

from shelfmark.config.models import BoostedConfig, NeighboursConfig
from shelfmark.config.schema import Config
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups
from shelfmark.embeddings import artifact, locate
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.sizes import choose_size
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.votes import NeighbourVotes, quantize_voters

KEY = "model.neighbours.encoder"
# Settings of the data that decide which papers an encoder was trained on, and how it read them.
SAME = ("split", "fractions", "cuts", "maths")


def open_encoder(config: Config) -> OpenEncoder | None:
    """Open the encoder of `model.neighbours`, before anything is fitted; None without one.

    Raises:
        ShelfmarkError: there is no such encoder, it is of another kind, its vectors have no such
            size, or its training papers may be papers of validation here.
    """
    settings = _settings(config)
    if settings is None:
        return None
    with locate.locate_encoder(settings.encoder, config.paths.encoders) as located:
        opened = artifact.load(located.folder, config.model.n_jobs, located.digest)
    if not isinstance(opened.encoder, StaticEncoder):
        raise ShelfmarkError(
            f"{KEY}={settings.encoder}: of kind {opened.card.kind}; give one of kind static, "
            "whose table becomes a part of the model"
        )
    choose_size(settings.size, opened.size, opened.card.sizes)
    _check_data(opened, config)
    return opened


def find_voters(
    opened: OpenEncoder, config: Config, targets: Targets, train: PaperGroups
) -> NeighbourVotes:
    """Return the votes of the training papers, whose weights are not fitted yet.

    Args:
        opened: as `open_encoder` returns it.
        config: its `model.neighbours` says how papers vote.
        targets: the classes.
        train: papers with text and label, read group by group.

    Raises:
        ShelfmarkError: the encoder knows no term of any training paper.
    """
    settings = _settings(config)
    assert settings is not None
    assert isinstance(opened.encoder, StaticEncoder)
    parts = []
    for number in range(len(train.groups)):
        group = train.read_group(number, ["text", "label"])
        vectors = opened.encode(group["text"].to_pylist(), settings.size)
        parts.append(quantize_voters(vectors, targets.encode(group)))
    rows, scales, own = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    votes = NeighbourVotes(
        opened.encoder,
        rows,
        scales,
        own,
        classes=len(targets.classes),
        papers=settings.papers,
        sharpness=settings.sharpness,
    )
    if not len(votes.rows):
        raise ShelfmarkError(f"{KEY}={settings.encoder}: it knows no term of the training papers")
    return votes


def _settings(config: Config) -> NeighboursConfig | None:
    assert isinstance(config.model, BoostedConfig)
    return config.model.neighbours


def _check_data(opened: OpenEncoder, config: Config) -> None:
    """Check that the encoder was trained on no paper of validation, and on texts like these."""
    data, own = opened.card.config["data"], config.data.model_dump(mode="json")
    different = [f"data.{name}" for name in SAME if data.get(name) != own.get(name)]
    if different:
        raise ShelfmarkError(
            f"{KEY}={opened.name}: trained with another {', '.join(different)}, so that it may "
            "have seen papers of validation; train an encoder with the data settings of the model"
        )
