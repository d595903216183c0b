"""Small boosters of every kind that a training makes, and their files."""

from __future__ import annotations

import functools
import json
import struct
from typing import Any

import numpy as np
import scipy.sparse as sp
import xgboost

from shelfmark.models.boosted.boosting import Objective
from shelfmark.models.boosted.heads import _Choice

FEATURES, CLASSES, ROUNDS = 12, 4, 3
SEVERAL = Objective({"objective": "multi:softprob", "num_class": CLASSES})
TWO = Objective({"objective": "binary:logistic"})
FIVE = Objective({"objective": "multi:softprob", "num_class": 5})
DEEP = {"max_depth": 12, "min_child_weight": 0.01, "reg_lambda": 0.01}
CANDIDATES = Objective(
    {"base_score": 0.0, "disable_default_eval_metric": True}, _Choice(4).slope, _Choice(4).loss
)
# Objective, the classes of its head, and parameters that change what the file holds.
KINDS: dict[str, tuple[Objective, int | None, dict[str, Any]]] = {
    "several": (SEVERAL, CLASSES, {}),
    "two": (TWO, 2, {}),
    "candidates": (CANDIDATES, None, {}),
    "forests": (SEVERAL, CLASSES, {"num_parallel_tree": 2, "subsample": 0.5}),
    "dropout": (TWO, 2, {"booster": "dart", "rate_drop": 0.5, "verbosity": 0}),
    "weighted": (TWO, 2, {"scale_pos_weight": 1e-5, "base_score": 0.3}),
    "by leaves": (SEVERAL, CLASSES, {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}),
    "pruned": (TWO, 2, {"gamma": 0.5}),
    "one leaf": (TWO, 2, {"gamma": 1e9}),
    "stumps": (FIVE, 5, {"max_depth": 1}),
    "deep": (FIVE, 5, DEEP),
    "deep candidates": (CANDIDATES, None, DEEP | {"num_parallel_tree": 3, "subsample": 0.7}),
}


@functools.cache
def rows() -> sp.csr_matrix:
    return sp.random(400, FEATURES, 0.4, format="csr", dtype=np.float32, random_state=1)


def dense_rows() -> Any:
    """Return the rows as arrays, NaN where a value is missing."""
    dense = rows().toarray()
    return np.where(dense == 0, np.float32(np.nan), dense)


@functools.cache
def grow(kind: str) -> xgboost.Booster:
    """Return a trained booster, cut to its best rounds as a training's is."""
    objective, classes, changes = KINDS[kind]
    noise = np.random.default_rng(0).normal(size=400)
    signal = np.asarray(rows()[:, :4].sum(axis=1)).ravel() + noise / 4
    if classes is None:
        targets = (signal.reshape(-1, 4).argmax(axis=1)[:, None] == np.arange(4)).ravel()
    else:
        targets = np.searchsorted(np.quantile(signal, np.arange(1, classes) / classes), signal)
    data = xgboost.QuantileDMatrix(rows(), targets.astype(int))
    parameters = {"max_depth": 4, "nthread": 1, "tree_method": "hist", **objective.parameters}
    booster = xgboost.Booster(parameters | changes, [data])
    for number in range(ROUNDS + 1):
        booster.update(data, number, objective.slope)
    best: xgboost.Booster = booster[:ROUNDS]
    return best


def content(kind: str) -> bytes:
    """Return the file of a booster."""
    return bytes(grow(kind).save_raw("ubj"))


def open_by_xgboost(content: bytes | bytearray | memoryview) -> xgboost.Booster:
    """Return the booster of a file as XGBoost itself opens it, for one thread."""
    return xgboost.Booster({"nthread": 1}, model_file=bytearray(content))


# The arrays of one type, by name; XGBoost marks each element of the others.
TYPED = {"base_weights": "d", "categories": "l", "categories_nodes": "l",
         "categories_segments": "L", "categories_sizes": "L", "default_left": "U",
         "feature_segments": "l", "left_children": "l", "loss_changes": "d", "parents": "l",
         "right_children": "l", "sorted_idx": "l", "split_conditions": "d", "split_indices": "l",
         "split_type": "U", "sum_hessian": "d"}  # fmt: skip
FORMS = {"U": ">B", "i": ">b", "I": ">h", "l": ">i", "L": ">q", "d": ">f"}


def model(kind: str) -> dict[str, Any]:
    """Return what the file of a booster holds."""
    values: dict[str, Any] = json.loads(grow(kind).save_raw("json"))
    return values


def encode(value: Any, name: str = "") -> bytes:
    """Return values as the file of a booster."""
    if isinstance(value, dict):
        return b"{" + b"".join(_text(key) + encode(one, key) for key, one in value.items()) + b"}"
    if isinstance(value, str):
        return b"S" + _text(value)
    if not isinstance(value, list):
        return _number(value)
    marker = TYPED.get(name, "")
    start = b"[" + (b"$" + marker.encode() if marker else b"") + b"#L" + _pack("L", len(value))
    return start + b"".join(_pack(marker, one) if marker else encode(one) for one in value)


def _text(value: str) -> bytes:
    return b"L" + _pack("L", len(value)) + value.encode()


def _number(value: float) -> bytes:
    if isinstance(value, float):
        return b"d" + _pack("d", value)
    marker = next(one for one, bits in zip("iIlL", (7, 15, 31, 63), strict=True)
                  if -1 << bits < value < (1 << bits) - 1)  # fmt: skip
    return marker.encode() + _pack(marker, value)


def _pack(marker: str, value: float) -> bytes:
    return struct.pack(FORMS[marker], value)
