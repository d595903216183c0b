"""Fine-tuning, export and serving of sentence transformers, with PyTorch: `inv test torch`.

The base is a BERT of two layers with random weights; pairs, trainer and exporter are the real ones.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.embeddings import artifact
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.families import family_of
from shelfmark.embeddings.protocol import FittedEncoder
from shelfmark.errors import ShelfmarkError
from tests.support.tiny_bert import make_tiny_bert

pytest.importorskip("torch", reason="needs PyTorch: inv test torch")

# Of the libraries about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

QUICK = ("encoder.batch=64", "encoder.learning_rate=2e-3", "encoder.max_tokens=64",
         "encoder.queries=100", "encoder.pool=150", "encoder.n_jobs=1")  # fmt: skip


Tables = tuple[pa.Table, pa.Table]


@pytest.fixture(scope="module")
def papers() -> Tables:
    """A thousand papers to train on, and two hundred others; a title has words of its abstract."""
    random = np.random.default_rng(0)
    words = np.array(["".join(letters) for letters in itertools.product("bdfklm", "aeiou", "nrst")])
    rows = []
    for number in range(1200):
        topic = random.permutation(words[number % 8 :: 8])[:10]  # of one of eight categories
        abstract = random.permutation([*topic, *random.choice(words, 20)])
        title = random.permutation(abstract)[:4]
        label = f"cs.{number % 8}"
        rows.append({"title": " ".join(title), "abstract": " ".join(abstract), "label": label,
                     "categories": [label]})  # fmt: skip
    table = pa.Table.from_pylist(rows)
    return table.slice(0, 1000), table.slice(1000)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, papers: Tables) -> Path:
    texts = [*papers[0]["title"].to_pylist(), *papers[0]["abstract"].to_pylist()]
    return make_tiny_bert(tmp_path_factory.mktemp("base"), texts)


def settings_of(base: Path | str, *overrides: str) -> EncoderSettings:
    chosen = ["encoder=sentence", f'encoder.base="{base}"', *QUICK, *overrides]
    return load_encoder_config(chosen)


def fit(base: Path | str, papers: Tables, *overrides: str, **options: Any) -> FittedEncoder:
    rows = options.pop("rows", [])
    settings = settings_of(base, *overrides)
    return family_of("sentence").fit(
        settings, *papers, lambda epoch, row: rows.append({"epoch": epoch, **row}), **options
    )


def fine_tune(base: Path, papers: Tables, folder: Path, *overrides: str, **options: Any) -> Any:
    """Fine-tune without an export, and return the details and the weights of the model."""
    from shelfmark.embeddings.pretrained import libraries
    from shelfmark.embeddings.sentence.fitting import Fitting

    libraries.prepare(offline=True)
    settings = settings_of(base, *overrides)
    work = Fitting(settings, settings.encoder, folder)
    work.fine_tune(*papers, options.get("callback", lambda epoch, row: None))
    return work.details, {name: values.numpy() for name, values in work.model.state_dict().items()}


def save(fitted: FittedEncoder, settings: EncoderSettings, folder: Path) -> Path:
    config = settings.model_dump(mode="json")
    card = EncoderCard(
        name="tuned", config=config, size=fitted.encoder.size, details=fitted.details,
        versions={}, files={},
    )  # fmt: skip
    return artifact.save(fitted.encoder, card, folder)


def test_a_thousand_pairs_improve_the_metric_and_what_is_saved_is_served_without_torch(
    base: Path, papers: Tables, tmp_path: Path
) -> None:
    rows: list[dict[str, float]] = []
    overrides = ("encoder.epochs=2", "encoder.sizes=[16]")
    fitted = fit(base, papers, *overrides, rows=rows)
    score = fitted.details["ndcg@10"]
    assert fitted.details["pairs"] == {"title_abstract": 1000}
    assert score["after"] > 1.3 * score["before"]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[1]["train"] < rows[0]["train"]
    assert rows[1]["validation"] < rows[0]["validation"]
    assert max(row["ndcg@10"] for row in rows) == score["after"]
    parity = fitted.details["parity"]
    assert parity["fp32"]["least"] >= 0.995
    assert parity["int8"]["least"] >= 0.99
    saved = save(fitted, settings_of(base, *overrides), tmp_path)
    texts = papers[1]["abstract"].to_pylist()[:5]
    code = (
        "import json, sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', "
        "'sentence_transformers']))\n"
        "from pathlib import Path; from shelfmark.embeddings import artifact\n"
        "encoder = artifact.load(Path(sys.argv[1]), threads=1)\n"
        "print(json.dumps(encoder.encode(json.loads(sys.argv[2])).tolist()))"
    )
    command = [sys.executable, "-c", code, str(saved), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert np.array_equal(np.float32(json.loads(done.stdout)), fitted.encoder.encode(texts))


LOSSES = ("cached_ranking", "guided", "cached_guided", "contrastive")


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_learns_from_each_kind_of_pairs(
    base: Path, papers: Tables, tmp_path: Path, loss: str
) -> None:
    shares = [f"encoder.pairs.{kind}=0.15" for kind in ("title_abstract", "halves", "category")]
    rows: list[dict[str, float]] = []
    details, _ = fine_tune(
        base, papers, tmp_path, f"encoder.loss={loss}", *shares, "encoder.epochs=2",
        "encoder.mini_batch=16", callback=lambda epoch, row: rows.append(row),
    )  # fmt: skip
    assert set(details["pairs"]) == {"title_abstract", "halves", "category"}
    assert rows[1]["train"] < rows[0]["train"]
    assert details["ndcg@10"]["after"] > details["ndcg@10"]["before"]


def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(
    base: Path, papers: Tables, tmp_path: Path, log: Callable[[], str]
) -> None:
    overrides = ("encoder.pairs.title_abstract=0.25", "encoder.epochs=2", "encoder.evaluations=2")

    def stop(epoch: int, row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(base, papers, tmp_path / "interrupted", *overrides, callback=stop)
    (checkpoint,) = (tmp_path / "interrupted").glob("checkpoint-*")
    torn = checkpoint.with_name("checkpoint-3")  # killed while it was written
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"epoch": 0.7')
    (tmp_path / "interrupted").rename(tmp_path / "moved")
    details, weights = fine_tune(base, papers, tmp_path / "moved", *overrides)
    assert f"resumed from {checkpoint.name}" in log()
    whole, expected = fine_tune(base, papers, tmp_path / "whole", *overrides)
    assert details == whole
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(weights[name], expected[name]) for name in weights)


def test_zero_epochs_export_the_base_as_it_is(base: Path, papers: Tables) -> None:
    from sentence_transformers import SentenceTransformer

    fitted = fit(base, papers, "encoder.epochs=0", "encoder.precision=fp32")
    texts = papers[1]["title"].to_pylist()
    model = SentenceTransformer(str(base), device="cpu", local_files_only=True)
    model.max_seq_length = 64
    expected = model.encode(texts, normalize_embeddings=True)
    assert (expected * fitted.encoder.encode(texts)).sum(axis=1).min() > 0.9999
    assert "ndcg@10" not in fitted.details


def test_a_base_that_is_no_model_is_one_line(base: Path, papers: Tables, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(base, damaged)
    (damaged / "config.json").write_text("{")
    (tmp_path / "empty").mkdir()
    wrong = {
        str(tmp_path / "missing"): "no such folder",
        str(tmp_path / "empty"): "no model of sentence-transformers or transformers",
        str(damaged): "cannot be opened",
    }
    for folder, reason in wrong.items():
        with pytest.raises(ShelfmarkError) as error:
            fit(folder, papers)
        assert str(error.value).startswith(f"encoder.base={folder}: ")
        assert reason in str(error.value)
        assert "\n" not in str(error.value)


def test_papers_without_pairs_are_refused(base: Path, papers: Tables) -> None:
    train = papers[0].slice(0, 1)
    shares = ("encoder.pairs.title_abstract=0", "encoder.pairs.category=1")
    with pytest.raises(ShelfmarkError, match="give no pairs"):
        fit(base, (train, papers[1]), *shares)


def test_the_packaged_minilm_is_a_base_and_needs_no_network() -> None:
    from shelfmark.embeddings.pretrained.bases import is_local
    from shelfmark.embeddings.sentence.base import load_base

    assert is_local("minilm")
    model = load_base("minilm", "cpu", max_tokens=300)
    assert (model.get_embedding_dimension(), model.max_seq_length) == (384, 256)
