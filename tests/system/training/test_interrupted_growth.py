"""A training on several groups of papers is killed in each of its passes: the same bytes result."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.conftest import QUICK
from tests.support.trainer import Trainer, start_trainer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and signals")

# A low-rank model, one scored fold, and n-grams of two words.
SETTINGS = [
    *QUICK, "experiment=all", "data.options.papers=700", "data.min_papers=10",
    "model.stack.papers=150", "model.stack.scorers.low_rank.size=8",
    "model.stack.scorers.low_rank.members=2", "model.stack.scorers.low_rank.hidden=4",
    "model.rounds=5", "features.max_terms=3000", "features.min_df=2",
]  # fmt: skip
GROUP = 40  # papers, of which some training papers: there are about ten groups of these
WORKER, TRAINING = True, False  # where the event is
# Before each of these the training and its processes are killed; the next one goes on from there.
MOMENTS = [
    ("words", WORKER, ("open", "train.parquet", 2)),
    ("n-grams", WORKER, ("os.rename", "/part-3", 1)),
    ("terms", WORKER, ("os.rename", "/terms-0-0", 1)),
    ("rows", WORKER, ("os.rename", "/rows/00002.rows", 1)),
    ("an epoch", WORKER, ("os.rename", "low_rank-whole/member-0/epochs.zip", 2)),
    ("the next epoch", WORKER, ("os.rename", "low_rank-whole/member-1/epochs.zip", 1)),
    ("a member", WORKER, ("os.rename", "low_rank-whole/member-1.zip", 1)),
    ("scores", WORKER, ("os.rename", "/low_rank-0.zip", 1)),
    ("trees", TRAINING, ("os.rename", "/trees.zip", 1)),
    ("saving", TRAINING, ("os.rename", "models/grown", 1)),
]
CHANGING = ("created", "seconds")  # of a card: the day and the time of a run


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    folder = tmp_path / "trainer"
    folder.mkdir()
    with start_trainer(folder, SETTINGS) as trainer:
        yield trainer


def contents(folder: Path) -> dict[str, object]:
    """Return the content of each file, that of the card without what changes with each run."""
    files: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files[str(path.relative_to(folder))] = path.read_bytes()
    card = orjson.loads((folder / "card.json").read_bytes())
    del card["config"]["paths"]
    return files | {"card.json": {key: card[key] for key in card if key not in CHANGING}}


def test_killed_in_each_pass_a_training_ends_with_the_same_bytes(
    trainer: Trainer, tmp_path: Path
) -> None:
    how = {"shared": True, "group": GROUP}
    whole = trainer.run(tmp_path / "whole", "grown", **how)
    assert whole.code == 0, whole.log
    home = tmp_path / "home"
    for what, in_worker, moment in MOMENTS:
        ended = trainer.run(home, "grown", moment=moment, in_worker=in_worker, **how)
        assert ended.code == -signal.SIGKILL, f"{what}: {ended.log}"
    ended = trainer.run(home, "grown", **how)
    assert ended.code == 0, ended.log
    undisturbed, resumed = (contents(place / "models" / "grown")
                            for place in (tmp_path / "whole", home))  # fmt: skip
    assert resumed == undisturbed
