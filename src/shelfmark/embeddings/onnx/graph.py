"""The graph of a BERT encoder of sentences in standard ONNX operators, made from its weights.

Devlin et al., BERT, arXiv:1810.04805; mean pooling: Reimers and Gurevych, Sentence-BERT,
arXiv:1908.10084. ONNX Runtime fuses the operators when it opens the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelfmark.core.arrays import Array
from shelfmark.errors import ShelfmarkError

OPSET, IR_VERSION = 20, 10  # the first opset that has Gelu
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
HEADS = 12  # of all-MiniLM-L6-v2
EPSILON = 1e-12  # of the normalisation of its layers
HIDDEN_SCORE = -10000.0  # added to the score of padding, whose softmax is then zero


def build_graph(weights: Mapping[str, Array], heads: int = HEADS) -> onnx.ModelProto:
    """Return the graph of a BERT encoder, from token identifiers to unit vectors of texts.

    Its inputs are `input_ids` and `attention_mask`, int64 of shape (texts, tokens); its output
    `sentence_embedding` is float32 of shape (texts, size): the mean over the tokens of a text,
    divided by its length.

    Args:
        weights: as transformers names them in `model.safetensors`.
        heads: of the attention.

    Raises:
        ShelfmarkError: an array is missing.
    """
    try:
        return _Builder(weights, heads).build()
    except KeyError as error:
        raise ShelfmarkError(f"the weights have no array {error}: no BERT encoder") from error


class _Builder:
    """Collects the nodes and the arrays of a graph.

    Args:
        weights: of the encoder.
        heads: of the attention.
    """

    def __init__(self, weights: Mapping[str, Array], heads: int) -> None:
        self._weights = weights
        self._heads = heads
        self._size = int(weights["embeddings.word_embeddings.weight"].shape[1])
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        mask = self._node("Cast", [INPUTS[1]], "mask", to=TensorProto.FLOAT)
        self._add_constants(mask)
        hidden = self._embed()
        layers = len({key.split(".")[2] for key in self._weights if key.startswith("encoder.")})
        for layer in range(layers):
            hidden = self._add_layer(hidden, f"encoder.layer.{layer}")
        self._pool(hidden, mask)
        return self._model()

    def _add_constants(self, mask: str) -> None:
        """Add what all layers share: the scores of padding, and the shapes of heads."""
        self._array("one", np.float32(1))
        self._array("hidden_score", np.float32(HIDDEN_SCORE))
        self._array("axes_of_heads", np.array([1, 2]))
        self._array("shape_in_heads", np.array([0, 0, self._heads, self._size // self._heads]))
        self._array("shape_joined", np.array([0, 0, self._size]))
        spread = self._node("Unsqueeze", [mask, "axes_of_heads"], "mask_of_heads")
        padding = self._node("Sub", ["one", spread], "padding")
        self._node("Mul", [padding, "hidden_score"], "padding_scores")

    def _embed(self) -> str:
        """Add the sum of the rows of tokens, positions and the first segment, normalised."""
        first_segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"] + first_segment
        words = self._copy("embeddings.word_embeddings.weight")
        self._array("positions", positions)
        self._array("zero", np.array([0]))
        tokens = self._node("Gather", [words, INPUTS[0]], "tokens")
        length = self._node("Shape", [INPUTS[0]], "length", start=1, end=2)
        places = self._node("Slice", ["positions", "zero", length, "zero"], "places")
        return self._normalise(
            self._node("Add", [tokens, places], "embedded"), "embeddings.LayerNorm"
        )

    def _add_layer(self, hidden: str, layer: str) -> str:
        """Add attention and the feed-forward network, each with a shortcut and a normalisation."""
        mixed = self._attend(hidden, f"{layer}.attention.self")
        hidden = self._add_shortcut(mixed, hidden, f"{layer}.attention.output")
        wide = self._dense(hidden, f"{layer}.intermediate.dense")
        active = self._node("Gelu", [wide], f"{layer}.gelu")
        return self._add_shortcut(active, hidden, f"{layer}.output")

    def _attend(self, hidden: str, name: str) -> str:
        """Add the attention of all heads; one product gives queries, keys and values."""
        weights, biases = self._query_key_value(name)
        self._array(f"{name}.weight", weights)
        self._array(f"{name}.bias", biases)
        product = self._node("MatMul", [hidden, f"{name}.weight"], f"{name}.product")
        joint = self._node("Add", [product, f"{name}.bias"], f"{name}.joint")
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [joint], parts, axis=2, num_outputs=3))
        query, key, value = (
            self._in_heads(part, axes)
            for part, axes in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        )
        scores = self._node("MatMul", [query, key], f"{name}.scores")
        masked = self._node("Add", [scores, "padding_scores"], f"{name}.masked")
        shares = self._node("Softmax", [masked], f"{name}.shares", axis=-1)
        heads = self._node("MatMul", [shares, value], f"{name}.heads")
        tokens = self._node("Transpose", [heads], f"{name}.tokens", perm=[0, 2, 1, 3])
        return self._node("Reshape", [tokens, "shape_joined"], f"{name}.mixed")

    def _query_key_value(self, name: str) -> tuple[Array, Array]:
        """Return the joint weights and biases, those of queries divided by the root of a head."""
        root = np.float32(np.sqrt(self._size // self._heads))
        weights, biases = [], []
        for part, divisor in (("query", root), ("key", 1), ("value", 1)):
            weights.append(self._weights[f"{name}.{part}.weight"].T / divisor)
            biases.append(self._weights[f"{name}.{part}.bias"] / divisor)
        return np.concatenate(weights, axis=1), np.concatenate(biases)

    def _in_heads(self, part: str, axes: Sequence[int]) -> str:
        divided = self._node("Reshape", [part, "shape_in_heads"], f"{part}.divided")
        return self._node("Transpose", [divided], f"{part}.heads", perm=list(axes))

    def _add_shortcut(self, values: str, hidden: str, name: str) -> str:
        dense = self._dense(values, f"{name}.dense")
        total = self._node("Add", [dense, hidden], f"{name}.total")
        return self._normalise(total, f"{name}.LayerNorm")

    def _dense(self, values: str, name: str) -> str:
        self._array(f"{name}.weight", self._weights[f"{name}.weight"].T)
        bias = self._copy(f"{name}.bias")
        product = self._node("MatMul", [values, f"{name}.weight"], f"{name}.product")
        return self._node("Add", [product, bias], f"{name}.sum")

    def _normalise(self, values: str, name: str) -> str:
        inputs = [values, self._copy(f"{name}.weight"), self._copy(f"{name}.bias")]
        return self._node("LayerNormalization", inputs, f"{name}.normal", epsilon=EPSILON)

    def _pool(self, hidden: str, mask: str) -> None:
        """Add the mean over the tokens at unit length, which cancels the divisor of the mean."""
        self._array("axis_of_tokens", np.array([1]))
        row = self._node("Unsqueeze", [mask, "axis_of_tokens"], "mask_row")
        total = self._node("MatMul", [row, hidden], "total_row")
        vectors = self._node("Squeeze", [total, "axis_of_tokens"], "total")
        self._node("LpNormalization", [vectors], OUTPUT, axis=1, p=2)

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        node = helper.make_node(operator, inputs, [output], f"{output}/{operator}", **attributes)
        self._nodes.append(node)
        return output

    def _array(self, name: str, values: Any) -> str:
        self._arrays.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _copy(self, name: str) -> str:
        return self._array(name, self._weights[name])

    def _model(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
            for name in INPUTS
        ]
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["texts", self._size])
        graph = helper.make_graph(self._nodes, "encoder", inputs, [output], self._arrays)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model
