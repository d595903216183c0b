"""Composition from the cache: the same values and errors as Hydra's own, whatever the overrides."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shelfmark.config import groups, load
from shelfmark.errors import ShelfmarkError

CASES = [
    [],
    ["experiment=fast"],
    ["model=linear", "experiment=fast"],
    ["experiment=best", "model=xgboost"],
    ["experiment=twelve", "data.top=3"],
    ["cloud=vertex_cpu"],
    ["tracking=wandb", "engine=dask", "engine.workers=2"],
    ["data=csv", "data.path=x.csv"],
    ["data.labels=[cs.AI,cs.CL]"],
    ["data.labels={a: [cs.AI], b: [cs.CL]}"],
    ["data.labels=null"],
    ["experiment=twelve", "data.labels=[cs.AI,cs.CL]"],
    ["data.options={papers: 3}"],
    ["data.options.papers=700"],
    ["+data.options.papers=500"],
    ["+model.params.eta=1"],
    ["model.params={eta: 1}"],
    ["model.stack=null"],
    ["model.stack={}"],
    ["model.stack.scorers.svm=null"],
    ["~data.labels"],
    ["++seed=4"],
    ["seed=3", "seed=4"],
    ["seed="],
    ["seed"],
    ["=3"],
    ["seed=1,2"],
    ["seed=range(1,3)"],
    ["seed=${predict.min_precision}"],
    ["seed.x=1"],
    ["model.learning_rate=1e-3"],
    ["features.ngram_range=[1,3]"],
    ["features.min_df=0.5"],
    ["data.cuts.validation=2018-01-01"],
    ["name=true"],
    ["name='true'"],
    ["name=1_000"],
    ["name=???"],
    ["name=$x"],
    ["name=é"],
    ["name=a b"],
    ["name='a b'"],
    ["name=a\\,b"],
    ['data.path="/a/b c"'],
    ["data=csv", "data.path=archive (1), é=&'.json"],
    ["data=csv", "data.path=[a (1).json,'b, c.json']"],
    ["data=csv", "data.path=${oc.env:HOME}/a (1).json"],
    ["model.max_depth=[1"],
    ["hydra.job.name=x"],
    ["experiment=null"],
    ["experiment=nope"],
    ["experiment=fast", "experiment=best"],
    ["model@x=linear"],
    ["model.nope=1"],
    ["data={}"],
]


def outcome(compose: Any, overrides: list[str]) -> Any:
    try:
        return compose(overrides)
    except ShelfmarkError as error:
        return str(error)


@pytest.mark.parametrize("overrides", CASES, ids=" ".join)
def test_the_cache_changes_no_value_and_no_error(overrides: list[str]) -> None:
    assert outcome(load.compose_values, overrides) == outcome(load._compose, overrides)


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(groups.CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(groups, "CONFIGS", tmp_path / "configs")
    assert load.load_config(["experiment=fast"]).seed == 7
    base = tmp_path / "configs" / "config.yaml"
    base.write_text(base.read_text(encoding="utf-8").replace("seed: 7", "seed: 77"), "utf-8")
    assert load.load_config(["experiment=fast"]).seed == 77


def test_an_experiment_inherits_the_values_for_its_kind_of_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(groups.CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(groups, "CONFIGS", tmp_path / "configs")
    head = "# @package _global_\ndefaults:\n  - fast\n  - _self_\n"
    own = {
        "trees": f"{head}model: {{rounds: 7}}\n",
        "network": f"{head}  - override /model: transformer\nmodel: {{epochs: 9}}\n",
    }
    for name, content in own.items():
        file = tmp_path / "configs" / "experiment" / f"{name}.yaml"
        file.write_text(content, encoding="utf-8")
    trees, fast = (load.load_config([f"experiment={name}"]) for name in ("trees", "fast"))
    assert trees.features == fast.features
    assert trees.model == fast.model.model_copy(update={"rounds": 7})
    network = load.load_config(["experiment=network"])
    fast = load.load_config(["experiment=fast", "model=transformer"])
    assert network.features == fast.features
    assert network.model == fast.model.model_copy(update={"epochs": 9})


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("# @package _global_\ndefaults:\n  - fast\n\n{}\n", 'mine.yaml", line 5, column 1'),
        ("\tmodel: 3\n", 'mine.yaml", line 1, column 1'),
        ("seed: 1\nseed: 2\n", "found duplicate key seed"),
        ("defaults:\n  - nope\n", "Could not load 'experiment/nope'"),
        ("# @package _global_\nseed: ${nope}\n", "Interpolation key 'nope' not found"),
    ],
)
def test_a_mistake_in_an_experiment_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, line: str
) -> None:
    shutil.copytree(groups.CONFIGS, tmp_path / "configs")
    monkeypatch.setattr(groups, "CONFIGS", tmp_path / "configs")
    (tmp_path / "configs" / "experiment" / "mine.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ShelfmarkError) as caught:
        load.load_config(["experiment=mine"])
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_are_a_copy_of_the_cache() -> None:
    load.compose_values([])["data"]["level"] = "group"
    assert load.compose_values([])["data"]["level"] == "category"
