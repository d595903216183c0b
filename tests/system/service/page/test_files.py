"""The page reads a file by the rules of `shelfmark predict --file`: two programs, one table."""

from __future__ import annotations

import base64
import codecs
import gzip
import io
import itertools
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, expect

from shelfmark.core.formats.csv_rows import CsvRows
from shelfmark.core.formats.encoding import without_mark
from shelfmark.data import readers
from shelfmark.data.readers import InvalidRecord, parse_record, read_batches
from shelfmark.errors import ShelfmarkError
from tests.support.browser import TABLE, choose, open_page
from tests.support.packing import PACKERS

Answer = tuple[list[Any], str]  # the papers or why each is none, and the error of the file
REST = "; the rest of the file is not read"
PAPERS = [{"id": "1", "text": "a robot"}, {"id": "2", "text": "a galaxy"}]
LINES = "".join(f"{json.dumps(paper)}\n" for paper in PAPERS)
ACCENTS = "id;text\n1;un théorème de Poincaré\n2;a galaxy\n"


def archive(name: str) -> bytes:
    """Return a zip whose first member has a name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(name, "a robot\n")
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("papers.txt"))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(PAPERS), file)
    return file.getvalue()


TABLES = [
    "id,text\n1,a\n2,b\n",
    "text,other,id\na,b,1\n",
    "text,other,id\na,b\n",
    "id,text\n1,a,more,cells\n2,b\n",
    "id,text\n1,a,,\n",
    "text\n\na\n",
    "id,text\n,\n1,a\n",
    'text\n"a\nb"\nc\n',
    'id,text\n1, "a, b"\n',
    "text\na, b; c\td | e\n",
    'text\n"a, b"\n',
    "other\n1\n",
    "\n",
    "",
    "id;the other, longer name;text\n1;x;a, b\n",
    "ID,Text\n1,a\n",
    " id , TEXT \n1,a\n",
    '"Id","te xt"\n1,a\n',
    "id\u00a0,\ttext\n1,a\n",
    "text,id,text\n1,2,3\n",
    "Text,other,TEXT\n1,2,3\n",
    'id,text\n1,"a\n2,b\n3,c\n',
    'id,text\n1,a\n2,"b\n3,c\n',
    'id,text\n1,a\n2,b\n3,"c\n',
    'id,text\n1,"a\n2,"b\n3,c\n',
    'id,text\n1,"a\n2,"b"\n3,c\n',
    'id,text\n1,"a" b\n2,b\n',
    'id,text\n1,"a ""b"" c"\n2,b\n',
    'id,text\n1,the "a" b\n2,b\n',
    'id,text\n1,"a \\"b\\" c"\n2,b\n',
    'id,text\n1,5" wide\n2,b\n',
    'id,text\n1,"a\n\n\n2,b"\n3,c\n',
    'id,text\n1,"' + "x" * (1 << 20) + '\n2,b"\n3,c\n',
    '"id","a\nb",text\n1,2,c\n',
    '"id,text\n1,a\n',
    "id,title,abstract,text\n1,Robots,an arm,\n2,,,\n3,Robots,,a text\n4,Robots,an arm, \n",
    "id,title,summary\n1,Robots,an arm\n",
    "id,abstract,summary\n1,,an arm\n",
    "id,text\r1,a\r2,b\r",
    'id,text\r\n1,"a\r\nb"\r\n\r\n2,c',
    'sep=;\nid;text\n1;"a;b"\n',
    '"sep=|"\nid|text\n1|a\n',
    "\n\nSEP=\t\n\nid\ttext\n1\ta\n",
    "sep=^\nid^text\n1^a, b\n",
    "sep=]\nid]text\n1]a\n",
    "sep=-\nid-text\n1-a\n",
    "sep=\\\nid\\text\n1\\a\n",
    "\ufeffid,text\n1,a\n\ufeff2,b\n",
    "a,b,c,d,e,f,g,h\n1,2,3,4,5,6,7,8\n",
    "text," + "x" * 60 + "\na,b\n",
    "id,text\n\n \n1,a\n   \n",
    "id,text\n1,\x00a\n",
    "id,text\n1,a\nid,text\n2,b\n",
    "id,text\n1,a\n ID ,text\n2,b\n",
    "id,text\n1,a\ntext,id\nb,2\n",
    "id,text\n 1 ,\u00ad\u200b\n",
    "text\na\ntext\nb\n",
]
TEXTS = [
    "a robot\na galaxy\n",
    "a robot\r\n\r\na galaxy",
    "a robot\ra galaxy\r\rb\r\n",
    "a robot\r\n\x1a",
    "title\na robot\n",
    "We title robots, and then a text\n",
    "id,title,abstract\n1,Robots,an arm\n",
    "Title\tAbstract\nRobots\tan arm\n",
    "title,robots and galaxies and all that they may hold\n",
    "\uff08a\uff09 robot\n",
    'a robot\n{"text": "x"}\n{\\bf A} galaxy\n\n{"broken\n',
    '{"text": "x"}\na robot\n',
    "\ufeffa robot\n\ufeff\ufeffa galaxy\n",
    "\u2028a robot\u2028x\u0085y\n",
    " \u00a0 \na robot\n",
    "a robot\ufffdx\n",
    "{ }\n{}\n{\n",
    'a robot\n["a", "b"]\n[a] robot\n[1\n',
    "a robot\n\u200b\u00ad\n\u3164\n",
]
JSONS = [
    LINES,
    json.dumps(PAPERS),
    json.dumps(PAPERS, indent=2),
    "\n".join(json.dumps(paper, indent=1) for paper in PAPERS),
    "".join(f"\ufeff{json.dumps(paper)}\n" for paper in PAPERS),
    "".join(f"\x1e{json.dumps(paper)}\n" for paper in PAPERS),
    '{"text": "cut,\n{"text": "x"}\n[1]\n3\nnull\n"x"\ntrue\n',
    '{"text": "", "title": "Robots", "abstract": "an arm"}\n',
    '{"text": null, "title": "Robots", "summary": "an arm", "id": 7}\n',
    '{"text": " ", "title": " ", "abstract": "\\n", "id": "x"}\n',
    '{"text": 3, "id": "x"}\n{"text": 0.5}\n{"text": true}\n{"title": ["a"], "abstract": "b"}\n',
    '{"title": {"a": 1}, "abstract": "b"}\n{"text": []}\n{"title": 0, "text": "a"}\n',
    '{"text": "a"} {"text": "b"}\n{"text": "c"}\n',
    '{"text": NaN}\n{"text": "a\tb"}\n{\'text\': "a"}\n{"text": "a",}\n',
    '{"text": "\\ud800"}\n{"text": "\\ud83e\\udd16"}\n{"text": "\\\\ud800"}\n',
    '[{"text": "a"}, {"text": }, {"text": "c"}]',
    '[{"text": "a"}, {"text": "b"',
    '[{"text": "a"} {"text": "b"}]',
    '[{"text": "a"}, 3, {"text": "b"}]',
    '[\n{"text": "a [\\" {"},\n{"text": "b \\\\"}\n]\n',
    '[{"text": "a"}]\n[{"text": "b"}]\n',
    '[{"text": "a"}, [1], {"text": "b"}] x',
    '[{"text": "a"}]]',
    "[]",
    "[\n]\n",
    "[\n{\n",
    '{\n  "text": "a"\n}\n{\n  "text": "b",\n}\n{ "text": "c" }',
    '{"papers": [\n{"text": "a"}\n]}',
    '{"Title": "Robots", " ab stract": "an arm", "ID": " 7 "}\n',
    '{"title": "Robots", "Title": "a", "abstract": "b"}\n{"x": 1, "X": 2, "text": "a"}\n',
    '{"text": "\\u200b", "title": "\\u00ad", "abstract": "\\u0007"}\n',
    '["a", "b"]\n',
    "not json\n",
    "[1, 2]\n",
]
BYTES = {
    "damaged.csv": b"id,text\n1,\xe9\n\xe9,b\n3,\xc3\xa9\n",
    "damaged-other.csv": "id,other,text\n1,é,ü\n".encode() + b"2,\xe9,b\n3,x,c\n",
    "damaged.txt": "é è ü\n".encode() + b"a \xe9\nb\n",
    "damaged.jsonl": '{"text": "é è ü"}\n'.encode() + b'{"text": "\xe9"}\n{"text": "b"}\n',
    "mark.csv": ACCENTS.encode("utf-8-sig"),
    "utf16.csv": ACCENTS.encode("utf-16"),
    "utf16be.txt": codecs.BOM_UTF16_BE + ACCENTS.encode("utf-16-be"),
    "utf16-unmarked": ACCENTS.encode("utf-16-le"),
    "utf16be-unmarked": ACCENTS.encode("utf-16-be"),
    "utf32.jsonl": LINES.encode("utf-32"),
    "utf32be": codecs.BOM_UTF32_BE + LINES.encode("utf-32-be"),
    "utf32-unmarked": LINES.encode("utf-32-le"),
    "western.csv": ACCENTS.encode("cp1252"),
    "western.txt": "un “théorème” de Poincaré\n".encode("cp1252"),
    "western.jsonl": json.dumps({"text": "été"}, ensure_ascii=False).encode("cp1252"),
    "koi8": "Теорема о роботах и галактиках".encode("koi8-r"),
    "shift-jis.txt": "ロボットの学習".encode("shift-jis"),
    "binary": bytes(range(256)) * 20,
    "papers.csv.gz": gzip.compress(ACCENTS.encode()),
    "papers": gzip.compress(gzip.compress(LINES.encode())),
    "papers.txt.gz": LINES.encode(),
    "cut.gz": gzip.compress(LINES.encode())[:-9],
    "short.gz": b"\x1f",
    "pdf.txt": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "table.xlsx": archive("[Content_Types].xml"),
    "table.csv": archive("[Content_Types].xml"),
    "table.ods": archive("mimetype"),
    "table.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "page.csv": b"\n <!DOCTYPE html>\n<html>a</html>",
    "papers.json": b'<?xml version="1.0"?>\n<feed></feed>',
    "paper.tex": b"\\documentclass{article}\n",
    "papers.bib": b"@article{key,\n",
    "papers.rtf": b"{\\rtf1 a}",
    "papers.sqlite": b"SQLite format 3\x00" + bytes(100),
    "image.txt": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "pointer.jsonl": b"version https://git-lfs.github.com/spec/v1\n",
}
# What `predict` reads, and the page refuses by its name.
REFUSED = {
    "a zip archive": archive("papers.txt"),
    "a tar archive": tar(),
    "a Parquet file": parquet(),
    **{f"a file of {kind[1:]}": PACKERS[kind](LINES.encode()) for kind in (".xz", ".lzma", ".lz4")},
    "a file of bzip2": PACKERS[".bz2"](LINES.encode()),
    "a file of zstd": PACKERS[".zst"](LINES.encode()),
}


def name_each(contents: list[str], *suffixes: str) -> dict[str, bytes]:
    """Return each content under a name with each suffix."""
    return {
        f"{number}{suffix}": content.encode()
        for suffix in suffixes
        for number, content in enumerate(contents)
    }


SEPARATORS = [
    f"{head}id?text\n1?a\n".replace("?", separator)
    for head in ("", "sep=?\n", '"sep=?"\n', "\n\nSEP=?\n")
    for separator in ",;\t|"
]
CASES = {
    "tables": name_each(TABLES, ".csv", ".tab", "-table"),
    "texts": name_each(TEXTS, ".txt", "-text", "-text.json"),
    "JSON": name_each(JSONS, ".jsonl", "-json", "-json.csv"),
    "separators": name_each(SEPARATORS, ".csv", ".txt"),
    "bytes": BYTES,
}


@pytest.fixture(scope="module")
def reading(browser: Browser, address: str) -> Iterator[Page]:
    page = open_page(browser)
    page.goto(address)
    yield page
    page.context.close()


def read_by_page(page: Page, contents: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return what the page reads in each file, by its name."""
    read: dict[str, dict[str, Any]] = page.evaluate(
        """async (files) => {
          const { readFile } = await import('/page/papers.js');
          const answers = {};
          for (const [name, content] of Object.entries(files)) {
            const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
            try { answers[name] = await readFile(new File([bytes], name)); }
            catch (error) { answers[name] = { rows: [], error: error.message }; }
          }
          return answers;
        }""",
        {name: base64.b64encode(content).decode() for name, content in contents.items()},
    )
    return read


