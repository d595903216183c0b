"""What can be configured of a model: its features, and a section for each kind of classifier."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from shelfmark.config.sections import Fraction, Share, Strict

TRANSFORMER = "transformer"
MINILM = "minilm"  # the base of a network, or an encoder, with the packaged weights
MOST_TOKENS = 8192  # of a text that a network reads
BOOSTED = "boosted"  # the kind of model of configurations that name none
MOST_WEIGHT = 1000.0  # of a title's terms
MOST_RANK = 4096
MOST_HIDDEN = 4096  # units of a hidden layer
MOST_MEMBERS = 8  # of a mean of models
MOST_CANDIDATES = 100
MOST_VOTERS = 10_000
MOST_SHARPNESS = 1000.0


def _frequency(value: object) -> object:
    """A whole number counts papers, a fraction is a share of them, as in scikit-learn."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("should be a number")
    if value < 0 or (isinstance(value, float) and value > 1):
        raise ValueError("should be a count of papers (1, 2, …) or a share of them (0.0 to 1.0)")
    return value


Frequency = Annotated[int | float, BeforeValidator(_frequency)]


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


class NetworkConfig(Strict):
    """A transformer with a linear layer on the mean of its rows."""

    base: str = Field(min_length=1)
    tuned_layers: int | None = Field(ge=0)
    max_tokens: int = Field(ge=8, le=MOST_TOKENS)
    papers: int | None = Field(ge=2)
    class_weight: Literal["balanced"] | None
    listed_weight: float = Field(ge=0, le=MOST_WEIGHT)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0, lt=1)
    head_learning_rate: float = Field(gt=0, lt=1)
    weight_decay: float = Field(ge=0, lt=1)
    warmup: float = Field(ge=0, lt=1)
    dropout: float = Field(ge=0, lt=1)
    evaluations: int = Field(ge=1)
    stopping_papers: int = Field(ge=2)
    early_stopping: int | None = Field(ge=1)
    mixed_precision: bool | None
    precision: Literal["int8", "fp32"]

    @property
    def reads_minilm(self) -> bool:
        """Whether the base is the packaged MiniLM."""
        return self.base == MINILM


def _only_with(key: str) -> BeforeValidator:
    """Return a check that turns a section without this key to None: then no other key matters."""

    def check(section: object) -> object:
        absent = isinstance(section, dict) and section.get(key, "") is None
        return None if absent else section

    return BeforeValidator(check)


class ScorersConfig(Strict):
    """The models whose scores the classifier reads; the first that is not null leads."""

    low_rank: LowRankConfig | None
    svm: SvmConfig | None
    bayes: BayesConfig | None
    # Not written while disabled: older cards lack it.
    transformer: Annotated[NetworkConfig | None, _only_with("base")] = Field(
        None, exclude_if=lambda network: network is None
    )


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

    @property
    def reads_terms(self) -> bool:
        """Whether the section `features` has an effect: whether terms are features."""
        return True

    def has(self, section: str) -> bool:
        """Whether a dotted section of the model is there, and not null."""
        value: Any = self
        for name in section.split("."):
            value = getattr(value, name, None)
        return value is not None

    @property
    def network(self) -> NetworkConfig | None:
        """The network that a training fits, None without one."""
        return None

    @property
    def network_section(self) -> str:
        """The key of the section of the network, for errors."""
        return "model" if self.kind == TRANSFORMER else "model.stack.scorers.transformer"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The families that a training needs: its own, and that of the network."""
        network = () if self.network is None else (TRANSFORMER,)
        return tuple(dict.fromkeys((self.kind, *network)))

    @property
    def has_profile(self) -> bool:
        """Whether `train.profile` can profile a training."""
        return False

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
    neighbours: Annotated[NeighboursConfig | None, _only_with("encoder")] = Field(
        None, exclude_if=lambda neighbours: neighbours is None
    )

    @property
    def max_rounds(self) -> int:
        """The largest number of rounds of trees, 0 without trees."""
        return 0 if self.classifier == "linear" else self.rounds

    @property
    def network(self) -> NetworkConfig | None:
        """The network of the stack, None without one."""
        return self.stack.scorers.transformer if self.stack else None

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
        if self.classifier == "linear" and self.network is not None:
            raise ValueError("stack.scorers.transformer needs trees, which classifier=linear lacks")
        return self


class TransformerConfig(ModelConfig, NetworkConfig):
    """A pretrained transformer, tuned by PyTorch and served by ONNX Runtime."""

    kind: Literal["transformer"] = "transformer"
    min_listed: int | None = Field(ge=1)
    max_listed: int | None = Field(ge=1)

    @property
    def max_rounds(self) -> int:
        """The largest number of epochs."""
        return self.epochs

    @property
    def reads_terms(self) -> bool:
        """Whether the section `features` has an effect: a network has its own tokens."""
        return False

    @property
    def network(self) -> NetworkConfig:
        """The network that a training fits."""
        return self

    @property
    def has_profile(self) -> bool:
        """Whether `train.profile` can profile a training."""
        return True


# The section of each kind of model. The families themselves are in `models/families.py`.
MODEL_KINDS: dict[str, type[ModelConfig]] = {
    BOOSTED: BoostedConfig,
    TRANSFORMER: TransformerConfig,
}
