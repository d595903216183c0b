"""What can be configured: the sections of the configuration, their types and their limits."""

from __future__ import annotations

import copy
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.taxonomy import Level
from shelfmark.arxiv.text import Maths
from shelfmark.config.models import BOOSTED, FeaturesConfig, ModelConfig
from shelfmark.config.sections import Fraction, Strict
from shelfmark.core.memory import parse_size
from shelfmark.errors import nearest

# Keys of older versions and their present names: older model cards hold them still.
RENAMED_KEYS = {"model.stack.scorers.embedding": "model.stack.scorers.low_rank"}
SIZE = r"^\d+(\.\d+)?\s?[kMGT]i?B$"  # of memory, as 2GB
LEAST_MEMORY = 300 * 10**6  # bytes of a process with the libraries of a training, and a little
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # the name of a model, never a path


def _check_custom_labels(labels: object) -> object:
    """Check custom labels: the errors of a union concern only its first branch."""
    for label, names in labels.items() if isinstance(labels, dict) else ():
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"{label!r}: a label should be text; put it in quotes")
        if not names or not isinstance(names, list) or not all(isinstance(x, str) for x in names):
            raise ValueError(f"{label}: {names!r} should be a list of names, as [cs.CC, cs.DS]")
    return labels


def _check_added_categories(categories: object) -> object:
    """Check the names of categories that the taxonomy lacks; null stands for none."""
    for name, full in categories.items() if isinstance(categories, dict) else ():
        if not isinstance(name, str) or taxonomy.canonical_name(name) != name:
            raise ValueError(f"{name!r} is no name of a category, such as cs.NW")
        if not isinstance(full, str) or not full.strip():
            raise ValueError(f"{name}: give its full name")
    return {} if categories is None else categories


Labels = Annotated[list[str] | dict[str, list[str]], BeforeValidator(_check_custom_labels)]


class Paths(Strict):
    """Where output is written, relative to the folder the command runs in."""

    data: str
    models: str
    reports: str
    # Not written while it has the default: older cards lack it.
    encoders: str = Field("encoders", exclude_if=lambda folder: folder == "encoders")
    index: str = Field("index", min_length=1, exclude_if=lambda folder: folder == "index")


class Fractions(Strict):
    """Share of the papers in each split, for `split=hash`."""

    train: Fraction
    validation: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _sum_to_one(self) -> Fractions:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test must sum to 1, not {total:g}")
        return self


class Cuts(Strict):
    """First day of the validation and the test split, for `split=time`."""

    validation: date | None = Field(strict=False)
    test: date | None = Field(strict=False)


class DataConfig(Strict):
    """What is read, kept and how it is split."""

    source: str
    path: str | list[str] | None
    options: dict[str, Any]
    level: Level
    labels: Labels | None  # a mapping: custom labels, each with the names it includes
    # Not written while empty, as `max_papers` below.
    categories: Annotated[dict[str, str], BeforeValidator(_check_added_categories)] = Field(
        {}, exclude_if=lambda value: not value
    )
    top: int | None = Field(ge=2)
    min_papers: int = Field(ge=1)
    # Not written while null: older splits and models keep their digests.
    max_papers: int | None = Field(None, ge=1, exclude_if=lambda value: value is None)
    min_words: int = Field(ge=0)
    # Not written while `drop`, as above.
    unlabelled: Literal["drop", "keep"] = Field("drop", exclude_if=lambda value: value == "drop")
    authors: bool = Field(False, exclude_if=lambda value: not value)
    maths: Maths
    max_bad: float = Field(ge=0, le=1)
    split: Literal["hash", "time"]
    fractions: Fractions
    cuts: Cuts

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        if self.labels is not None:
            self._check_labels(self.labels)
        if self.max_papers is not None and self.max_papers < self.min_papers:
            few = f"max_papers={self.max_papers} is less than min_papers={self.min_papers}"
            raise ValueError(f"{few}; raise it or lower min_papers")
        if self.split == "time":
            first, second = self.cuts.validation, self.cuts.test
            if first is None or second is None or first >= second:
                raise ValueError("split=time needs cuts.validation before cuts.test, as 2018-01-01")
        return self

    def _check_labels(self, labels: list[str] | dict[str, list[str]]) -> None:
        if len(set(labels)) < 2:
            raise ValueError("labels needs at least two different labels")
        names, kind, known = list(labels), str(self.level), taxonomy.NAMES[self.level]
        if isinstance(labels, dict):
            names = [name for gathered in labels.values() for name in gathered]
            kind, known = "category, archive or group", taxonomy.CATEGORIES | taxonomy.ARCHIVES
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"labels: {name} stands there twice; keep it under one label")
        if isinstance(labels, dict) or self.level == "category":
            known = known | self.categories
        for name in names:
            if name not in known:
                raise ValueError(
                    f"labels: no {kind} {name!r}{nearest(name, known)}{_how_to_add(name)}"
                )

    def name_of(self, label: str) -> str:
        """Return the full name of a label, the label itself if it has none."""
        return taxonomy.full_name(label, self.categories)


