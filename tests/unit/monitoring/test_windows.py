"""Windows: what a log or a file of papers holds, as a model sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.monitoring import fingerprint, windows
from shelfmark.monitoring.fingerprint import sketcher_for
from tests.support.logs import line, write

DAY = 86400


@pytest.mark.parametrize(
    ("since", "seconds"), [("7d", 7 * DAY), ("24h", DAY), ("90m", 5400), ("2w", 14 * DAY)]
)
def test_a_span_counts_back_from_now(since: str, seconds: float) -> None:
    assert windows.parse_since(since, 10_000_000.0) == 10_000_000 - seconds


def test_a_day_and_nothing() -> None:
    assert windows.parse_since("1970-01-02", 0) == DAY
    assert windows.parse_since("1970-01-02T01:00+01:00", 0) == DAY
    assert windows.parse_since("", 0) == -np.inf
    with pytest.raises(ShelfmarkError, match=r"--since: 'yesterday' is invalid"):
        windows.parse_since("yesterday", 0)


def test_a_log_gives_the_lines_of_one_model_since_a_moment(model: Model, tmp_path: Path) -> None:
    now = time.time()
    write(tmp_path / "a.jsonl", line(model, now - 9 * DAY), line(model, now - 2 * DAY, label="x"))
    others = line(model, now, model="other"), {"odd": 1}, line(model, now, confidence="high")
    write(tmp_path / "b.jsonl.open", line(model, now - DAY, unknown=None), *others)
    window = windows.from_log(str(tmp_path), model.card, "7d", 100)
    assert window.left_out == {"another model": 1, "invalid": 2}
    assert window.rows["label"].tolist() == ["x", None]
    assert window.rows["unknown"].isna().tolist() == [False, True]
    assert window.rows["time"].is_monotonic_increasing
    assert window.texts is None
    assert window.terms is not None
    assert window.terms.shape == (2, fingerprint.NARROW)
    wanted = fingerprint.fold(sketcher_for(model).transform(["we train a robot"]))
    assert (window.terms[0] != wanted).nnz == 0


def test_a_log_with_texts_gives_them_and_all_their_buckets(model: Model, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", line(model, 5, text="a b"), line(model, 6, text="robot arm"))
    for one in (lines := [orjson.loads(x) for x in file.read_bytes().splitlines()]):
        one["text"] = "robot arm"
    window = windows.from_log(str(write(file, *lines)), model.card, "", 100)
    assert window.texts == ["robot arm", "robot arm"]
    assert window.terms is not None
    assert window.terms.shape == (2, fingerprint.WIDE)


def test_lines_without_words_have_none_to_compare(model: Model, tmp_path: Path) -> None:
    bare = {k: v for k, v in line(model, 1).items() if k != "sketch"}
    window = windows.from_log(str(write(tmp_path / "a.jsonl", bare)), model.card, "", 10)
    assert (window.terms, len(window.with_terms), len(window.rows)) == (None, 0, 1)
    some = write(tmp_path / "a.jsonl", bare, line(model, 2))
    assert windows.from_log(str(some), model.card, "", 10).with_terms.tolist() == [1]


def test_of_too_many_lines_some_are_kept_from_all_along(model: Model, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *(line(model, float(x)) for x in range(300)))
    window = windows.from_log(str(file), model.card, "", 50)
    assert (len(window.rows), window.seen) == (50, 300)
    assert window.rows["time"].min() < 60
    assert window.rows["time"].max() > 240
    again = windows.from_log(str(file), model.card, "", 50)
    pd.testing.assert_frame_equal(window.rows, again.rows)


def test_no_log_is_one_line(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="--log: there is no folder or file"):
        windows.from_log(str(tmp_path / "none"), model.card, "", 10)


def test_true_labels_come_later_by_the_papers_names(
    model: Model, tmp_path: Path, log: Callable[[], str]
) -> None:
    names = ["2401.00001", "mine-7", None, "2401.00002v3", "MATH.AG/0211000"]
    file = write(tmp_path / "a.jsonl", *(line(model, x, id=name) for x, name in enumerate(names)))
    truth = write(
        tmp_path / "truth.jsonl",
        {"id": "arXiv:2401.00001v2", "categories": "cs.CV cs.LG"},
        {"id": "mine-7", "label": "cs.CL"},
        {"id": "2401.00002", "primary": "cs.RO"},
        {"id": "2401.09999", "primary": "cs.RO"},
        {"id": "https://arxiv.org/abs/math/0211000v3", "label": "cs.AI"},
        {"primary": "cs.RO"},
    )
    window = windows.from_log(str(file), model.card, "", 10, str(truth))
    assert window.rows["label"].tolist() == ["cs.CV", "cs.CL", None, "cs.RO", "cs.AI"]
    assert "--labels: 4 of 5 papers of the log have a true label" in log()
    assert "--labels: 1 of 6 records hold no label and are left out, the first in line 6" in log()
    with pytest.raises(ShelfmarkError, match="--labels: there is no file"):
        windows.from_log(str(file), model.card, "", 10, "none.jsonl")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_labels_needs_no_texts(model: Model, tmp_path: Path, kind: str) -> None:
    file = write(tmp_path / "a.jsonl", line(model, 1.0, id="mine"))
    labels, wrong = tmp_path / f"labels.{kind}", tmp_path / "wrong.csv"
    frame = pd.DataFrame({"ID": ["mine"], "Label": ["cs.CL"]})
    frame.to_csv(labels, index=False) if kind == "csv" else frame.to_parquet(labels)
    window = windows.from_log(str(file), model.card, "", 10, str(labels))
    assert window.rows["label"].tolist() == ["cs.CL"]
    wrong.write_text("id,title\nmine,Robots\n")
    with pytest.raises(
        ShelfmarkError, match="has no column label, primary, categories or category_code, only id"
    ):
        windows.from_log(str(file), model.card, "", 10, str(wrong))


def test_a_missing_file_of_papers_is_named_by_its_option(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="--papers: there is no file"):
        windows.from_papers(str(tmp_path / "none.jsonl"), model, "", 10)


def test_of_several_files_the_newest_record_of_a_paper_counts(model: Model, tmp_path: Path) -> None:
    old = {"id": "2401.00001v1", "text": "An old text", "label": "cs.CL", "time": 1.0}
    new = {"id": "2401.00001v2", "text": "A new text", "label": "cs.CV", "time": 2.0}
    first = write(tmp_path / "a.jsonl", new, {"text": "Another", "time": 3.0})
    last = write(tmp_path / "b.jsonl", old)
    for papers in ([str(first), str(last)], str(tmp_path), f"{tmp_path}/*.jsonl"):
        window = windows.from_papers(papers, model, "", 10)
        assert window.texts == ["A new text", "Another"]
        assert window.source == f"{first}, {last}"
    log = write(tmp_path / "log.jsonl", line(model, 1.0, id="2401.00001"))
    window = windows.from_log(str(log), model.card, "", 10, [str(first), str(last)])
    assert window.rows["label"].tolist() == ["cs.CV"]


def test_an_empty_log_is_an_empty_window(model: Model, tmp_path: Path) -> None:
    window = windows.from_log(str(tmp_path), model.card, "7d", 10)
    assert (len(window.rows), window.terms) == (0, None)


def test_a_split_reads_as_the_model_read_it(model: Model) -> None:
    folder = Path(model.card.data.folder)
    window = windows.from_papers(str(folder / "test.parquet"), model, "", 1000)
    papers = open_splits(folder).read("test").to_pandas().sort_values("submitted", kind="stable")
    assert window.texts == papers["text"].tolist()
    assert window.rows["label"].tolist() == papers["label"].tolist()
    probabilities, _ = model.probabilities(window.texts)
    np.testing.assert_allclose(window.rows["confidence"], probabilities.max(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "label", "moment"),
    [
        ({"label": "cs.RO", "time": 5}, "cs.RO", 5),
        ({"primary": "cs.CV", "submitted": "1970-01-02"}, "cs.CV", DAY),
        ({"category_code": "cs.CV", "published_date": "1/2/1970"}, "cs.CV", DAY),
        ({"time": "Fri, 2 Jan 1970 00:00:00 GMT"}, None, DAY),
        ({"categories": "cs.CL cs.LG"}, "cs.CL", np.nan),
        ({"categories": ["quant-ph"], "submitted": "never"}, "quant-ph", np.nan),
        ({"categories": 3, "versions": [{"created": "Fri, 2 Jan 1970 00:00:00 GMT"}]}, None, DAY),
        ({"categories": 3, "versions": [{"created": "2 Jan 07 00:00:00 GMT"}]}, None, 1167696000),
        ({"categories": "no.such", "versions": "odd"}, None, np.nan),
    ],
)
def test_labels_and_times_of_papers(
    model: Model, tmp_path: Path, fields: dict[str, Any], label: str | None, moment: float
) -> None:
    file = write(tmp_path / "papers.jsonl", {"title": "A robot", "abstract": "arm", **fields}, {})
    window = windows.from_papers(str(file), model, "", 10)
    assert window.rows["label"].tolist() == [label]
    np.testing.assert_equal(window.rows["time"].tolist(), [moment])
    assert window.texts == ["A robot\narm"]
    assert window.left_out == {"invalid": 1}


def test_records_without_a_paper_are_named(
    model: Model, tmp_path: Path, log: Callable[[], str]
) -> None:
    file = tmp_path / "papers.csv"
    file.write_text("id,title,abstract\n1,A robot,An arm\n2,A robot, an arm, cut\n")
    assert len(windows.from_papers(str(file), model, "", 10).rows) == 1
    assert "--papers: 1 of 2 records hold no paper and are left out, the first in line 3" in log()
    assert "4 cells under 3 columns" in log()
    other = write(tmp_path / "b.jsonl", {"text": "a galaxy"})
    windows.from_papers([str(file), str(other)], model, "", 10)
    assert "1 of 3 records hold no paper and are left out, the first in" in log()
    assert "papers.csv, line 3: " in log()


def test_a_damaged_record_of_labels_is_named(
    model: Model, tmp_path: Path, log: Callable[[], str]
) -> None:
    file = write(tmp_path / "a.jsonl", line(model, 1.0, id="mine"))
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nmine,cs.CL\nyours,cs.CL,cs.AI\n")
    windows.from_log(str(file), model.card, "", 10, str(labels))
    assert "the first in line 3: 3 cells under 2 columns" in log()


def test_a_file_without_papers_is_an_empty_window(model: Model, tmp_path: Path) -> None:
    window = windows.from_papers(str(write(tmp_path / "a.jsonl", {}, [])), model, "", 10)
    assert (len(window.rows), window.terms, window.left_out) == (0, None, {"invalid": 2})
