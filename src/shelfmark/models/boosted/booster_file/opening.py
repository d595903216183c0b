"""Checks the whole file of a booster, and returns its trees."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from shelfmark.artifacts.versions import installed_version
from shelfmark.core.arrays import Doubles
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.booster_file import ubj
from shelfmark.models.boosted.booster_file.layout import START
from shelfmark.models.boosted.booster_file.trees import Trees
from shelfmark.models.boosted.booster_file.ubj import EMPTY, Reader

NUMBER = re.compile(r"-?\d(\.\d{1,9})?E-?\d{1,2}", re.ASCII)  # of a base score
NUMBER_LENGTH = 16
DECIMAL = re.compile(r"\d{1,20}(\.\d{1,20})?(e[+-]\d{1,2})?", re.ASCII)
# Far above any margin, far below what a 32-bit float holds: sums and differences stay finite.
LARGEST_MARGIN = 1e30
LEAST_PROBABILITY = np.float32(1e-6)  # as XGBoost reads a base score nearer to 0 or to 1
SQUARED_ERROR = "reg:squarederror"  # XGBoost's name where it does not know the objective
LEARNER = (
    b"{"
    + ubj.encode_key("learner")
    + b"{"
    + ubj.encode_key("attributes")
    + b"{}"
    + ubj.encode_key("feature_names")
    + EMPTY
    + ubj.encode_key("feature_types")
    + EMPTY
    + ubj.encode_key("gradient_booster")
    + b"{"
)
MODEL = (
    ubj.encode_key("model")
    + b"{"
    + ubj.encode_key("cats")
    + ubj.encode_object(
        enc=EMPTY,
        feature_segments=ubj.encode_array_start(b"l", 0),
        sorted_idx=ubj.encode_array_start(b"l", 0),
    )
    + ubj.encode_key("gbtree_model_param")
    + b"{"
)


class Ensemble(NamedTuple):
    """The trees of a booster.

    Attributes:
        trees: whole rounds, in each one or more in a row for each margin.
        weights: of the trees, where dropout may have changed them, shape (trees,).
        base: the margins of a row without trees, shape (margins,).
        in_round: trees of a round.
        features: the number of columns that they read.
    """

    trees: Trees
    weights: Doubles
    base: Doubles
    in_round: int
    features: int


def read_booster(content: bytes, features: int, classes: int | None) -> Ensemble:
    """Return the trees of a file, if it is one that the installed XGBoost writes for a head.

    Takes memory of a few times the file's size, and less time than XGBoost's opening.

    Args:
        content: the file.
        features: the number of columns that the booster predicts from.
        classes: the number of classes of a `TreeHead`; None for a `RerankerHead`.

    Raises:
        ShelfmarkError: it is not; one line says where and why.
    """
    reader = Reader(content)
    reader.expect(LEARNER, "the beginning of a booster")
    in_round, trees, weights = _read_gradient_booster(reader, features, _count_margins(classes))
    base = _read_parameters(reader, features, classes)
    _read_objective(reader, classes)
    installed = installed_version("xgboost")  # importing it takes longer than all of this
    version = [int(part) for part in re.findall(r"\d+", installed)[:3]]
    piece = ubj.encode_key("version") + ubj.encode_integers(version) + b"}"
    reader.expect(piece, f"the version of XGBoost, {installed},")
    reader.expect_end()
    trees.check(features)
    with np.errstate(over="ignore"):
        largest = trees.largest_leaves() @ np.abs(weights) + np.abs(base).max()
    if not largest <= LARGEST_MARGIN:  # nor NaN
        raise ShelfmarkError(f"its leaves and its base score exceed {LARGEST_MARGIN:.0e} together")
    if classes == 2:
        base = _margins_of_probabilities(base)
    return Ensemble(trees, weights, base, in_round, features)


def _count_margins(classes: int | None) -> int:
    """Return how many margins the trees give a row: one for two classes or for a candidate."""
    return classes if classes is not None and classes > 2 else 1


def _read_gradient_booster(
    reader: Reader, features: int, margins: int
) -> tuple[int, Trees, Doubles]:
    """Return how many trees a round has, the trees, and the weight of each."""
    dart = reader.accept(ubj.encode_key("gbtree") + b"{")
    reader.expect(MODEL, "the model")
    in_round, trees = _read_trees(reader, features, margins)
    count = len(trees.sizes)
    weights = np.ones(count)
    # XGBoost 3.3 and later has dropout in every booster; before, it is a booster of its own.
    if not dart and reader.accept(ubj.encode_key("weight_drop")):
        weights = reader.read_floats(count, "weight_drop")
    reader.expect(
        b"}" + ubj.encode_key("name") + ubj.encode_text("gbtree"), "the name of the booster"
    )
    if dart:
        reader.expect(
            b"}" + ubj.encode_key("name") + ubj.encode_text("dart"), "the name of the booster"
        )
        reader.expect(ubj.encode_key("weight_drop"), "weight_drop")
        weights = reader.read_floats(count, "weight_drop")
    reader.expect(b"}", "the end of the booster")
    return in_round, trees, weights


def _read_trees(reader: Reader, features: int, margins: int) -> tuple[int, Trees]:
    """Read trees of whole rounds: in each round one or more in a row for each margin."""
    highest = reader.bytes_left // len(START)
    reader.expect(ubj.encode_key("num_parallel_tree"), "num_parallel_tree")
    parallel = reader.read_number(1, highest, "num_parallel_tree")
    reader.expect(ubj.encode_key("num_trees"), "num_trees")
    count = reader.read_number(1, highest, "num_trees")
    in_round = parallel * margins
    if count % in_round:
        raise reader.error(f"{count} trees are not whole rounds of {in_round}")
    boundaries = ubj.encode_integers(range(0, count + 1, in_round))
    reader.expect(b"}" + ubj.encode_key("iteration_indptr") + boundaries, "iteration_indptr")
    owners = b"".join(ubj.encode_integer(number) * parallel for number in range(margins))
    info = b"[#" + ubj.encode_length(count) + owners * (count // in_round)
    reader.expect(ubj.encode_key("tree_info") + info, "tree_info")
    reader.expect(ubj.encode_key("trees") + b"[#" + ubj.encode_length(count), "trees")
    return in_round, Trees.read(reader, count, features)


def _read_parameters(reader: Reader, features: int, classes: int | None) -> Doubles:
    """Return the base score of each margin."""
    name, margins = "learner_model_param", _count_margins(classes)
    reader.expect(ubj.encode_key(name) + b"{" + ubj.encode_key("base_score"), name)
    given = reader.read_text(NUMBER_LENGTH * margins + 2, "base_score")
    base = _base_scores(given, margins)
    if base is None or (classes == 2 and not 0 < base[0] < 1):
        raise reader.error(f"base_score is {given[:80]!r}, which no booster of ours has")
    reader.expect(ubj.encode_key("boost_from_average"), "boost_from_average")
    reader.read_number(0, 1, "boost_from_average")
    rest = ubj.encode_object(
        num_class=ubj.encode_text(str(margins) if margins > 1 else "0"),
        num_feature=ubj.encode_text(str(features)),
        num_target=ubj.encode_text("1"),
    )
    reader.expect(rest[1:], "num_class, num_feature or num_target")
    return base


def _base_scores(given: str, count: int) -> Doubles | None:
    numbers = given[1:-1].split(",")
    listed = given[:1] == "[" and given[-1:] == "]" and len(numbers) == count
    if not listed or not all(map(NUMBER.fullmatch, numbers)):
        return None
    return np.array(numbers, np.float64)


def _margins_of_probabilities(base: Doubles) -> Doubles:
    """Return the margins of base scores as XGBoost computes them, rounded to float32.

    Its logarithm is that of the C library, which rounds the last bit of a few in a thousand
    otherwise.
    """
    given = base.astype(np.float32)
    held = np.clip(given, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    odds = (1 / held - 1).astype(np.float64)
    return np.asarray(-np.log(odds).astype(np.float32), np.float64)


def _read_objective(reader: Reader, classes: int | None) -> None:
    name = "objective"
    if _count_margins(classes) > 1:
        whole = ubj.encode_object(
            name=ubj.encode_text("multi:softprob"),
            softmax_multiclass_param=ubj.encode_object(num_class=ubj.encode_text(str(classes))),
        )
        reader.expect(ubj.encode_key(name) + whole + b"}", name)
        return
    start = ubj.encode_key("name") + ubj.encode_text(
        SQUARED_ERROR if classes is None else "binary:logistic"
    )
    reader.expect(ubj.encode_key(name) + b"{" + start, name)
    reader.expect(
        ubj.encode_key("reg_loss_param") + b"{" + ubj.encode_key("scale_pos_weight"), name
    )
    weight = reader.read_text(32, "scale_pos_weight")
    if not DECIMAL.fullmatch(weight):
        raise reader.error(f"scale_pos_weight is {weight!r}, not a number")
    reader.expect(b"}}}", name)
