"""The exit status of `predict`: an output that lacks a paper is no success."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Typed = Callable[..., tuple[int, str, str]]


def predict(typed: Typed, home: Path, file: Path, *more: str) -> tuple[int, str, str]:
    words = ("--models", str(home / "models"), "--model", "quick", "--file", str(file))
    return typed("predict", *words, *more)


def test_a_record_that_holds_no_paper_fails_the_command(
    typed: Typed, home: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "papers.csv", tmp_path / "out.jsonl"
    source.write_text('id,title,abstract\n1,Grasping,"a robot arm\n2,Dust,a galaxy\n')
    status, printed, error = predict(typed, home, source, "--out", str(out))
    assert (status, printed) == (1, "")
    assert error == (
        "error: 1 of 2 records hold no paper, the first in line 2: a quote is opened and not "
        "closed; the others are classified\n"
    )
    assert len(out.read_text().splitlines()) == 2
    status, printed, _ = predict(typed, home, source)
    assert (status, printed) == (1, out.read_text())


def test_a_file_of_which_no_record_is_a_paper_fails(
    typed: Typed, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "papers.jsonl").write_text('{"id": 1}\n')
    status, _, error = predict(typed, home, tmp_path / "papers.jsonl")
    assert (status, error) == (
        1,
        "error: 1 of 1 records hold no paper, the first in line 1: no text: give text, or title "
        "and abstract\n",
    )


def test_a_file_of_papers_succeeds(typed: Typed, home: Path, tmp_path: Path) -> None:
    (tmp_path / "papers.txt").write_text("a robot arm\n\na galaxy\n")
    status, printed, error = predict(typed, home, tmp_path / "papers.txt")
    assert (status, len(printed.splitlines()), error) == (0, 2, "")


def test_a_file_without_papers_fails(typed: Typed, home: Path, tmp_path: Path) -> None:
    (tmp_path / "papers.json").write_text("[]")
    status, printed, error = predict(typed, home, tmp_path / "papers.json")
    assert (status, printed, error) == (1, "", "error: --file: holds no papers\n")
