"""The kinds of training, of a classifier and of an encoder, and what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.schema import Config

Settings = Config | EncoderSettings  # the configuration of a training of any kind
AnySettings = TypeVar("AnySettings", bound=Settings)
AnySettings_co = TypeVar("AnySettings_co", bound=Settings, covariant=True)


@dataclass(frozen=True)
class Training(Generic[AnySettings_co]):
    """One kind of training.

    Args:
        command: of `shelfmark`, which runs it.
        settings: the schema of its configuration.
        sections: of the configuration, which some other command lacks.
        output: the key of `paths` that names the folder of what it makes.
        presets: overrides that come before those of the user.
    """

    command: str
    settings: type[AnySettings_co]
    sections: frozenset[str]
    output: str
    presets: tuple[str, ...] = ()

    @property
    def foreign(self) -> dict[str, str]:
        """The sections of other kinds, each with the command that has it."""
        return foreign_sections(self.sections)

    def folder(self, settings: Settings) -> Path:
        """Return the folder of all that trainings of this kind make, such as `models`."""
        return Path(getattr(settings.paths, self.output))


# The sections of the configuration that some commands have, and others have not.
SECTIONS = {
    "train": frozenset({"features", "model", "predict", "train", "engine", "name", "tracking"}),
    "train-encoder": frozenset({"encoder", "name", "tracking"}),
    "index": frozenset({"index", "engine"}),
}


def foreign_sections(own: frozenset[str]) -> dict[str, str]:
    """Return the sections that a command lacks, each with a command that has it."""
    return {
        section: command
        for command, sections in reversed(SECTIONS.items())
        for section in sections - own
    }


CLASSIFIER = Training("train", Config, SECTIONS["train"], "models")
ENCODER = Training(
    "train-encoder",
    EncoderSettings,
    SECTIONS["train-encoder"],
    "encoders",
    ("data.unlabelled=keep", "data.authors=true"),
)
AnyTraining = Training[Settings]
TRAININGS: dict[str, AnyTraining] = {one.command: one for one in (CLASSIFIER, ENCODER)}


def training_kind(encoder: bool) -> AnyTraining:
    """Return the training of an encoder, or that of a classifier."""
    return ENCODER if encoder else CLASSIFIER


def kind_of(settings: Settings) -> AnyTraining:
    """Return the kind of training that a configuration is of."""
    return next(kind for kind in TRAININGS.values() if isinstance(settings, kind.settings))
