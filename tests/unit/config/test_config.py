"""The configuration: composition, precedence, and the one-line error of a mistake."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shelfmark.config import groups, schema
from shelfmark.config.load import load_config, load_encoder_config, load_index_config
from shelfmark.config.models import TransformerConfig
from shelfmark.errors import ShelfmarkError

EXPERIMENTS = sorted(file.stem for file in (groups.CONFIGS / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_values_of_an_experiment_arrive(name: str) -> None:
    from omegaconf import OmegaConf

    kind = load_config([f"experiment={name}"]).model.kind
    files = [groups.CONFIGS / "experiment" / f"{name}.yaml"]
    files += (groups.CONFIGS / "by_kind").glob(f"{name}_{kind}.yaml")
    wanted: dict[str, Any] = {}
    for file in files:
        assert file.read_text(encoding="utf-8").splitlines()[0] == "# @package _global_"
        values = OmegaConf.to_container(OmegaConf.load(file)) or {}
        assert isinstance(values, dict)
        wanted |= {str(key): value for key, value in values.items() if key != "defaults"}
    loaded = load_config([f"experiment={name}"]).model_dump(mode="json")
    changed = 0
    base = load_config().model_dump(mode="json")
    for section, values in wanted.items():
        for key, value in values.items():
            assert loaded[section][key] == value
            changed += base[section].get(key) != value
    assert changed, "an experiment changes something"


def test_an_experiment_has_values_for_each_kind_of_model() -> None:
    tiny = load_config(["experiment=fast", "model=transformer"]).model
    assert isinstance(tiny, TransformerConfig)
    assert tiny.base == "tiny"
    assert tiny.learning_rate == 1e-3
    assert (
        load_config(["experiment=fast", "model=transformer", "model.epochs=9"]).model.max_rounds
        == 9
    )
    assert load_config(["experiment=fast", "model=linear"]).model.max_rounds == 0
    for name in ("all", "best", "twelve"):
        chosen = load_config([f"experiment={name}", "model=transformer"]).model
        assert chosen == load_config(["model=transformer"]).model


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment=seed", "model=transformer"],
         "model.rounds: model.kind=transformer has no such key"),
        (["+model.epochs=2"], "model.epochs: model.kind=boosted has no such key"),
        (["model=transformer", "features.min_df=4"],
         "features.min_df: it has no effect: model.kind=transformer reads no terms"),
        (["model.epochs=2"], "model.epochs: model.kind=boosted has no such key"),
        (["model.stack.scorers.transformer.epochs=2"],
         "model.stack.scorers.transformer.epochs: it has no effect: "
         "model.stack.scorers.transformer.base is null"),
        (["model.neighbours.papers=9"],
         "model.neighbours.papers: it has no effect: model.neighbours.encoder is null"),
        (["model=transformer", "model.epoch=2"], "model.epoch: no such key; did you mean "
         "model.epochs?"),
        (["train.profile=true"], "train.profile is for model=transformer, which PyTorch trains"),
    ],
)  # fmt: skip
def test_keys_of_another_kind_of_model_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        load_config(overrides)
    assert str(caught.value) == message


def test_seed_is_the_published_setting() -> None:
    seed = load_config(["experiment=seed"])
    assert (seed.features.max_features, seed.features.ngram_range) == (10_000, (1, 3))
    assert (seed.features.min_df, seed.features.max_df) == (5, 0.7152)
    assert seed.features.stop_words == "english"
    assert seed.features.chosen_terms is None
    assert seed.model.stack is None
    assert (seed.model.rounds, seed.model.max_depth) == (1000, 8)
    assert seed.model.learning_rate == 0.04297
    assert (seed.model.subsample, seed.model.colsample_bytree) == (0.7654, 0.70666)
    assert (seed.model.reg_alpha, seed.model.reg_lambda) == (0.03872, 0.74048)
    assert seed.model.early_stopping == 10


def test_every_kind_of_model_has_the_parts_it_stands_on() -> None:
    kinds = {kind: load_config([f"model={kind}"]).model for kind in groups.list_groups()["model"]}
    assert kinds.pop("transformer").kind == "transformer"
    assert {model.kind for model in kinds.values()} == {"boosted"}
    parts = {
        kind: (
            model.classifier,
            model.stack and [name for name, part in model.stack.scorers if part is not None],
        )
        for kind, model in kinds.items()
    }
    assert parts == {
        "xgboost": ("trees", None),
        "stacked": ("trees", ["svm", "bayes"]),
        "linear": ("linear", ["svm"]),
        "reranked": ("reranker", ["low_rank", "bayes"]),
    }
    assert load_config().model == kinds["stacked"], "the stack is what there is by default"
    assert load_config(["experiment=all"]).model == kinds["reranked"]
    assert kinds["linear"].stack is not None
    assert kinds["linear"].stack.min_listed is None


def test_labels_of_an_experiment_give_way_to_those_asked_for() -> None:
    for labels in (["cs.AI", "cs.CL"], {"theory": ["cs.CC"], "rest": ["cs"]}):
        value = str(labels).replace("'", "").replace(" ", "")
        loaded = load_config(["experiment=twelve", "~data.labels", f"+data.labels={value}"])
        assert loaded.data.labels == labels


def test_a_key_that_came_later_is_written_only_when_it_is_used() -> None:
    before = load_config().model_dump(mode="json")
    assert "max_papers" not in before["data"]
    after = load_config(["data.max_papers=100"]).model_dump(mode="json")
    assert after["data"] == before["data"] | {"max_papers": 100}
    assert schema.Config.model_validate(before | {"data": after["data"]}).data.max_papers == 100


def test_last_wins_base_group_experiment_command_line() -> None:
    base = load_config()
    fast = load_config(["experiment=fast"])
    config = load_config(["model.max_depth=9", "experiment=fast"])
    assert base.model.rounds != fast.model.rounds
    assert config.model.max_depth == 9
    assert config.model.rounds == fast.model.rounds


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        (name, choice)
        for name, choices in groups.list_groups().items()
        if not name.startswith("cloud")
        for choice in choices
    ],
)
def test_every_choice_of_a_group_composes(group: str, choice: str) -> None:
    loads: dict[str, Callable[[list[str]], object]] = {
        "encoder": load_encoder_config,
        "index": load_index_config,
        "engine": load_index_config if choice == "milvus" else load_config,
    }
    loads.get(group, load_config)([f"{group}={choice}"])


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("engine=dask", "engine=dask is for shelfmark train"),
        ("index.bits=100", "index.bits: 100: should be a multiple of 64"),
        ("index.kind=tree", "index: kind=tree: no such kind of index"),
        ("tracking=wandb", "tracking: this command has no such key; shelfmark train has it"),
        ("cloud=vertex_cpu", "cloud: an index is built on this machine"),
    ],
)
def test_an_index_that_cannot_be_is_refused(override: str, reason: str) -> None:
    with pytest.raises(ShelfmarkError, match=f"^{re.escape(reason)}"):
        load_index_config([override])


def test_an_index_in_milvus_has_no_other_method() -> None:
    with pytest.raises(ShelfmarkError, match=r"^engine=milvus has no index=faiss"):
        load_index_config(["engine=milvus", "index=faiss"])
    with pytest.raises(ShelfmarkError, match=r"^engine=milvus is for shelfmark index"):
        load_config(["engine=milvus"])


def test_keys_of_the_other_kind_of_training_are_refused_by_name_of_its_command() -> None:
    with pytest.raises(ShelfmarkError, match=r"encoder\.size: .* shelfmark train-encoder has it"):
        load_config(["encoder.size=64"])
    with pytest.raises(ShelfmarkError, match=r"model\.rounds: .* shelfmark train has it"):
        load_encoder_config(["model.rounds=9"])


def test_an_experiment_sets_the_sections_of_both_kinds_of_training() -> None:
    assert load_encoder_config(["experiment=fast"]).experiment == "fast"
    assert load_encoder_config(["data.unlabelled=drop"]).data.unlabelled == "drop"
    assert load_encoder_config().data.unlabelled == "keep"
    assert load_config().data.unlabelled == "drop"


def test_an_unknown_key_of_an_encoder_is_corrected() -> None:
    with pytest.raises(ShelfmarkError, match=r"encoder\.epoch: no such key.*encoder\.epochs"):
        load_encoder_config(["encoder.epoch=3"])


def test_lists_quotes_blanks_and_dates_arrive() -> None:
    loaded = load_config(
        [
            "data=csv",
            "data.path='my papers, all.csv'",
            "data.labels=[cs.AI,'cs.CL']",
            "data.split=time",
            "data.cuts.validation=2018-01-01",
            "data.cuts.test=2019-01-01",
            "features.ngram_range=[1,3]",
            "+model.params.gamma=1",
        ]
    )
    assert loaded.data.path == "my papers, all.csv"
    assert loaded.data.labels == ["cs.AI", "cs.CL"]
    assert loaded.data.cuts.test == date(2019, 1, 1)
    assert loaded.features.ngram_range == (1, 3)
    assert loaded.model.params == {"gamma": 1}


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model.max_dept=3"], "model.max_dept: no such key; did you mean model.max_depth?"),
        (
            ["data.fraction.train=0.5"],
            "data.fraction.train: no such key; did you mean data.fractions.train?",
        ),
        (["+model.max_dept=3"], "model.max_dept: no such key; did you mean model.max_depth?"),
        (
            ["model=reranked", "model.stack.scorers.low_rank.size=8", "model.max_dept=3"],
            "model.max_dept: no such key; did you mean model.max_depth?",
        ),
        (["+sed=3"], "sed: no such key; did you mean seed?"),
        (["experiment=fsat"], "did you mean fast?; there are all, best, distilbert, fast"),
        (["data=snapshto"], "data=snapshto: no such data; did you mean snapshot?"),
        (["model.max_depth=-3"], "model.max_depth: -3: should be at least 1"),
        (["engine.memory=4"], "engine.memory: '4': should be a size, as 4GB or 500MB"),
        (["engine.memory=0GB"], "engine.memory: '0GB': should be at least 300MB"),
        (["engine.memory=10MB"], "engine.memory: '10MB': should be at least 300MB"),
        (
            [f"features.max_terms={10**20}"],
            f"features.max_terms: {10**20}: should be a whole number of fewer digits",
        ),
        (["model.max_depth=deep"], "model.max_depth: 'deep': should be a whole number"),
        (["model.max_depth=4.5"], "model.max_depth: 4.5: should be a whole number"),
        (["model.learning_rate=0"], "model.learning_rate: 0: should be greater than 0"),
        (
            ["data.fractions.train=0.9"],
            "data.fractions: train, validation and test must sum to 1, not 1.1",
        ),
        (["data.labels=[cs.AI,cs.CLL]"], "no category 'cs.CLL'; did you mean cs.CL?"),
        (["data.labels=[cs.AI]"], "labels needs at least two different labels"),
        (["data.level=archive", "data.labels=[cs,cs.AI]"], "no archive 'cs.AI'"),
        (
            ["data.labels={a:[cs.CLL],b:[cs]}"],
            "no category, archive or group 'cs.CLL'; did you mean",
        ),
        (["data.labels={a:[math],b:[stat,math]}"], "labels: math stands there twice; keep it"),
        (["data.labels={a:[cs,math]}"], "labels needs at least two different labels"),
        (["data.labels={a:[cs],b:[]}"], "data.labels: b: [] should be a list of names, as [cs.CC"),
        (["data.labels={a:cs,b:[math]}"], "data.labels: a: 'cs' should be a list of names"),
        (["data.labels={1:[cs],b:[math]}"], "data.labels: 1: a label should be text"),
        (["data.labels=cs"], "data.labels: 'cs': should be a list"),
        (
            ["experiment=twelve", "data.labels=[cs.AI,cs.CL]"],
            "data.labels: a mapping cannot be replaced; remove it first: "
            "~data.labels +data.labels=[cs.AI,cs.CL]",
        ),
        (["data.max_papers=0"], "data.max_papers: 0: should be at least 1"),
        (["data.categories={spam: Spam}"], "data.categories: 'spam' is no name of a category"),
        (["data.categories={cs.nw: Networks}"], "'cs.nw' is no name of a category, such as cs.NW"),
        (["data.categories={cs.NW: ''}"], "data.categories: cs.NW: give its full name"),
        (
            ["data.labels=[cs.NW,cs.LG]"],
            "no category 'cs.NW'; did you mean cs.NI?; a category newer",
        ),
        (["data.max_papers=49"], "max_papers=49 is less than min_papers=50; raise it or lower"),
        (["data.split=time"], "split=time needs cuts.validation before cuts.test"),
        (
            ["data.split=time", "data.cuts.validation=2019-01-02", "data.cuts.test=2019-01-01"],
            "before",
        ),
        (
            ["data.level=kategory"],
            "data.level: 'kategory': should be 'category', 'archive' or",
        ),
        (["features.ngram_range=[2,1]"], "ngram_range must rise"),
        (["features.max_df=1.5"], "features.max_df: 1.5: should be a count of papers"),
        (["features.min_df=many"], "features.min_df: 'many': should be a number"),
        (["features.title_weight=0"], "features.title_weight: 0: should be greater than 0"),
        (
            ["model=xgboost", "features.chosen_terms=0"],
            "features.chosen_terms=0 leaves nothing without model.stack",
        ),
        (["model=xgboost", "model.classifier=reranker"], "classifier=reranker needs model.stack"),
        (["model=xgboost", "model.classifier=linear"], "classifier=linear needs model.stack"),
        (["model.stack.scorers.svm=null"], "model.stack: scorers needs low_rank or svm"),
        (
            ["model=reranked", "model.stack.scorers.embedding.size=64"],
            "model.stack.scorers.embedding.size: this key is now model.stack.scorers.low_rank.size",
        ),
        (
            ["+model.stack.scorers.embedding=null"],
            "model.stack.scorers.embedding: this key is now model.stack.scorers.low_rank",
        ),
        (["model.stack.folds=null"], "stack.folds=null is for classifier=linear"),
        (["model.stack.folds=1"], "model.stack.folds: 1: should be at least"),
        (
            ["+model.stack.min_listd=3"],
            "model.stack.min_listd: no such key; did you mean model.stack.min_listed?",
        ),
        (["predict.min_precision=1"], "predict.min_precision: 1: should be less than 1"),
        (["name=a/b"], "name: 'a/b': should be a name of"),
        (["log_level=LOUD"], "log_level: 'LOUD'"),
        (["~seed"], "seed: is missing"),
        (["model.max_depth=[1"], "model.max_depth: '[1': should be a whole number"),
        (["features.max_df=${nowhere}"], "configuration: "),
        (["features.max_df=???"], "configuration: "),
    ],
)
def test_a_mistake_gives_one_line(overrides: list[str], line: str) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        load_config(overrides)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_config_cannot_be_changed_after_it_is_made() -> None:
    loaded = load_config()
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 3  # type: ignore[misc]


def test_every_key_of_the_yaml_files_is_explained_where_it_is_not_obvious() -> None:
    text = (Path(groups.CONFIGS) / "config.yaml").read_text(encoding="utf-8")
    for key in ("name", "seed", "min_papers", "maths", "max_bad", "split", "chosen_terms"):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        assert "#" in line


def test_an_added_category_is_a_label_with_its_name() -> None:
    options = ["data.categories={cs.NW: Networked Worlds}", "data.labels=[cs.NW,cs.LG]"]
    data = load_config(options).data
    assert data.categories == {"cs.NW": "Networked Worlds"}
    assert [data.name_of(x) for x in ("cs.NW", "cs.LG", "cs.ZZ")] == [
        "Networked Worlds", "Machine Learning", "cs.ZZ"
    ]  # fmt: skip
    assert data.model_dump(mode="json")["categories"] == {"cs.NW": "Networked Worlds"}
    custom = load_config([options[0], "data.labels={a:[cs.NW],b:[cs]}"]).data
    assert custom.labels == {"a": ["cs.NW"], "b": ["cs"]}


def test_without_added_categories_the_configuration_is_written_as_before() -> None:
    assert "categories" not in load_config([]).data.model_dump(mode="json")
