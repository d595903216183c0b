"""The snapshot: every packing of Kaggle's layout reads the same, and a bad record has a reason."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import BadRecordError, BrokenRecord, Paper
from shelfmark.data import sources
from shelfmark.data.sources import snapshot
from shelfmark.errors import ShelfmarkError
from tests.support.packing import PACKERS
from tests.support.records import lines, record

PAPERS = [
    replace(paper, version=1, updated=date(2024, 1, 1))  # as `record` writes them
    for paper in sources.read_papers("sample", None, {"papers": 300})
    if isinstance(paper, Paper)
]


def read(path: Path) -> list[Paper | BrokenRecord]:
    return list(sources.read_papers("snapshot", path, {}))


@pytest.mark.parametrize(
    "name", ["plain.json", "noname", "a.zip", *(f"a.json{suffix}" for suffix in PACKERS)]
)
def test_every_packing_reads_the_same_papers(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pack = PACKERS.get(path.suffix, bytes)
    path.write_bytes(pack(lines([record(paper) for paper in PAPERS])))
    assert read(path) == PAPERS


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_a_parquet_reads_the_same_papers(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_pylist([record(paper) for paper in PAPERS])
    pq.write_table(table, path, compression=compression, row_group_size=70)
    assert read(path) == PAPERS


def test_a_parquet_may_hold_only_the_fields_that_are_read(tmp_path: Path) -> None:
    few = [record(paper, comments=...) for paper in PAPERS]
    wanted = ("id", "title", "abstract", "categories", "versions")
    few = [{name: one[name] for name in wanted} for one in few]
    pq.write_table(pa.Table.from_pylist(few), tmp_path / "a.parquet")
    assert [paper.id for paper in read(tmp_path / "a.parquet")] == [paper.id for paper in PAPERS]


def test_a_file_is_streamed(tmp_path: Path) -> None:
    """The damage at the end does not keep the papers before it from coming."""
    whole = gzip.compress(lines([record(paper) for paper in PAPERS]))
    (tmp_path / "a.json.gz").write_bytes(whole[:-2000])
    papers = sources.read_papers("snapshot", tmp_path / "a.json.gz", {})
    assert next(papers) == PAPERS[0]
    with pytest.raises(ShelfmarkError, match="damaged or truncated"):
        list(papers)


def test_the_first_version_gives_the_day_and_not_the_last_change() -> None:
    versions = [
        {"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"},
        {"version": "v2", "created": "Tue, 24 Jul 2018 20:10:27 GMT"},
    ]
    paper = snapshot.parse_paper(record(PAPERS[0], versions=versions, update_date="2018-07-24"))
    assert paper.submitted == date(2007, 4, 2)


VERSIONS: dict[str, tuple[dict[str, Any], int]] = {
    "of the list": ({"versions": ["v1", "v2", "v11"]}, 11),
    "of a list in no order": ({"versions": ["v3", "v1"]}, 3),
    "of the identifier": ({"id": "0704.0001v4", "versions": [None]}, 4),
    "of the identifier where it is higher": ({"id": "0704.0001V4", "versions": ["v1"]}, 4),
    "of the list where it is higher": ({"id": "math/0309136v2", "versions": ["v1", "v3"]}, 3),
    "unknown": ({"versions": [None]}, 0),
    "of another form": ({"versions": ["final", 7, "v" + "9" * 5000]}, 0),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_the_version_is_the_highest_that_a_record_names(case: str) -> None:
    changes, version = VERSIONS[case]
    day = "Mon, 2 Apr 2007 19:18:42 GMT"
    versions = [{"version": name, "created": day} for name in changes["versions"]]
    paper = snapshot.parse_paper(record(PAPERS[0], **changes | {"versions": versions}))
    assert paper.version == version


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2018-07-24", date(2018, 7, 24)),
        (date(2018, 7, 24), date(2018, 7, 24)),
        (datetime(2018, 7, 24, 12), date(2018, 7, 24)),
        ("2018-07-24T12:00:00Z", date(2018, 7, 24)),
        (..., None),
        ("Mon, 8 Jan 24 10:00:00 GMT", date(2024, 1, 8)),
        (None, None),
        ("soon", None),
        (2018, None),
    ],
    ids=repr,
)
def test_the_last_change_is_the_update_date(value: Any, day: date | None) -> None:
    assert snapshot.parse_paper(record(PAPERS[0], update_date=value)).updated == day


@pytest.mark.parametrize("month", range(1, 13))
def test_months_are_english_whatever_the_machine_speaks(month: int) -> None:
    name = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[month - 1]
    created = f"Fri, 09 {name} 1999 00:00:01 GMT"
    assert snapshot.parse_submitted([{"created": created}]) == date(1999, month, 9)


@pytest.mark.parametrize(
    "created",
    ["Mon, 02 Apr 07 19:18:42 GMT", "2007-04-02T19:18:42Z", "2007-04-02", "2 Apr 2007 19:18:42",
     "Mon, 2 Apr 2007 20:18:42 +0100", "20070402", "April 2, 2007"],
)  # fmt: skip
def test_dates_of_other_forms_are_read(created: str) -> None:
    assert snapshot.parse_submitted([{"created": created}]) == date(2007, 4, 2)


@pytest.mark.parametrize("names", [("v2", "v1"), ("v10", "v9"), ("V3", "V1"), ("v10", "v2", "v1")])
def test_the_first_version_is_the_lowest_wherever_it_stands(names: tuple[str, ...]) -> None:
    days = ["Tue, 3 Apr 2012 19:18:42 GMT"] * (len(names) - 1) + ["Mon, 2 Apr 2007 19:18:42 GMT"]
    listed = [{"version": name, "created": day} for name, day in zip(names, days, strict=True)]
    assert snapshot.parse_submitted(listed) == date(2007, 4, 2)
    assert snapshot.parse_submitted(listed[::-1]) == date(2007, 4, 2)


@pytest.mark.parametrize("versions", [["v1", "v2"], [None, {}], {"v1": 1, "v2": 2}])
def test_versions_of_another_form_are_a_broken_record(versions: Any) -> None:
    with pytest.raises(BadRecordError, match="no date of the first version"):
        snapshot.parse_submitted(versions)


def test_an_impossible_year_is_named() -> None:
    with pytest.raises(BadRecordError, match="first version: an impossible year: 'Mon, 2 Apr 1066"):
        snapshot.parse_submitted([{"created": "Mon, 2 Apr 1066 19:18:42 GMT"}])


def test_identifiers_categories_and_texts_of_a_record() -> None:
    paper = snapshot.parse_paper(
        record(
            PAPERS[0],
            id="cmp-lg/9404001v2",
            categories="cmp-lg cs.CL math.MP",
            title="  A title\n  on two lines",
            comments=None,
        )
    )
    assert paper.id == parse_identifier("cmp-lg/9404001")
    assert paper.categories == ("cs.CL", "math-ph")
    assert paper.title == "  A title\n  on two lines", "cleaning comes later"
    assert paper.comments == ""


BAD = {
    "no id": ({"id": ...}, "field 'id' is missing"),
    "null id": ({"id": None}, "field 'id' is missing"),
    "no title": ({"title": ...}, "field 'title' is missing"),
    "no abstract": ({"abstract": ...}, "field 'abstract' is missing"),
    "no categories": ({"categories": ...}, "field 'categories' is missing"),
    "number for id": ({"id": 704.0001}, "field 'id' is float, not text"),
    "list of categories": ({"categories": ["cs.AI"]}, "field 'categories' is list, not text"),
    "object for title": ({"title": {"en": "a"}}, "field 'title' is dict, not text"),
    "bool for abstract": ({"abstract": True}, "field 'abstract' is bool, not text"),
    "list of comments": ({"comments": ["5 pages"]}, "field 'comments' is list, not text"),
    "number for comments": ({"comments": 5}, "field 'comments' is int, not text"),
    "no arXiv id": ({"id": "10.1/2"}, "not an arXiv identifier: '10.1/2'"),
    "unknown category": ({"categories": "cs.AI spam"}, "unknown category 'spam'"),
    "no category": ({"categories": " "}, "no category"),
}
NO_DATE: list[Any] = [
    ..., None, [], {}, 5, "Mon, 2 Apr 2007", [None], [{}], [{"created": None}], [{"created": ""}],
    [{"created": "Mon, 2 Apr 2107 19:18:42 GMT"}], [{"created": "Mon, 31 Feb 2007 19:18:42 GMT"}],
    [{"created": "Mon, 2 Abr 2007 19:18:42 GMT"}], [{"created": f"Mon, 2 Apr {10**30} 1:2:3 GMT"}],
    [{"created": 1175541522}],
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_gives_its_line_and_reason(tmp_path: Path, name: str) -> None:
    changes, reason = BAD[name]
    records = [record(PAPERS[0]), record(PAPERS[1], **changes), record(PAPERS[2])]
    (tmp_path / "a.json").write_bytes(lines(records))
    assert read(tmp_path / "a.json") == [PAPERS[0], BrokenRecord(2, reason), PAPERS[2]]


@pytest.mark.parametrize("versions", NO_DATE, ids=repr)
def test_a_record_without_a_date(versions: Any) -> None:
    with pytest.raises(BadRecordError, match="^field 'versions' holds no date of the first"):
        snapshot.parse_paper(record(PAPERS[0], versions=versions))


@pytest.mark.parametrize(
    "line",
    [b'{"id": "0704.0001", "ti', b"spam", b"{]", b'{"id": "\\ud800"}',
     b"NaN", b"\0", b"[" * 5000],
)  # fmt: skip
def test_a_broken_line_is_reported_and_skipped(tmp_path: Path, line: bytes) -> None:
    good = lines([record(PAPERS[0])])
    (tmp_path / "a.json").write_bytes(good + line + b"\n" + good)
    first, broken, last = read(tmp_path / "a.json")
    assert first == last == PAPERS[0]
    assert isinstance(broken, BrokenRecord)
    assert broken.line == 2
    assert broken.reason.startswith("broken JSON: ")


@pytest.mark.parametrize(
    ("value", "kind"), [(["x"], "list"), ("text", "str"), (5, "int"), (None, "NoneType")]
)
def test_a_line_that_is_no_object(tmp_path: Path, value: Any, kind: str) -> None:
    (tmp_path / "a.json").write_bytes(lines([value]))
    assert read(tmp_path / "a.json") == [BrokenRecord(1, f"not an object but {kind}")]


def test_empty_lines_are_passed_over_and_still_counted(tmp_path: Path) -> None:
    content = b"\n" + lines([record(PAPERS[0])]) + b"  \r\n" + b"spam"
    (tmp_path / "a.json").write_bytes(content)
    first, broken = read(tmp_path / "a.json")
    assert first == PAPERS[0]
    assert isinstance(broken, BrokenRecord)
    assert broken.line == 4


def parquet(records: list[dict[str, Any]], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": 7}, "field 'id' is int, not text"),
        ({"categories": ["cs.AI"]}, "field 'categories' is list, not text"),
        ({"title": None}, "field 'title' is missing"),
        ({"comments": 7}, "field 'comments' is int, not text"),
        ({"versions": "v1"}, "field 'versions' holds no date of the first version"),
    ],
)
def test_a_parquet_with_a_wrong_or_missing_column(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = parquet([record(paper, **changes) for paper in PAPERS[:2]], tmp_path / "a.parquet")
    assert read(path) == [BrokenRecord(1, reason), BrokenRecord(2, reason)]


@pytest.mark.parametrize(
    ("records", "missing"),
    [
        ([{"spam": 1}], "id, title, abstract, categories, versions"),
        ([dict.fromkeys(("ID", "Title", "abstract", "versions"), "x")], "categories"),
    ],
)
def test_a_parquet_of_something_else(
    tmp_path: Path, records: list[dict[str, Any]], missing: str
) -> None:
    path = parquet(records, tmp_path / "a.parquet")
    with pytest.raises(ShelfmarkError, match=rf"a\.parquet: has no column {missing}; data=csv"):
        read(path)


def test_lines_of_text_are_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a robot\n")
    with pytest.raises(ShelfmarkError, match=r"a\.txt: seems to be lines of text; data=snapshot"):
        read(tmp_path / "a.txt")


def test_a_bad_row_of_a_parquet_gives_its_row(tmp_path: Path) -> None:
    records = [record(paper) for paper in PAPERS[:5]]
    records[3]["categories"] = "spam"
    result = read(parquet(records, tmp_path / "a.parquet"))
    assert result[3] == BrokenRecord(4, "unknown category 'spam'")
    assert [one for i, one in enumerate(result) if i != 3] == [*PAPERS[:3], PAPERS[4]]


def not_utf8() -> bytes:
    """Return a Parquet whose text was damaged past what its checks notice."""
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    file = io.BytesIO()
    pq.write_table(pa.table(dict.fromkeys((*snapshot.TEXTS, "versions"), text)), file)
    return file.getvalue()


def whole_parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([record(paper) for paper in PAPERS]), file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        whole_parquet()[:-1],
        whole_parquet()[:5000],
        whole_parquet()[:4] + bytes(3000) + whole_parquet()[3004:],
        b"PAR1",
        not_utf8(),
    ],
    ids=["end cut", "half", "zeroes inside", "head alone", "not UTF-8"],
)
def test_a_damaged_parquet_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ShelfmarkError, match=r"a\.parquet: not a readable Parquet file"):
        read(path)
