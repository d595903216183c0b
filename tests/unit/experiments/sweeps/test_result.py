"""The best trial of a sweep as an experiment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shelfmark.config import groups
from shelfmark.config.load import load_config
from shelfmark.experiments.sweeps.run import experiment_of
from shelfmark.experiments.sweeps.spec import Sweep
from shelfmark.experiments.sweeps.trial import Outcome, Plan

PARAMETERS = {"model": {"values": ["linear", "xgboost"]}}
GRID = Sweep.model_validate(
    {"method": "grid", "metric": {"name": "log_loss"}, "parameters": PARAMETERS}
)


@pytest.mark.parametrize(
    ("overrides", "values"),
    [
        (("experiment=fast", "data.min_papers=20"), {"model": "linear"}),
        ((), {"model": "xgboost"}),
        (("features.min_df=4",), {"model": "linear"}),
        (("features.min_df=4", "model=xgboost"), {"model.max_depth": 3}),
    ],
)
def test_it_gives_the_configuration_of_the_trial(
    overrides: tuple[str, ...], values: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plan = Plan("grid", GRID, overrides, tmp_path, 1)
    figures = {"log_loss": 0.5, "accuracy": 0.75, "macro_f1": 0.7}
    written = experiment_of(plan, Outcome(0, values, "complete", figures))
    configs = shutil.copytree(groups.CONFIGS, tmp_path / "configs")
    (configs / "experiment" / "mine.yaml").write_text(written, encoding="utf-8")
    monkeypatch.setattr(groups, "CONFIGS", configs)
    made, trial = load_config(["experiment=mine"]), plan.settings(values)
    assert made.features == trial.features  # type: ignore[union-attr]
    assert made.model == trial.model.model_copy(update={"n_jobs": None})  # type: ignore[union-attr]
