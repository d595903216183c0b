"""What can be configured: the sections of the configuration, their types and their limits."""

from __future__ import annotations

import copy
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.taxonomy import Level
from shelfmark.arxiv.text import Maths
from shelfmark.core.memory import parse_size
from shelfmark.errors import nearest

Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
# Keys of older versions and their present names: older model cards hold them still.
RENAMED_KEYS = {"model.stack.scorers.embedding": "model.stack.scorers.low_rank"}
BOOSTED = "boosted"  # the kind of model of configurations that name none
MOST_WEIGHT = 1000.0  # of a title's terms
MOST_RANK = 4096
MOST_HIDDEN = 4096  # units of a hidden layer
MOST_MEMBERS = 8  # of a mean of models
MOST_CANDIDATES = 100
MOST_VOTERS = 10_000
MOST_SHARPNESS = 1000.0
SIZE = r"^\d+(\.\d+)?\s?[kMGT]i?B$"  # of memory, as 2GB
LEAST_MEMORY = 300 * 10**6  # bytes of a process with the libraries of a training, and a little
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # the name of a model, never a path


def _frequency(value: object) -> object:
    """A whole number counts papers, a fraction is a share of them, as in scikit-learn."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("should be a number")
    if value < 0 or (isinstance(value, float) and value > 1):
        raise ValueError("should be a count of papers (1, 2, …) or a share of them (0.0 to 1.0)")
    return value


Frequency = Annotated[int | float, BeforeValidator(_frequency)]


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


class Strict(BaseModel):
    """A frozen section of the configuration that refuses unknown keys and wrong types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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


class FeaturesConfig(Strict):
    """The TF-IDF vectorizer and the choice among its terms."""

    max_features: int | None = Field(ge=1)
    ngram_range: tuple[int, int] = Field(strict=False)
    stop_words: Literal["english"] | None
    min_df: Frequency
    max_df: Frequency
    sublinear_tf: bool
    strip_accents: Literal["unicode", "ascii"] | None
    title_weight: float | None = Field(gt=0, le=MOST_WEIGHT)
    # Not written while disabled: older cards lack it.
    max_terms: int | None = Field(None, ge=1, exclude_if=lambda value: value is None)
    chosen_terms: int | None = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> FeaturesConfig:
        low, high = self.ngram_range
        if not 1 <= low <= high:
            raise ValueError(f"ngram_range must rise from 1 or more, not {list(self.ngram_range)}")
        return self


class SvmConfig(Strict):
    """A linear SVM for each class and listed category."""

    C: float = Field(gt=0)


class BayesConfig(Strict):
    """Multinomial naive Bayes over the classes."""

    alpha: float = Field(gt=0)


class LowRankConfig(Strict):
    """A linear model of low rank, for hundreds of labels."""

    size: int = Field(ge=1, le=MOST_RANK)
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    dropout: Fraction
    # Not written while disabled: older cards lack them.
    hidden: int | None = Field(None, ge=1, le=MOST_HIDDEN, exclude_if=lambda value: value is None)
    hidden_dropout: float = Field(0.0, ge=0, lt=1, exclude_if=lambda value: not value)
    members: int = Field(1, ge=1, le=MOST_MEMBERS, exclude_if=lambda value: value == 1)


class ScorersConfig(Strict):
    """The linear models whose scores the classifier reads; the first that is not null leads."""

    low_rank: LowRankConfig | None
    svm: SvmConfig | None
    bayes: BayesConfig | None


class StackConfig(Strict):
    """Linear models below the classifier, whose scores of training papers are out-of-fold."""

    scorers: ScorersConfig
    folds: int | None = Field(ge=2)
    # Not written while disabled: older cards lack them.
    papers: int | None = Field(None, ge=1, exclude_if=lambda value: value is None)
    max_listed: int | None = Field(None, ge=1, exclude_if=lambda value: value is None)
    min_listed: int | None = Field(ge=1)

    @model_validator(mode="after")
    def _some_scorer(self) -> StackConfig:
        if self.scorers.low_rank is None and self.scorers.svm is None:
            raise ValueError("scorers needs low_rank or svm")
        return self


