"""The domain test on vectors beside that on words: off by default, reported where it is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.config.load import load_drift_config
from shelfmark.data.splits import open_splits
from shelfmark.embeddings import artifact as encoders
from shelfmark.embeddings.locate import LocatedEncoder, locate_encoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.artifact import Model
from shelfmark.monitoring import compare, detect, reference, vectors, windows
from shelfmark.monitoring.records import DRIFT, TOO_LITTLE, UNKNOWN
from tests.support import hashed_encoder
from tests.support.logs import line, write

LIMITS = load_drift_config(["domain_papers=150"])


@pytest.fixture
def located(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocatedEncoder:
    hashed_encoder.register(monkeypatch)
    texts = open_splits(Path(model.card.data.folder)).read("train", ["text"])["text"].to_pylist()
    hashed_encoder.save_encoder(tmp_path / "encoders", texts)
    with locate_encoder("hashed", str(tmp_path / "encoders")) as located:
        return located


def split_file(model: Model, folder: Path, change: str = "") -> str:
    table = open_splits(Path(model.card.data.folder)).read("test")
    papers = ({"id": row["id"], "text": f"{change}{row['abstract']}", "label": row["label"]}
              for row in table.to_pylist())  # fmt: skip
    return str(write(folder / "papers.jsonl", *papers))


def test_vectors_of_the_reference_are_those_of_its_papers(
    home: Path, model: Model, located: LocatedEncoder, tmp_path: Path
) -> None:
    window = windows.from_papers(split_file(model, tmp_path), model, "", 1000)
    samples = vectors.encode_samples(located, model.card, window)
    known = reference.load_reference(artifact.open_files(home / "models" / "quick")[1])
    table = open_splits(Path(model.card.data.folder)).read("validation")
    chosen = table.take(reference.sample_rows(table.num_rows))
    assert known.rows["label"].tolist() == chosen["label"].to_pylist()
    encoder = encoders.load(located.folder)
    assert np.array_equal(samples.old, encoder.encode(chosen["text"].to_pylist()))
    assert window.texts is not None
    assert np.array_equal(samples.new, encoder.encode(window.texts))


def test_a_report_has_both_tests_where_an_encoder_is_named(
    home: Path, model: Model, located: LocatedEncoder, tmp_path: Path
) -> None:
    papers = split_file(model, tmp_path, "A zebrafish study of zebrafish. ")
    folder = home / "models" / "quick"
    plain = detect.detect_drift(folder, tmp_path / "reports", LIMITS, papers=papers)
    both = detect.detect_drift(folder, tmp_path / "reports", LIMITS, papers=papers, encoder=located)
    assert [test.test for test in both.tests] == [*(x.test for x in plain.tests), "vectors"]
    words, moved = both.tests[-2:]
    assert (words.test, words.status, moved.status) == ("text", DRIFT, DRIFT)
    assert moved.title == "vectors of the texts, by hashed"
    assert moved.new is not None
    assert moved.new > 0.9
    latest = tmp_path / "reports" / "drift" / "latest"
    named = [test["test"] for test in orjson.loads((latest / "drift.json").read_bytes())["tests"]]
    assert named[-1] == "vectors"
    page = (latest / "index.html").read_text(encoding="utf-8")
    assert "New papers have other vectors: separated from old ones in" in page


def test_a_log_without_texts_is_one_line(
    home: Path, model: Model, located: LocatedEncoder, tmp_path: Path
) -> None:
    write(tmp_path / "logs.jsonl", *(line(model, second) for second in range(1, 200)))
    with pytest.raises(ShelfmarkError, match=r"^--encoder: .*logs\.jsonl holds no texts to encode"):
        detect.detect_drift(
            home / "models" / "quick", tmp_path / "reports", LIMITS,
            log=str(tmp_path / "logs.jsonl"), encoder=located,
        )  # fmt: skip


def test_few_vectors_are_too_little_data(
    home: Path, model: Model, located: LocatedEncoder, tmp_path: Path
) -> None:
    window = windows.from_papers(split_file(model, tmp_path), model, "", 50)
    samples = vectors.encode_samples(located, model.card, window)
    known = reference.load_reference(artifact.open_files(home / "models" / "quick")[1])
    comparison = compare.compare(known, window, LIMITS, samples)
    assert {test.test: test.status for test in comparison.tests}["vectors"] == TOO_LITTLE
    assert UNKNOWN not in {test.status for test in comparison.tests if test.test == "vectors"}
