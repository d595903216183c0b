"""From a source to splits: what is kept, how it is labelled, and that it is whole or absent."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark import config, console, files, preprocess, sources, taxonomy
from shelfmark.errors import ShelfmarkError
from shelfmark.papers import Paper
from shelfmark.schema import Config, DataConfig
from shelfmark.sources import sample, snapshot
from shelfmark.splits import CARD, SCHEMA, SPLITS, Splits, split_of
from shelfmark.text import MATHS_MASK, plain
from tests.packing import PACKERS, zipped

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")
PAPERS = [
    paper for paper in sources.stream("sample", None, {"papers": 1500}) if isinstance(paper, Paper)
]
WORDS = " and so on" * 10

Record = dict[str, Any]


def record(paper: Paper, **changes: Any) -> Record:
    """Return a record in the layout of the Kaggle snapshot."""
    return {
        "id": paper.id,
        "title": paper.title,
        "abstract": paper.abstract,
        "categories": " ".join(paper.categories),
        "comments": paper.comments,
        "versions": [{"version": "v1", "created": created(paper.submitted)}],
        "update_date": "2024-01-01",
    } | changes


def created(day: date) -> str:
    return f"Mon, {day.day} {snapshot.NAMES[day.month - 1]} {day.year} 19:18:42 GMT"


def made(number: int, category: str = "cs.AI", **changes: Any) -> Record:
    """Return a record that no other equals and that nothing speaks against."""
    day = date(2010, 1, 1) + timedelta(days=number)
    paper = Paper(
        f"1501.{number:05d}", f"Title {number}", f"Text {number}{WORDS}", (category,), day
    )
    return record(paper, **changes)


def lines(records: list[Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in records)


def write(path: Path, records: list[Any]) -> Path:
    path.write_bytes(lines(records))
    return path


@pytest.fixture(scope="module")
def base() -> Config:
    return config.load(["data=snapshot", "data.min_papers=20"])


@pytest.fixture
def settings(base: Config, tmp_path: Path) -> Callable[..., Config]:
    """Make a configuration that writes below this test's folder, some data keys changed."""

    def make(path: Path | None, **changes: Any) -> Config:
        values = base.data.model_dump() | {"path": path and str(path)} | changes
        data = DataConfig.model_validate(values)
        paths = base.paths.model_copy(update={"data": str(tmp_path / "data")})
        return base.model_copy(update={"data": data, "paths": paths})

    return make


@pytest.fixture(scope="module")
def snapshot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "papers.json", [record(p) for p in PAPERS])


@pytest.fixture(scope="module")
def splits(base: Config, snapshot_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """The splits of the sample's papers, written as a snapshot and read back."""
    folder = tmp_path_factory.mktemp("splits")
    overrides = [f'data.path="{snapshot_file}"', f'paths.data="{folder}"', "data.min_papers=20"]
    return preprocess.prepare(config.load(["data=snapshot", *overrides]))


def rows(splits: Splits) -> list[dict[str, Any]]:
    return [row | {"split": split} for split in SPLITS for row in splits.read(split).to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def adds_up(card: dict[str, Any]) -> bool:
    counted = {split: sum(card["labels"][split].values()) for split in SPLITS}
    return (
        card["read"] == card["kept"] + sum(card["dropped"].values())
        and card["kept"] == sum(card["splits"].values())
        and counted == card["splits"]
        and all(number > 0 for number in card["dropped"].values())
    )


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


def test_the_card_tells_where_the_splits_come_from(
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
        assert (row["title"], row["abstract"]) == (plain(paper.title), plain(paper.abstract))
        assert row["text"] == f"{row['title']}\n{row['abstract']}"


def test_the_split_is_that_of_the_identifier(splits: Splits, base: Config) -> None:
    for row in rows(splits):
        assert row["split"] == split_of(base.data, row["id"], row["submitted"])


# --- cleaning and duplicates, from record to row


def test_what_a_record_becomes(tmp_path: Path, settings: Callable[..., Config]) -> None:
    records = [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(200)]
    records[0] |= {
        "id": "cmp-lg/9404001v3",
        "categories": "cmp-lg cs.AI math.MP",
        "title": "  On\n  Erd\\H{o}s and \\'Etale ",
        "abstract": f"\n  With $x^2$ {WORDS}\n",
    }
    records += [made(i, "cs.CL") for i in range(200, 260)]
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records)))
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
    kept, masked = (
        rows(preprocess.prepare(settings(path, maths=maths))) for maths in ("keep", "mask")
    )
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
    records = [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(200)]
    records[5] |= whole | {"versions": first}
    records[150] |= whole | COPIES[copy] | {"versions": last}
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records)))
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
    records = [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(200)]
    records[10]["id"], records[150]["id"] = "0704.0001v2", "arXiv:0704.0001v1"
    records[earliest]["versions"] = [{"created": created(date(2007, 4, 1))}]
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records)))
    assert prepared.card["dropped"] == {"duplicate identifier": 1}
    (row,) = [row for row in rows(prepared) if row["id"] == "0704.0001"]
    assert row["title"] == f"Title {earliest}"
    assert row["submitted"] == date(2007, 4, 1)


