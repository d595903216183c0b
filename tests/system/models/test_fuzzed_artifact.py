"""Altered files of a model or a checkpoint, digests rewritten: each opens or is refused in a line.

What opens has to predict probabilities. Nothing crashes, hangs, or takes more memory than the
file's size allows.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from shelfmark.core import files
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models import artifact
from shelfmark.models.boosted import features
from shelfmark.models.registry import Registry
from shelfmark.monitoring import reference
from shelfmark.service.model_page import model_page
from tests.support.fuzzing import mutations, read_in_children
from tests.support.tables import KINDS, fit, papers

ALTERED = int(os.environ.get("FUZZED_FILES") or 150)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of small models of several kinds."""
    root, some = tmp_path_factory.mktemp("models"), papers(240)
    folders = {}
    for kind in ("stacked", "reranked", "linear"):
        model = fit(some.slice(0, 180), some.slice(180), *KINDS[kind])
        about = f"# A model\n\n| a | b |\n| - | - |\n| {kind} | **1** |\n"
        model = artifact.Model(model.classifier, model.card, about)
        content = reference.reference_parquet(with_thresholds(model), some.slice(180))
        folders[kind] = artifact.save(with_thresholds(model), root / kind, content)
    return folders


def with_thresholds(model: artifact.Model) -> artifact.Model:
    """Return a model whose answers are never confident."""
    values = model.card.to_json() | {
        "thresholds": {
            "min_precision": 0.9,
            "confident_from": dict.fromkeys(model.card.labels),
            "cross_lists_from": 0.5,
        }
    }
    return artifact.Model(model.classifier, type(model.card).from_json(values), model.about)


@functools.cache
def copy_of(folder: Path) -> Path:
    """Return a copy of a model for this process."""
    return Path(shutil.copytree(folder, Path(tempfile.mkdtemp()) / folder.name))


def with_altered(
    open_folder: Callable[[Path], object], folder: Path, name: str, content: bytes
) -> None:
    """Open a model with an altered file, whose digest its card has."""
    warnings.simplefilter("ignore")  # numbers that overflow are refused afterwards
    copy = copy_of(folder)
    (copy / name).write_bytes(content)
    if name != artifact.CARD:
        card = orjson.loads((folder / artifact.CARD).read_bytes())
        card["files"][name] = files.sha256(copy / name)
        (copy / artifact.CARD).write_bytes(orjson.dumps(card))
    open_folder(copy)


def open_model(folder: Path) -> None:
    model = Registry(str(folder.parent)).open(folder.name)
    model_page(model)


def open_reference(folder: Path) -> None:
    reference.load_reference(artifact.open_files(folder)[1])


FILES = [
    *((kind, "pipeline.pkl", open_model) for kind in ("stacked", "reranked", "linear")),
    *((kind, "card.json", open_model) for kind in ("stacked", "reranked")),
    ("stacked", "booster.ubj", open_model),
    ("reranked", "booster.ubj", open_model),
    ("stacked", "fasttfidfvectorizer-terms.npy", open_model),
    ("stacked", "fasttfidfvectorizer-idf.npy", open_model),
    ("stacked", "svm-weights.npy", open_model),
    ("stacked", "bayes-weights.npy", open_model),
    ("stacked", "chosenterms-columns.npy", open_model),
    ("stacked", "chosenterms-place.npy", open_model),
    ("reranked", "lowranklinear-terms.npy", open_model),
    ("reranked", "lowranklinear-scales.npy", open_model),
    ("reranked", "crosslists-habits.npy", open_model),
    ("stacked", "MODEL_CARD.md", open_model),
    ("stacked", "reference.parquet", open_reference),
]


@pytest.mark.parametrize(("kind", "name", "open_folder"), FILES)
def test_an_altered_file_of_a_model_opens_or_is_refused(
    models: dict[str, Path], kind: str, name: str, open_folder: Callable[[Path], object]
) -> None:
    # The files of arrays begin with a number, that of the array in the structure.
    file = min(models[kind].glob(f"*{name}"))
    content = file.read_bytes()
    check = functools.partial(with_altered, open_folder, models[kind], file.name)
    altered = mutations(content, seed=len(name), count=ALTERED)
    report = read_in_children(check, content, altered)
    assert report.findings == [], report.summary()
    assert report.total == ALTERED


def load_stage(folder: Path, content: bytes) -> None:
    copy = copy_of(folder)
    (copy / "words.zip").write_bytes(content)
    Checkpoint(copy).load("words")


def test_an_altered_stage_of_a_checkpoint_is_read_or_refused(tmp_path: Path) -> None:
    from shelfmark.config.load import load_config
    from tests.support.tables import SETTINGS

    texts = papers(60)["text"].to_pylist()
    fields = features.make_vectorizer(load_config([*SETTINGS]).features).fit(texts)
    words = fields.transform(texts)
    Checkpoint(tmp_path).save("words", (fields, words.data, words.indices, words.indptr))
    content = (tmp_path / "words.zip").read_bytes()
    check = functools.partial(load_stage, tmp_path)
    report = read_in_children(check, content, mutations(content, 7, ALTERED))
    assert report.findings == [], report.summary()
    assert report.refused
