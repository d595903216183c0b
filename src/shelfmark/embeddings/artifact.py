"""A trained encoder on disk: written atomically, opened only if versions and digests match.

A folder `encoders/<name>/` holds `card.json` and the files of the encoder's family. The card holds
the SHA-256 of each file, and the type and shape of each array; its own SHA-256, the digest of the
encoder, is recorded by the alias `encoders/latest`, and by whatever is made from its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import orjson

from shelfmark.artifacts import aliases
from shelfmark.artifacts.aliases import LATEST, Alias
from shelfmark.artifacts.card import read_card_file
from shelfmark.artifacts.digested import AGAIN, DigestedFiles
from shelfmark.artifacts.versions import installed_versions, require_versions
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.core import files, project
from shelfmark.core.arrays import Floats
from shelfmark.embeddings import sizes
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.families import family_of
from shelfmark.embeddings.protocol import Encoder
from shelfmark.errors import ShelfmarkError, one_line

CARD = "card.json"
TRAIN = "train one with shelfmark train-encoder"


@dataclass(frozen=True, eq=False)
class OpenEncoder:
    """An opened artifact.

    Args:
        encoder: of any family.
        card: its card.
    """

    encoder: Encoder
    card: EncoderCard

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self.card.name

    @property
    def digest(self) -> str:
        """The SHA-256 of its card, which stands for all of its files."""
        return self.card.digest

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return self.encoder.size

    def text(self, title: str, abstract: str) -> str:
        """Return the text of a paper, cleaned as the encoder's training papers were."""
        maths = self.card.config["data"]["maths"]
        return join_texts(clean_text(title), clean_text(abstract), maths)

    def encode(self, texts: Sequence[str], size: int | None = None) -> Floats:
        """Return the vectors of cleaned texts, float32 of shape (texts, size), as the protocol.

        Args:
            texts: as `text` returns them.
            size: one of the card's `sizes`, to which vectors are cut; None for whole vectors.

        Raises:
            ShelfmarkError: vectors cannot be cut to this size.
        """
        chosen = sizes.choose_size(size, self.size, self.card.sizes)
        return sizes.cut_vectors(self.encoder.encode(texts), chosen)


def save(encoder: Encoder, card: EncoderCard, encoders: Path) -> Path:
    """Write an encoder as `encoders/<name>`, point `encoders/latest` at it, return its folder.

    Args:
        encoder: of the family that the card names.
        card: its card; versions, files and arrays are filled in.
        encoders: the folder of all encoders.

    Raises:
        ShelfmarkError: the name is taken, or the disk does not take the files.
    """
    files.clear_leftovers(encoders)
    target = encoders / card.name
    with files.atomic_folder(target) as folder:
        arrays = encoder.save(folder)
        digests = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
        card = replace(
            card, versions=versions(card.kind), files=digests, arrays=dict(sorted(arrays.items()))
        )
        (folder / CARD).write_bytes(orjson.dumps(card.to_json(), option=orjson.OPT_INDENT_2))
    point_latest_at(target)
    return target


def point_latest_at(target: Path) -> None:
    """Point `encoders/latest` at an encoder.

    Raises:
        ShelfmarkError: the disk does not take the link.
    """
    try:
        Alias(str(target.parent), LATEST).point_at(target.name, read_card(target).digest)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"saved {target}, but {error}") from error


def versions(kind: str) -> dict[str, str]:
    """Return the installed versions of Python and of the libraries that a family's files need."""
    return installed_versions(family_of(kind).libraries)


def read_card(folder: Path) -> EncoderCard:
    """Return the card of an artifact.

    Raises:
        ShelfmarkError: there is no encoder in the folder, or its card is damaged or unreadable.
    """
    missing = f"no encoder in {folder}: {TRAIN}"
    return read_card_file(folder / CARD, EncoderCard.from_bytes, missing, AGAIN)


def check(folder: Path) -> EncoderCard:
    """Return the card of an artifact whose versions and digests are right, without opening it.

    Raises:
        ShelfmarkError: it is missing, made with other versions, or damaged.
    """
    card = read_card(folder)
    _check_files(folder, card)
    return card


def load(folder: Path, threads: int | None = None, digest: str = "") -> OpenEncoder:
    """Open an artifact: the card, then versions and digests, then the files of its family.

    Args:
        folder: an artifact's folder, or the link of an alias.
        threads: how many the encoder uses; None for one a core.
        digest: the SHA-256 that the card has to have; if empty, the one that the alias recorded.

    Raises:
        ShelfmarkError: it is missing, made with other versions, damaged, or foreign, or the extra
            of its family is not installed.
    """
    try:
        folder, recorded = aliases.follow(folder)
    except (OSError, RuntimeError):  # the second for a loop of links, before Python 3.13
        raise ShelfmarkError(f"no encoder in {folder}: {TRAIN}") from None
    card = read_card(folder)
    wanted = digest or recorded
    if wanted and card.digest != wanted:
        raise ShelfmarkError(
            f"{folder} is another encoder now: its card has the digest {card.digest[:12]}…, not "
            f"the {wanted[:12]}… that was recorded; train again"
        )
    opened = _check_files(folder, card)
    try:
        encoder = family_of(card.kind).load(opened, card, threads)
    except ShelfmarkError as error:
        line = f"{folder}: {error}"
        raise ShelfmarkError(line if AGAIN in line else f"{line}; {AGAIN}") from error
    except Exception as error:  # a foreign file may lead anywhere
        line = f"{folder} cannot be opened: {one_line(error)}"
        line += "" if isinstance(error, MemoryError) else f"; {AGAIN}"
        raise ShelfmarkError(line) from error
    if encoder.size != card.size:
        raise ShelfmarkError(
            f"{folder}: vectors of {encoder.size} numbers, its card says {card.size}; {AGAIN}"
        )
    return OpenEncoder(encoder, replace(card, name=folder.name))


def _check_files(folder: Path, card: EncoderCard) -> DigestedFiles:
    """Return the files of an artifact whose libraries, versions and digests are right."""
    family = family_of(card.kind)
    for module, extra in family.needs.items():
        if find_spec(module) is None:
            command = project.install_command(extra)
            raise ShelfmarkError(f"{folder} needs {module}, which is not installed: {command}")
    require_versions(folder, card.versions, versions(card.kind))
    opened = DigestedFiles(folder, card.files, card.arrays)
    for name in family.files:
        opened.content(name)
    opened.check()
    return opened
