"""The training papers that vote, with the vectors of a trained encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shelfmark.config.schema import BoostedConfig, Config
from shelfmark.data.labels import Targets
from shelfmark.embeddings import artifact, locate
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.votes import NeighbourVotes

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "model.neighbours.encoder"
# Settings of the data that decide which papers an encoder was trained on, and how it read them.
SAME = ("split", "fractions", "cuts", "maths")


class Voters(NamedTuple):
    """The votes of the training papers, and the encoder of their vectors.

    Attributes:
        votes: their weights are not fitted yet.
        encoder: its name.
        digest: the SHA-256 of its card.
    """

    votes: NeighbourVotes
    encoder: str
    digest: str


def find_voters(config: Config, targets: Targets, train: pa.Table) -> Voters:
    """Return the training papers with their vectors and classes.

    Args:
        config: its `model.neighbours` names the encoder.
        targets: the classes.
        train: papers with text and label.

    Raises:
        ShelfmarkError: there is no such encoder, it is of another kind, its training papers may be
            papers of validation here, or it knows no term of any training paper.
    """
    assert isinstance(config.model, BoostedConfig)
    assert config.model.neighbours is not None
    settings = config.model.neighbours
    with locate.locate_encoder(settings.encoder, config.paths.encoders) as located:
        opened = artifact.load(located.folder, config.model.n_jobs, located.digest)
    _check_data(opened, config)
    encoder = opened.encoder
    if not isinstance(encoder, StaticEncoder):
        raise ShelfmarkError(
            f"{KEY}={settings.encoder}: of kind {opened.card.kind}; give one of kind static, "
            "whose table becomes a part of the model"
        )
    vectors = opened.encode(train["text"].to_pylist(), settings.size)
    votes = NeighbourVotes.from_vectors(
        encoder,
        vectors,
        targets.encode(train),
        classes=len(targets.classes),
        papers=settings.papers,
        sharpness=settings.sharpness,
    )
    if not len(votes.rows):
        raise ShelfmarkError(f"{KEY}={settings.encoder}: it knows no term of the training papers")
    return Voters(votes, opened.name, opened.digest)


def _check_data(opened: OpenEncoder, config: Config) -> None:
    """Check that the encoder was trained on no paper of validation, and on texts like these."""
    data, own = opened.card.config["data"], config.data.model_dump(mode="json")
    different = [f"data.{name}" for name in SAME if data.get(name) != own.get(name)]
    if different:
        raise ShelfmarkError(
            f"{KEY}={opened.name}: trained with another {', '.join(different)}, so that it may "
            "have seen papers of validation; train an encoder with the data settings of the model"
        )