def simplify(reason: str) -> str:
    """Return a reason without what each program says in its own words."""
    if reason.startswith("broken JSON"):
        return "broken JSON"
    seems = re.search(
        r"(seems to be [^.:;]+|is neither UTF-8|is empty|begins as|truncated)", reason
    )
    return seems[0] if seems else reason


def answers_of_page(page: Page, contents: dict[str, bytes]) -> dict[str, Answer]:
    return {name: to_answer(name, read) for name, read in read_by_page(page, contents).items()}


def answer_of_page(page: Page, name: str, content: bytes) -> Answer:
    return answers_of_page(page, {name: content})[name]


def to_answer(name: str, read: dict[str, Any]) -> Answer:
    records, error = [], read.get("error", "").removeprefix(f"{name}: ").removesuffix(".")
    for row in read["rows"]:
        if query := row.get("query"):
            texts = query.get("title", ""), query.get("abstract", query.get("text"))
            records.append((row["line"], row["id"], *texts))
        elif row["error"].endswith(REST):
            error = row["error"].removesuffix(REST)
        else:
            records.append((row["line"], row["id"], simplify(row["error"])))
    nothing = error == f"{name} contains no paper"
    return records, "" if nothing else simplify(error)


def answer_of_python(file: Path) -> Answer:
    records: list[Any] = []
    try:
        for line, record in itertools.chain.from_iterable(read_batches(str(file))):
            paper = parse_record(line, record)
            if isinstance(paper, InvalidRecord):
                records.append((line, paper.id, simplify(paper.error)))
            else:
                title = paper.title if paper.title.strip() else ""
                records.append((line, paper.id, title, paper.abstract.removesuffix("\n")))
    except ShelfmarkError as error:
        return records, simplify(str(error).removeprefix(f"{file}: "))
    return records, ""


