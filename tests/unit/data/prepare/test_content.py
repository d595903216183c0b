"""The papers kept of a source, their labels and splits, and the data card."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.text import MATHS_MASK, clean_text
from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.sources import sample
from shelfmark.data.splits import CARD, SCHEMA, SPLITS, Splits, assign_split
from tests.support.prepared import PAPERS, adds_up, contents, labels_of, refused, rows
from tests.support.records import WORDS, created, halves, made, record, write

# --- what is written


def test_the_folder_holds_the_splits_and_their_card(splits: Splits) -> None:
    assert set(contents(splits.folder)) == {CARD, *(f"{split}.parquet" for split in SPLITS)}
    assert splits.folder.name.startswith("snapshot-")
    assert [path.name for path in splits.folder.parent.iterdir()] == [splits.folder.name]


def test_the_card_counts_every_record(splits: Splits) -> None:
    card = splits.card
    assert adds_up(card)
    assert card["read"] == 1500
    reasons = {"withdrawn", "not English", "too short", "duplicate identifier", "duplicate text"}
    assert set(card["dropped"]) == reasons
    for split in SPLITS:
        labels = Counter(splits.read(split)["label"].to_pylist())
        assert card["labels"][split] == labels
        assert list(card["labels"][split]) == sorted(labels)


def test_the_card_names_the_origin_of_the_splits(
    splits: Splits, snapshot_file: Path, base: Config
) -> None:
    card = splits.card
    assert card["source"] == "snapshot"
    assert card["synthetic"] is False
    assert card["source_sha256"] == files.sha256(snapshot_file)
    assert card["config"] == base.data.model_dump(mode="json", exclude={"path"})
    assert card["schema"] == {field.name: str(field.type) for field in SCHEMA}
    assert card["files"] == {
        f"{split}.parquet": files.sha256(splits.folder / f"{split}.parquet") for split in SPLITS
    }
    days = [row["submitted"] for row in rows(splits)]
    assert card["submitted"] == {"first": str(min(days)), "last": str(max(days))}


def test_the_card_names_no_place_and_no_hour(splits: Splits, snapshot_file: Path) -> None:
    text = (splits.folder / CARD).read_text()
    assert str(snapshot_file) not in text
    assert str(splits.folder.parent) not in text
    assert str(date.today().year) not in text


def test_splits_have_one_schema_and_zstd(splits: Splits) -> None:
    for split in SPLITS:
        with pq.ParquetFile(splits.folder / f"{split}.parquet") as file:
            assert file.schema_arrow.equals(SCHEMA)
            group = file.metadata.row_group(0)
            codecs = {group.column(i).compression for i in range(group.num_columns)}
            assert codecs == {"ZSTD"}


def test_rows_keep_the_order_of_the_source(splits: Splits) -> None:
    place = {paper.id: number for number, paper in enumerate(PAPERS)}
    for split in SPLITS:
        order = [place[ident] for ident in splits.read(split)["id"].to_pylist()]
        assert order == sorted(order)


def test_rows_hold_the_papers_they_were(splits: Splits) -> None:
    source = {(paper.id, paper.submitted): paper for paper in PAPERS}
    for row in rows(splits):
        paper = source[row["id"], row["submitted"]]
        assert tuple(row["categories"]) == paper.categories
        assert row["label"] == paper.categories[0]
        assert (row["title"], row["abstract"]) == (
            clean_text(paper.title),
            clean_text(paper.abstract),
        )
        assert row["text"] == f"{row['title']}\n{row['abstract']}"


def test_the_split_is_that_of_the_identifier(splits: Splits, base: Config) -> None:
    for row in rows(splits):
        assert row["split"] == assign_split(base.data, row["id"], row["submitted"])


# --- cleaning and duplicates, from record to row


def test_what_a_record_becomes(tmp_path: Path, settings: Callable[..., Config]) -> None:
    records = halves(200)
    records[0] |= {
        "id": "cmp-lg/9404001v3",
        "categories": "cmp-lg cs.AI math.MP",
        "title": "  On\n  Erd\\H{o}s and \\'Etale ",
        "abstract": f"\n  With $x^2$ {WORDS}\n",
    }
    records += [made(i, "cs.CL") for i in range(200, 260)]
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    (row,) = [row for row in rows(prepared) if row["id"] == "cmp-lg/9404001"]
    assert row["label"] == "cs.CL"
    assert row["categories"] == ["cs.CL", "cs.AI", "math-ph"]
    assert row["title"] == "On Erdős and Étale"
    assert row["abstract"].startswith("With $x^2$ and so on")
    assert row["submitted"] == date(2010, 1, 1)


def test_masked_maths_is_masked_in_the_text_alone(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    records = [
        made(i, "cs.AI" if i % 2 else "hep-th", abstract=f"The $x_{{{i}}}$ {WORDS} {i}")
        for i in range(200)
    ]
    path = write(tmp_path / "a.json", records)
    kept, masked = (rows(prepare_splits(settings(path, maths=maths))) for maths in ("keep", "mask"))
    assert len(kept) == len(masked) == 200
    for one, other in zip(kept, masked, strict=True):
        assert one["abstract"] == other["abstract"]
        assert "$x_{" in one["text"]
        assert "$" not in other["text"]
        assert MATHS_MASK in other["text"].split()


COPIES = {
    "same text": {},
    "other case": {"title": "A NEW TITLE", "abstract": f"AN ABSTRACT{WORDS.upper()}"},
    "other breaks": {"title": " A new\n  title ", "abstract": f"An\nabstract {WORDS}\n"},
    "other signs": {"title": "A new title.", "abstract": f"An abstract: {WORDS}!"},
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("earliest", ["first", "last"])
def test_a_text_that_comes_twice_is_kept_once_the_earliest(
    tmp_path: Path, settings: Callable[..., Config], copy: str, earliest: str
) -> None:
    whole = {"title": "A new title", "abstract": f"An abstract{WORDS}"}
    old, new = ([{"created": created(date(year, 5, 1))}] for year in (2009, 2019))
    first, last = (old, new) if earliest == "first" else (new, old)
    records = halves(200)
    records[5] |= whole | {"versions": first}
    records[150] |= whole | COPIES[copy] | {"versions": last}
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    assert prepared.card["dropped"] == {"duplicate text": 1}
    assert adds_up(prepared.card)
    ids = {row["id"] for row in rows(prepared)}
    kept, lost = (5, 150) if earliest == "first" else (150, 5)
    assert f"1501.{kept:05d}" in ids
    assert f"1501.{lost:05d}" not in ids


@pytest.mark.parametrize("earliest", [10, 150])
def test_an_identifier_that_comes_twice_is_kept_once_the_earliest(
    tmp_path: Path, settings: Callable[..., Config], earliest: int
) -> None:
    records = halves(200)
    records[10]["id"], records[150]["id"] = "0704.0001", "arXiv:0704.0001v1"
    records[earliest]["versions"] = [{"version": "v1", "created": created(date(2007, 4, 1))}]
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    assert prepared.card["dropped"] == {"duplicate identifier": 1}
    (row,) = [row for row in rows(prepared) if row["id"] == "0704.0001"]
    assert row["title"] == f"Title {earliest}"
    assert row["submitted"] == date(2007, 4, 1)


def test_one_paper_under_many_spellings_lies_in_one_split(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    plain = [one | {"id": f"math/0211{i:03d}"} for i, one in enumerate(halves(200))]
    forms = (
        "math.AG/{}v2",
        "MATH/{}",
        "arXiv:math/{}v3",
        "math-{}",
        "https://arxiv.org/abs/math/{}",
    )
    again = [
        made(1000 + i, one["categories"]) | {"id": forms[i % len(forms)].format(one["id"][5:])}
        for i, one in enumerate(plain)
    ]
    alone = prepare_splits(settings(write(tmp_path / "a.json", plain)))
    both = prepare_splits(settings(write(tmp_path / "b.json", plain + again)))
    assert both.card["dropped"] == {"duplicate identifier": 200}
    places = [{row["id"]: row["split"] for row in rows(splits)} for splits in (alone, both)]
    assert places[0] == places[1], "no paper has moved"
    newer = {f"math/0211{i:03d}" for i in range(200) if i % len(forms) in (0, 2)}
    assert {row["id"] for row in rows(both) if int(row["title"].split()[1]) >= 1000} == newer


def test_of_copies_of_one_day_the_first_is_kept(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    records = halves(200)
    same = {"versions": records[0]["versions"], "id": "0704.0001"}
    for place in (20, 60, 100):
        records[place] |= same
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    assert prepared.card["dropped"] == {"duplicate identifier": 2}
    assert [row["title"] for row in rows(prepared) if row["id"] == "0704.0001"] == ["Title 20"]


def test_many_copies_are_decided_as_by_hand(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    chance = random.Random(5)
    records = []
    for number in range(9000):  # more than two batches
        day = date(2010, 1, 1) + timedelta(days=chance.randrange(300))
        text = chance.randrange(6000)
        records.append(
            made(
                number,
                chance.choice(["cs.AI", "hep-th"]),
                id=f"1501.{chance.randrange(6000):05d}",
                title=f"Title {text}",
                abstract=f"Text {text}{WORDS}",
                versions=[{"created": created(day)}],
            )
            | {"day": day, "text": text}
        )
    ids: set[str] = set()
    one_an_id = []
    for one in sorted(records, key=lambda one: one["day"]):
        if one["id"] not in ids:
            ids.add(one["id"])
            one_an_id.append(one)
    texts: set[int] = set()
    wanted = set()
    for one in one_an_id:
        if one["text"] not in texts:
            texts.add(one["text"])
            wanted.add((one["id"], one["title"], one["categories"], one["day"]))
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    result = [(r["id"], r["title"], r["label"], r["submitted"]) for r in rows(prepared)]
    assert len(result) == len(set(result))
    assert set(result) == wanted
    assert prepared.card["dropped"] == {
        "duplicate identifier": 9000 - len(one_an_id),
        "duplicate text": len(one_an_id) - len(wanted),
    }


# --- labels


@pytest.mark.parametrize("level", ["category", "archive", "group"])
def test_labels_at_each_level(
    snapshot_file: Path, settings: Callable[..., Config], level: taxonomy.Level
) -> None:
    prepared = prepare_splits(settings(snapshot_file, level=level))
    for row in rows(prepared):
        assert row["label"] == taxonomy.label_at(row["categories"][0], level)
    assert labels_of(prepared) == sorted({taxonomy.label_at(c, level) for c in sample.WORDS})
    assert adds_up(prepared.card)


CHOICES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a list": ({"labels": ["stat.ML", "cs.CL", "cs.RO"]}, ["cs.CL", "cs.RO", "stat.ML"]),
    "a name twice": ({"labels": ["cs.CL", "cs.CL", "cs.RO"], "top": 2}, ["cs.CL", "cs.RO"]),
    "archives": ({"level": "archive", "labels": ["math", "quant-ph"]}, ["math", "quant-ph"]),
    "groups": ({"level": "group", "labels": ["cs", "physics"]}, ["cs", "physics"]),
}


@pytest.mark.parametrize("name", CHOICES)
def test_only_listed_labels_are_kept(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, name: str
) -> None:
    changes, wanted = CHOICES[name]
    prepared = prepare_splits(settings(snapshot_file, **changes))
    assert labels_of(prepared) == wanted
    assert adds_up(prepared.card)
    assert prepared.card["dropped"]["other label"] == splits.card["kept"] - prepared.card["kept"]
    neighbours = {other for row in rows(prepared) for other in row["categories"][1:]}
    assert neighbours - set(wanted), "cross-lists are kept whatever the labels"


def test_the_most_frequent_labels(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits
) -> None:
    counts: Counter[str] = Counter()
    for split in SPLITS:
        counts.update(splits.card["labels"][split])
    prepared = prepare_splits(settings(snapshot_file, top=3))
    assert labels_of(prepared) == sorted(label for label, _ in counts.most_common(3))
    fewest = min(counts.values())
    prepared = prepare_splits(settings(snapshot_file, min_papers=fewest + 1))
    assert labels_of(prepared) == sorted(label for label in counts if counts[label] > fewest)


def test_equally_frequent_labels_are_chosen_by_name(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    names = ["hep-th", "cs.AI", "math.PR", "cs.CL"]
    records = [made(i, names[i % 4]) for i in range(400)]
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records), top=2))
    assert labels_of(prepared) == ["cs.AI", "cs.CL"]
    assert prepared.card["dropped"] == {"other label": 200}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ["cs.CL", "hep-th"]}, "data.labels: hep-th has 0 papers, fewer than"),
        ({"min_papers": 1400}, "0 labels have data.min_papers=1400 papers, two are needed"),
        (
            {"min_papers": 100, "labels": ["cs.CL", "astro-ph.GA"]},
            "data.labels: astro-ph.GA has",
        ),
        (
            {"split": "time", "cuts": {"validation": "1995-01-01", "test": "1996-01-01"}},
            "no paper falls in the train split: change data.fractions or data.cuts",
        ),
        (
            {"split": "time", "cuts": {"validation": "2018-01-01", "test": "2025-01-01"}},
            "no paper falls in the test split",
        ),
    ],
)
def test_choices_that_leave_nothing(
    snapshot_file: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    reason: str,
) -> None:
    assert reason in refused(settings(snapshot_file, **changes), capsys)


def test_a_source_of_withdrawn_papers_leaves_nothing(
    tmp_path: Path, settings: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.json", [made(i, comments="Withdrawn") for i in range(50)])
    assert "0 labels have data.min_papers=20" in refused(settings(path), capsys)


# --- splits


def test_a_split_by_time(snapshot_file: Path, settings: Callable[..., Config]) -> None:
    cuts = {"validation": "2017-01-01", "test": "2018-07-01"}
    prepared = prepare_splits(settings(snapshot_file, split="time", cuts=cuts))
    days = {split: prepared.read(split)["submitted"].to_pylist() for split in SPLITS}
    assert max(days["train"]) < date(2017, 1, 1) <= min(days["validation"])
    assert max(days["validation"]) < date(2018, 7, 1) <= min(days["test"])
    assert adds_up(prepared.card)


def test_more_papers_move_no_paper(tmp_path: Path, settings: Callable[..., Config]) -> None:
    fewer = write(tmp_path / "a.json", [record(paper) for paper in PAPERS[:900]])
    more = write(tmp_path / "b.json", [record(paper) for paper in reversed(PAPERS)])
    before, after = (
        {row["id"]: row["split"] for row in rows(prepare_splits(settings(path)))}
        for path in (fewer, more)
    )
    common = before.keys() & after.keys()
    assert len(common) > 850
    assert all(before[ident] == after[ident] for ident in common)


def test_made_up_papers_are_warned_of(tmp_path: Path, base: Config, log: Callable[[], str]) -> None:
    overrides = ["data.options.papers=600", "data.min_papers=5", f'paths.data="{tmp_path}"']
    prepared = prepare_splits(load_config(overrides))
    assert "WARNING source sample: synthetic papers" in log()
    assert prepared.card["synthetic"] is True
    assert prepared.card["read"] == 600


NEW_CATEGORIES = [
    *halves(120),
    *(made(200 + i, ("cs.NW cs.AI", "bio.AB")[i % 2]) for i in range(80)),
    *(made(300 + i, "cs.AI cs.NW bio.AB") for i in range(10)),
]


def test_a_new_category_is_kept_named_once_and_counted(
    tmp_path: Path, settings: Callable[..., Config], log: Callable[[], str]
) -> None:
    prepared = prepare_splits(settings(write(tmp_path / "a.json", NEW_CATEGORIES), min_papers=40))
    assert labels_of(prepared) == ["bio.AB", "cs.AI", "cs.NW", "hep-th"]
    assert prepared.card["dropped"] == {}
    assert prepared.card["unlisted_categories"] == {
        "bio.AB": {"first": "1501.00201", "papers": 50},
        "cs.NW": {"first": "1501.00200", "papers": 50},
    }
    warnings = [x for x in log().splitlines() if "not in the taxonomy" in x]
    assert len(warnings) == 2
    assert "category cs.NW of 1501.00200" in warnings[0]
    assert "in 50 papers" in warnings[0]


def test_a_category_that_the_configuration_names_is_no_news(
    tmp_path: Path, settings: Callable[..., Config], log: Callable[[], str]
) -> None:
    path = write(tmp_path / "a.json", NEW_CATEGORIES)
    added = {"cs.NW": "Networked Worlds", "bio.AB": "Biology"}
    prepared = prepare_splits(settings(path, min_papers=40, categories=added))
    assert "unlisted_categories" not in prepared.card
    assert prepared.card["config"]["categories"] == added
    assert "not in the taxonomy" not in log()


def test_of_many_new_categories_some_are_named_and_all_are_in_the_card(
    tmp_path: Path, settings: Callable[..., Config], log: Callable[[], str]
) -> None:
    added = [made(500 + i, f"cs.AI cs.Q{chr(65 + i)}") for i in range(13)]
    prepared = prepare_splits(settings(write(tmp_path / "a.json", halves(200) + added)))
    assert len(prepared.card["unlisted_categories"]) == 13
    assert log().count("is not in the taxonomy") == 10
    assert "and 3 more such categories" in log()


@pytest.mark.parametrize("level", ["archive", "group"])
def test_an_unknown_archive_is_left_out_for_its_own_reason(
    tmp_path: Path, settings: Callable[..., Config], level: str
) -> None:
    path = write(tmp_path / "a.json", NEW_CATEGORIES)
    prepared = prepare_splits(settings(path, min_papers=40, level=level))
    assert prepared.card["dropped"] == {"unknown archive": 40}
    assert labels_of(prepared) == ["cs", "hep-th" if level == "archive" else "physics"]
    assert adds_up(prepared.card)


def test_the_data_card_names_the_cleaning_of_texts(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    records = halves(200)
    records[7] |= {"abstract": records[7]["abstract"].replace("and", "a\u00adn\u200bd")}
    prepared = prepare_splits(settings(write(tmp_path / "a.json", records)))
    assert any("soft hyphens" in step for step in prepared.card["text_cleaning"])
    (row,) = [row for row in rows(prepared) if row["id"] == records[7]["id"]]
    assert row["text"].isascii()
