"""The splits of encoders: papers without a label are kept, and authors are listed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shelfmark.config.load import load_config, load_encoder_config
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import SPLITS, Splits
from shelfmark.errors import ShelfmarkError


def prepared(folder: Path, *overrides: str) -> Splits:
    words = [f"paths.data={folder}", "data.options.papers=600", *overrides]
    return prepare_splits(load_encoder_config(words))


def test_a_paper_without_a_label_is_kept_with_a_null(tmp_path: Path) -> None:
    few = prepared(tmp_path, "data.labels=[cs.CL,cs.CV]", "data.min_papers=5")
    labels = Counter(label for split in SPLITS for label in few.read(split)["label"].to_pylist())
    assert set(labels) == {"cs.CL", "cs.CV", None}
    whole = prepared(tmp_path, "data.min_papers=1")
    assert few.card["kept"] == whole.card["kept"] == labels.total()
    assert sum(few.card["labels"][split][""] for split in SPLITS) == labels[None]


def test_one_label_or_none_is_enough_for_an_encoder(tmp_path: Path) -> None:
    splits = prepared(tmp_path, "data.min_papers=500")
    assert set(splits.read("train")["label"].to_pylist()) == {None}


def test_the_papers_of_both_kinds_of_splits_are_the_same(tmp_path: Path) -> None:
    words = [f"paths.data={tmp_path}", "data.options.papers=600", "data.min_papers=1"]
    ours, theirs = prepared(tmp_path, "data.min_papers=1"), prepare_splits(load_config(words))
    columns = theirs.schema.names
    for split in SPLITS:
        assert ours.read(split).select(columns).equals(theirs.read(split))


def test_the_authors_are_listed_where_they_are_asked_for(tmp_path: Path) -> None:
    authors = prepared(tmp_path).read("train")["authors"].to_pylist()
    assert max(Counter(name for names in authors for name in names).values()) > 1
    assert "authors" not in prepared(tmp_path, "data.authors=false").read("train").schema.names


@pytest.mark.parametrize("override", ["data.unlabelled=keep", "data.authors=true"])
def test_a_classifier_does_not_train_on_such_splits(override: str) -> None:
    with pytest.raises(ShelfmarkError, match="for shelfmark train-encoder"):
        load_config([override])
