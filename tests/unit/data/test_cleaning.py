"""Cleaning: every record is counted, kept or left out for a reason, and bad files stop the run."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv.papers import BrokenRecord
from shelfmark.config.load import load_config
from shelfmark.config.schema import DataConfig
from shelfmark.data import cleaning, sources
from shelfmark.data.cleaning import (
    KEYS,
    MIN_READ,
    CleanedChunk,
    Reason,
    RecordCounts,
    reason_names,
)
from shelfmark.data.splits import SPLITS, assign_split, schema_of
from shelfmark.errors import ShelfmarkError

WORDS = "one two three four five six seven eight nine ten " * 2
IDS = itertools.count()
CLEANED = pa.schema([field for field in schema_of(authors=False) if field.name != "label"])
NO_ROWS = pa.record_batch([()] * len(CLEANED), schema=CLEANED)


class Counts(NamedTuple):
    read: int
    dropped: Counter[str]


@pytest.fixture(scope="module")
def data() -> DataConfig:
    return load_config(["data=snapshot"]).data


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": f"1501.{next(IDS):05d}",
        "title": "A title",
        "abstract": WORDS,
        "categories": "cs.AI",
        "comments": "5 pages",
        "versions": [{"created": "Mon, 5 Jan 2015 10:00:00 GMT"}],
    } | changes


def read(data: DataConfig, path: Path) -> tuple[list[tuple[Any, ...]], Counts]:
    """Return the rows of a file as (id, title, abstract, categories, submitted)."""
    ledger = RecordCounts(data.max_bad, [str(path)])
    records = sources.read_records(data.source, path, data.options)
    chunk = cleaning.clean_records(data, list(records))
    ledger.add(chunk)
    ledger.close()
    rows = chunk.rows.to_pylist()
    dropped = dropped_of(data, chunk)
    if chunk.broken:
        dropped["broken"] = ledger.broken[0]
    names = ("id", "title", "abstract", "categories", "submitted")
    return [
        tuple(tuple(row[n]) if n == "categories" else row[n] for n in names) for row in rows
    ], Counts(ledger.read[0], dropped)


def dropped_of(data: DataConfig, chunk: CleanedChunk) -> Counter[str]:
    names = reason_names(data)
    reasons = [Reason(number) for number in chunk.keys["reason"]]
    return Counter(names[reason] for reason in reasons if reason is not Reason.KEPT)


def clean(
    tmp_path: Path, data: DataConfig, records: list[Any], **changes: Any
) -> tuple[list[tuple[Any, ...]], Counts]:
    path = tmp_path / "papers.json"
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in records))
    return read(DataConfig.model_validate(data.model_dump() | changes), path)


def test_a_good_record_becomes_a_row_of_plain_text(tmp_path: Path, data: DataConfig) -> None:
    one = record(
        id="cmp-lg/9404001v3",
        title="  On Erd\\H{o}s\n  numbers ",
        abstract=f"  With $x_{{i}}$ and\n  {WORDS}\n",
        categories="cmp-lg math.MP cs.CL",
    )
    rows, ledger = clean(tmp_path, data, [one])
    abstract = f"With $x_{{i}}$ and {WORDS.strip()}"
    day = date(2015, 1, 5)
    assert rows == [("cmp-lg/9404001", "On Erdős numbers", abstract, ("cs.CL", "math-ph"), day)]
    assert ledger.read == 1
    assert not ledger.dropped


REASONS = {
    "withdrawn": [
        {"abstract": "This paper has been withdrawn by the author."},
        {"comments": "Withdrawn"},
        {"abstract": f"{WORDS} This paper has been\n withdrawn."},
    ],
    "not English": [{"comments": "24 pages, in French"}, {"comments": "In Russian"}],
    "too short": [{"abstract": "See the title."}, {"abstract": ""}, {"abstract": " \n "}],
    "no category": [{"categories": "astro-ph"}, {"categories": "cond-mat cs.AI"}],
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_paper_is_left_out_for_a_reason(tmp_path: Path, data: DataConfig, reason: str) -> None:
    cases = REASONS[reason]
    records = [record(), *(record(**case) for case in cases), record()]
    rows, ledger = clean(tmp_path, data, records)
    assert [row[0] for row in rows] == [records[0]["id"], records[-1]["id"]]
    assert ledger.dropped == {reason: len(cases)}


def test_every_record_is_counted_once(tmp_path: Path, data: DataConfig) -> None:
    cases = [case for cases in REASONS.values() for case in cases]
    # Several reasons at once: still one count.
    cases.append({"comments": "Withdrawn. In French", "abstract": "", "categories": "astro-ph"})
    records = [record(**case) for case in cases] + [record() for _ in range(2000)]
    rows, ledger = clean(tmp_path, data, [*records, {"id": "broken"}])
    assert ledger.read == len(records) + 1
    assert ledger.dropped["broken"] == 1
    assert len(rows) + ledger.dropped.total() == ledger.read


@pytest.mark.parametrize(
    ("least", "kept"), [(0, [0, 1, 2, 3, 4]), (1, [1, 2, 3, 4]), (3, [3, 4]), (5, [])]
)
def test_the_least_number_of_words(
    tmp_path: Path, data: DataConfig, least: int, kept: list[int]
) -> None:
    records = [record(abstract=" \n ".join(["word"] * number)) for number in range(5)]
    rows, ledger = clean(tmp_path, data, records, min_words=least)
    assert [len(row[2].split()) for row in rows] == kept
    assert ledger.dropped["too short"] == 5 - len(kept)


@pytest.mark.parametrize(("level", "kept"), [("category", 1), ("archive", 2), ("group", 2)])
def test_a_bare_archive_is_label_enough_for_a_coarser_level(
    tmp_path: Path, data: DataConfig, level: str, kept: int
) -> None:
    records = [record(categories="astro-ph"), record(categories="hep-th")]
    rows, ledger = clean(tmp_path, data, records, level=level)
    assert len(rows) == kept
    assert ledger.dropped == ({"no category": 1} if level == "category" else {})


def test_broken_records_are_skipped_and_reported(
    tmp_path: Path, data: DataConfig, log: Callable[[], str]
) -> None:
    records: list[Any] = [record() for _ in range(1000)]
    records[400] = record(categories="spam")
    records[700] = ["no object"]
    rows, ledger = clean(tmp_path, data, records)
    assert len(rows) == 998
    assert ledger.dropped == {"broken": 2}
    (warning,) = [line for line in log().splitlines() if line.startswith("WARNING")]
    assert "line 401: unknown category 'spam'; 2 of 1000 records broken, skipped" in warning
    assert f"DEBUG {tmp_path / 'papers.json'}: line 401: unknown category 'spam'" in log()


def test_a_good_file_is_not_warned_of(
    tmp_path: Path, data: DataConfig, log: Callable[[], str]
) -> None:
    clean(tmp_path, data, [record()])
    assert log() == ""


@pytest.mark.parametrize("content", ["\n\n", " \n"])
def test_a_file_of_nothing(tmp_path: Path, data: DataConfig, content: str) -> None:
    path = tmp_path / "papers.json"
    path.write_text(content)
    with pytest.raises(ShelfmarkError) as caught:
        read(data, path)
    assert str(caught.value) == f"{path}: holds no papers"


def numbered(records: list[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(records, 1))


def test_records_in_pieces_are_cleaned_as_in_one(data: DataConfig) -> None:
    cases = [case for cases in REASONS.values() for case in cases]
    whole = numbered([record(**case) for case in [*cases, {}, {"id": "x"}, {}] * 3])
    one = cleaning.clean_records(data, whole)
    pieces = [cleaning.clean_records(data, whole[at : at + 7]) for at in range(0, len(whole), 7)]
    joined = pa.Table.from_batches([piece.rows for piece in pieces])
    assert joined.equals(pa.Table.from_batches([one.rows]))
    assert joined.num_rows == 6
    for name in set(KEYS) - {"primary"}:
        numbers = np.concatenate([piece.keys[name] for piece in pieces])
        assert numbers.tolist() == one.keys[name].tolist()
    assert [bad for piece in pieces for bad in piece.broken] == one.broken
    assert [whole[bad.line - 1][1]["id"] for bad in one.broken] == ["x", "x", "x"]
    assert sum(piece.read for piece in pieces) == one.read == len(whole)


def test_numbers_stand_for_the_rows(data: DataConfig) -> None:
    records = [
        record(id="1501.00001v1", title="A Title!", categories="hep-th"),
        record(id="1501.00001v2", title="another", categories="cs.AI"),
        record(id="1501.00002", title="a  title", categories="hep-th"),
    ]
    chunk = cleaning.clean_records(data, numbered(records))
    ids, texts = chunk.keys["id"].tolist(), chunk.keys["text"].tolist()
    assert ids[0] == ids[1] != ids[2]
    assert texts[0] == texts[2] != texts[1]
    primaries = [chunk.categories[place] for place in chunk.keys["primary"]]
    assert primaries == ["hep-th", "cs.AI", "hep-th"]
    day = date(2015, 1, 5)
    assert set(chunk.keys["day"].tolist()) == {day.toordinal()}
    places = [assign_split(data, name, day) for name in chunk.rows["id"].to_pylist()]
    assert [SPLITS[place] for place in chunk.keys["split"]] == places


def test_a_chunk_of_which_nothing_is_kept(data: DataConfig) -> None:
    chunk = cleaning.clean_records(data, numbered([record(comments="Withdrawn")]))
    assert chunk.rows.schema.equals(CLEANED)
    assert chunk.rows.num_rows == 0
    assert {name: column.dtype for name, column in chunk.keys.items()} == KEYS
    assert chunk.keys["reason"].tolist() == [Reason.WITHDRAWN]


@given(st.text(), st.text())
def test_signs_and_blanks_make_no_other_text(title: str, abstract: str) -> None:
    one = cleaning.text_key(title, abstract)
    assert cleaning.text_key(f" {title.replace(' ', ' - ')}!", f"({abstract})\n") == one
    assert cleaning.text_key(title.casefold(), abstract.casefold()) == one
    assert cleaning.text_key(title, f"{abstract}x") != one


def run_ledger(
    max_bad: float, broken: list[bool], size: int = 1
) -> tuple[RecordCounts, str | None]:
    """Feed a ledger like a file would, in chunks; return it and what it stopped with."""
    ledger = RecordCounts(max_bad, ["a.json"])
    try:
        for start in range(0, len(broken), size):
            part = broken[start : start + size]
            result = [BrokenRecord(start + line, "why") for line, bad in enumerate(part, 1) if bad]
            ledger.add(CleanedChunk(len(part), NO_ROWS, {}, [], result))
        ledger.close()
    except ShelfmarkError as error:
        return ledger, str(error)
    return ledger, None


@given(
    st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]),
    st.integers(1, 3000),
    st.lists(st.integers(0, 2999), max_size=60),
    st.sampled_from([1, 100, 2048]),
)
def test_a_run_goes_on_if_and_only_if_the_share_is_allowed(
    max_bad: float, number: int, places: list[int], size: int
) -> None:
    broken = [False] * number
    for place in places:
        broken[place % number] = True
    ledger, stopped = run_ledger(max_bad, broken, size)
    if sum(broken) > max_bad * number:
        assert stopped is not None
        assert stopped.startswith("a.json: line ")
    if stopped is None:
        assert ledger.broken == [sum(broken)]
        assert sum(broken) <= max_bad * ledger.read[0]
    else:
        # It may stop before the end only where the share is past what was read so far.
        assert ledger.broken[0] > max_bad * min(ledger.read[0], number)


def test_an_early_broken_record_does_not_stop_a_good_file() -> None:
    assert run_ledger(0.01, [True] * 10 + [False] * 990)[1] is None
    assert run_ledger(0.01, [True] * 10 + [False] * 989)[1] is not None


def test_a_hopeless_file_is_not_read_to_its_end() -> None:
    ledger, stopped = run_ledger(0.01, [True] * 1_000_000)
    assert ledger.read == [MIN_READ * 0.01 + 1]
    assert stopped == (
        "a.json: line 1: why; 11 of 11 records broken, more than data.max_bad=0.01 allows"
    )


def test_none_may_be_broken() -> None:
    ledger, stopped = run_ledger(0, [False, True, False])
    assert ledger.read == [2]
    assert stopped == "a.json: line 2: why; 1 of 2 records broken, more than data.max_bad=0 allows"


def test_all_may_be_broken() -> None:
    ledger, stopped = run_ledger(1, [True] * 50)
    assert stopped is None
    assert ledger.broken == [50]