def test_of_copies_of_one_day_the_first_is_kept(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    records = [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(200)]
    same = {"versions": records[0]["versions"], "id": "0704.0001"}
    for place in (20, 60, 100):
        records[place] |= same
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records)))
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
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records)))
    found = [(r["id"], r["title"], r["label"], r["submitted"]) for r in rows(prepared)]
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert prepared.card["dropped"] == {
        "duplicate identifier": 9000 - len(one_an_id),
        "duplicate text": len(one_an_id) - len(wanted),
    }


# --- labels


def labels_of(splits: Splits) -> list[str]:
    return sorted({label for split in SPLITS for label in splits.card["labels"][split]})


@pytest.mark.parametrize("level", ["category", "archive", "group"])
def test_labels_at_each_level(
    snapshot_file: Path, settings: Callable[..., Config], level: taxonomy.Level
) -> None:
    prepared = preprocess.prepare(settings(snapshot_file, level=level))
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
    prepared = preprocess.prepare(settings(snapshot_file, **changes))
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
    prepared = preprocess.prepare(settings(snapshot_file, top=3))
    assert labels_of(prepared) == sorted(label for label, _ in counts.most_common(3))
    fewest = min(counts.values())
    prepared = preprocess.prepare(settings(snapshot_file, min_papers=fewest + 1))
    assert labels_of(prepared) == sorted(label for label in counts if counts[label] > fewest)


