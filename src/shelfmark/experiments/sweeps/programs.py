"""What the trials of a sweep run, and all that a sweep has to know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_training
from shelfmark.config.schema import Config
from shelfmark.config.trainings import CLASSIFIER, ENCODER, AnyTraining, Settings
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import Splits
from shelfmark.embeddings.families import family_of
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import records
from shelfmark.evaluation.encoders import validation
from shelfmark.models.boosted.boosting import STAGE
from shelfmark.models.protocol import RoundCallback
from shelfmark.models.transformer.family import check_network
from shelfmark.training import identity, train

LOSS = "validation"  # the loss of a step, as a training records it
STEPS = "rounds"  # the number of steps of a training, among the figures of a trial


class Program(ABC):
    """A command that a trial stands for, which a sweep file names as its `program`.

    Attributes:
        kind: of training.
        main: the section of the model or encoder, with its `n_jobs`.
        sections: those that determine the result on given papers.
        step: a step of the training, for people.
        step_loss: its loss, for people.
        figures: the metrics of a trial, each with its name for people.
        columns: those that tables show.
    """

    kind: AnyTraining
    main: ClassVar[str]
    sections: ClassVar[tuple[str, ...]]
    step: ClassVar[str]
    step_loss: ClassVar[str]
    figures: dict[str, str]
    columns: ClassVar[tuple[str, ...]]

    def load(self, overrides: Sequence[str]) -> Settings:
        """Return the configuration of a trial.

        Raises:
            ShelfmarkError: an override is invalid.
        """
        return load_training(self.kind, overrides)

    def with_threads(self, settings: Settings, threads: int) -> Settings:
        """Return a configuration that says how many threads a trial uses."""
        section = getattr(settings, self.main)
        if section.n_jobs is not None:
            return settings
        section = section.model_copy(update={"n_jobs": threads})
        return settings.model_copy(update={self.main: section})

    @abstractmethod
    def most_steps(self, settings: Settings) -> int:
        """Return the largest number of steps that a training reports, 0 if it reports none."""

    @abstractmethod
    def check(self, settings: Settings) -> None:
        """Check that a sweep can run a training of this configuration.

        Raises:
            ShelfmarkError: it cannot.
        """

    @abstractmethod
    def shared_key(self, settings: Settings, splits: Splits, drawn: Sequence[str]) -> str | None:
        """Return a key of the stages that all trials share, None if they share none.

        Args:
            settings: of a trial.
            splits: of all trials.
            drawn: the keys that differ among the trials.
        """

    @abstractmethod
    def measure(
        self,
        settings: Settings,
        name: str,
        splits: Splits,
        callback: RoundCallback,
        own: Checkpoint,
        shared: Path | None,
    ) -> dict[str, Any]:
        """Fit on train, and return the figures on validation; nothing is saved.

        Where fewer steps are kept than were run, their number is `STEPS` of the figures.

        Args:
            settings: of the trial.
            name: of the sweep.
            splits: of all trials.
            callback: receives the losses of each step.
            own: the stages of this trial alone.
            shared: the folder of the stages that all trials share.

        Raises:
            ShelfmarkError: the values do not go together, or a library refuses one.
        """


class SharedStages(Checkpoint):
    """The stages of the features, which no parameter changes; no trial shares its trees."""

    def __contains__(self, name: str) -> bool:
        """Whether this trial or an earlier one has finished a stage."""
        return name != STAGE and super().__contains__(name)

    def save(self, name: str, result: object) -> None:
        """Save a result for the other trials, unless it belongs to this trial alone."""
        if name != STAGE:
            super().save(name, result)


class ClassifierProgram(Program):
    """`shelfmark train`."""

    kind = CLASSIFIER
    main = "model"
    sections = ("seed", "features", "model", "predict")
    step = "round"
    step_loss = "loss of a round"
    figures = records.FIGURES
    columns = ("log_loss", "accuracy", "macro_f1")

    # Parameters that are used after the stages of the features, which all trials can then share.
    LATE = ("features.chosen_terms", "predict.", "model.")
    EARLY = ("model.stack", "model.classifier")

    def most_steps(self, settings: Settings) -> int:
        """Return the largest number of rounds of trees."""
        assert isinstance(settings, Config)
        return settings.model.max_rounds

    def check(self, settings: Settings) -> None:
        """Check that the training runs on this machine, and that its network can be tuned.

        Raises:
            ShelfmarkError: it would run on a cluster, or the base of its network does not fit.
        """
        assert isinstance(settings, Config)
        if settings.engine.kind != "local":
            raise ShelfmarkError(f"engine={settings.engine.kind}: a sweep trains on this machine")
        check_network(settings.model)

    def shared_key(self, settings: Settings, splits: Splits, drawn: Sequence[str]) -> str | None:
        """Return a key of the features, None if a drawn parameter changes them."""
        assert isinstance(settings, Config)
        late = settings.model.reads_terms and all(
            key.startswith(self.LATE) and not key.startswith(self.EARLY) for key in drawn
        )
        return identity.key_of(settings, splits) if late else None

    def measure(
        self,
        settings: Settings,
        name: str,
        splits: Splits,
        callback: RoundCallback,
        own: Checkpoint,
        shared: Path | None,
    ) -> dict[str, Any]:
        """Fit a classifier, and return its headline figures."""
        assert isinstance(settings, Config)
        stages = own if shared is None else SharedStages(shared)
        model, _ = train.fit_and_measure(settings, name, "", splits, callback, stages)
        rounds = model.card.rounds
        kept = {} if rounds is None else {STEPS: rounds}
        return {**model.card.metrics["validation"], **kept}


class EncoderProgram(Program):
    """`shelfmark train-encoder`."""

    kind = ENCODER
    main = "encoder"
    sections = ("seed", "encoder")
    step = "epoch"
    step_loss = "loss of an epoch"
    figures = validation.FIGURES
    columns = ("known_item_mrr", "known_item_r10", "same_shelf_p10")

    def most_steps(self, settings: Settings) -> int:
        """Return the number of epochs."""
        assert isinstance(settings, EncoderSettings)
        return int(getattr(settings.encoder, "epochs", 0))

    def check(self, settings: Settings) -> None:
        """Accept every configuration."""

    def shared_key(self, settings: Settings, splits: Splits, drawn: Sequence[str]) -> str | None:
        """Return None: each trial makes its own pairs."""
        return None

    def measure(
        self,
        settings: Settings,
        name: str,
        splits: Splits,
        callback: RoundCallback,
        own: Checkpoint,
        shared: Path | None,
    ) -> dict[str, Any]:
        """Fit an encoder, and return its figures as a retriever."""
        assert isinstance(settings, EncoderSettings)
        papers = splits.read("validation")
        family = family_of(settings.encoder.kind)
        fitted = family.fit(settings, splits.read("train"), papers, callback, own)
        return validation.measure_validation(fitted.encoder, papers, settings.data.maths)


PROGRAMS: dict[str, Program] = {
    one.kind.command: one for one in (ClassifierProgram(), EncoderProgram())
}
