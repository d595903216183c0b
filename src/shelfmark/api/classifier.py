"""The classifier of the Python interface: load a model and ask it, or train one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, overload

from shelfmark.api.papers import Paper, pairs_of, split_batches
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pandas as pd

    from shelfmark.config.schema import Config
    from shelfmark.core.arrays import Floats
    from shelfmark.models.answers import Answer
    from shelfmark.models.artifact import Model
    from shelfmark.models.card import ModelCard
    from shelfmark.models.protocol import WordWeights


class PaperClassifier:
    """A trained model that classifies papers; `load` opens one.

    A paper is a text (`str`) or a tuple (title, abstract). Many papers are a list or
    another iterable of these, or a DataFrame with the columns `title` and `abstract`.

    Args:
        model: an opened artifact.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __repr__(self) -> str:
        return f"<PaperClassifier {self.name}: {len(self.classes)} classes>"

    @property
    def name(self) -> str:
        """The model's name, a folder of the models."""
        return self._model.version

    @property
    def card(self) -> ModelCard:
        """The model card: configuration, data, classes, figures on validation."""
        return self._model.card

    @property
    def classes(self) -> list[str]:
        """The labels, in the order of the columns of `predict_proba`."""
        return list(self._model.classes)

    @overload
    def predict(  # type: ignore[overload-overlap] # a text is an iterable of texts too
        self, papers: Paper, *, top_k: int = ..., explain: bool = ...
    ) -> Answer: ...

    @overload
    def predict(
        self, papers: Iterable[Paper] | pd.DataFrame, *, top_k: int = ..., explain: bool = ...
    ) -> list[Answer]: ...

    def predict(
        self,
        papers: Paper | Iterable[Paper] | pd.DataFrame,
        *,
        top_k: int = 5,
        explain: bool = False,
    ) -> Answer | list[Answer]:
        """Classify one paper or many.

        Args:
            papers: a paper, or many of them.
            top_k: how many categories the ranking has.
            explain: whether to add which words decided.

        Returns:
            One answer for one paper, a list of them in the same order for many.

        Raises:
            ShelfmarkError: a paper has no text, there is no paper, or `top_k` is below 1.
        """
        from shelfmark.models import answers

        _check_top_k(top_k)
        results = [
            answer
            for batch in split_batches(pairs_of(papers))
            for answer in answers.answer_papers(self._model, batch, top_k, explain)
        ]
        return results[0] if isinstance(papers, str | tuple) else results

    def predict_proba(self, papers: Paper | Iterable[Paper] | pd.DataFrame) -> Floats:
        """Return the probability of each class.

        Returns:
            Shape (papers, classes), float32, one row for one paper.

        Raises:
            ShelfmarkError: a paper has no text, or there is no paper.
        """
        import numpy as np

        return np.concatenate(
            [
                self._model.probabilities([self._model.text(*pair) for pair in batch])[0]
                for batch in split_batches(pairs_of(papers))
            ]
        )

    def explain(self, paper: Paper, category: str | None = None) -> WordWeights:
        """Return what each word of a paper adds to the margin of a class.

        Args:
            paper: a text, or (title, abstract).
            category: one of `classes`; the most probable one if not given.

        Raises:
            ShelfmarkError: the paper has no text, there is no such class, or models of this kind
                explain no answer.
        """
        from shelfmark.errors import nearest

        if not isinstance(paper, str | tuple):
            raise ShelfmarkError(f"a {type(paper).__name__}: explain takes one paper")
        [pair] = pairs_of(paper)
        if category is None:
            category = self.classes[int(self.predict_proba(paper).argmax())]
        elif not isinstance(category, str):
            raise ShelfmarkError(f"category: {category!r}: should be one of the classes, a text")
        elif category not in self.classes:
            raise ShelfmarkError(f"{category}: no such class{nearest(category, self.classes)}")
        weights = self._model.classifier.explain(self._model.text(*pair), category)
        if weights is None:
            raise ShelfmarkError(f"{self.name}: models of this kind explain no answer")
        return weights


def load(
    model: str | Path = "latest", models: str | Path = "models", *, threads: int | None = None
) -> PaperClassifier:
    """Open a trained model.

    Args:
        model: the model's folder, a name or an alias in the folder of the models, or an address
            such as gs://bucket/models/production.
        models: folder or address of the models, where a name is looked up.
        threads: number of threads of the trees; one for each core if not given.

    Raises:
        ShelfmarkError: there is no such model, it was made with other versions, or is damaged.
    """
    from shelfmark.core import storage
    from shelfmark.models import artifact

    for value in (model, models):
        if not isinstance(value, str | Path):
            raise ShelfmarkError(f"load: {value!r}: should be a name, a path or an address")
    name = str(model)
    if storage.is_remote(name):
        models, _, name = name.rstrip("/").rpartition("/")
    elif Path(name, artifact.CARD).is_file() or Path(name).name != name:
        return PaperClassifier(artifact.load(Path(name), threads))
    if storage.is_remote(str(models)):
        from shelfmark.models.registry import Registry

        registry = Registry(str(models))  # keeps the copy until all of it is read
        return PaperClassifier(artifact.load(registry.folder(name), threads))
    return PaperClassifier(artifact.load(Path(models, name), threads))


def load_config(overrides: str | Sequence[str] = ()) -> Config:
    """Return the configuration of a training, as overrides such as `experiment=fast` change it.

    Raises:
        ShelfmarkError: an override names nothing, or a value is wrong.
    """
    from shelfmark.config.load import load_config

    words = [overrides] if isinstance(overrides, str) else overrides
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise ShelfmarkError(f"overrides: {overrides!r}: should be texts such as experiment=fast")
    return load_config(list(words))


def train(overrides: str | Sequence[str] | Config = ()) -> Path:
    """Train a model, as `shelfmark train` does, and return its folder, which `load` opens.

    Args:
        overrides: such as ["experiment=fast", "model.max_depth=4"], or a whole configuration.

    Raises:
        ShelfmarkError: the configuration, the data or the disk do not allow it.
    """
    from shelfmark.config.schema import Config
    from shelfmark.training.train import train_model

    settings = overrides if isinstance(overrides, Config) else load_config(overrides)
    return train_model(settings).folder


def _check_top_k(top_k: object) -> None:
    if not isinstance(top_k, Integral) or int(top_k) < 1:
        raise ShelfmarkError(f"top_k: {top_k!r}: should be a whole number, 1 or more")
