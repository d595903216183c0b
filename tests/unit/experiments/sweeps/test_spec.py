"""Sweep files: W&B's form, their values, and the one-line error of a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.config import groups
from shelfmark.config.load import load_config
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps import spec
from shelfmark.experiments.sweeps.spec import Parameter, Sweep

BASE: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "log_loss", "goal": "minimize"},
    "parameters": {"model.max_depth": {"values": [2, 3]}},
}


def written(folder: Path, content: dict[str, Any]) -> str:
    path = folder / "mine.yaml"
    path.write_bytes(orjson.dumps(content))  # JSON is YAML
    return str(path)


def test_a_sweep_is_no_group_of_the_configuration() -> None:
    assert "sweep" not in groups.list_groups()
    with pytest.raises(ShelfmarkError, match="sweep: no such key"):
        load_config(["+sweep=fast"])


@pytest.mark.parametrize("name", spec.sweep_names())
def test_every_sweep_of_the_repository_fits_the_configuration(name: str) -> None:
    sweep = spec.read_sweep(name)
    spec.check_sweep(sweep, [])
    assert sweep.run_cap
    # A static encoder reports no validation loss, by which a trial could be stopped early.
    assert bool(sweep.early_terminate) == (sweep.program == "train")


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"method": "bayesian"}, "method: should be 'bayes', 'random' or 'grid'"),
        ({"metrics": {}}, "metrics: no such key in a sweep file"),
        ({"max_runs": 3}, "max_runs: no such key in a sweep file"),
        ({"run_cap": 0}, "run_cap: should be at least 1"),
        ({"metric": {"goal": "minimize"}}, "metric.name: is missing"),
        ({"program": "train-encoders"}, "program: should be train or train-encoder"),
        (
            {"program": "train-encoder"},
            "model.max_depth: this command has no such key; shelfmark train has it",
        ),
        ({"parameters": {}}, "parameters: should have at least 1 entr"),
        ({"parameters": {"seed": 3}}, "parameters.seed: should say value, values, or min and max"),
        ({"parameters": {"seed": {"min": 3}}}, "parameters.seed: should say either value"),
        (
            {"parameters": {"seed": {"min": 3, "max": 2}}},
            "parameters.seed: min 3 should be less than max 2",
        ),
        (
            {"parameters": {"seed": {"min": 0, "max": 2, "distribution": "log_uniform_values"}}},
            "min 0 should be greater than 0 for log_uniform_values",
        ),
        (
            {"parameters": {"seed": {"min": 0, "max": 2, "distribution": "normal"}}},
            "parameters.seed.distribution: should be 'constant'",
        ),
        (
            {"parameters": {"seed": {"min": 0, "max": 5, "q": 2, "distribution": "q_uniform"}}},
            "5 should be a multiple of q 2",
        ),
        ({"parameters": {"seed": {"min": 0, "max": 2, "q": 1}}}, "q goes with q_uniform"),
        (
            {"method": "grid", "parameters": {"seed": {"min": 0.5, "max": 2.5}}},
            "grid cannot count the values of seed: give values",
        ),
        ({"early_terminate": {"type": "hyperband"}}, "either min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "median"}}, "early_terminate.type: should be"),
        (
            {"parameters": {"model.max_dept": {"values": [2, 3]}}},
            "model.max_dept: no such key; did you mean model.max_depth?",
        ),
        (
            {"parameters": {"model.max_depth": {"min": 2, "max": 30}}},
            "parameters.model.max_depth: 30: should be at most 20",
        ),
        (
            {"parameters": {"model": {"value": "transformer"}, "model.max_depth": {"value": 3}}},
            "parameters.model.max_depth: model.kind=transformer has no such key",
        ),
        (
            {"parameters": {"model.max_depth": {"values": [2, 3, "deep"]}}},
            "model.max_depth: 'deep': should be a whole number",
        ),
        (
            {"parameters": {"data.maths": {"values": ["keep", "mask"]}}},
            "parameters: data must be the same in all trials of a sweep",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        spec.check_sweep(spec.read_sweep(written(tmp_path, {**BASE, **changed})), [])
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_override_that_some_trials_cannot_have_names_them() -> None:
    parameters = {"model": {"values": ["linear", "transformer"]}}
    sweep = Sweep.model_validate({**BASE, "parameters": parameters})
    for word, line in (
        ("model.epochs=2", "in trials with model=linear: model.epochs: model.kind=boosted has no"),
        (
            "features.min_df=4",
            "in trials with model=transformer: features.min_df: it has no effect",
        ),
    ):
        with pytest.raises(ShelfmarkError) as raised:
            spec.check_sweep(sweep, [word])
        assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "fsat",
            "sweep fsat: there is no such file; did you mean fast?; there are encoder, ",
        ),
        ("nowhere/mine.yaml", "there is no such file"),
    ],
)
def test_an_unknown_sweep_is_one_line(name: str, line: str) -> None:
    with pytest.raises(ShelfmarkError, match=line.replace("?", r"\?")):
        spec.read_sweep(name)


def test_an_invalid_yaml_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("method: [bayes\nmetric: {")
    with pytest.raises(ShelfmarkError, match="no sweep file") as raised:
        spec.read_sweep(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "distribution"),
    [
        ({"value": None}, "constant"),
        ({"values": [1, None]}, "categorical"),
        ({"min": 1, "max": 3}, "int_uniform"),
        ({"min": 1.0, "max": 3.0}, "uniform"),
    ],
)
def test_the_distribution_is_the_one_that_wandb_takes(
    given: dict[str, Any], distribution: str
) -> None:
    assert Parameter.model_validate(given).distribution == distribution


@pytest.mark.parametrize(
    ("given", "drawn", "meant"),
    [
        ({"min": 1, "max": 3}, 2.0, 2),
        (
            {"min": 0.1, "max": 0.6, "q": 0.05, "distribution": "q_uniform"},
            0.15000000000000002,
            0.15,
        ),
        ({"min": 100, "max": 2000, "q": 50, "distribution": "q_log_uniform_values"}, 119.3, 100),
        ({"min": 100, "max": 2000, "q": 50, "distribution": "q_log_uniform_values"}, 1990.0, 2000),
        ({"min": 0.05, "max": 0.5, "distribution": "log_uniform_values"}, 0.1769226795, 0.1769),
        ({"min": 0.033333, "max": 0.5, "distribution": "uniform"}, 0.033333, 0.033333),
        ({"values": [[1, 1], [1, 2]]}, [1, 2], [1, 2]),
    ],
)
def test_a_drawn_value_is_rounded(given: dict[str, Any], drawn: Any, meant: Any) -> None:
    settled = Parameter.model_validate(given).round_value(drawn)
    assert settled == meant
    assert type(settled) is type(meant)


def test_a_grid_has_every_combination_once() -> None:
    sweep = Sweep.model_validate(
        {
            **BASE,
            "method": "grid",
            "parameters": {
                "seed": {"min": 1, "max": 2},
                "model.subsample": {"min": 0.5, "max": 0.6, "q": 0.1, "distribution": "q_uniform"},
                "model.max_bin": {"value": 8},
            },
        }
    )
    assert [tuple(values.values()) for values in sweep.grid()] == [
        (1, 0.5, 8), (1, 0.6, 8), (2, 0.5, 8), (2, 0.6, 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value", [3, 0.5, 1e-05, True, None, "english", "null", "a b", "it's", [1, 2], ["cs", "x y"]]
)
def test_values_arrive_through_hydra_as_they_are(value: Any) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    (override,) = spec.as_overrides({"model.key": value})
    result = OverridesParser.create().parse_override(override).value()
    assert OmegaConf.create({"found": result}).found == value


def test_max_iter_and_s_determine_the_first_round_too() -> None:
    early = spec.EarlyTerminate(type="hyperband", max_iter=27, s=2)
    assert early.first == 3
