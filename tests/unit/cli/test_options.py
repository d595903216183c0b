"""Options that name a place: an address, an empty path or a missing folder is one line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.unit.cli.conftest import Typed

ADDRESS = "is an address, a path of this machine is needed"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evaluate", "--models", "gs://bucket/models"], f"--models: gs://bucket/models {ADDRESS}"),
        (["report", "--reports", "gs://bucket/r"], f"--reports: gs://bucket/r {ADDRESS}"),
        (["harvest", "--out", "gs://bucket/p.jsonl"], f"--out: gs://bucket/p.jsonl {ADDRESS}"),
        (["harvest", "--out", ""], "--out: the path is empty"),
        (["harvest", "--out", "a/"], "--out: a/ is a folder, a file is needed"),
        (["classify-new", "--folder", "s3://a"], f"--folder: s3://a {ADDRESS}"),
        (["sync", "--folder", "missing"], "--folder: there is no folder missing"),
        (["sync", "--folder", "file"], "--folder: there is no folder file"),
        (["ship-log", "--folder", "missing", "--to", "a"], "there is no folder missing to ship"),
        (["report", "--data-folder", "missing"], "--data-folder: there is no folder missing"),
        (["report", "--models-folder", "missing"], "--models-folder: there is no folder missing"),
        (["report", "--reports", "missing"], "--reports: there is no folder missing"),
        (["predict", "--text", "a", "--out", "a.xlsx"], "--out: a.xlsx: .xlsx is not written;"),
        (["predict", "--text", "a", "--out", ""], "--out: the name is empty"),
        (["predict", "--file", "file", "--out", "file"], "--out: file is the file that is read"),
    ],
)
def test_a_place_that_cannot_be_meant_is_one_line(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shelfmark.cli.training.require_extra", lambda *_: None)
    Path("file").write_text("a text\n")
    status, out, err = typed(*words)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_default_folder_may_be_missing(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shelfmark.cli.training.require_extra", lambda *_: None)
    assert typed("sync") == (0, "nothing to send in reports\n", "")


@pytest.mark.parametrize("whole", [False, True])
def test_a_model_of_an_address_predicts(typed: Typed, home: Path, whole: bool) -> None:
    models = f"{(home / 'models').as_uri()}"
    words = ["--model", f"{models}/quick"] if whole else ["--models", models, "--model", "quick"]
    status, out, err = typed("predict", "--text", "a robot arm", *words)
    assert (status, err) == (0, "")
    assert orjson.loads(out)["category"] == "cs.RO"


def test_a_tilde_that_the_shell_leaves_is_the_home(
    typed: Typed, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").symlink_to(home)
    words = ["--models=~/models", "--model", "quick", f"--out=~/{tmp_path.name}.jsonl"]
    assert typed("predict", "--text", "a robot arm", *words)[0] == 0
    out = home / f"{tmp_path.name}.jsonl"
    assert orjson.loads(out.read_bytes())["category"] == "cs.RO"
    out.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
