"""Where the bytes of a tree stand: trees of the same size have the same layout."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from shelfmark.core.arrays import Array
from shelfmark.models.boosted.booster_file import ubj
from shelfmark.models.boosted.booster_file.ubj import Reader

# What differs from tree to tree, in the file's order: the columns over the nodes with the marker of
# their types, and the number of the tree.
NUMBER = "id"
PARTS = {"base_weights": b"d", "default_left": b"U", NUMBER: b"", "left_children": b"l",
         "loss_changes": b"d", "parents": b"l", "right_children": b"l", "split_conditions": b"d",
         "split_indices": b"l", "split_type": b"U", "sum_hessian": b"d"}  # fmt: skip
TYPES: dict[bytes, np.dtype[Any]] = {
    b"U": np.dtype(np.uint8),
    b"l": np.dtype(">i4"),
    b"d": np.dtype(">f4"),
}
START = b"{" + ubj.encode_key("base_weights") + b"[$d#"
NO_CATEGORIES = (
    ubj.encode_key("categories")
    + ubj.encode_array_start(b"l", 0)
    + ubj.encode_key("categories_nodes")
    + ubj.encode_array_start(b"l", 0)
    + ubj.encode_key("categories_segments")
    + ubj.encode_array_start(b"L", 0)
    + ubj.encode_key("categories_sizes")
    + ubj.encode_array_start(b"L", 0)
)


class Layout:
    """The bytes of all trees of one size, behind the first length.

    Args:
        size: how many nodes a tree has.
        number: how many bytes its number takes.
        features: the number of columns that the booster predicts from.

    Attributes:
        form: the fixed parts and the others in turn.
        fixed: the fixed parts.
    """

    def __init__(self, size: int, number: int, features: int) -> None:
        fixed, sizes = [], []
        for name, marker in PARTS.items():
            start = ubj.encode_array_start(marker, size) if marker else b""
            before = NO_CATEGORIES if name == "default_left" else b""
            fixed.append(before + ubj.encode_key(name) + start)
            sizes.append(size * TYPES[marker].itemsize if marker else number)
        fixed[0] = b""  # it is read before, for the size
        parameters = ubj.encode_object(
            num_deleted=ubj.encode_text("0"),
            num_feature=ubj.encode_text(str(features)),
            num_nodes=ubj.encode_text(str(size)),
            size_leaf_vector=ubj.encode_text("1"),
        )
        fixed.append(ubj.encode_key("tree_param") + parameters + b"}")
        both = zip(map(len, fixed), [*sizes, 0], strict=True)
        self.form = struct.Struct("".join(f"{part}s{column}s" for part, column in both))
        self.fixed = tuple(fixed)


def read_columns(reader: Reader, count: int, features: int) -> dict[str, Array]:
    """Return the columns over the nodes of so many trees, and the sizes of the trees.

    Raises:
        ShelfmarkError: a tree is not in the form in which XGBoost writes it.
    """
    layouts: dict[tuple[int, int], Layout] = {}
    parts: list[bytes] = []
    sizes = []
    for place in range(count):
        name, number = f"tree {place}", ubj.encode_integer(place)
        reader.expect(START, name)
        size = reader.read_count(TYPES[b"d"].itemsize, name)
        if not size:
            raise reader.error(f"{name} has no nodes")
        kind = size, len(number)
        if kind not in layouts:
            layouts[kind] = Layout(*kind, features)
        given = reader.unpack(layouts[kind].form, name)
        own = given[1:-1:2]
        if given[::2] != layouts[kind].fixed or own[2] != number:
            raise reader.error(f"{name}, which ends there, is not as XGBoost writes it")
        sizes.append(size)
        parts += own
    columns = {"sizes": np.array(sizes, np.int64)}
    for place, (name, marker) in enumerate(PARTS.items()):
        if marker:
            column = np.frombuffer(b"".join(parts[place :: len(PARTS)]), TYPES[marker])
            columns[name] = column.astype(column.dtype.newbyteorder("="))
    return columns
