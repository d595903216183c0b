"""`embed` of the command line: what it writes and prints, and with which status it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.embeddings import artifact
from tests.support import hashed_encoder
from tests.unit.cli.conftest import Typed

ROBOT = "A robot arm grasps unseen objects"


@pytest.fixture(autouse=True)
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> artifact.OpenEncoder:
    """An encoder in the folder of this test, where commands run."""
    hashed_encoder.register(monkeypatch)
    folder = hashed_encoder.save_encoder(tmp_path / "encoders", [ROBOT], sizes=[16])
    monkeypatch.chdir(tmp_path)
    return artifact.load(folder)


def test_a_file_becomes_vectors(typed: Typed, encoder: artifact.OpenEncoder) -> None:
    Path("papers.txt").write_text(f"{ROBOT}\na galaxy\n", encoding="utf-8")
    words = ("embed", "--file", "papers.txt", "--out", "vectors.npy", "--ids", "ids.txt")
    assert typed(*words)[:2] == (0, "")
    assert np.array_equal(np.load("vectors.npy"), encoder.encode([ROBOT, "a galaxy"]))
    assert Path("ids.txt").read_text() == "\n\n"


def test_a_record_that_holds_no_paper_fails_the_command(typed: Typed) -> None:
    Path("papers.jsonl").write_text('{"text": "a robot"}\n{"id": 1}\n', encoding="utf-8")
    status, out, error = typed("embed", "--file", "papers.jsonl", "--out", "vectors.npy")
    assert (status, out) == (1, "")
    assert error == (
        "error: 1 of 2 records hold no paper, the first in line 2: no text: give text, or title "
        "and abstract; the others are encoded\n"
    )
    assert np.linalg.norm(np.load("vectors.npy"), axis=1) == pytest.approx([1, 0])


def test_a_text_is_printed_as_json(typed: Typed, encoder: artifact.OpenEncoder) -> None:
    status, out, error = typed("embed", "--text", ROBOT, "--size", "16", "--encoder", "hashed")
    assert (status, error) == (0, "")
    answer = orjson.loads(out)
    assert list(answer) == ["encoder", "digest", "size", "vector"]
    assert answer["vector"] == encoder.encode([ROBOT], 16)[0].tolist()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "give --text TEXT or --file FILE (- for standard input)"),
        (["--text", "a", "--out", "a.npy"], "--text prints the vector: leave --out and --ids away"),
        (["--text", "a", "--encoder", "missing"], "no encoder in encoders/missing: train one with"),
        (["--text", "a", "--size", "8"], "size 8: vectors of this encoder have 16, 64 numbers"),
        (["--text", "a", "--size", "x"], "--size: 'x' should be a whole number"),
        (["--file", "ids.txt"], "--out: give a file to write the vectors to, .npy or .parquet"),
    ],
)
def test_a_mistake_is_one_line(typed: Typed, words: list[str], line: str) -> None:
    status, out, error = typed("embed", *words)
    assert (status, out) == (1, "")
    assert error.startswith(f"error: {line}")
    assert error.count("\n") == 1
