"""Files as people have them: each paper is answered, or its line says why not."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.data.batches import FileSummary
from shelfmark.errors import ShelfmarkError
from shelfmark.models import predict

ROBOT = "We train a robot arm to grasp unseen objects"
GALAXY = "Star formation in a galaxy with a massive halo"


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "quick"


def classify(folder: Path, source: Path) -> tuple[list[dict[str, Any]], FileSummary]:
    out = source.with_name("out.jsonl")
    summary = predict.predict_file(folder, str(source), str(out), top_k=1)
    return [orjson.loads(line) for line in out.read_bytes().splitlines()], summary


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["papers.csv", "papers.tsv", "papers.txt", "papers"])
def test_a_table_of_any_separator_under_any_name(
    folder: Path, tmp_path: Path, separator: str, name: str
) -> None:
    rows = [["id", "title", "abstract"], ["1", "Grasping", ROBOT], ["2", "Dust", GALAXY]]
    (tmp_path / name).write_text("".join(f"{separator.join(row)}\n" for row in rows))
    lines, _ = classify(folder, tmp_path / name)
    found = [(line["line"], line["id"], line["category"]) for line in lines]
    assert found == [(2, "1", "cs.RO"), (3, "2", "astro-ph.GA")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f'1,Grasping,"{ROBOT}\n2,Dust,a galaxy\n', "a quote is opened and not closed"),
        (f"1,Grasping,{GALAXY}, {ROBOT}\n2,Dust,a galaxy\n", "4 cells under 3 columns"),
        ("1,Grasping\n2,Dust,a galaxy\n", "2 cells under 3 columns"),
    ],
)
def test_a_bad_row_is_an_error_of_its_line_and_of_the_command(
    folder: Path, tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "papers.csv").write_text(f"id,title,abstract\n{content}")
    (bad, good), summary = classify(folder, tmp_path / "papers.csv")
    assert bad["line"] == 2
    assert reason in bad["error"]
    assert (good["line"], good["id"], good["category"]) == (3, "2", "astro-ph.GA")
    with pytest.raises(ShelfmarkError, match=f"^1 of 2 records .* in line 2: {reason}"):
        summary.require_papers()


def test_a_single_column_is_the_whole_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_text(f"{GALAXY}, {ROBOT}, {ROBOT}\n")
    (whole,), _ = classify(folder, tmp_path / "part.txt")
    (tmp_path / "papers.csv").write_text(f"text\n{GALAXY}, {ROBOT}, {ROBOT}\n")
    (line,), summary = classify(folder, tmp_path / "papers.csv")
    assert line | {"line": 1} == whole
    summary.require_papers()


@pytest.mark.parametrize("text", ["", " ", None])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_blank_text_does_not_hide_title_and_abstract(
    folder: Path, tmp_path: Path, text: str | None, kind: str
) -> None:
    paper = {"id": "1", "text": text, "title": "Grasping", "abstract": "", "summary": ROBOT}
    source = tmp_path / f"papers.{kind}"
    if kind == "csv":
        cells = ",".join(str(value or "") for value in paper.values())
        source.write_text(f"{','.join(paper)}\n{cells}\n")
    else:
        source.write_bytes(orjson.dumps(paper))
    (line,), _ = classify(folder, source)
    assert line["category"] == "cs.RO"


def test_a_column_counts_in_any_case(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "papers.csv").write_text(f"ID,Title,ABSTRACT \n1,Note,{ROBOT}\n")
    (line,), _ = classify(folder, tmp_path / "papers.csv")
    assert (line["id"], line["category"]) == ("1", "cs.RO")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"id,text\n"),
        ("a.json", b"[]"),
        ("a.txt", b"\n \n"),
        ("a.gz", gzip.compress(b"", mtime=0)),
    ],
)
def test_a_file_without_papers_is_an_error(
    folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    lines, summary = classify(folder, tmp_path / name)
    assert not lines
    with pytest.raises(ShelfmarkError, match="--file: holds no papers"):
        summary.require_papers()


def test_bytes_of_another_kind_are_no_papers(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "papers.txt").write_bytes(b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n")
    with pytest.raises(ShelfmarkError, match=r"papers\.txt: seems to be a PDF document; text"):
        classify(folder, tmp_path / "papers.txt")


def test_a_byte_order_mark_is_no_part_of_the_first_paper(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text(f"{ROBOT}.\n")
    (plain,), _ = classify(folder, tmp_path / "plain.txt")
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        (tmp_path / "papers.txt").write_text(f"{ROBOT}.\n", encoding=encoding)
        (line,), _ = classify(folder, tmp_path / "papers.txt")
        assert line == plain


def test_a_tar_is_unpacked(folder: Path, tmp_path: Path) -> None:
    content = orjson.dumps({"id": "1", "text": ROBOT})
    with tarfile.open(tmp_path / "papers.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("arxiv/papers.jsonl")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    (line,), _ = classify(folder, tmp_path / "papers.tar.gz")
    assert (line["id"], line["category"]) == ("1", "cs.RO")
