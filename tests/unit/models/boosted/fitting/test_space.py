"""The disk of a training is checked before it begins; a full one ends in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelfmark.config.load import load_config
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.features import scorers
from shelfmark.models.boosted.fitting.fit import fit_model
from shelfmark.models.boosted.fitting.space import disk_bytes, require_space
from shelfmark.models.boosted.stacking import CrossFittedScores
from tests.support.tables import table

LOW_RANK = ["experiment=all", "model.stack.min_listed=2", "features.min_df=1", "model.rounds=2",
            "model.n_jobs=1", "model.stack.scorers.low_rank.hidden=4"]  # fmt: skip
LABELS = ["cs.CL", "cs.RO", "quant-ph"]
WORDS = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrst"]


def papers(count: int) -> object:
    texts = [" ".join(WORDS[(number * 7 + place * place) % 100] for place in range(20))
             for number in range(count)]  # fmt: skip
    return table([LABELS[number % 3] for number in range(count)], texts)


def stack_of(*overrides: str) -> CrossFittedScores:
    stack = load_config(overrides).model.stack  # type: ignore[attr-defined]
    return CrossFittedScores(scorers(stack, 0), 3, stack.folds, 0, stack.papers)


def test_too_little_space_is_one_line_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"the training needs .* of disk in ") as raised:
        require_space(load_config(LOW_RANK), 10**12, 5, stack_of(*LOW_RANK), Checkpoint(tmp_path))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_run_wrote_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "shelfmark.core.disk.require_free", lambda folder, needed, what: asked.append(needed)
    )
    checkpoint = Checkpoint(tmp_path)
    for _ in range(2):
        require_space(load_config(LOW_RANK), 1000, 5, stack_of(*LOW_RANK), checkpoint)
        (tmp_path / "rows").mkdir(exist_ok=True)
        (tmp_path / "rows" / "0").write_bytes(bytes(10_000))
    assert asked[0] - asked[1] == 10_000


def test_bounded_terms_bound_the_models_and_a_cluster_keeps_the_rows() -> None:
    papers, columns = 1_000_000, 150
    usual, plain, bounded, cluster = (
        disk_bytes(load_config([*LOW_RANK, *more]), papers, columns, stack_of(*LOW_RANK))
        for more in (
            [], ["features.max_terms=null"], ["features.max_terms=100000"], ["engine=dask"],
        )
    )  # fmt: skip
    assert bounded < usual < plain
    assert cluster < usual


def test_folds_that_are_scored_count() -> None:
    one, all_folds = (
        disk_bytes(
            load_config(LOW_RANK), 100_000, 5, stack_of(*LOW_RANK, f"model.stack.papers={x}")
        )
        for x in ("25000", "null")
    )
    assert one < all_folds


@contextlib.contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file of this process outgrow a size."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the size of files")
def test_a_full_disk_ends_in_one_line_with_nothing_half_written(tmp_path: Path) -> None:
    config, train, held = load_config(LOW_RANK), papers(120), papers(30)
    checkpoint = Checkpoint(tmp_path)

    def fit() -> object:
        return fit_model(config, train, held, lambda step, losses: None, checkpoint)  # type: ignore[arg-type]

    met = []
    size = 100
    while True:
        with room(size):
            try:
                fitted = fit()
                break
            except ShelfmarkError as error:
                message = str(error)
        assert message.startswith("cannot write "), message
        assert message.endswith(": File too large")
        assert "\n" not in message
        met.append(message.removesuffix(": File too large").rpartition("/")[2])
        left = [path for path in tmp_path.rglob("*") if path.name.startswith(".partial-")]
        assert left == []
        assert list(tmp_path.glob("vocabulary-*")) == []
        size = size * 5 // 4
    assert fitted is not None
    assert any(name.startswith("part-") for name in met)
    assert any(name.endswith(".rows") for name in met)
    assert "epochs.zip" in met