def test_equally_frequent_labels_are_chosen_by_name(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    names = ["hep-th", "cs.AI", "math.PR", "cs.CL"]
    records = [made(i, names[i % 4]) for i in range(400)]
    prepared = preprocess.prepare(settings(write(tmp_path / "a.json", records), top=2))
    assert labels_of(prepared) == ["cs.AI", "cs.CL"]
    assert prepared.card["dropped"] == {"other label": 200}


def refused(settings: Config, capsys: pytest.CaptureFixture[str]) -> str:
    """Prepare as a command does; return the one line it ends with, nothing left on the disk."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        preprocess.prepare(settings)
    assert caught.value.code == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    (line,) = told
    root = Path(settings.paths.data)
    assert not root.exists() or list(root.iterdir()) == []
    return line


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
    prepared = preprocess.prepare(settings(snapshot_file, split="time", cuts=cuts))
    days = {split: prepared.read(split)["submitted"].to_pylist() for split in SPLITS}
    assert max(days["train"]) < date(2017, 1, 1) <= min(days["validation"])
    assert max(days["validation"]) < date(2018, 7, 1) <= min(days["test"])
    assert adds_up(prepared.card)


def test_more_papers_move_no_paper(tmp_path: Path, settings: Callable[..., Config]) -> None:
    fewer = write(tmp_path / "a.json", [record(paper) for paper in PAPERS[:900]])
    more = write(tmp_path / "b.json", [record(paper) for paper in reversed(PAPERS)])
    before, after = (
        {row["id"]: row["split"] for row in rows(preprocess.prepare(settings(path)))}
        for path in (fewer, more)
    )
    common = before.keys() & after.keys()
    assert len(common) > 850
    assert all(before[ident] == after[ident] for ident in common)


# --- again, elsewhere, killed, full


def test_what_fits_is_not_written_again(
    snapshot_file: Path, settings: Callable[..., Config], tmp_path: Path
) -> None:
    first = preprocess.prepare(settings(snapshot_file))
    before = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    moved = tmp_path / "elsewhere.json"
    moved.write_bytes(snapshot_file.read_bytes())
    again = preprocess.prepare(settings(moved))
    assert again.folder == first.folder
    assert {file: file.stat().st_mtime_ns for file in first.folder.iterdir()} == before


def test_other_papers_or_settings_are_other_splits(
    snapshot_file: Path, settings: Callable[..., Config], tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(snapshot_file.read_bytes() + lines([made(1, "cs.CL")]))
    folders = [
        preprocess.prepare(settings(snapshot_file)).folder,
        preprocess.prepare(settings(other)).folder,
        preprocess.prepare(settings(snapshot_file, min_words=21)).folder,
        preprocess.prepare(settings(snapshot_file, level="group")).folder,
    ]
    assert len(set(folders)) == 4
    assert all((folder / CARD).exists() for folder in folders)


def test_a_folder_in_the_way_is_not_touched(
    snapshot_file: Path, settings: Callable[..., Config]
) -> None:
    folder = preprocess.prepare(settings(snapshot_file)).folder
    (folder / CARD).unlink()
    left = contents(folder)
    with pytest.raises(ShelfmarkError, match="exists already"):
        preprocess.prepare(settings(snapshot_file))
    assert contents(folder) == left


def test_every_run_makes_the_same_bytes(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits
) -> None:
    again = preprocess.prepare(settings(snapshot_file))
    assert again.folder != splits.folder
    assert again.folder.name == splits.folder.name
    assert contents(again.folder) == contents(splits.folder)


def test_every_packing_makes_the_same_splits(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist([record(paper) for paper in PAPERS])
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(snapshot_file.read_bytes()))
    for name in ("a.parquet", "a.json.gz"):
        packed = preprocess.prepare(settings(tmp_path / name))
        for split in SPLITS:
            assert packed.card["files"] == splits.card["files"]
            assert packed.read(split).equals(splits.read(split))


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files too are cleaned by several processes, in many chunks."""
    monkeypatch.setattr(preprocess, "WORTH_SHARING", 0)
    monkeypatch.setattr(preprocess, "CHUNK", 70)


@pytest.mark.usefixtures("shared")
def test_several_processes_make_the_same_bytes(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits
) -> None:
    assert contents(preprocess.prepare(settings(snapshot_file)).folder) == contents(splits.folder)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("damage", ["truncated", "broken"])
def test_other_processes_end_with_a_bad_file(
    snapshot_file: Path,
    settings: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    content = snapshot_file.read_bytes()
    path = tmp_path / "a.json.gz"
    if damage == "truncated":
        path.write_bytes(gzip.compress(content)[:-900])
        reason = "a.json.gz: damaged or truncated"
    else:
        path.write_bytes(gzip.compress(content[:9000] + b"spam\n" * 30 + content))
        reason = "more than data.max_bad=0.01 allows"
    assert reason in refused(settings(path), capsys)
    gc.collect()
    assert multiprocessing.active_children() == []


PREPARE = """
import sys
from shelfmark import config, console, preprocess

console.set_up("ERROR")
settings = config.Config.model_validate_json(sys.argv[1])
"""


def prepare_elsewhere(
    code: str, settings: Config, folder: Path, **environment: str
) -> subprocess.Popen[str]:
    """Start a process of its own that prepares into a folder."""
    paths = settings.paths.model_copy(update={"data": str(folder)})
    settings = settings.model_copy(update={"paths": paths})
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + code, settings.model_dump_json()],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def test_the_hash_seed_changes_no_byte(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    run = prepare_elsewhere(
        "preprocess.prepare(settings)", settings(snapshot_file), tmp_path, PYTHONHASHSEED=seed
    )
    _, stderr = run.communicate()
    assert (run.returncode, stderr) == (0, "")
    assert contents(tmp_path / splits.folder.name) == contents(splits.folder)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Papers enough that half of the work is a moment to be caught in."""
    records = [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(15_000)]
    return write(tmp_path_factory.mktemp("large") / "papers.json", records)


def kill_when(run: subprocess.Popen[str], moment: Callable[[], bool]) -> None:
    """Kill a process as soon as a moment has come; it must not have ended by itself."""
    limit = time.monotonic() + 60
    while not moment():
        assert run.poll() is None, f"ended before the moment: {run.communicate()[1]}"
        assert time.monotonic() < limit
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    # Ends only once its workers, which write to the same pipe, have ended too.
    run.communicate(timeout=30)
    assert run.returncode == -signal.SIGKILL


@POSIX
@pytest.mark.parametrize("half", ["spill.arrow", "train.parquet"])
def test_a_kill_leaves_the_old_splits_and_no_new_ones(
    large_file: Path,
    snapshot_file: Path,
    settings: Callable[..., Config],
    tmp_path: Path,
    half: str,
) -> None:
    root = tmp_path / "data"
    old = preprocess.prepare(settings(snapshot_file)).folder
    before = contents(old)
    # The first half of the work by several processes, which must not outlive their parent.
    code = "preprocess.WORTH_SHARING = 0; preprocess.CHUNK = 500\n" * (half == "spill.arrow")
    run = prepare_elsewhere(f"{code}preprocess.prepare(settings)", settings(large_file), root)

    def writing() -> bool:
        return any(file.stat().st_size > 0 for file in root.glob(f".partial-*/{half}"))

    kill_when(run, writing)
    (left,) = [path for path in root.iterdir() if path != old]
    assert left.name.startswith(f"{files.PARTIAL}{run.pid}-")
    assert not (left / CARD).exists()
    assert contents(old) == before
    new = preprocess.prepare(settings(large_file)).folder
    assert new.name == left.name.removeprefix(f"{files.PARTIAL}{run.pid}-")
    assert set(root.iterdir()) == {old, new}, "the dead process's leftover is gone"
    assert adds_up(orjson.loads((new / CARD).read_bytes()))
    assert contents(old) == before


# An audit hook sees each system call before it is made, so the moment of the kill is exact.
KILL_AT = """
import os, signal

def kill(event, arguments):
    if event == "{event}" and any("{name}" in str(argument) for argument in arguments):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
preprocess.prepare(settings)
"""


@POSIX
def test_a_kill_at_the_last_moments_leaves_no_splits(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    moments = {"os.remove": "spill.arrow", "os.rename": ".partial-"}
    runs = {
        event: prepare_elsewhere(
            KILL_AT.format(event=event, name=name), settings(snapshot_file), tmp_path / "data"
        )
        for event, name in moments.items()
    }
    for run in runs.values():
        _, stderr = run.communicate()
        assert (run.returncode, stderr) == (-signal.SIGKILL, "")
    left = {path.name for path in (tmp_path / "data").iterdir()}
    name = splits.folder.name
    assert left == {f"{files.PARTIAL}{run.pid}-{name}" for run in runs.values()}
    again = preprocess.prepare(settings(snapshot_file))
    assert contents(again.folder) == contents(splits.folder)
    assert list((tmp_path / "data").iterdir()) == [again.folder]


FULL = """
import resource
unlimited = resource.RLIM_INFINITY
for room in {rooms}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited))
    try:
        with console.one_line_errors():
            preprocess.prepare(settings)
    except SystemExit as end:
        assert end.code == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