@pytest.mark.parametrize("kind", CASES)
def test_the_page_reads_a_file_as_predict_does(
    reading: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(readers, "BATCH", 1)  # record, so that those before an error are seen
    answers = answers_of_page(reading, CASES[kind])
    assert answers.keys() == CASES[kind].keys()
    for name, content in CASES[kind].items():
        (tmp_path / name).write_bytes(content)
        assert answers[name] == answer_of_python(tmp_path / name), name


@pytest.mark.parametrize("kind", REFUSED)
def test_what_only_predict_reads_is_refused_by_its_name(
    reading: Page, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "papers.csv").write_bytes(REFUSED[kind])
    records, error = answer_of_page(reading, "papers.csv", REFUSED[kind])
    assert (records, error) == ([], f"seems to be {kind}")


LONG = 8_000_000  # characters


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("array.json", b'[{"text": "' + b"x" * LONG + b'"}, {"text": "b"}]', [1, 2]),
        ("column.csv", b"text\n" + b"x" * LONG + b"\nb\n", [2, 3]),
        ("lines.txt", b"x" * LONG + b"\nb\n", [1, 2]),
        ("open.csv", b'id,text\n1,"' + (b"x" * 99_999 + b"\n") * 80, list(range(2, 82))),
    ],
    ids=["a value", "a cell", "a line", "an open quote"],
)
def test_a_text_of_megabytes_costs_its_own_row_alone(
    reading: Page, name: str, content: bytes, lines: list[int]
) -> None:
    records, error = answer_of_page(reading, name, content)
    assert error == ""
    assert [line for line, *_ in records] == lines
    assert records[0][2] in ("longer than 50,000 characters", "a quote is opened and not closed")


