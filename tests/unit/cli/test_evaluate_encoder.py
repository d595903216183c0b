"""`shelfmark evaluate-encoder`: its table, its names of encoders, and one line for each mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfmark.artifacts.card import TrainingData
from shelfmark.config.load import load_config
from shelfmark.data.prepare import prepare_splits
from shelfmark.evaluation.encoders import subjects
from tests.conftest import paths_in
from tests.support import hashed_encoder

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def _hashed_family() -> Iterator[None]:
    monkeypatch = pytest.MonkeyPatch()
    hashed_encoder.register(monkeypatch)
    monkeypatch.setattr(subjects, "MOST_TIMED", 20)
    yield
    monkeypatch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with splits and the encoders `one`, `two` and, of other splits, `foreign`."""
    folder = tmp_path_factory.mktemp("home")
    papers = ["data.options.papers=300", "data.min_papers=5"]
    splits = prepare_splits(load_config([*papers, *paths_in(folder)]))
    for name, digest in (("foreign", "0" * 64), ("two", splits.digest), ("one", splits.digest)):
        data = TrainingData(str(splits.folder), digest, "sample", True, splits.card["splits"])
        hashed_encoder.save_encoder(folder / "encoders", ["a robot"], name, data=data)
    return folder


@pytest.fixture
def command(folder: Path, typed: Command) -> Command:
    places = ["--encoders", str(folder / "encoders"), "--reports", str(folder / "reports")]
    return lambda *words: typed("evaluate-encoder", *words, *places)


def test_the_latest_encoder_on_the_test_split_without_being_asked(
    command: Command, folder: Path
) -> None:
    status, out, _ = command("--no-baselines")
    assert status == 0
    assert "papers of the test split (synthetic)" in out
    assert "TF-IDF" not in out
    assert (folder / "reports" / "encoders" / "one-test" / "metrics.json").is_file()


@pytest.mark.parametrize("words", [["two,one"], ["two", "--encoder", "one"]])
def test_several_encoders_stand_in_one_table(command: Command, words: list[str]) -> None:
    status, out, _ = command("--no-baselines", "--split", "validation", "--encoder", *words)
    assert status == 0
    (head,) = (line for line in out.splitlines() if "one" in line and "two" in line)
    assert head.index("two") < head.index("one")


def test_a_smaller_pool_is_named_by_its_size(command: Command) -> None:
    _, out, _ = command("--no-baselines", "--split", "validation", "--pool", "7")
    assert "title finds abstract, MRR (7 in 7)" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--encoder", "none"], "no encoder in"),
        (["--encoder", "one,foreign"], "one table needs the same papers"),
        (["--encoder", "one,one"], "one stands twice among the columns"),
        (["--split", "tset"], "no split 'tset'"),
        (["--pool", "1"], "1 is not in the range"),
    ],
)
def test_a_mistake_is_one_line(command: Command, words: list[str], line: str) -> None:
    status, out, err = command(*words)
    (error,) = [one for one in err.splitlines() if one.startswith("error: ")]
    assert line in error
    assert (status, out) == (1, "")
