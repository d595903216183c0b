"""The papers of other labels that are kept beside the splits, as a sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.config.load import load_config, load_encoder_config
from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data import prepare
from shelfmark.data.labels import label_of
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import CARD, SCHEMA, SPLITS, Splits, check_splits, outside_name
from shelfmark.errors import ShelfmarkError
from tests.support.prepared import adds_up, contents, rows
from tests.support.records import halves, made, write

Settings = Callable[..., Config]
KEPT = ["cs.CL", "cs.RO"]


def outside_of(splits: Splits) -> list[dict[str, Any]]:
    return [row | {"split": split} for split in SPLITS
            for row in splits.outside(split).read().to_pylist()]  # fmt: skip


def idents(papers: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["split"], row["id"]) for row in papers}


def without_label(whole: Splits, config: Config, labels: list[str]) -> set[tuple[str, str]]:
    """Return the papers of which no category is of these labels, with their splits."""
    known = {name: label_of(config.data, name) in labels
             for row in rows(whole) for name in row["categories"]}  # fmt: skip
    return idents([row for row in rows(whole) if not any(known[x] for x in row["categories"])])


@pytest.fixture
def narrow(snapshot_file: Path, settings: Settings) -> Splits:
    return prepare_splits(settings(snapshot_file, labels=KEPT))


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"labels": KEPT}, KEPT),
        ({"level": "archive", "labels": ["math", "quant-ph"]}, ["math", "quant-ph"]),
        ({"level": "group", "labels": ["stat", "physics"]}, ["stat", "physics"]),
        ({"labels": {"words": ["cs.CL", "stat.ML"], "skies": ["astro-ph"]}}, ["words", "skies"]),
        ({"top": 2}, ["cs.CV", "cs.LG"]),
        ({"labels": KEPT, "split": "time",
          "cuts": {"validation": "2015-01-01", "test": "2017-01-01"}}, KEPT),
    ],
)  # fmt: skip
def test_they_are_the_papers_of_which_no_category_is_of_a_kept_label(
    snapshot_file: Path, settings: Settings, changes: dict[str, Any], labels: list[str]
) -> None:
    shared = {name: value for name, value in changes.items() if name in ("split", "cuts")}
    whole = prepare_splits(settings(snapshot_file, **shared))
    config = settings(snapshot_file, **changes)
    splits = prepare_splits(config)
    assert {row["label"] for row in rows(splits)} == set(labels)
    wanted = without_label(whole, config, labels)
    assert idents(outside_of(splits)) == wanted
    assert {split for split, _ in wanted} == set(SPLITS)


def test_a_paper_cross_listed_under_a_kept_label_is_neither_kept_nor_outside(
    narrow: Splits, splits: Splits
) -> None:
    cross_listed = [row for row in rows(splits)
                    if row["label"] not in KEPT and set(row["categories"]) & set(KEPT)]  # fmt: skip
    assert len(cross_listed) > 10
    assert not idents(cross_listed) & (idents(outside_of(narrow)) | idents(rows(narrow)))


def test_a_row_holds_the_paper_without_a_label(narrow: Splits, splits: Splits) -> None:
    whole = {row["id"]: row for row in rows(splits)}
    for row in outside_of(narrow):
        assert row == whole[row["id"]] | {"label": None}
    for split in SPLITS:
        assert narrow.outside(split).read().schema.equals(SCHEMA)


def test_they_lie_in_the_order_of_the_source(narrow: Splits, splits: Splits) -> None:
    for split in SPLITS:
        place = {ident: number for number, ident in enumerate(splits.read(split)["id"].to_pylist())}
        order = [place[ident] for ident in narrow.outside(split).read()["id"].to_pylist()]
        assert order == sorted(order)


def test_the_card_counts_them_and_names_their_files(narrow: Splits) -> None:
    card = narrow.card
    assert adds_up(card)
    assert card["outside"] == {split: narrow.outside(split).read().num_rows for split in SPLITS}
    assert sum(card["outside"].values()) < card["dropped"]["other label"]
    names = {*(outside_name(x) for x in SPLITS), *(f"{x}.parquet" for x in SPLITS)}
    assert set(contents(narrow.folder)) == {CARD, *names}
    assert card["files"] == {name: files.sha256(narrow.folder / name) for name in names}


def test_splits_whose_sample_is_damaged_are_refused(narrow: Splits) -> None:
    identity = {"source_sha256": narrow.card["source_sha256"]}
    check_splits(narrow.folder, identity)
    (narrow.folder / outside_name("test")).unlink()
    with pytest.raises(ShelfmarkError, match=r"outside-test\.parquet is missing"):
        check_splits(narrow.folder, identity)
    with pytest.raises(ShelfmarkError, match=r"cannot read .*outside-test\.parquet"):
        narrow.outside("test").read()


def test_where_all_labels_are_kept_there_is_no_sample(splits: Splits) -> None:
    assert "outside" not in splits.card
    assert set(contents(splits.folder)) == {CARD, *(f"{split}.parquet" for split in SPLITS)}
    for split in SPLITS:
        papers = splits.outside(split)
        assert list(papers.groups) == []
        assert papers.read().equals(SCHEMA.empty_table())
        assert papers.read(["label"]).column_names == ["label"]
    with pytest.raises(ShelfmarkError, match="no split 'valid'"):
        splits.outside("valid")


def test_where_papers_without_a_label_are_kept_there_is_no_sample(tmp_path: Path) -> None:
    words = [f"paths.data={tmp_path}", "data.options.papers=600", "data.min_papers=5",
             "data.labels=[cs.CL,cs.CV]"]  # fmt: skip
    splits = prepare_splits(load_encoder_config(words))
    assert "outside" not in splits.card
    assert all(splits.outside(split).read().num_rows == 0 for split in SPLITS)
    others = prepare_splits(load_config(words))
    assert sum(others.card["outside"].values()) > 100


def test_papers_of_labels_with_few_papers_are_outside(tmp_path: Path, settings: Settings) -> None:
    rare = [made(300 + i, "q-bio.NC") for i in range(15)] + [made(400, "q-bio.NC hep-th")]
    splits = prepare_splits(settings(write(tmp_path / "a.json", halves(200) + rare), min_papers=40))
    assert {row["id"] for row in outside_of(splits)} == {f"1501.{300 + i:05d}" for i in range(15)}
    assert splits.card["dropped"] == {"other label": 16}


def test_what_is_dropped_for_another_reason_is_not_outside(
    tmp_path: Path, settings: Settings
) -> None:
    others = [made(300 + i, "q-bio.NC") for i in range(10)]
    others[0]["abstract"] = "This paper has been withdrawn."
    others[1]["abstract"] = "Few."
    others[3] |= {"title": others[2]["title"], "abstract": others[2]["abstract"]}
    path = write(tmp_path / "a.json", halves(200) + others)
    splits = prepare_splits(settings(path, max_papers=40))
    assert splits.card["dropped"]["more than data.max_papers"] > 50
    left = {f"1501.{300 + i:05d}" for i in (2, 4, 5, 6, 7, 8, 9)}
    assert {row["id"] for row in outside_of(splits)} == left


# --- of large sources


def test_at_most_so_many_are_kept_always_the_same(
    snapshot_file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, narrow: Splits
) -> None:
    samples = [idents(outside_of(narrow))]
    for number, most in enumerate((200, 50)):
        monkeypatch.setattr(prepare, "MOST_OUTSIDE", most)
        monkeypatch.setattr(prepare, "RECIPE", 1000 + number)
        splits = prepare_splits(settings(snapshot_file, labels=KEPT))
        samples.append(idents(outside_of(splits)))
        # Those that are cross-listed under a kept label are drawn too, and then left out.
        assert 0.6 * most < len(samples[-1]) <= most
        assert rows(splits) == rows(narrow)
    assert samples[0] > samples[1] > samples[2]


def test_of_a_large_source_a_share_of_the_others_is_read(
    snapshot_file: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, narrow: Splits
) -> None:
    monkeypatch.setattr(prepare, "OUTSIDE_TEXT", snapshot_file.stat().st_size // 4)
    monkeypatch.setattr(prepare, "RECIPE", 1000)
    splits = prepare_splits(settings(snapshot_file, labels=KEPT))
    some, whole = idents(outside_of(splits)), idents(outside_of(narrow))
    assert some < whole
    assert len(some) / len(whole) == pytest.approx(0.25, abs=0.07)
    assert rows(splits) == rows(narrow)
    assert splits.card["dropped"] == narrow.card["dropped"]


def test_the_sample_is_that_of_the_identifiers(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "MOST_OUTSIDE", 20)
    others = [made(300 + i, "q-bio.NC") for i in range(60)]
    plain = prepare_splits(settings(write(tmp_path / "a.json", halves(200) + others),
                                    labels=["cs.AI", "hep-th"]))  # fmt: skip
    turned = prepare_splits(settings(write(tmp_path / "b.json", others[::-1] + halves(200)),
                                     labels=["cs.AI", "hep-th"]))  # fmt: skip
    assert idents(outside_of(plain)) == idents(outside_of(turned))
    assert len(outside_of(plain)) == 20


def test_the_bytes_are_the_same_from_several_processes(
    tmp_path: Path,
    snapshot_file: Path,
    settings: Settings,
    narrow: Splits,
    shared: None,
) -> None:
    config = settings(snapshot_file, labels=KEPT)
    paths = config.paths.model_copy(update={"data": str(tmp_path / "again")})
    again = prepare_splits(config.model_copy(update={"paths": paths}))
    assert again.folder != narrow.folder
    assert contents(again.folder) == contents(narrow.folder)


@pytest.mark.parametrize("size", [0, 10, prepare.OUTSIDE_TEXT, 4 * prepare.OUTSIDE_TEXT])
def test_the_share_of_others_that_is_spilled(tmp_path: Path, settings: Settings, size: int) -> None:
    path = tmp_path / "papers.json"
    with path.open("wb") as file:
        file.truncate(size)
    data = settings(path).data
    share = prepare._share_of_others(data, [path])
    assert share == pytest.approx(min(1, prepare.OUTSIDE_TEXT / max(size, 1)))
    keep = data.model_copy(update={"unlabelled": "keep"})
    assert prepare._share_of_others(keep, [path]) == 0


def test_a_rank_is_a_share_of_one() -> None:
    ids = np.array([0, -1, 1 << 62, -(1 << 63)], np.int64)
    assert prepare._rank_of(ids).tolist() == [0, pytest.approx(1), 0.25, 0.5]