def _how_to_add(name: str) -> str:
    """Return how to add a category that the taxonomy lacks, if the name has the form of one."""
    if taxonomy.canonical_name(name) != name or name in taxonomy.KNOWN:
        return ""
    return (
        f"; a category newer than {taxonomy.AS_OF} is added by data.categories={{{name}: its name}}"
    )


class PredictConfig(Strict):
    """When an answer may be acted on."""

    min_precision: float = Field(gt=0, lt=1)
    likely_precision: float = Field(gt=0, lt=1)


class TrackingConfig(Strict):
    """Where runs are recorded."""

    kind: Literal["local", "wandb"]
    project: str
    entity: str | None


class TrainConfig(Strict):
    """How a training runs, whatever it fits."""

    profile: bool = False


class EngineConfig(Strict):
    """What computes: this machine, a Dask cluster for a training, or Milvus for an index."""

    kind: Literal["local", "dask", "milvus"] = "local"
    scheduler: str | None = Field(None, pattern=r"^[a-z]+://\S+$")
    workers: int | None = Field(None, ge=1)
    threads: int | None = Field(None, ge=1)
    memory: str | None = Field(None, pattern=SIZE)
    timeout: float = Field(10.0, gt=0)
    # Not written without Milvus: older cards lack it.
    uri: str | None = Field(None, min_length=1, exclude_if=lambda uri: uri is None)

    @field_validator("memory")
    @classmethod
    def _enough(cls, size: str | None) -> str | None:
        if size is not None and parse_size(size) < LEAST_MEMORY:
            raise ValueError(f"should be at least {LEAST_MEMORY // 10**6}MB")
        return size

    @model_validator(mode="after")
    def _consistent(self) -> EngineConfig:
        given = [name for name in ("scheduler", "workers", "threads", "memory")
                 if getattr(self, name) is not None]  # fmt: skip
        taken = {"dask": set(given), "local": {"memory"}}.get(self.kind, set())
        if not_taken := [name for name in given if name not in taken]:
            raise ValueError(f"{not_taken[0]} is for engine=dask")
        if (self.kind == "milvus") != (self.uri is not None):
            raise ValueError("uri is for engine=milvus, which needs it")
        if self.scheduler is not None and not {"threads", "memory"}.isdisjoint(given):
            raise ValueError("threads and memory are for local processes: scheduler has its own")
        return self


class TrainingSettings(Strict):
    """What every training has: a name, a seed, folders, data and a record."""

    name: str | None = Field(pattern=VERSION)
    seed: int = Field(ge=0, lt=2**31)
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"]
    paths: Paths
    data: DataConfig
    tracking: TrackingConfig
    experiment: str | None


class Config(TrainingSettings):
    """The complete configuration of a training of a classifier."""

    features: FeaturesConfig
    model: SerializeAsAny[ModelConfig]
    predict: PredictConfig
    # Not written while it has the defaults: it does not change the model, and older cards lack it.
    train: TrainConfig = Field(TrainConfig(), exclude_if=lambda train: not train.profile)
    # Not written while local: it does not change the model, and older cards lack it.
    engine: EngineConfig = Field(EngineConfig(), exclude_if=lambda engine: engine.kind == "local")

    @model_validator(mode="after")
    def _has_labels(self) -> Config:
        if self.data.unlabelled == "keep" or self.data.authors:
            raise ValueError("data.unlabelled and data.authors are for shelfmark train-encoder")
        return self

    @model_validator(mode="after")
    def _trains(self) -> Config:
        if self.engine.kind == "milvus":
            raise ValueError("engine=milvus is for shelfmark index")
        return self

    @model_validator(mode="after")
    def _has_features(self) -> Config:
        self.model.check_features(self.features)
        return self

    @model_validator(mode="after")
    def _can_profile(self) -> Config:
        if self.train.profile and not self.model.has_profile:
            raise ValueError("train.profile is for model=transformer, which PyTorch trains")
        return self


# Keys that cards of older models lack: section, key, and what it was where it did not exist.
ADDED_KEYS = (("model", "kind", BOOSTED), ("predict", "likely_precision", 0.8))


def with_present_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of an older model card, keys renamed and added as above."""
    values = copy.deepcopy(values)
    for part, key, default in ADDED_KEYS:
        if isinstance(values.get(part), dict):
            values[part].setdefault(key, default)
    for old, new in RENAMED_KEYS.items():
        *path, key = old.split(".")
        section: Any = values
        for name in path:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict) and key in section:
            section[new.rpartition(".")[2]] = section.pop(key)
    return values


class DriftConfig(Strict):
    """What counts as drift, and when a new model replaces the old one: `configs/drift.yaml`."""

    level: Fraction
    min_papers: int = Field(ge=20)  # five folds of four papers
    max_papers: int = Field(ge=20)
    domain_papers: int = Field(ge=20)
    numbers: float = Field(ge=0)
    shares: float = Field(ge=0, le=1)
    text: float = Field(ge=0.5, le=1)
    accuracy: float = Field(ge=0, le=1)
    calibration: float = Field(ge=0, le=1)
    newest: Fraction
    chance: Fraction
    keep: int = Field(ge=1)
