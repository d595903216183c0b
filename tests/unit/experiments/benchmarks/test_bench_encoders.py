"""The speed of encoders beside what a user would run; no time is asserted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shelfmark.config.load import load_config
from shelfmark.core.arrays import Floats
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.evaluation.encoders import subjects
from shelfmark.experiments.benchmarks import encoders, speed
from tests.conftest import paths_in
from tests.support import hashed_encoder

BESIDE = ["scikit-learn's TF-IDF", "scikit-learn's LSA"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    papers = ["data.options.papers=300", "data.min_papers=5"]
    return prepare_splits(load_config([*papers, *paths_in(tmp_path_factory.mktemp("home"))]))


def test_an_encoder_is_timed_beside_scikit_learn_on_the_same_abstracts(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_encoder.register(monkeypatch)
    monkeypatch.setattr(encoders, "PRETRAINED", hashed_encoder.KIND)
    timed: list[tuple[str, Sequence[str]]] = []

    def encode_once(subject: subjects.Subject, texts: Sequence[str]) -> float:
        vectors = subject.encode_alone(texts)
        assert vectors.shape[0] == len(texts) == splits.card["splits"]["validation"]
        lengths = np.sqrt(np.asarray(abs(vectors).power(2).sum(axis=1))
                          if hasattr(vectors, "power") else (vectors**2).sum(axis=1))  # fmt: skip
        assert np.allclose(lengths, 1, atol=1e-5)
        timed.append((subject.name, texts))
        return 7.0

    monkeypatch.setattr(encoders, "measure_speed", encode_once)
    result = encoders.time_encoders(hashed_encoder.make_settings(), splits)
    assert result["rates"] == dict.fromkeys([hashed_encoder.KIND, *BESIDE], 7.0)
    assert [name for name, _ in timed] == [hashed_encoder.KIND, *BESIDE]
    assert all(texts == timed[0][1] for _, texts in timed)
    assert result["fitted"] == splits.card["splits"]["train"]


def test_an_encoder_is_fitted_for_one_thread_and_one_epoch(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Recorder(hashed_encoder.HashedFamily):
        def fit(self, settings, *rest, **more):  # type: ignore[no-untyped-def]
            asked.append(settings.encoder)
            return super().fit(settings, *rest, **more)

    hashed_encoder.register(monkeypatch)
    monkeypatch.setattr(hashed_encoder, "FAMILY", Recorder())
    table = splits.read("train")
    encode = encoders._fit(hashed_encoder.make_settings(), table, table)
    assert [one.n_jobs for one in asked] == [1]
    vectors: Floats = encode(["a robot"])
    assert vectors.shape == (1, 64)


def test_a_row_for_each_with_the_ratio_of_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"static": 9000.0, "scikit-learn's TF-IDF": 3000.0, "minilm": 30.0, "x": 18_000.0}
    monkeypatch.setattr(
        speed, "_measure", lambda *words: {"papers": 4000, "fitted": 20_000, "rates": rates}
    )
    rows = speed.bench_encoders([])
    assert rows[0].what == "encode 4,000 abstracts, one thread: static, of 20,000 papers"
    assert rows[0].here == "9,000 abstracts/s"
    assert [(row.what, row.beside, row.ratio) for row in rows[1:]] == [
        ("  beside scikit-learn's TF-IDF", "3,000 abstracts/s", "3.0x"),
        ("  beside minilm", "30 abstracts/s", "300.0x"),
        ("  beside x", "18,000 abstracts/s", "1/2.0"),
    ]
