"""A trained model on disk: written atomically, opened only if versions and digests match.

A folder `models/<name>/` holds `card.json`, the files of the classifier's family, and what older
models lack: `reference.parquet` (reference statistics of validation, for drift detection) and
`MODEL_CARD.md` (for people). `models/latest` points at the newest.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.core.arrays import Floats
from shelfmark.data.labels import Targets
from shelfmark.errors import ShelfmarkError
from shelfmark.models.card import ModelCard
from shelfmark.models.families import family_of
from shelfmark.models.protocol import Classifier

CARD = "card.json"
REFERENCE, ABOUT = "reference.parquet", "MODEL_CARD.md"
LATEST = "latest"


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
    """

    classifier: Classifier
    card: ModelCard
    about: str = ""

    @property
    def version(self) -> str:
        """The artifact's name, by which answers and logs refer to it."""
        return self.card.name

    @cached_property
    def classes(self) -> list[str]:
        """The labels, in the order of the probabilities' columns."""
        return self.card.labels

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
        return [
            Shelf(label, taxonomy.full_name(label), *_home(label, data)) for label in self.classes
        ]

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
        model.classifier.save(folder)
        if reference is not None:
            (folder / REFERENCE).write_bytes(reference)
        if model.about:
            (folder / ABOUT).write_text(model.about, encoding="utf-8")
        digests = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
        card = replace(model.card, versions=versions(model.card.kind), files=digests)
        (folder / CARD).write_bytes(orjson.dumps(card.to_json(), option=orjson.OPT_INDENT_2))
    point_latest_at(target)
    return target


def point_latest_at(target: Path) -> None:
    """Point `models/latest` at a model.

    Raises:
        ShelfmarkError: the disk does not take the link.
    """
    try:
        point_at(target, LATEST)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"saved {target}, but {error}") from error


def point_at(target: Path, alias: str) -> None:
    """Point an alias, a link beside the models, at one of them, in one step.

    Raises:
        ShelfmarkError: the disk does not take the link.
    """
    link = target.with_name(alias)
    aside = target.with_name(f"{files.PARTIAL}{os.getpid()}-{alias}")
    try:
        aside.unlink(missing_ok=True)
        aside.symlink_to(target.name, target_is_directory=True)
        aside.replace(link)
    except OSError as error:
        raise ShelfmarkError(f"cannot point {link} at it: {error.strerror or error}") from error


def versions(kind: str) -> dict[str, str]:
    """Return the installed versions of Python and of the libraries that a family's files need."""
    return {"python": ".".join(platform.python_version_tuple()[:2])} | {
        name: version(name) for name in family_of(kind).libraries
    }


def read_card(folder: Path) -> ModelCard:
    """Return the card of an artifact.

    Raises:
        ShelfmarkError: there is no artifact in the folder, or its card is damaged.
    """
    try:
        values = orjson.loads((folder / CARD).read_bytes())
    except OSError:
        raise ShelfmarkError(f"no model in {folder}: train one with shelfmark train") from None
    except orjson.JSONDecodeError as error:
        raise ShelfmarkError(f"{folder / CARD} is damaged ({error}); train again") from error
    if not isinstance(values, dict):
        raise ShelfmarkError(f"{folder / CARD} is no model card; train again")
    try:
        return ModelCard.from_json(values)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{folder / CARD}: {error}; train again") from error


def check(folder: Path) -> ModelCard:
    """Return the card of an artifact whose versions and digests are right, without opening it.

    Raises:
        ShelfmarkError: it is missing, made with other versions, or damaged.
    """
    card = read_card(folder)
    try:
        family = family_of(card.kind)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{folder / CARD}: {error}; train again") from error
    _check_versions(card, folder)
    for name, digest in {**dict.fromkeys(family.files), **card.files}.items():
        path = folder / name
        if not path.is_file() or files.sha256(path) != digest:
            raise ShelfmarkError(f"{path} is missing or not the file its card names; train again")
    return card


def load(folder: Path, threads: int | None = None) -> Model:
    """Open an artifact: versions, then digests, then the files of its family.

    Args:
        folder: an artifact's folder, or the link `latest`.
        threads: how many the classifier uses; None for one a core.

    Raises:
        ShelfmarkError: it is missing, made with other versions, damaged, or foreign.
    """
    card = check(folder)
    classifier = family_of(card.kind).load(folder, tuple(card.labels), threads)
    about = folder / ABOUT
    text = about.read_text(encoding="utf-8") if ABOUT in card.files else ""
    return Model(classifier, card, text)


def _check_versions(card: ModelCard, folder: Path) -> None:
    for name, here in versions(card.kind).items():
        made = card.versions.get(name, "an unknown version")
        if made != here:
            raise ShelfmarkError(
                f"{folder} was made with {name} {made}, here is {here}: "
                f"train again, or install that version"
            )
