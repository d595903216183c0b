"""A trained model on disk: written atomically, opened only if versions and digests match.

A folder `models/<name>/` holds `card.json`, the files of the classifier's family, those of the
scope detector,
`reference.parquet` (reference statistics of validation, for drift detection) and `MODEL_CARD.md`
(for people). The card holds the SHA-256 of each file, and the type and shape of each array; its own
SHA-256, the digest of the model, is recorded by the aliases, such as `models/latest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from shelfmark.artifacts import aliases
from shelfmark.artifacts.aliases import LATEST, Alias
from shelfmark.artifacts.card import read_card_file
from shelfmark.artifacts.digested import AGAIN, DigestedFiles
from shelfmark.artifacts.versions import installed_versions, require_versions
from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.core.arrays import Floats
from shelfmark.data.labels import Targets
from shelfmark.errors import ShelfmarkError, one_line
from shelfmark.models.card import FORMAT, ModelCard
from shelfmark.models.families import family_of, kinds_of
from shelfmark.models.protocol import Classifier, Family
from shelfmark.models.scope.detector import DETECTOR, ScopeDetector, open_detector

CARD = "card.json"
REFERENCE, ABOUT = "reference.parquet", "MODEL_CARD.md"
# Bytes: with 150 categories the card has 20,000, the one for people 15,000.
MOST_CARD, MOST_ABOUT = 4 << 20, 1 << 18


class Shelf(NamedTuple):
    """A class in arXiv's taxonomy.

    Attributes:
        category: the label.
        name: its name at arXiv.
        archive: the archive of all its papers, None if they belong to several.
        group: the group of all its papers, None if they belong to several.
    """

    category: str
    name: str
    archive: str | None
    group: str | None


@dataclass(frozen=True, eq=False)
class Model:
    """An opened artifact.

    Args:
        classifier: of any family.
        card: its card, for programs.
        about: the model card for people, in Markdown; empty if the artifact has none.
        scope: tells papers of the model from other texts; None of older models.
    """

    classifier: Classifier
    card: ModelCard
    about: str = ""
    scope: ScopeDetector | None = None

    @property
    def version(self) -> str:
        """The artifact's name, by which answers and logs refer to it."""
        return self.card.name

    @property
    def digest(self) -> str:
        """The SHA-256 of its card, which stands for all of its files."""
        return self.card.digest

    @cached_property
    def classes(self) -> list[str]:
        """The labels, in the order of the probabilities' columns."""
        return self.card.labels

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The column of each label."""
        return {label: number for number, label in enumerate(self.classes)}

    def text(self, title: str, abstract: str) -> str:
        """Return the text of a paper, cleaned as the model's training papers were."""
        return join_texts(
            clean_text(title), clean_text(abstract), self.card.config["data"]["maths"]
        )

    @cached_property
    def targets(self) -> Targets:
        """The labels of the columns of the probabilities."""
        data = DataConfig.model_validate_json(orjson.dumps(self.card.config["data"]))
        return Targets(tuple(self.classes), tuple(self.card.listed), data)

    @cached_property
    def shelves(self) -> list[Shelf]:
        """Each class with its place in arXiv's taxonomy."""
        data = self.targets.data
        return [Shelf(label, data.name_of(label), *_home(label, data)) for label in self.classes]

    def probabilities(self, texts: list[str]) -> tuple[Floats, Floats]:
        """Return the probability of each class and of each listed category for cleaned texts.

        Shapes: (texts, classes) and (texts, listed). A paper's own class is never listed too.
        """
        classes, lists = self.classifier.probabilities(texts)
        if lists is None:
            return classes, np.zeros((len(texts), len(self.card.listed)), np.float32)
        return classes, lists


def _home(label: str, data: DataConfig) -> tuple[str | None, str | None]:
    """Return the archive and the group that all papers of a label share, None if they differ."""
    if not isinstance(data.labels, dict):
        archive = None if data.level == "group" else taxonomy.archive_of(label)
        return archive, taxonomy.group_of(label)
    archives = set[str]().union(*map(taxonomy.archives_under, data.labels[label]))
    groups = set(map(taxonomy.group_of, archives))
    return (
        archives.pop() if len(archives) == 1 else None,
        groups.pop() if len(groups) == 1 else None,
    )


def save(model: Model, models: Path, reference: bytes | None = None) -> Path:
    """Write a model as `models/<name>`, point `models/latest` at it, and return its folder.

    Args:
        model: what is written.
        models: the folder of all models.
        reference: the statistics of validation that `reference.reference_parquet` returns.

    Raises:
        ShelfmarkError: the name is taken, or the disk does not take the files.
    """
    files.clear_leftovers(models)
    target = models / model.version
    with files.atomic_folder(target) as folder:
        if reference is not None:
            (folder / REFERENCE).write_bytes(reference)
        write_files(model, folder)
    point_latest_at(target)
    return target


def write_files(model: Model, folder: Path) -> None:
    """Write the files of a model, and its card last, into a folder that may hold other files.

    Raises:
        OSError: the disk does not take them.
    """
    arrays = model.classifier.save(folder)
    if model.scope is not None:
        arrays |= model.scope.save(folder)
    if model.about:
        (folder / ABOUT).write_text(model.about, encoding="utf-8")
    digests = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
    card = replace(
        model.card,
        versions=versions(kinds_of(model.card.config["model"])),
        files=digests,
        arrays=dict(sorted(arrays.items())),
        format=FORMAT,
    )
    (folder / CARD).write_bytes(orjson.dumps(card.to_json(), option=orjson.OPT_INDENT_2))


