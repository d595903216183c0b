"""The rows of a CSV file, strictly: what a row should be is answered, all else is refused."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.core.formats import csv_rows
from shelfmark.core.formats.csv_rows import BadRow, CsvRows
from shelfmark.errors import ShelfmarkError

OPEN = BadRow("a quote is opened and not closed")
BEHIND = BadRow("text follows a closing quote; write a quote within a cell twice")


def cells(count: int, columns: int) -> BadRow:
    return BadRow(f"{count} cells under {columns} columns; put texts in quotes")


def rows(content: bytes) -> list[tuple[int, Any]]:
    lines = io.BytesIO(content).readlines()
    return list(CsvRows(lines, "in.csv", ("id", "text")))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"id,text\n1,a\n2,b\n", [(2, {"id": "1", "text": "a"}), (3, {"id": "2", "text": "b"})]),
        (b"text,other,id\na,b,1\n", [(2, {"text": "a", "id": "1"})]),
        (b"text,other,id\na,b\n", [(2, cells(2, 3))]),
        (b"id,text\n1,a,more,cells\n2,b\n", [(2, cells(4, 2)), (3, {"id": "2", "text": "b"})]),
        (b"id,text\n1,a,,\n", [(2, {"id": "1", "text": "a"})]),
        (b"text\n\na\n", [(3, {"text": "a"})]),
        (b"id,text\n,\n1,a\n", [(3, {"id": "1", "text": "a"})]),
        (b'text\n"a\nb"\nc\n', [(2, {"text": "a\nb"}), (4, {"text": "c"})]),
        (b'id,text\n1, "a, b"\n', [(2, {"id": "1", "text": "a, b"})]),
        (b"text\na, b; c\td | e\n", [(2, {"text": "a, b; c\td | e"})]),
        (b'text\n"a, b"\n', [(2, {"text": "a, b"})]),
        (b"other\n1\n", [(2, {})]),
        (b"\n", []),
        (b"", []),
    ],
)
def test_rows_hold_the_chosen_columns(content: bytes, expected: list[tuple[int, Any]]) -> None:
    assert rows(content) == expected


def test_a_header_that_is_repeated_is_no_paper() -> None:
    """As `cat a.csv b.csv` joins files."""
    found = rows(b"id,text\n1,a\nid, text\n2,b\nText,ID\nc,3\n")
    assert [line for line, _ in found] == [2, 4, 5, 6]
    assert found[2][1] == BadRow(
        "a header again, of other columns; read the joined files one by one"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("head", ["", "sep=?\n", '"sep=?"\n', "\n\nSEP=?\n"])
def test_any_separator(separator: str, head: str) -> None:
    content = f"{head}id?text\n1?a\n".replace("?", separator).encode()
    assert [row for _, row in rows(content)] == [{"id": "1", "text": "a"}]


def test_the_separator_is_the_one_that_finds_most_columns() -> None:
    content = b"id;the other, longer name;text\n1;x;a, b\n"
    assert rows(content) == [(2, {"id": "1", "text": "a, b"})]


@pytest.mark.parametrize("header", ["ID,Text", " id , TEXT ", '"Id","te xt"', "id\u00a0,\ttext"])
def test_names_are_compared_without_case_and_blanks(header: str) -> None:
    assert rows(f"{header}\n1,a\n".encode()) == [(2, {"id": "1", "text": "a"})]


@pytest.mark.parametrize("header", ["text,id,text", "Text,other,TEXT"])
def test_two_columns_of_one_name_are_refused(header: str) -> None:
    with pytest.raises(ShelfmarkError, match=r"^in\.csv: line 1: columns 1 and 3 are both named"):
        rows(f"{header}\n1,2,3\n".encode())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['1,"a', "2,b", "3,c"], [OPEN, "b", "c"]),
        (["1,a", '2,"b', "3,c"], ["a", OPEN, "c"]),
        (["1,a", "2,b", '3,"c'], ["a", "b", OPEN]),
        (['1,"a', '2,"b', "3,c"], [BEHIND, OPEN, "c"]),
        (['1,"a', '2,"b"', "3,c"], [BEHIND, "b", "c"]),
        (['1,"a" b', "2,b"], [BEHIND, "b"]),
        (['1,"a ""b"" c"', "2,b"], ['a "b" c', "b"]),
        (['1,the "a" b', "2,b"], ['the "a" b', "b"]),
        (['1,"a \\"b\\" c"', "2,b"], [BEHIND, "b"]),
        (['1,5" wide', "2,b"], ['5" wide', "b"]),
    ],
)
def test_a_quote_costs_its_own_row_and_no_other(lines: list[str], expected: list[Any]) -> None:
    found = rows(("id,text\n" + "\n".join(lines) + "\n").encode())
    assert [row if isinstance(row, BadRow) else row["text"] for _, row in found] == expected
    assert [line for line, _ in found] == list(range(2, 2 + len(lines)))


def test_a_quote_that_is_never_closed_stops_at_the_longest_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST", 1000)
    found = rows(b'id,text\n1,"a\n' + b"2,one line of many\n" * 500)
    assert found[0] == (2, OPEN)
    assert [row["text"] for _, row in found[1:]] == ["one line of many"] * 500


def test_a_row_that_is_not_utf8_is_refused_alone() -> None:
    assert rows(b"id,text\n1,\xe9\n\xe9,b\n3,\xc3\xa9\n") == [
        (2, BadRow(csv_rows.NOT_UTF8)),
        (3, BadRow(csv_rows.NOT_UTF8)),
        (4, {"id": "3", "text": "é"}),
    ]


def test_a_header_with_a_cell_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ShelfmarkError, match=r"in\.csv: line 1: "):
        rows(b"a" * (csv_rows.LONGEST + 1) + b"\n")


def test_a_header_with_an_open_quote_is_named_by_the_line_where_it_begins() -> None:
    with pytest.raises(ShelfmarkError, match=r"^in\.csv: line 2: a quote is opened and not closed"):
        rows(b'\n"id,text\n1,a\n2,b\n')


TEXTS = st.text('ab,;"\n \t|', min_size=1).filter(str.strip)


@given(papers=st.lists(TEXTS, max_size=5), separator=st.sampled_from(csv_rows.SEPARATORS))
def test_what_a_writer_quotes_is_read_as_it_was(papers: list[str], separator: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "text"])
    writer.writerows([str(number), text] for number, text in enumerate(papers))
    content = written.getvalue().replace("\r\n", "\n").encode()
    assert [row["text"] for _, row in rows(content)] == papers


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("id,title,abstract", True),
        ("Title\tAbstract", True),
        ("sep=;", True),
        ("title", False),
        ("We title robots, and then a text", False),
        ("Robots, galaxies and more", False),
        ("", False),
    ],
)
def test_a_header_is_told_from_a_text(line: str, header: bool) -> None:
    assert csv_rows.is_header(line, ("text", "title", "abstract")) == header