"""


@POSIX
def test_no_room_on_the_disk_is_one_line_and_leaves_nothing(
    settings: Callable[..., Config], tmp_path: Path
) -> None:
    chance = random.Random(0)
    # Text that cannot be compressed: a split, which holds it twice, outgrows the spill.
    records = [
        made(i, "cs.AI" if i % 2 else "hep-th", abstract=chance.randbytes(300).hex(" "))
        for i in range(1500)
    ]
    path = write(tmp_path / "a.json", records)
    whole = preprocess.prepare(settings(path)).folder
    largest = (whole / "train.parquet").stat().st_size
    rooms = (0, 100_000, largest - 1)
    run = prepare_elsewhere(FULL.format(rooms=rooms), settings(path), tmp_path / "full")
    _, stderr = run.communicate()
    assert run.returncode == 0
    told = stderr.splitlines()
    assert len(told) == len(rooms)
    for line in told:
        assert line.startswith(f"error: cannot write {tmp_path / 'full' / whole.name}: ")
        assert "File too large" in line
    assert list((tmp_path / "full").iterdir()) == []


# --- bad input


GOOD = lines([made(i, "cs.AI" if i % 2 else "hep-th") for i in range(600)])
TABLE = pa.BufferOutputStream()
pq.write_table(pa.Table.from_pylist([orjson.loads(line) for line in GOOD.splitlines()]), TABLE)
PARQUET = TABLE.getvalue().to_pybytes()
CSV = "id,title,category_code,published_date,summary\n" + "".join(
    f"1501.{i:05d}v1,Title {i},{('cs.AI', 'hep-th')[i % 2]},1/{1 + i % 28}/15,Text {i}{WORDS}\n"
    for i in range(600)
)
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    **{
        f"truncated {suffix[1:]}": (
            f"a.json{suffix}",
            pack(GOOD)[:-900],
            f"a.json{suffix}: damaged or truncated",
        )
        for suffix, pack in PACKERS.items()
    },
    "zip of several": ("a.zip", zipped(GOOD, GOOD), "a.zip: holds 2 files, one is needed"),
    "zip of none": ("a.zip", zipped(), "a.zip: holds 0 files"),
    "empty file": ("a.json", b"", "data.path: "),
    "blank lines": ("a.json", b"\n\n\n", "a.json: holds no papers"),
    "broken lines": ("a.json", GOOD + b'{"id": "15\n' * 9, "a.json: line 601: broken JSON: "),
    "other format": ("a.json", PARQUET, "a.json: line "),
    "damaged Parquet": ("a.parquet", PARQUET[:9000], "a.parquet: not a readable Parquet file"),
    "JSON as Parquet": ("a.parquet", GOOD, "a.parquet: not a readable Parquet file"),
    "CSV without a column": ("a.csv", CSV.replace("summary", "spam", 1).encode(), ""),
    "truncated CSV": ("a.csv.gz", gzip.compress(CSV.encode())[:-900], "a.csv.gz: damaged or"),
    "CSV of a header": ("a.csv", CSV.splitlines()[0].encode(), "a.csv: holds no papers"),
    "CSV of JSON": ("a.csv", GOOD, "a.csv: line 1 has no column id, title, category_code, "),
}


def source_of(name: str) -> dict[str, str]:
    return {"source": "csv" if ".csv" in name else "snapshot"}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    name, content, reason = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    line = refused(settings(path, **source_of(name)), capsys)
    assert str(path) in line
    assert reason in line


BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "no object": (["spam"], "not an object but list"),
    "missing field": ({"id": "1501.00001"}, "field 'title' is missing"),
    "wrong type": (made(1, id=1501.00001), "field 'id' is float, not text"),
    "wrong type of comments": (made(1, comments=[]) | {"comments": [1]}, "'comments' is list"),
    "unknown category": (made(1, "cs.QQ"), "unknown category 'cs.QQ'"),
    "no identifier": (made(1, id="spam"), "not an arXiv identifier: 'spam'"),
    "no date": (made(1, versions=[]), "field 'versions' holds no date of the first version"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_bad_record_past_the_share_names_file_line_and_reason(
    tmp_path: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    bad, reason = BAD_RECORDS[case]
    path = tmp_path / "papers of mine.json"
    path.write_bytes(GOOD + lines([bad]))
    line = refused(settings(path, max_bad=0), capsys)
    assert line.startswith(f"error: {path}: line 601: ")
    assert reason in line
    assert line.endswith("1 of 601 records broken, more than data.max_bad=0 allows")


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_bad_record_within_the_share_is_counted_and_skipped(
    tmp_path: Path, settings: Callable[..., Config], case: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(GOOD + lines([BAD_RECORDS[case][0]]) * 6)
    prepared = preprocess.prepare(settings(path))
    assert prepared.card["dropped"] == {"broken": 6}
    assert prepared.card["kept"] == 600
    assert adds_up(prepared.card)


def test_a_whole_csv_is_prepared_like_a_snapshot(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV, encoding="utf-8")
    prepared = preprocess.prepare(settings(path, source="csv"))
    assert prepared.card["kept"] == 600
    assert labels_of(prepared) == ["cs.AI", "hep-th"]
    assert prepared.card["submitted"] == {"first": "2015-01-01", "last": "2015-01-28"}


def test_a_path_that_is_not_there_a_folder_or_not_given(
    tmp_path: Path, settings: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = tmp_path / "nothing.json"
    assert refused(settings(nothing), capsys) == f"error: data.path: there is no file {nothing}"
    assert refused(settings(tmp_path), capsys).endswith("is a folder, a file is needed")
    assert "data.path is not set" in refused(settings(None), capsys)


def test_a_data_folder_that_cannot_be(
    tmp_path: Path, snapshot_file: Path, settings: Callable[..., Config]
) -> None:
    (tmp_path / "data").write_text("a file in the folder's place")
    with pytest.raises(ShelfmarkError, match="cannot write"):
        preprocess.prepare(settings(snapshot_file))
    assert (tmp_path / "data").read_text() == "a file in the folder's place"


INTERRUPTED = """
from shelfmark.sources.sample import paper, records as made

SYNTHETIC = False

def records(path):
    yield from made(None, 5000)
    raise KeyboardInterrupt
"""


def test_an_interruption_leaves_nothing(
    tmp_path: Path,
    snapshot_file: Path,
    settings: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        preprocess.prepare(settings(snapshot_file, source="interrupted"))
    assert list((tmp_path / "data").iterdir()) == []


def test_made_up_papers_are_warned_of(tmp_path: Path, base: Config, log: Callable[[], str]) -> None:
    overrides = ["data.options.papers=600", "data.min_papers=5", f'paths.data="{tmp_path}"']
    prepared = preprocess.prepare(config.load(overrides))
    assert "WARNING source sample: synthetic papers" in log()
    assert prepared.card["synthetic"] is True
    assert prepared.card["read"] == 600