class NeighboursConfig(Strict):
    """The votes of a paper's nearest training papers, pooled with the classifier's margins."""

    encoder: str = Field(min_length=1)
    size: int | None = Field(ge=1)
    papers: int = Field(ge=1, le=MOST_VOTERS)
    sharpness: float = Field(ge=0, le=MOST_SHARPNESS)


def _only_with_encoder(neighbours: object) -> object:
    """Return None for the votes of no encoder: without one, no other key matters."""
    given = isinstance(neighbours, dict) and neighbours.get("encoder", "") is not None
    return neighbours if given or not isinstance(neighbours, dict) else None


class ModelConfig(Strict):
    """The classifier: a separate section for each kind of model in `MODEL_KINDS`.

    Attributes:
        kind: the family of models.
        n_jobs: threads of a training, None for one per core.
    """

    kind: str
    n_jobs: int | None = Field(None, ge=1)

    @model_validator(mode="wrap")
    @classmethod
    def _validate_as_kind(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        """Validate a mapping as the section of its kind; older configurations name none."""
        if cls is not ModelConfig or not isinstance(values, dict):
            return validate(values)
        kind = values.get("kind", BOOSTED)
        if kind not in MODEL_KINDS:
            known = ", ".join(MODEL_KINDS)
            raise ValueError(f"kind={kind}: no such kind of model; there are {known}")
        return MODEL_KINDS[kind].model_validate(values)

    @property
    def max_rounds(self) -> int:
        """The largest number of rounds that a training reports, 0 if it reports none."""
        return 0

    def check_features(self, features: FeaturesConfig) -> None:
        """Raise ValueError if the model cannot be fitted on such features."""


class BoostedConfig(ModelConfig):
    """TF-IDF, linear models and boosted trees."""

    kind: Literal["boosted"] = "boosted"
    classifier: Literal["trees", "reranker", "linear"]
    stack: StackConfig | None
    candidates: int = Field(ge=2, le=MOST_CANDIDATES)
    rounds: int = Field(ge=1)
    max_depth: int = Field(ge=1, le=20)
    learning_rate: float = Field(gt=0, le=1)
    min_child_weight: float = Field(ge=0)
    subsample: Share
    colsample_bytree: Share
    reg_alpha: float = Field(ge=0)
    reg_lambda: float = Field(ge=0)
    max_bin: int = Field(ge=2)
    early_stopping: int | None = Field(ge=1)
    n_jobs: int | None = Field(ge=1)
    params: dict[str, Any]
    # Not written while disabled: older cards lack it.
    neighbours: Annotated[NeighboursConfig | None, BeforeValidator(_only_with_encoder)] = Field(
        None, exclude_if=lambda neighbours: neighbours is None
    )

    @property
    def max_rounds(self) -> int:
        """The largest number of rounds of trees, 0 without trees."""
        return 0 if self.classifier == "linear" else self.rounds

    def check_features(self, features: FeaturesConfig) -> None:
        """Raise ValueError if neither scores nor terms are left."""
        if self.stack is None and features.chosen_terms == 0:
            raise ValueError("features.chosen_terms=0 leaves nothing without model.stack")

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        if self.classifier != "trees" and self.stack is None:
            raise ValueError(f"classifier={self.classifier} needs model.stack: its scores")
        if self.classifier != "linear" and self.stack is not None and self.stack.folds is None:
            raise ValueError("stack.folds=null is for classifier=linear: trees need fair scores")
        return self


# The section of each kind of model. The families themselves are in `models/families.py`.
MODEL_KINDS: dict[str, type[ModelConfig]] = {BOOSTED: BoostedConfig}


class PredictConfig(Strict):
    """When an answer may be acted on."""

    min_precision: float = Field(gt=0, lt=1)
    likely_precision: float = Field(gt=0, lt=1)


class TrackingConfig(Strict):
    """Where runs are recorded."""

    kind: Literal["local", "wandb"]
    project: str
    entity: str | None


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
