"""A transformer beside the trees behind one service, and in their stack: `inv test torch`."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from shelfmark.config.load import load_config, load_drift_config
from shelfmark.core.checkpoint import temporary_checkpoint
from shelfmark.data.labels import learn_targets
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.behaviour import check_behaviour
from shelfmark.models import answers, artifact
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.network import NetworkBlock
from shelfmark.monitoring.detect import detect_drift
from shelfmark.training.train import train_model
from tests.conftest import paths_in
from tests.support.moments import until
from tests.support.serving import running
from tests.support.transformers import PAPERS, ROBOT, settings_in

pytest.importorskip("torch", reason="needs PyTorch: inv test torch")

# Of the libraries about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

KEY = {"X-Admin-Key": "admin-key-of-tests"}
STACK = "model.stack.scorers.transformer"
STACKED = ("experiment=fast", *PAPERS, "model.stack.folds=2", f"{STACK}.base=tiny",
           f"{STACK}.tuned_layers=null", f"{STACK}.epochs=2", f"{STACK}.batch=32",
           f"{STACK}.learning_rate=1e-3", f"{STACK}.max_tokens=64")  # fmt: skip


@pytest.fixture(scope="module")
def transformer(home: Path, splits: Splits) -> Path:
    settings = settings_in(home, "name=network", "model.epochs=2", "model.max_tokens=64")
    return train_model(settings).folder


@pytest.fixture(scope="module")
def stacked(home: Path, splits: Splits) -> Path:
    return train_model(load_config([*STACKED, *paths_in(home), "name=stacked"])).folder


def block_of(folder: Path) -> NetworkBlock:
    classifier = artifact.load(folder).classifier
    assert isinstance(classifier, BoostedClassifier)
    block = classifier.pipeline.network_
    assert block is not None
    return block


def test_both_kinds_answer_and_are_swapped_under_load(
    home: Path, transformer: Path, stacked: Path
) -> None:
    environment = {
        "SHELFMARK_MODEL": "network", "SHELFMARK_ADMIN_KEY": KEY["X-Admin-Key"],
        "SHELFMARK_LOG_FOLDER": str(home / "logs"), "SHELFMARK_WORKERS": "2",
    }  # fmt: skip
    seen: set[tuple[int, str]] = set()
    ended = threading.Event()
    with running(home, **environment) as client:

        def ask() -> None:
            with httpx.Client(base_url=client.base_url, timeout=60) as own:
                while not ended.is_set():
                    answer = own.post("/predict", json={"text": ROBOT, "explain": True})
                    why = answer.json().get("why") or {}
                    assert why.get("words"), answer.text
                    seen.add((answer.status_code, answer.json()["model"]))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: (200, "network") in seen)
            for version in ("stacked", "network"):
                loaded = client.post("/load", json={"version": version}, headers=KEY)
                assert loaded.status_code == 200, loaded.text
                until(lambda version=version: (200, version) in seen)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        card = client.get("/model").json()
        assert card["name"] == "network"
        listed = client.post("/predict", json={"papers": [{"text": ROBOT}] * 40}).json()
        assert len(listed["predictions"]) == 40
    assert seen == {(200, "network"), (200, "stacked")}


def test_its_log_is_watched_for_drift(home: Path, transformer: Path, splits: Splits) -> None:
    texts = splits.read("validation")["text"].to_pylist()
    logs = home / "watched"
    environment = {"SHELFMARK_MODEL": "network", "SHELFMARK_LOG_FOLDER": str(logs)}
    with running(home, **environment) as client:
        for begin in range(0, len(texts), 50):
            papers = [{"text": text} for text in texts[begin : begin + 50]]
            assert client.post("/predict", json={"papers": papers}).status_code == 200
    limits = load_drift_config(["min_papers=100", "domain_papers=50"])
    report = detect_drift(transformer, home / "reports", limits, log=str(logs))
    assert report.verdict == "no drift", report


def test_a_network_in_the_stack_is_read_by_the_trees_and_explained(stacked: Path) -> None:
    model = artifact.load(stacked)
    assert model.card.kind == "boosted"
    assert {"model.onnx", "tokenizer.json", "pipeline.pkl"} <= model.card.files.keys()
    assert {"xgboost", "onnxruntime", "tokenizers"} <= model.card.versions.keys()
    failed = [check for check in check_behaviour(model) if not check.passed]
    assert not failed
    block, text = block_of(stacked), model.text("", ROBOT)
    classifier = model.classifier
    assert isinstance(classifier, BoostedClassifier)
    features = classifier.pipeline.features_of([text])
    np.testing.assert_array_equal(features[:, -block.columns :], block.scores([text]))
    other = features.copy()
    other[:, -block.columns :] = block.means + 5 * block.deviations
    margins = [classifier.pipeline.margins_of(rows, [text]) for rows in (features, other)]
    assert not np.allclose(*margins), "the trees read the scores"
    assert classifier.cost.of(100, False) > BoostedClassifier.COST.of(100, False)


def test_a_word_has_one_name_in_the_stack_and_its_places(stacked: Path) -> None:
    (answer,) = answers.answer_papers(
        artifact.load(stacked), [("", "The naïve robot policy of Erdős and Schrödinger.")], 5, True
    )
    assert answer.why is not None
    names = [word.word for word in answer.why.words]
    assert "naive" in names
    assert not {"naïve", "erdős", "schrödinger"} & {*names}
    assert all(word.places for word in answer.why.words if " " not in word.word)


def test_the_scores_of_training_papers_are_of_networks_that_did_not_see_them(
    home: Path, splits: Splits
) -> None:
    from shelfmark.models.boosted.fitting.network import cross_fit_network
    from shelfmark.models.transformer.fitting.papers import LabelledPapers, draw_papers

    settings = load_config([*STACKED, *paths_in(home), f"{STACK}.epochs=12",
                            f"{STACK}.early_stopping=null", f"{STACK}.max_tokens=16"])  # fmt: skip
    train = splits.file("train").read()
    random = np.random.default_rng(0)
    train = train.set_column(  # labels that say nothing of the texts
        train.schema.get_field_index("label"), "label",
        train["label"].take(random.permutation(len(train))),
    )  # fmt: skip
    few = train.slice(0, 200)
    targets = learn_targets(few, settings.data, None)
    from shelfmark.data.splits import as_groups

    known: LabelledPapers = draw_papers(as_groups(few), targets, None, 7)
    stack: Any = getattr(settings.model, "stack", None)
    with temporary_checkpoint() as checkpoint:
        fitted = cross_fit_network(
            settings, stack, targets, as_groups(few), np.arange(200), known, checkpoint
        )

    def accuracy(scores: Any) -> float:
        return float((scores.argmax(axis=1) == known.targets).mean())

    assert accuracy(fitted.block.scores(known.texts)) > 0.6, "it has learnt them by heart"
    assert accuracy(fitted.scores) < 0.4, "and the others have not"


def test_a_model_without_the_files_of_its_network_is_one_line(
    stacked: Path, transformer: Path, tmp_path: Path
) -> None:
    for folder in (stacked, transformer):
        copy = tmp_path / folder.name
        shutil.copytree(folder, copy)
        (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:-100])
        with pytest.raises(ShelfmarkError, match=r"model\.onnx") as caught:
            artifact.load(copy)
        assert "\n" not in str(caught.value)
