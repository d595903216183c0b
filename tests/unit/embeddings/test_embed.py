"""Vectors of one text and of files of papers: in order, one for each record, at unit length."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from shelfmark.core.arrays import Floats
from shelfmark.data import readers
from shelfmark.embeddings import artifact, embed, writing
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from tests.support import records

ROBOT = {"id": "1", "title": "Grasping", "abstract": "A robot arm grasps unseen objects."}
GALAXY = {"id": "2", "title": "Dust", "abstract": "Star formation in a galaxy with a massive halo."}
NO_PAPER = {"id": "3", "title": " ", "abstract": None}


@pytest.fixture
def encoder(hashed: Path) -> OpenEncoder:
    return artifact.load(hashed)


def encoded(encoder: OpenEncoder, *papers: dict[str, Any]) -> Floats:
    return encoder.encode([encoder.text(x["title"], x["abstract"]) for x in papers])


def write(path: Path, *papers: Any) -> str:
    path.write_bytes(records.lines(list(papers)))
    return str(path)


def test_a_npy_file_holds_a_row_for_each_paper(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path
) -> None:
    source, out = write(tmp_path / "in.jsonl", ROBOT, GALAXY), tmp_path / "out.npy"
    embed.embed_file(located, source, str(out)).require_papers()
    vectors = np.load(out)
    assert (vectors.dtype, vectors.shape) == (np.float32, (2, 64))
    assert vectors.flags.c_contiguous
    assert np.array_equal(vectors, encoded(encoder, ROBOT, GALAXY))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


def test_a_record_without_a_paper_is_a_zero_row_in_its_place(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", ROBOT, NO_PAPER, GALAXY)
    out, ids = tmp_path / "out.npy", tmp_path / "ids.txt"
    summary = embed.embed_file(located, source, str(out), str(ids))
    vectors = np.load(out)
    assert np.array_equal(vectors[[0, 2]], encoded(encoder, ROBOT, GALAXY))
    assert not vectors[1].any()
    assert ids.read_text(encoding="utf-8") == "1\n3\n2\n"
    message = r"^1 of 3 records hold no paper, the first in line 2: no text.*; the others are enc"
    with pytest.raises(ShelfmarkError, match=message):
        summary.require_papers()


def test_parquet_holds_identifiers_errors_and_which_encoder_made_the_vectors(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", ROBOT, NO_PAPER, {"text": GALAXY["abstract"]})
    embed.embed_file(located, source, str(tmp_path / "out.parquet"))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["line", "id", "vector", "error"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[64]"
    assert table["line"].to_pylist() == [1, 2, 3]
    assert table["id"].to_pylist() == ["1", "3", None]
    assert table["error"].to_pylist()[::2] == [None, None]
    assert "no text" in table["error"][1].as_py()
    first, none, last = table["vector"].to_pylist()
    assert none is None
    assert np.array_equal(np.array(first, np.float32), encoded(encoder, ROBOT)[0])
    assert np.array_equal(
        np.array(last, np.float32), encoder.encode([encoder.text("", GALAXY["abstract"])])[0]
    )
    metadata = table.schema.metadata
    assert metadata[writing.ENCODER.encode()] == b"hashed"
    assert metadata[writing.DIGEST.encode()].decode() == encoder.digest


def test_vectors_are_cut_to_a_size_of_the_card_at_unit_length(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path
) -> None:
    source, out = write(tmp_path / "in.jsonl", ROBOT, GALAXY), tmp_path / "out.npy"
    embed.embed_file(located, source, str(out), size=16)
    whole, cut = encoded(encoder, ROBOT, GALAXY), np.load(out)
    assert cut.shape == (2, 16)
    assert np.allclose(cut, whole[:, :16] / np.linalg.norm(whole[:, :16], axis=1, keepdims=True))
    with pytest.raises(ShelfmarkError, match=r"^size 20: vectors .* have 16, 32, 64 numbers$"):
        embed.embed_file(located, source, str(tmp_path / "other.npy"), size=20)
    assert not (tmp_path / "other.npy").exists()


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_several_files_are_encoded_in_order_and_of_a_paper_the_newest(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "papers").mkdir()
    older = ROBOT | {"update_date": "2020-01-01"}
    newer = ROBOT | {"title": "Grasping anew", "update_date": "2021-01-01"}
    write(tmp_path / "papers" / "a.jsonl", older | {"id": "2001.00001"}, GALAXY)
    with gzip.open(tmp_path / "papers" / "b.jsonl.gz", "wb") as file:
        file.write(records.lines([newer | {"id": "2001.00001"}]))
    out = tmp_path / f"out{suffix}"
    embed.embed_file(located, str(tmp_path / "papers"), str(out)).require_papers()
    wanted = encoded(encoder, GALAXY, newer)
    if suffix == ".npy":
        assert np.array_equal(np.load(out), wanted)
        return
    table = pq.read_table(out)
    assert [Path(name).name for name in table["file"].to_pylist()] == ["a.jsonl", "b.jsonl.gz"]
    assert np.array_equal(np.array(table["vector"].to_pylist(), np.float32), wanted)


def test_many_batches_keep_their_order(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BATCH", 3)
    papers = [ROBOT | {"id": str(n), "title": f"word{n} grasping"} for n in range(20)]
    source, out = write(tmp_path / "in.jsonl", *papers), tmp_path / "out.npy"
    embed.embed_file(located, source, str(out), str(tmp_path / "ids.txt"))
    assert np.array_equal(np.load(out), encoded(encoder, *papers))
    assert (tmp_path / "ids.txt").read_text().split() == [str(n) for n in range(20)]


def test_standard_input_is_encoded(
    located: LocatedEncoder, encoder: OpenEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(write(tmp_path / "in.jsonl", ROBOT, GALAXY)).open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        embed.embed_file(located, "-", str(tmp_path / "out.npy"))
    assert np.array_equal(np.load(tmp_path / "out.npy"), encoded(encoder, ROBOT, GALAXY))


def test_texts_of_any_length_have_finite_vectors(located: LocatedEncoder, tmp_path: Path) -> None:
    texts = [{"text": text} for text in ("a", "?!", "word " * 20_000, "x" * 100_000)]
    source, out = write(tmp_path / "in.jsonl", *texts), tmp_path / "out.npy"
    embed.embed_file(located, source, str(out)).require_papers()
    lengths = np.linalg.norm(np.load(out), axis=1)
    assert np.allclose(lengths, [0, 0, 1, 1])


def test_one_text_is_json(located: LocatedEncoder, encoder: OpenEncoder) -> None:
    answer = embed.embed_text(located, "A robot arm", 32)
    assert orjson.loads(orjson.dumps(answer)) == answer
    assert (answer["encoder"], answer["size"]) == ("hashed", 32)
    assert answer["digest"] == encoder.digest
    assert np.array_equal(answer["vector"], encoder.encode(["A robot arm"], 32)[0].tolist())
    with pytest.raises(ShelfmarkError, match="^--text: no text"):
        embed.embed_text(located, " \n")


@pytest.mark.parametrize(
    ("out", "ids", "problem"),
    [
        ("", "", "--out: give a file to write the vectors to, .npy or .parquet"),
        ("-", "", "--out: give a file"),
        ("out.npy.gz", "", "--out: out.npy.gz: vectors are written as .npy or .parquet, not"),
        ("out.csv", "", "vectors are written as"),
        ("out", "", "vectors are written as"),
        ("folder/", "", "--out: folder/ is a folder"),
        ("gs://bucket/out.npy", "", "is an address"),
        ("/dev/stdout.npy/../stdout", "", "vectors are written as"),
        ("out.parquet", "ids.txt", "--ids: out.parquet has a column id"),
        ("out.npy", "out.npy", "--ids: out.npy: give a file of its own"),
        ("out.npy", "-", "--ids: -: give a file of its own"),
        ("out.npy", "ids/", "--ids: ids/ is a folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    located: LocatedEncoder, tmp_path: Path, out: str, ids: str, problem: str
) -> None:
    source = write(tmp_path / "in.jsonl", ROBOT)
    with pytest.raises(ShelfmarkError) as raised:
        embed.embed_file(located, source, out, ids)
    assert problem in str(raised.value)


def test_the_input_is_no_output(located: LocatedEncoder, tmp_path: Path) -> None:
    source = write(tmp_path / "papers.npy", ROBOT)
    (tmp_path / "link.npy").symlink_to("papers.npy")
    for out, ids, setting in (("link.npy", "", "--out"), ("out.npy", "link.npy", "--ids")):
        with pytest.raises(ShelfmarkError, match=f"^{setting}: .* is the file that is read"):
            embed.embed_file(located, source, str(tmp_path / out), ids and str(tmp_path / ids))
    assert Path(source).read_bytes() == records.lines([ROBOT])


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_broken_input_leaves_the_older_output(
    located: LocatedEncoder, tmp_path: Path, suffix: str
) -> None:
    packed = gzip.compress(records.lines([ROBOT] * 5000))
    (tmp_path / "in.jsonl.gz").write_bytes(packed[: len(packed) - 20])
    out, ids = tmp_path / f"out{suffix}", tmp_path / "ids.txt"
    out.write_bytes(b"before")
    with pytest.raises(ShelfmarkError, match="damaged or truncated"):
        embed.embed_file(
            located, str(tmp_path / "in.jsonl.gz"), str(out), str(ids) * (suffix == ".npy")
        )
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl.gz", out.name]


def test_an_encoder_that_changes_between_location_and_opening_is_refused(
    located: LocatedEncoder, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", ROBOT)
    with pytest.raises(ShelfmarkError, match="is another encoder now"):
        embed.embed_file(located._replace(digest="0" * 64), source, str(tmp_path / "out.npy"))


def test_no_papers_is_an_error(located: LocatedEncoder, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n\n")
    summary = embed.embed_file(located, str(tmp_path / "in.jsonl"), str(tmp_path / "out.npy"))
    assert np.load(tmp_path / "out.npy").shape == (0, 64)
    with pytest.raises(ShelfmarkError, match="holds no papers"):
        summary.require_papers()
