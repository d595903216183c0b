"""This machine as the engine of a training: its memory decides how much is done at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.config.schema import EngineConfig
from shelfmark.core import memory
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.fitting.engine import FitTask, LocalEngine, open_engine
from shelfmark.models.boosted.fitting.rows import MatrixRows, PaperLabels, TrainingRows
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.boosted.scorers import Bayes, Scorer, Svm

GB = 1 << 30


@dataclass(frozen=True)
class Sum:
    """A fit of a sum, which needs so many bytes."""

    bytes: int

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> float:
        return float(sum(block.features.sum() for block in rows.blocks()))

    def memory(self, rows: TrainingRows) -> int:
        return self.bytes

    def stages(self) -> dict[str, FitTask]:
        return {}


def rows(papers: int = 8, terms: int = 5, classes: int = 2) -> MatrixRows:
    matrix = sp.csr_matrix(np.ones((papers, terms), np.float32))
    own = np.arange(papers, dtype=np.int32) % classes
    return MatrixRows(matrix, PaperLabels(own, classes, sp.csr_matrix((papers, 3), dtype=np.uint8)))


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(memory, "used_bytes", lambda: 0)
    monkeypatch.setattr(memory, "PROCESS", 0)


@pytest.mark.usefixtures("four_cores")
def test_as_many_fits_at_once_as_memory_allows() -> None:
    named: list[tuple[str, FitTask]] = [
        ("large", Sum(3 * GB)), ("small", Sum(GB)), ("another", Sum(GB)), ("tiny", Sum(1)),
    ]  # fmt: skip
    shares = LocalEngine(3 * GB).share_memory(named, rows())
    assert [(count, [name for name, _ in some]) for count, some in shares] == [
        (4, ["tiny"]),
        (3, ["small", "another"]),
        (1, ["large"]),
    ]


@pytest.mark.usefixtures("four_cores")
def test_a_fit_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match=r"^engine\.memory: fitting large needs 3\.0 GB, and"):
        LocalEngine(2 * GB).share_memory([("large", Sum(3 * GB))], rows())


def test_fits_of_all_sizes_are_saved(tmp_path: Path) -> None:
    saved = Checkpoint(tmp_path)
    most = 2 * GB + memory.used_bytes()
    named = [("first", Sum(GB)), ("second", Sum(1))]
    LocalEngine(most).fit_to_checkpoint(named, saved, rows())
    assert saved.load("first") == saved.load("second") == 40.0


class Halves:
    """A fit of two parts, which refuses to fit them itself."""

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> float:
        assert states is not None
        return float(states.load("first") + 2 * states.load("second"))

    def memory(self, rows: TrainingRows) -> int:
        return 0

    def stages(self) -> dict[str, FitTask]:
        return {"first": Sum(1), "second": Sum(2)}


def test_the_parts_of_a_fit_come_before_it(tmp_path: Path) -> None:
    saved = Checkpoint(tmp_path)
    LocalEngine().fit_to_checkpoint([("halves", Halves()), ("sum", Sum(1))], saved, rows())
    assert saved.load("halves") == 120.0
    assert not (tmp_path / "halves").exists(), "the results of the parts are not needed after it"


@pytest.mark.parametrize("scorer", [LowRankLinear(size=64), Svm(), Bayes()])
def test_a_fit_needs_more_memory_for_more_terms(scorer: Scorer) -> None:
    few, many = scorer.memory(rows(terms=10)), scorer.memory(rows(terms=1000))
    assert 0 < few < many
    # At least what the fitted model holds.
    columns = 64 if isinstance(scorer, LowRankLinear) else 2
    assert many >= 4 * 1000 * columns


def test_the_configuration_bounds_the_memory() -> None:
    with open_engine(EngineConfig(memory="3GB")) as engine:
        assert isinstance(engine, LocalEngine)
        assert engine.budget == 3_000_000_000
    with open_engine(EngineConfig()) as engine:
        assert isinstance(engine, LocalEngine)
        assert engine.budget == memory.machine_bytes() // 2
