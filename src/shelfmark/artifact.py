"""A trained model on disk: written whole or not at all, opened only when it is what it says.

A folder `models/<name>/` holds `pipeline.pkl` (scikit-learn's pipeline), `booster.ubj` (the trees
in XGBoost's own stable form) and `card.json`; `models/latest` points at the newest.
"""

from __future__ import annotations

import os
import pickle
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from sklearn.pipeline import Pipeline

from shelfmark import files
from shelfmark.errors import ShelfmarkError
from shelfmark.taxonomy import full_name
from shelfmark.text import document, plain

PIPELINE, BOOSTER, CARD = "pipeline.pkl", "booster.ubj", "card.json"
LATEST = "latest"
# A pickle fits the very versions that wrote it and no others.
PINNED = ("scikit-learn", "xgboost", "numpy", "scipy")
# Every name a pipeline's pickle may use. Anything else could run code, and is refused unopened.
ALLOWED = frozenset(
    {
        ("builtins", "bytearray"),
        ("collections", "OrderedDict"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("scipy.sparse._csr", "csr_matrix"),
        ("scipy.sparse._dia", "dia_array"),
        ("scipy.sparse._dia", "dia_matrix"),
        ("sklearn.feature_extraction.text", "TfidfTransformer"),
        ("shelfmark.selection", "ChosenTerms"),
        ("shelfmark.stacking", "LinearScores"),
        ("shelfmark.vectorizer", "FastTfidfVectorizer"),
        ("sklearn.pipeline", "FeatureUnion"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._data", "MaxAbsScaler"),
        ("sklearn.svm._classes", "LinearSVC"),
        ("xgboost.core", "Booster"),
        ("xgboost.sklearn", "XGBClassifier"),
    }
)


@dataclass(frozen=True)
class Model:
    """An opened artifact."""

    pipeline: Pipeline
    card: dict[str, Any]

    @property
    def version(self) -> str:
        """The artifact's name, by which answers and logs refer to it."""
        return str(self.card["name"])

    @property
    def classes(self) -> list[str]:
        """The labels, in the order of the probabilities' columns."""
        return [entry["label"] for entry in self.card["classes"]]

    def text(self, title: str, abstract: str) -> str:
        """Return what this model reads of a paper, cleaned as its training papers were."""
        return document(plain(title), plain(abstract), self.card["config"]["data"]["maths"])

    def probabilities(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the probability of each class for cleaned texts, shape (texts, classes)."""
        answer: np.ndarray[Any, np.dtype[np.float32]] = self.pipeline.predict_proba(texts)
        return answer


def save(pipeline: Pipeline, card: dict[str, Any], models: Path) -> Path:
    """Write an artifact as `models/<name>`, point `models/latest` at it, and return its folder.

    Args:
        pipeline: fitted steps, the last of them an `XGBClassifier`.
        card: what is known of the model, with `name` and `classes`, a list of labels.
        models: the folder of all artifacts.

    Raises:
        ShelfmarkError: the name is taken, or the disk does not take the files.
    """
    files.clear_leftovers(models)
    target = models / str(card["name"])
    with files.folder_aside(target) as folder:
        (folder / PIPELINE).write_bytes(pickle.dumps(pipeline, protocol=5))
        pipeline[-1].get_booster().save_model(folder / BOOSTER)
        whole = card | {
            "classes": [{"label": label, "name": full_name(label)} for label in card["classes"]],
            "versions": _versions(),
            "files": {name: files.sha256(folder / name) for name in (PIPELINE, BOOSTER)},
        }
        (folder / CARD).write_bytes(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    _point_latest_at(target)
    return target


def _point_latest_at(target: Path) -> None:
    link = target.with_name(LATEST)
    aside = target.with_name(f"{files.PARTIAL}{os.getpid()}-{LATEST}")
    try:
        aside.unlink(missing_ok=True)
        aside.symlink_to(target.name, target_is_directory=True)
        aside.replace(link)
    except OSError as error:
        raise ShelfmarkError(
            f"saved {target}, but cannot point {link} at it: {error.strerror or error}"
        ) from error


def _versions() -> dict[str, str]:
    return {"python": ".".join(platform.python_version_tuple()[:2])} | {
        name: version(name) for name in PINNED
    }


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of an artifact.

    Raises:
        ShelfmarkError: there is no artifact in the folder, or its card is damaged.
    """
    try:
        card = orjson.loads((folder / CARD).read_bytes())
    except OSError:
        raise ShelfmarkError(f"no model in {folder}: train one with inv train") from None
    except orjson.JSONDecodeError as error:
        raise ShelfmarkError(f"{folder / CARD} is damaged ({error}); train again") from error
    if not isinstance(card, dict):
        raise ShelfmarkError(f"{folder / CARD} is no model card; train again")
    return card


def load(folder: Path, threads: int | None = None) -> Model:
    """Open an artifact: versions, then digests, then the pickle through the list of names.

    Args:
        folder: an artifact's folder, or the link `latest`.
        threads: how many the trees use, settled once here; None leaves one a core.

    Raises:
        ShelfmarkError: none there, made with other versions, damaged, or a foreign pickle.
    """
    card = read_card(folder)
    _check_versions(card.get("versions", {}), folder)
    for name in (PIPELINE, BOOSTER):
        path = folder / name
        if not path.is_file() or files.sha256(path) != card.get("files", {}).get(name):
            raise ShelfmarkError(f"{path} is missing or not the file its card names; train again")
    with (folder / PIPELINE).open("rb") as file:
        pipeline = _unpickle(file, folder / PIPELINE)
    threads = threads or os.cpu_count() or 1
    pipeline[-1].set_params(n_jobs=threads)
    pipeline[-1].get_booster().set_param({"nthread": threads})
    return Model(pipeline, card)


def _check_versions(made_with: dict[str, str], folder: Path) -> None:
    for name, here in _versions().items():
        made = made_with.get(name, "an unknown version")
        if made != here:
            raise ShelfmarkError(
                f"{folder} was made with {name} {made}, here is {here}: "
                f"train again, or install that version"
            )


class _Unpickler(pickle.Unpickler):
    """Finds the names of `ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it uses {module}.{name}, which no model of ours does")
        return super().find_class(module, name)


def _unpickle(file: IO[bytes], path: Path) -> Pipeline:
    try:
        pipeline = _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ShelfmarkError(f"{path} was not opened: {error}") from error
    if not isinstance(pipeline, Pipeline):
        raise ShelfmarkError(f"{path} holds no pipeline but {type(pipeline).__name__}")
    return pipeline
