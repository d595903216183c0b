"""Versions of models in a folder or a bucket."""

from __future__ import annotations

from pathlib import Path

from shelfmark.artifacts.aliases import Pin
from shelfmark.artifacts.store import VersionStore
from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError, one_line
from shelfmark.models import answers, artifact
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard

WARM = 64  # papers of a first list: of more characters than are read word by word
PAPER = ("Warm up", "The first prediction takes longer than those that come after it.")


class Registry:
    """Opens versions of models; those of a bucket are copied to a folder of this process first.

    Args:
        models: a folder, or the URL of a bucket such as gs://bucket/models.
    """

    def __init__(self, models: str) -> None:
        self._store = VersionStore(models, artifact.check)

    def check(self, version: str) -> None:
        """Check that a version is there and whole, without opening it.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        self.card(version)

    def card(self, version: str, digest: str = "") -> ModelCard:
        """Return the card of a version, or of the one that an alias names, its files checked.

        Args:
            version: its name, or an alias.
            digest: the SHA-256 that the card has to have; if empty, the one that the alias
                recorded.

        Raises:
            ShelfmarkError: it is missing or damaged, or another model now.
        """
        pin = self._store.resolve(version)
        return artifact.check(self.folder(pin.version), digest or pin.digest)

    def pin(self, version: str) -> Pin:
        """Return the version that an alias names now, any other name unchanged, and its digest.

        Raises:
            ShelfmarkError: there is no such version, or the bucket cannot be read.
        """
        pin = self._store.resolve(version)
        digest = pin.digest or artifact.read_card(self.folder(pin.version)).digest
        return Pin(pin.version, digest)

    def open(self, version: str, digest: str = "") -> Model:
        """Return a model that has made its first prediction, with one thread for its trees.

        Args:
            version: its name, or an alias.
            digest: the SHA-256 that its card has to have; if empty, the one that the alias
                recorded.

        Raises:
            ShelfmarkError: there is no such version, it is damaged, or it cannot predict.
        """
        pin = self._store.resolve(version)
        model = artifact.load(self.folder(pin.version), 1, digest or pin.digest)
        try:
            _warm_up(model)
        except Exception as error:  # whatever a model of other makers may raise
            raise ShelfmarkError(f"{version} cannot predict: {one_line(error)}") from error
        return model

    def folder(self, version: str) -> Path:
        """Return the folder of a version on this machine, copied there first from a bucket.

        Raises:
            ShelfmarkError: there is no such version, or the bucket cannot be read.
        """
        return self._store.folder(version)


def upload_version(folder: Path, models: str) -> None:
    """Copy a version to a bucket; its card comes last, for without it there is no version.

    A version that is there with the same digests stays unchanged. Files that the card does not name
    are not copied: a link among them could lead anywhere.

    Raises:
        ShelfmarkError: another version of this name is there, or the bucket does not take it.
    """
    address = f"{models.rstrip('/')}/{folder.name}"
    system, root = storage.filesystem_for(address)
    names = sorted(artifact.read_card(folder).files)
    with storage.user_errors(address):
        card = (folder / artifact.CARD).read_bytes()
        if system.exists(f"{root}/{artifact.CARD}"):
            if system.cat_file(f"{root}/{artifact.CARD}") != card:
                raise ShelfmarkError(f"{address} is another model of the same name: train again")
            return
        for name in names:
            system.put_file(str(folder / name), f"{root}/{name}")
        system.pipe_file(f"{root}/{artifact.CARD}", card)


def _warm_up(model: Model) -> None:
    """Build what the first answer, to one paper and to many, needs.

    Raises:
        ValueError: a probability is none.
    """
    answers.answer_papers(model, [PAPER], explain=True)
    answers.answer_papers(model, [PAPER] * WARM)
    for probabilities in model.probabilities([model.text(*PAPER), ""]):
        if not ((probabilities >= 0) & (probabilities <= 1)).all():  # which NaN is not either
            raise ValueError("a probability is not between 0 and 1")