def point_latest_at(target: Path) -> None:
    """Point `models/latest` at a model.

    Raises:
        ShelfmarkError: the disk does not take the link.
    """
    try:
        Alias(str(target.parent), LATEST).point_at(target.name, read_card(target).digest)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"saved {target}, but {error}") from error


def versions(kinds: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of Python and of the libraries that files of families need."""
    return installed_versions(name for kind in kinds for name in family_of(kind).libraries)


def read_card(folder: Path) -> ModelCard:
    """Return the card of an artifact.

    Raises:
        ShelfmarkError: there is no artifact in the folder, or its card is damaged or unreadable.
    """
    missing = f"no model in {folder}: train one with shelfmark train"
    return read_card_file(folder / CARD, ModelCard.from_bytes, missing, AGAIN, MOST_CARD)


def check(folder: Path, digest: str = "") -> ModelCard:
    """Return the card of an artifact whose versions and digests are right, without opening it.

    Raises:
        ShelfmarkError: as `open_files`.
    """
    return open_files(folder, digest)[0]


def open_files(folder: Path, digest: str = "") -> tuple[ModelCard, DigestedFiles]:
    """Return the card and the files of an artifact, whose versions and digests are right.

    The card has the name of the folder, which may be a copy under another one.

    Args:
        folder: of an artifact, or the link of an alias, which is resolved once.
        digest: the SHA-256 that the card has to have; if empty, the one that the alias recorded.

    Raises:
        ShelfmarkError: it is missing, of an older format, made with other versions, or damaged.
    """
    folder, recorded = follow(folder)
    card = read_card(folder)
    wanted = digest or recorded
    if wanted and card.digest != wanted:
        raise ShelfmarkError(
            f"{folder} is another model now: its card has the digest {card.digest[:12]}…, not the "
            f"{wanted[:12]}… that was recorded; point the alias at it again with "
            f"shelfmark promote {folder.name} --alias NAME, or train again"
        )
    _family(folder, card)
    if card.format != FORMAT:
        raise ShelfmarkError(
            f"{folder} is of an older format, and opening it could run code: if you trust its "
            f"maker, run shelfmark convert-model {folder.name}; or train again"
        )
    # A copy under another name answers, and is evaluated, under that name.
    return replace(card, name=folder.name), check_files(folder, card)


def check_files(folder: Path, card: ModelCard) -> DigestedFiles:
    """Return the files of an artifact whose versions and digests are right.

    Raises:
        ShelfmarkError: a library is missing, it was made with other versions, or a file is
            missing or damaged.
    """
    family, kinds = _family(folder, card), kinds_of(card.config["model"])
    for kind in kinds:
        family_of(kind).check_installed()
    require_versions(folder, card.versions, versions(kinds))
    opened = DigestedFiles(folder, card.files, card.arrays)
    for name in family.files:
        opened.content(name)
    opened.check()
    return opened


def load(folder: Path, threads: int | None = None, digest: str = "") -> Model:
    """Open an artifact: the card, then versions and digests, then the files of its family.

    Args:
        folder: an artifact's folder, or the link of an alias.
        threads: how many the classifier uses; None for one a core.
        digest: the SHA-256 that the card has to have; if empty, the one that the alias recorded.

    Raises:
        ShelfmarkError: it is missing, of an older format, made with other versions, damaged, or
            foreign.
    """
    card, opened = open_files(folder, digest)
    try:
        classifier = family_of(card.kind).load(opened, card, threads)
        about = read_about(opened)
        scope = _open_scope(opened, card)
    except ShelfmarkError as error:
        line = f"{opened.folder}: {error}"
        raise ShelfmarkError(line if AGAIN in line else f"{line}; {AGAIN}") from error
    except Exception as error:  # a foreign file may lead anywhere
        line = f"{opened.folder} cannot be opened: {one_line(error)}"
        line += "" if isinstance(error, MemoryError) else f"; {AGAIN}"
        raise ShelfmarkError(line) from error
    return Model(classifier, card, about, scope)


def _open_scope(opened: DigestedFiles, card: ModelCard) -> ScopeDetector | None:
    """Return the detector of a model, None of an older model, which has no limits for it either.

    Raises:
        ShelfmarkError: it is damaged or foreign, or there is one without the other.
    """
    limits = card.thresholds and card.thresholds.verdicts
    if (DETECTOR in opened) != (limits is not None):
        missing = DETECTOR if limits is not None else "thresholds.verdicts"
        raise ShelfmarkError(f"{missing} is missing: answers would be graded by other limits")
    return open_detector(opened, card.labels) if limits is not None else None


def read_about(opened: DigestedFiles) -> str:
    """Return the model card for people, empty if the artifact has none.

    Raises:
        ShelfmarkError: it is larger than any of ours.
        UnicodeDecodeError: it is no text.
    """
    if ABOUT not in opened:
        return ""
    content = opened.content(ABOUT)
    if len(content) > MOST_ABOUT:
        raise ShelfmarkError(f"{ABOUT} has more than {MOST_ABOUT:,} bytes")
    return bytes(content).decode()


def follow(folder: Path) -> tuple[Path, str]:
    """Return the folder of an artifact, its links resolved once, and the digest its alias recorded.

    Raises:
        ShelfmarkError: there is none.
    """
    try:
        return aliases.follow(folder)
    except (OSError, RuntimeError):  # the second for a loop of links, before Python 3.13
        raise ShelfmarkError(f"no model in {folder}: train one with shelfmark train") from None


def _family(folder: Path, card: ModelCard) -> Family:
    try:
        return family_of(card.kind)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{folder / CARD}: {error}; {AGAIN}") from error