def test_a_header_of_millions_of_cells_is_read(reading: Page) -> None:
    content = b"id," + b"other," * (LONG // 6) + b"text\n1,a\n"
    records, error = answer_of_page(reading, "header.csv", content)
    assert error == ""
    assert records == [(2, None, "2 cells under 1333335 columns; put texts in quotes")]


def test_a_larger_content_than_100_megabytes_is_refused(reading: Page) -> None:
    content = gzip.compress(bytes(100_000_001))
    _, error = answer_of_page(reading, "papers.gz", content)
    assert error == "papers.gz is larger than 100 MB when unpacked"


def test_a_note_names_the_encoding_that_was_assumed(page: Page) -> None:
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "", "buffer": BYTES["western.csv"]})
    expect(page.locator("#many-note")).to_contain_text("read as Windows-1252")
    expect(page.locator("#rows tr").first).to_contain_text("un théorème de Poincaré")
    choose(page, "b.csv", ACCENTS)
    expect(page.locator("#many-heading")).to_have_text("b.csv")
    expect(page.locator("#many-note")).to_be_empty()


def test_the_written_table_is_no_file_of_papers(page: Page, tmp_path: Path) -> None:
    choose(page, "papers.csv", TABLE)
    expect(page.locator("#many-status")).to_contain_text("3 papers answered in")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "shelfmark.csv")
    content = (tmp_path / "shelfmark.csv").read_bytes()
    # Its papers are cut to the length of a row: none is answered as if it were whole.
    answer = answer_of_page(page, "shelfmark.csv", content)
    assert answer == answer_of_python(tmp_path / "shelfmark.csv")
    assert answer[0] == []
    assert answer[1].startswith("has no column text, title, abstract or summary, only line, id,")
    with (tmp_path / "shelfmark.csv").open("rb") as file:
        written = list(CsvRows(map(without_mark, file), "", ("id", "error", "paper")))
    assert [row["id"] for _, row in written] == ["1", "2", "3", "4", ""]
    # Under the name that makes a paper of it, both read the same.
    renamed = content.replace(b"line,id,paper,", b"line,id,title,", 1)
    (tmp_path / "titles.csv").write_bytes(renamed)
    answer = answer_of_page(page, "titles.csv", renamed)
    assert answer == answer_of_python(tmp_path / "titles.csv")
    assert [row[2] for row in answer[0]][:1] == ["'=SUM(A1)"]
