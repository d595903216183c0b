"""The Kaggle CSV: its dates, its quoting, and the errors of a row."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from shelfmark.arxiv.papers import BadRecordError, BrokenRecord, Paper
from shelfmark.data import sources
from shelfmark.data.sources import csv as source
from shelfmark.errors import ShelfmarkError

HEADER = (
    "id", "title", "category", "category_code", "published_date", "updated_date", "authors",
    "first_author", "summary", "summary_word_count",
)  # fmt: skip
PAPERS = [
    paper
    for paper in sources.read_papers("sample", None, {"papers": 200})
    if isinstance(paper, Paper)
]


def row(paper: Paper, **changes: str) -> dict[str, str]:
    """Return a row as the dataset writes it: with versions, and months before days."""
    day = paper.submitted
    return {
        "id": f"{paper.id}v1",
        "title": paper.title,
        "category": "the category's long name",
        "category_code": " ".join(paper.categories),
        "published_date": f"{day.month}/{day.day}/{day.year % 100:02d}",
        "updated_date": "1/1/24",
        "authors": "['A. Nonym', 'B. \"Bee\" Nonym']",
        "first_author": "'A. Nonym'",
        "summary": paper.abstract,
        "summary_word_count": "99",
    } | changes


def written(rows: Iterable[dict[str, str]], header: tuple[str, ...] = HEADER) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(path: Path) -> list[Paper | BrokenRecord]:
    return list(sources.read_papers("csv", path, {}))


def expected(paper: Paper) -> Paper:
    """The CSV has no comments; its identifiers name the version."""
    return replace(paper, comments="", version=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arXiv_scientific dataset.csv"


def test_papers_are_read_in_order(path: Path) -> None:
    path.write_bytes(written(map(row, PAPERS)))
    assert read(path) == [expected(paper) for paper in PAPERS]


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_a_compressed_csv(path: Path, packing: str) -> None:
    content = written(map(row, PAPERS))
    packed = path.with_name(f"a.csv.{packing}")
    if packing == "gz":
        packed.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("arXiv_scientific dataset.csv", content)
    assert read(packed) == [expected(paper) for paper in PAPERS]


def test_a_truncated_compressed_csv(path: Path) -> None:
    packed = path.with_name("a.csv.gz")
    packed.write_bytes(gzip.compress(written(map(row, PAPERS)))[:-3000])
    papers = sources.read_papers("csv", packed, {})
    assert next(papers) == expected(PAPERS[0])
    with pytest.raises(ShelfmarkError, match=r"a\.csv\.gz: damaged or truncated"):
        list(papers)


def test_quotes_commas_and_line_breaks_inside_a_field(path: Path) -> None:
    title, summary = 'On "x", y\nand z', "First, a line;\r\nthen another.\n\nAnd 'more'."
    path.write_bytes(written([row(PAPERS[0], title=title, summary=summary), row(PAPERS[1])]))
    first, second = read(path)
    assert isinstance(first, Paper)
    # A break within a cell is a line feed, whatever the system.
    assert (first.title, first.abstract) == (title, summary.replace("\r\n", "\n"))
    assert second == expected(PAPERS[1])


def test_a_long_abstract_is_no_error(path: Path) -> None:
    path.write_bytes(written([row(PAPERS[0], summary="word " * 100_000)]))
    (paper,) = read(path)
    assert isinstance(paper, Paper)
    assert len(paper.abstract) == 500_000


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_no_part_of_the_first_column(path: Path, mark: bytes) -> None:
    path.write_bytes(mark + written([row(PAPERS[0])]))
    assert read(path) == [expected(PAPERS[0])]


def test_latin1_is_read_as_such(path: Path) -> None:
    path.write_bytes(written([row(PAPERS[0], title="Poincar@")]).replace(b"@", b"\xe9"))
    (paper,) = read(path)
    assert isinstance(paper, Paper)
    assert paper.title == "Poincaré"


def test_columns_in_another_order_and_too_few_or_too_many(path: Path) -> None:
    header = ("summary", "published_date", "spam", "category_code", "title", "id")
    path.write_bytes(written([row(PAPERS[0], spam="1")], header))
    assert read(path) == [expected(PAPERS[0])]


@pytest.mark.parametrize("missing", source.COLUMNS)
def test_a_csv_without_a_column(path: Path, missing: str) -> None:
    header = tuple(name for name in HEADER if name != missing)
    path.write_bytes(written(map(row, PAPERS), header))
    with pytest.raises(ShelfmarkError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: line 1 has no column {missing}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n\n", "line 1 has no column id, title, category_code"),
        (b"spam;eggs\n1;2\n", "line 1 has no column id, title, category_code"),
        (b"\x89PNG\r\n\x1a\n\0\0", "seems to be an image"),
        (b'"', "line 1: a quote is opened and not closed"),
        (b'{"id": "1501.00001"}\n', "seems to be JSON; data=csv reads a table, data=snapshot"),
    ],
)
def test_a_file_that_is_no_such_csv(path: Path, content: bytes, problem: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ShelfmarkError, match=problem):
        read(path)


def test_a_header_alone_holds_nothing(path: Path) -> None:
    path.write_bytes(written([]))
    assert read(path) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "column 'id' is empty"),
        ({"title": ""}, "column 'title' is empty"),
        ({"summary": ""}, "column 'summary' is empty"),
        ({"category_code": ""}, "column 'category_code' is empty"),
        ({"published_date": ""}, "column 'published_date' is empty"),
        ({"id": "704.1"}, "not an arXiv identifier: '704.1'"),
        ({"category_code": "spam"}, "unknown category 'spam'"),
        ({"published_date": "soon"}, "column 'published_date' is not a date: 'soon'"),
        (
            {"published_date": "8/1/1066"},
            "column 'published_date' is an impossible year: '8/1/1066'",
        ),
        ({"published_date": "13/13/13"}, "column 'published_date' is not a date: '13/13/13'"),
    ],
)
def test_a_bad_row_gives_its_line_and_reason(
    path: Path, changes: dict[str, str], reason: str
) -> None:
    one_line = {"summary": "An abstract on one line."}
    rows = [row(paper, **one_line) for paper in PAPERS[:3]]
    rows[1] |= changes
    path.write_bytes(written(rows))
    first, broken, last = read(path)
    assert isinstance(first, Paper)
    assert broken == BrokenRecord(3, reason)
    assert isinstance(last, Paper)


def test_a_row_that_ends_early_or_late_is_refused(path: Path) -> None:
    content = written([row(PAPERS[0], summary="One line.")])
    path.write_bytes(content + b"1501.00001,A title\n" + content.splitlines()[1] + b",more\n")
    assert read(path)[1:] == [
        BrokenRecord(3, "2 cells under 10 columns; put texts in quotes"),
        BrokenRecord(4, "11 cells under 10 columns; put texts in quotes"),
    ]


def test_a_quote_that_never_ends_costs_one_row(path: Path) -> None:
    good = written(row(paper, summary="One line.") for paper in PAPERS[:50])
    path.write_bytes(good.replace(b"One line.", b'"One line.', 1))
    broken, *others = read(path)
    assert broken == BrokenRecord(
        2, "text follows a closing quote; write a quote within a cell twice"
    )
    assert [one.id for one in others if isinstance(one, Paper)] == [x.id for x in PAPERS[1:50]]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("8/1/93", date(1993, 8, 1)),
        ("08/01/1993", date(1993, 8, 1)),
        ("12/31/1999", date(1999, 12, 31)),
        ("1/2/07", date(2007, 1, 2)),
        ("1 August 1993", date(1993, 8, 1)),
        ("1993-08-01", date(1993, 8, 1)),
        ("2007-04-02T19:18:42Z", date(2007, 4, 2)),
        ("Mon, 02 Apr 07 19:18:42 GMT", date(2007, 4, 2)),
        ("Aug 1, 1993", date(1993, 8, 1)),
        ("2007-04-02 19:18:42+00:00", date(2007, 4, 2)),
        (" 8/1/93 \n", date(1993, 8, 1)),
    ],
)
def test_dates_of_every_writing(text: str, day: date) -> None:
    assert source.parse_day(text) == day


@pytest.mark.parametrize("text", ["", "31/12/1999", "1993", "yesterday", "2007-13-01", "8-1-93"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(BadRecordError, match="'published_date' is not a date"):
        source.parse_day(text)


def test_cells_of_a_table_that_are_no_text() -> None:
    """A Parquet file of the columns may hold days, and identifiers that have become numbers."""
    day = PAPERS[0].submitted
    for value in (day, datetime(day.year, day.month, day.day, 12, tzinfo=UTC)):
        assert source.parse_paper({**row(PAPERS[0]), "published_date": value}).submitted == day
    with pytest.raises(BadRecordError, match="column 'id' is float, not text"):
        source.parse_paper({**row(PAPERS[0]), "id": 704.0001})
