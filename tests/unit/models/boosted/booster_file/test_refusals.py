"""What XGBoost never writes: each fault of a file of a booster is refused, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.booster_file.opening import read_booster
from shelfmark.models.boosted.booster_file.trees import DEEPEST, LEAF, NO_PARENT
from tests.support.boosters import (
    CLASSES,
    FEATURES,
    KINDS,
    ROUNDS,
    content,
    encode,
    grow,
    model,
    open_by_xgboost,
)

NAN, INFINITY = float("nan"), float("inf")
TREES = CLASSES * ROUNDS
Change = Callable[[Any], object]


def check(kind: str, altered: bytes) -> None:
    read_booster(altered, FEATURES, KINDS[kind][1])


def learner(values: dict[str, Any]) -> Any:
    return values["learner"]


def parameters(values: dict[str, Any]) -> Any:
    return values["learner"]["learner_model_param"]


def booster(values: dict[str, Any]) -> Any:
    return values["learner"]["gradient_booster"]


def forest(values: dict[str, Any]) -> Any:
    return booster(values)["model"]


def tree(values: dict[str, Any]) -> Any:
    """Return a tree whose first nodes split."""
    return forest(values)["trees"][2]


def put(where: Callable[[Any], Any], key: Any, value: Any) -> Change:
    return lambda values: where(values).__setitem__(key, value)


def put_node(column: str, node: int, value: float) -> Change:
    return lambda values: tree(values)[column].__setitem__(node, value)


def last_leaf(value: float) -> Change:
    return lambda values: tree(values)["split_conditions"].__setitem__(-1, value)


def make_leaf(values: Any) -> None:
    tree(values)["left_children"][1] = tree(values)["right_children"][1] = LEAF


def drop_last_node(values: Any) -> None:
    tree(values)["sum_hessian"].pop()


def drop_last_tree(values: Any) -> None:
    forest(values)["trees"].pop()


def move_first_key_to_the_end(values: Any) -> None:
    tree(values)["base_weights"] = tree(values).pop("base_weights")


FAULTS: dict[str, tuple[Change, str]] = {
    "a child outside its tree": (put_node("left_children", 0, 10_000), "not a later node"),
    "a child in the next tree": (
        lambda values: put_node("right_children", 1, len(tree(values)["parents"]))(values),
        "not a later node",
    ),
    "a child that is its own parent": (put_node("left_children", 1, 1), "not a later node"),
    "a child before its parent": (put_node("right_children", 1, 0), "not a later node"),
    "a negative child": (put_node("left_children", 1, -2), "not a later node"),
    "a child of two parents": (put_node("left_children", 1, 2), "not the parent of its child"),
    "one child twice": (put_node("right_children", 0, 1), "has one child twice"),
    "one child": (put_node("right_children", 1, LEAF), "node 1 of tree 2 has one child"),
    "nodes out of reach": (make_leaf, "tree 2 has nodes without a parent"),
    "another parent": (put_node("parents", 4, 2), "not the parent of its child"),
    "a root with a parent": (put_node("parents", 0, 0), "has a root with a parent"),
    "a child without a parent": (put_node("parents", 1, NO_PARENT), "not the parent"),
    "a column that no feature has": (put_node("split_indices", 0, FEATURES), "not one of 12"),
    "a negative column": (put_node("split_indices", 0, -1), "not one of 12"),
    "a threshold that is no number": (put_node("split_conditions", 0, NAN), "not finite"),
    "an infinite threshold": (put_node("split_conditions", 0, INFINITY), "not finite"),
    "an infinite leaf": (last_leaf(-INFINITY), "split_conditions that is not finite"),
    "a gain that is no number": (put_node("loss_changes", 0, NAN), "loss_changes"),
    "an infinite weight": (put_node("base_weights", 0, INFINITY), "base_weights"),
    "hessians of 0": (put_node("sum_hessian", 3, 0.0), "sum_hessian that is not positive"),
    "hessians below 0": (put_node("sum_hessian", 3, -1.0), "sum_hessian that is not positive"),
    "infinite hessians": (put_node("sum_hessian", 0, INFINITY), "sum_hessian that is not finite"),
    "more hessians than the parent": (put_node("sum_hessian", 1, 1e9), "less sum_hessian"),
    "a split by categories": (put_node("split_type", 0, 1), "by categories"),
    "a third direction": (put_node("default_left", 0, 2), "by categories"),
    "a huge leaf": (last_leaf(3e38), "exceed 1e"),
    "lists of categories": (put(tree, "categories", [1]), "tree 2"),
    "nodes with categories": (put(tree, "categories_nodes", [0]), "tree 2"),
    "columns of two lengths": (drop_last_node, "tree 2"),
    "another number of a tree": (put(tree, "id", 1), "tree 2"),
    "deleted nodes": (put(lambda one: tree(one)["tree_param"], "num_deleted", "1"), "tree 2"),
    "another count of nodes": (put(lambda one: tree(one)["tree_param"], "num_nodes", "9"), "tree"),
    "other features": (put(lambda one: tree(one)["tree_param"], "num_feature", "9"), "tree 2"),
    "leaves of vectors": (
        put(lambda one: tree(one)["tree_param"], "size_leaf_vector", "4"),
        "tree",
    ),
    "keys in another order": (move_first_key_to_the_end, "tree 2"),
    "an unknown key of a tree": (put(tree, "unknown", 1), "tree 2"),
    "a tree less": (drop_last_tree, "trees is missing"),
    "an unknown class": (put(lambda one: forest(one)["tree_info"], 1, CLASSES), "tree_info"),
    "classes in another order": (put(lambda one: forest(one)["tree_info"], 1, 0), "tree_info"),
    "a round less": (lambda one: forest(one)["iteration_indptr"].pop(), "iteration_indptr"),
    "an uneven round": (put(lambda one: forest(one)["iteration_indptr"], 1, 3), "iteration_indptr"),
    "no trees": (put(lambda one: forest(one)["gbtree_model_param"], "num_trees", "0"), "num_trees"),
    "negative trees": (
        put(lambda one: forest(one)["gbtree_model_param"], "num_trees", "-4"),
        "num_trees is '-4'",
    ),
    "more trees than bytes": (
        put(lambda one: forest(one)["gbtree_model_param"], "num_trees", "2147483647"),
        "num_trees is '2147483647'",
    ),
    "a part of a round": (
        put(lambda one: forest(one)["gbtree_model_param"], "num_trees", str(TREES - 1)),
        "not whole rounds of 4",
    ),
    "other parallel trees": (
        put(lambda one: forest(one)["gbtree_model_param"], "num_parallel_tree", "3"),
        "iteration_indptr",
    ),
    "no parallel trees": (
        put(lambda one: forest(one)["gbtree_model_param"], "num_parallel_tree", "0"),
        "num_parallel_tree is '0'",
    ),
    "a container of categories": (put(lambda one: forest(one)["cats"], "enc", [1]), "the model"),
    "another booster": (put(booster, "name", "gblinear"), "the name of the booster"),
    "weights without dropout": (put(booster, "weight_drop", [1.0]), "the end of the booster"),
    "a base score less": (put(parameters, "base_score", "[0E0,0E0,0E0]"), "base_score"),
    "a base score without a list": (put(parameters, "base_score", "5E-1"), "base_score"),
    "a base score that is no number": (put(parameters, "base_score", "[0E0,NAN,0E0,0E0]"), "NAN"),
    "a huge base score": (put(parameters, "base_score", "[0E0,1E31,0E0,0E0]"), "exceed 1e"),
    "an endless base score": (put(parameters, "base_score", "0" * 99), "longer than"),
    "a base score of other letters": (put(parameters, "base_score", "[é]"), "plain characters"),
    "another source of the base score": (put(parameters, "boost_from_average", "2"), "is '2'"),
    "other classes": (put(parameters, "num_class", "5"), "num_class"),
    "another count of features": (put(parameters, "num_feature", "13"), "num_feature"),
    "several targets": (put(parameters, "num_target", "2"), "num_target"),
    "another objective": (put(lambda one: learner(one)["objective"], "name", "x"), "objective"),
    "attributes": (put(learner, "attributes", {"best_iteration": "1"}), "the beginning"),
    "names of features": (put(learner, "feature_names", ["a"]), "the beginning"),
    "types of features": (put(learner, "feature_types", ["c"]), "the beginning"),
    "an unknown key": (put(learner, "unknown", "1"), "objective is missing"),
    "an unknown key behind all": (put(lambda one: one, "with", "1"), "version"),
    "another version of XGBoost": (
        put(lambda one: one["version"], 1, 99),
        "the version of XGBoost",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_values_of_a_booster_are_encoded_as_xgboost_does(kind: str) -> None:
    assert encode(model(kind)) == content(kind)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_in_one_line(fault: str) -> None:
    change, reason = FAULTS[fault]
    values = model("several")
    change(values)
    with pytest.raises(ShelfmarkError, match=reason) as refusal:
        check("several", encode(values))
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("score", ["[0E0]", "[1E0]", "[-1E-1]", "[2E0]"])
def test_a_base_score_of_two_classes_is_a_probability(score: str) -> None:
    values = model("two")
    parameters(values)["base_score"] = score
    with pytest.raises(ShelfmarkError, match="base_score"):
        check("two", encode(values))


@pytest.mark.parametrize("weight", ["", "nan", "-1", "1e999", "0x1", "1" * 33])
def test_the_weight_of_the_second_class_is_a_number(weight: str) -> None:
    values = model("two")
    learner(values)["objective"]["reg_loss_param"]["scale_pos_weight"] = weight
    with pytest.raises(ShelfmarkError, match="scale_pos_weight"):
        check("two", encode(values))


@pytest.mark.parametrize("weights", [[NAN] * ROUNDS, [INFINITY] * ROUNDS, [1.0], [1] * ROUNDS])
def test_the_weights_of_dropout_are_finite_and_one_a_tree(weights: list[float]) -> None:
    values = model("dropout")
    (booster(values) if "weight_drop" in booster(values) else forest(values))["weight_drop"] = (
        weights
    )
    with pytest.raises(ShelfmarkError, match="weight_drop|exceed 1e"):
        check("dropout", encode(values))


def chain(depth: int) -> dict[str, Any]:
    """Return a booster of whose first tree every right child splits, so many times."""
    values = model("two")
    nodes, one = 2 * depth + 1, forest(values)["trees"][0]
    splits = [node % 2 == 0 and node < nodes - 1 for node in range(nodes)]
    one["left_children"] = [node + 1 if splits[node] else LEAF for node in range(nodes)]
    one["right_children"] = [node + 2 if splits[node] else LEAF for node in range(nodes)]
    one["parents"] = [NO_PARENT, *((node - 1) // 2 * 2 for node in range(1, nodes))]
    for name in ("base_weights", "loss_changes", "split_conditions"):
        one[name] = [0.5] * nodes
    for name in ("default_left", "split_indices", "split_type"):
        one[name] = [0] * nodes
    one["sum_hessian"] = [float(nodes - node) for node in range(nodes)]
    one["tree_param"]["num_nodes"] = str(nodes)
    return values


def test_a_tree_is_at_most_so_deep() -> None:
    check("two", encode(chain(DEEPEST)))
    assert open_by_xgboost(encode(chain(DEEPEST))).num_boosted_rounds() == ROUNDS
    with pytest.raises(ShelfmarkError, match="node 129 of tree 0 is deeper than 64 splits"):
        check("two", encode(chain(DEEPEST + 1)))


def test_a_tree_without_nodes_is_refused() -> None:
    values = model("two")
    one = forest(values)["trees"][0]
    one |= {name: [] for name, column in one.items() if isinstance(column, list)}
    one["tree_param"]["num_nodes"] = "0"
    with pytest.raises(ShelfmarkError, match="tree 0 has no nodes"):
        check("two", encode(values))


def test_the_json_of_a_booster_is_refused() -> None:
    with pytest.raises(ShelfmarkError, match="the beginning of a booster"):
        check("several", bytes(grow("several").save_raw("json")))


@given(st.integers(0, len(content("several")) - 1))
def test_a_file_that_ends_too_early_is_refused(size: int) -> None:
    with pytest.raises(ShelfmarkError, match="^at byte "):
        check("several", content("several")[:size])


@given(st.binary(min_size=1, max_size=20))
def test_bytes_behind_the_end_are_refused(more: bytes) -> None:
    with pytest.raises(ShelfmarkError, match="nothing is expected"):
        check("several", content("several") + more)


@given(st.data())
def test_a_file_with_other_bytes_is_accepted_or_refused_in_one_line(data: st.DataObject) -> None:
    before = content("several")
    place = data.draw(st.integers(0, len(before)))
    piece = data.draw(st.binary(min_size=1, max_size=9))
    try:
        check("several", before[:place] + piece + before[place + len(piece) :])
    except ShelfmarkError as error:
        assert len(str(error).splitlines()) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(some: bytes) -> None:
    with pytest.raises(ShelfmarkError, match="^at byte 0, the beginning of a booster"):
        check("several", some)
