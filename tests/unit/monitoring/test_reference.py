"""The reference beside a model: of validation alone, bounded, the same every time, and no text."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.core import files
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.models import artifact
from shelfmark.models.traits import text_traits
from shelfmark.monitoring import fingerprint, reference
from shelfmark.monitoring.fingerprint import sketcher_for


def test_training_leaves_the_validation_papers_as_the_model_sees_them(
    home: Path, model: artifact.Model
) -> None:
    loaded = reference.load_reference(artifact.open_files(home / "models" / "quick")[1])
    validation = open_splits(Path(model.card.data.folder)).read("validation")
    assert len(loaded.rows) == validation.num_rows
    assert loaded.rows["label"].tolist() == validation["label"].to_pylist()
    answers = predict_papers(model, validation)
    assert loaded.rows["predicted"].tolist() == answers.given
    np.testing.assert_allclose(loaded.rows["confidence"], answers.probabilities.max(1), atol=1e-6)
    first = validation["text"][0].as_py()
    for name, value in vars(text_traits(model, first)).items():
        if name != "characters":
            assert loaded.rows[name][0] == value
    assert (loaded.terms[0] != sketcher_for(model).transform([first])[0]).nnz == 0
    right = (loaded.rows["label"] == loaded.rows["predicted"]).mean()
    assert right == pytest.approx(model.card.metrics["validation"]["accuracy"])


def test_the_card_covers_it_and_has_the_days(home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(home / "models" / "quick", tmp_path / "copy"))
    card = artifact.check(copy)
    assert card.data.submitted["first"] < card.data.submitted["last"]
    (copy / "reference.parquet").write_bytes(b"other")
    with pytest.raises(ShelfmarkError, match=r"reference\.parquet is missing or not the file"):
        artifact.check(copy)
    sums = card.files | {"reference.parquet": files.sha256(copy / "reference.parquet")}
    (copy / "card.json").write_bytes(orjson.dumps(replace(card, files=sums).to_json()))
    with pytest.raises(ShelfmarkError, match=r"reference\.parquet is damaged"):
        reference.load_reference(artifact.open_files(copy)[1])


def test_an_older_model_opens_and_names_the_remedy(home: Path, tmp_path: Path) -> None:
    old = artifact.load(home / "models" / "quick")
    folder = artifact.save(replace(old, card=replace(old.card, name="old"), about=""), tmp_path)
    assert artifact.load(folder).classes == old.classes
    with pytest.raises(ShelfmarkError, match=r"no reference\.parquet to compare with: train again"):
        reference.load_reference(artifact.open_files(folder)[1])


def test_it_is_bounded_and_the_same_every_time(
    model: artifact.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "MOST", 40)
    papers = open_splits(Path(model.card.data.folder)).read("test")
    one, two = (reference.build_reference(model, papers) for _ in range(2))
    assert one.num_rows == 40
    assert one.equals(two, check_metadata=True)
    loaded = reference.from_table(one)
    assert loaded.terms.shape == (40, fingerprint.WIDE)
    assert np.linalg.norm(loaded.mean) > 0
    assert {"the", "of", "."} <= set(loaded.names[:20])


def test_it_holds_no_text(home: Path) -> None:
    names = pq.read_schema(home / "models" / "quick" / "reference.parquet").names
    assert not {"text", "title", "abstract"} & set(names)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"label": ["x" * (40 << 20)]}, "a column unpacks to more than"),
        ({"terms": [[0] * (1 << 23), [0]]}, "a column has 8,388,609 values"),
        ({"predicted": ["x" * 1001]}, "predicted has more than 1000 characters"),
        ({"predicted": [None]}, "a paper has impossible numbers"),
        ({"confidence": [float("nan")]}, "a paper has impossible numbers"),
        ({"words": [-1]}, "a paper has impossible numbers"),
        ({"unknown": [float("inf")]}, "a paper has impossible numbers"),
        ({"names": b"[1]"}, "should be a string"),
        ({"names": b"[" * 500}, ""),
        ({"mean": np.full(fingerprint.NARROW, np.nan, np.float32).tobytes()}, "should be an array"),
    ],
)
def test_a_reference_of_other_makers_is_refused(
    home: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    folder = Path(shutil.copytree(home / "models" / "quick", tmp_path / "copy"))
    path = folder / "reference.parquet"
    table = pq.read_table(path).slice(0, 2)
    metadata = {**table.schema.metadata}
    for name, value in changes.items():
        if isinstance(value, bytes):
            metadata[name.encode()] = value
        else:
            column = pa.array((value * 2)[:2], table.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
    assert path.stat().st_size < 200_000
    card = artifact.read_card(folder)
    sums = card.files | {path.name: files.sha256(path)}
    (folder / "card.json").write_bytes(orjson.dumps(replace(card, files=sums).to_json()))
    with pytest.raises(ShelfmarkError, match=rf"reference\.parquet is damaged \(.*{problem}"):
        reference.load_reference(artifact.open_files(folder)[1])
