"""Several files as one stream: the newest record of a paper, and all that name no paper."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.core import parallel
from shelfmark.data import readers, streams
from shelfmark.data.inputs import Setting
from shelfmark.data.streams import PaperStream
from shelfmark.errors import ShelfmarkError
from tests.support.records import lines


def paper(ident: str | None, text: str, **more: Any) -> dict[str, Any]:
    return {"id": ident, "text": text, **more}


def versions(count: int) -> list[dict[str, str]]:
    return [{"version": f"v{number}"} for number in range(1, count + 1)]


def write(path: Path, *records: Any) -> str:
    path.write_bytes(lines(list(records)))
    return str(path)


def read(value: Setting) -> list[tuple[str, int, str]]:
    """Return the file, line and text or error of each record."""
    result = []
    for batch in PaperStream(value).read_batches():
        for line, record in batch.records:
            one = readers.parse_record(line, record)
            text = one.abstract if isinstance(one, readers.InputRecord) else one.error
            result.append((Path(batch.file).name, one.line, text))
    return result


def texts(value: Setting) -> list[str]:
    return [text for _, _, text in read(value)]


def test_a_single_file_is_read_as_it_stands(tmp_path: Path) -> None:
    same = paper("0704.0001", "a text")
    path = write(tmp_path / "a.jsonl", same, same)
    for named in (
        path,
        [path],
        [path, path],
        f"[{path}]",
        str(tmp_path),
        f"{tmp_path}/*",
        Path(path),
    ):
        assert read(named) == [("", 1, "a text"), ("", 2, "a text")]


NEWEST = {
    "the version of the identifier": (("0704.0001v2", {}), ("arXiv:0704.0001v1", {})),
    "the list of versions": (
        ("0704.0001", {"versions": versions(11)}), ("0704.0001", {"versions": versions(2)}),
    ),
    "the day of the last change": (
        ("0704.0001", {"update_date": "2024-02-01"}), ("0704.0001", {"update_date": "2024-01-31"}),
    ),
    "a version over an unknown one": (("0704.0001v1", {}), ("0704.0001", {})),
    "spellings of one identifier": (("math.AG/0211000v2", {}), ("MATH/0211000", {})),
    "identifiers that are not arXiv's": (("doi:1", {"update_date": "2024-02-01"}), ("doi:1", {})),
}  # fmt: skip


@pytest.mark.parametrize("case", NEWEST)
@pytest.mark.parametrize("newest_first", [True, False])
def test_the_newest_record_of_a_paper_is_read(
    tmp_path: Path, case: str, newest_first: bool
) -> None:
    (ident, more), (other, less) = NEWEST[case]
    parts = [paper(ident, "new", **more)], [paper(other, "old", **less)]
    for name, part in zip("ab" if newest_first else "ba", parts, strict=True):
        write(tmp_path / name, paper(f"{name}1", name), *part)
    assert sorted(texts([f"{tmp_path}/a", f"{tmp_path}/b"])) == ["a", "b", "new"]


def test_of_equals_the_later_file_counts_and_the_first_record_of_it(tmp_path: Path) -> None:
    first = write(tmp_path / "z.jsonl", paper("0704.0001", "one"), paper("0704.0002", "other"))
    last = write(tmp_path / "a.jsonl", paper("0704.0001", "two"), paper("0704.0001", "three"))
    assert read([first, last]) == [("z.jsonl", 2, "other"), ("a.jsonl", 1, "two")]


def test_records_without_an_identifier_or_a_paper_are_all_read(tmp_path: Path) -> None:
    good = paper("0704.0001", "old")
    anonymous = paper(None, "a text")
    first = write(tmp_path / "a.jsonl", good, anonymous, anonymous, paper(" ", "blank"))
    (tmp_path / "b.jsonl").write_bytes(
        lines([{"id": "0704.0001v9"}, [1], anonymous]) + b"{broken\n"
    )
    (tmp_path / "c.txt").write_text("a text\na text\n")
    error = "no text: give text, or title and abstract"
    result = read([first, f"{tmp_path}/b.jsonl", f"{tmp_path}/c.txt"])
    assert [(name, line) for name, line, _ in result] == [
        *(("a.jsonl", line) for line in (1, 2, 3, 4)),
        *(("b.jsonl", line) for line in (1, 2, 3, 4)),
        ("c.txt", 1), ("c.txt", 2),
    ]  # fmt: skip
    assert [text for _, _, text in result][:5] == ["old", "a text", "a text", "blank", error]
    assert "broken JSON" in result[7][2]


def test_kinds_of_files_may_differ(tmp_path: Path) -> None:
    old = {"id": "0704.0001", "title": "", "abstract": "old"}
    pq.write_table(pa.Table.from_pylist([old, old | {"id": "x"}]), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("id,summary\n0704.0001v2,newer\n0704.0003,other\n")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines([paper("0704.0001v3", "newest")])))
    assert read(str(tmp_path)) == [
        ("a.parquet", 2, "old"), ("b.csv", 3, "other"), ("c.jsonl.gz", 1, "newest"),
    ]  # fmt: skip


def test_the_number_of_records_left_out_is_logged_once_all_are_read(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.jsonl", paper("0704.0001", name), paper(name, name))
    assert texts(str(tmp_path)) == ["a", "b", "c", "c"]
    (line,) = log().splitlines()
    assert line.startswith("INFO --file: 2 of 6 records in 3 files left out")


def test_batches_are_decided_as_one_file_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [[paper(f"0704.{i % 70:04d}", f"{n} {i}") for i in range(n, 200, 3)] for n in range(3)]
    named = [write(tmp_path / f"{n}.jsonl", *part) for n, part in enumerate(parts)]
    whole = read(named)
    assert len(whole) == 70
    monkeypatch.setattr(readers, "BATCH", 7)
    assert read(named) == whole


def test_other_processes_find_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BATCH", 40)
    parts = [[paper(f"0704.{i % 70:04d}", f"{n} {i}") for i in range(n, 300, 3)] for n in range(3)]
    named = [write(tmp_path / f"{n}.jsonl", *part, [1], paper(None, "a")) for n, part in
             enumerate(parts)]  # fmt: skip
    here = read(named)
    monkeypatch.setattr(streams, "WORTH_SHARING", 0)
    asked, map_in_order = [], parallel.map_in_order

    def record(work: Any, items: Any, workers: int | None) -> Any:
        asked.append(workers)
        return map_in_order(work, items, workers)

    monkeypatch.setattr(parallel, "map_in_order", record)
    assert read(named) == here
    assert asked == [None], "one process per core"


def test_a_file_that_changes_between_both_readings_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [write(tmp_path / f"{n}.jsonl", paper(str(n), "text")) for n in range(2)]
    for content in (b"", lines([paper("x", "more")]) * 2):
        stream = PaperStream(named)
        find = stream._find_newest

        def find_and_change(content: bytes = content, find: Any = find) -> Any:
            newest = find()
            Path(named[1]).write_bytes(content + b"\n")
            return newest

        monkeypatch.setattr(stream, "_find_newest", find_and_change)
        with pytest.raises(ShelfmarkError, match="changed while they were read: run again"):
            list(stream.read_batches())
        write(Path(named[1]), paper("1", "text"))


def test_standard_input_is_never_one_of_several(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", paper("1", "text"))
    with pytest.raises(ShelfmarkError, match="- for standard input cannot be one of several"):
        PaperStream(["-", path])
    assert PaperStream("-").files == PaperStream(["-"]).files == ["-"]


def test_labels_without_a_text_are_newest_too(tmp_path: Path) -> None:
    new = {"id": "0704.0001v2", "label": "new"}
    named = [
        write(tmp_path / "a.jsonl", new),
        write(tmp_path / "b.jsonl", {"id": "0704.0001v1", "label": "old"}),
    ]
    stream = PaperStream(named, "--labels", ("id", "label"), ("label",))
    assert [orjson.loads(record) for _, _, record in stream.read_placed()] == [new]
