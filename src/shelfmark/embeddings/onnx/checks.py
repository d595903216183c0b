"""Checks of an ONNX file before it is opened: it holds one graph of known operators, and all data.

An ONNX file may name other files that hold its arrays, by any path, and operators that libraries
bring. Neither is opened here, and a graph without loops always ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from shelfmark.errors import ShelfmarkError, one_line

DOMAINS = {"", "ai.onnx", "com.microsoft"}  # of the operators that ONNX Runtime itself brings
LOOPS = {"Loop", "Scan"}
KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
QUANTISED = {
    "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat",
    "MatMulNBits", "QAttention", "QLinearMatMul", "QuantizeLinear",
}  # fmt: skip


@dataclass(frozen=True)
class GraphForm:
    """What a graph takes and gives.

    Args:
        inputs: the names, some of `KNOWN_INPUTS`.
        output: the name of the output that is used.
        pooled: whether the output has a row for each text, else one for each token.
        quantised: whether its products are of integers already.
    """

    inputs: tuple[str, ...]
    output: str
    pooled: bool
    quantised: bool


def parse_model(content: bytes | bytearray | memoryview) -> onnx.ModelProto:
    """Return the model in the content of an ONNX file, which names no other file and no plug-in.

    Raises:
        ShelfmarkError: it is no ONNX model, is cut off, or is one that is not opened.
    """
    try:
        model = onnx.load_model_from_string(bytes(content))
    except (DecodeError, ValueError) as error:
        raise ShelfmarkError("no ONNX model, or cut off") from error
    if not model.graph.node:
        raise ShelfmarkError("no ONNX model, or cut off: it has no graph")
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ShelfmarkError(
                f"its array {one_line(tensor.name, 60)!r} lies in another file (external data): "
                "export the model as one file"
            )
    own = {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS | own:
            operator = one_line(f"{node.domain}.{node.op_type}", 80)
            raise ShelfmarkError(f"the operator {operator} is no part of ONNX Runtime")
        if node.op_type in LOOPS:
            raise ShelfmarkError(f"the operator {node.op_type} is not run: a loop may have no end")
    return model


def read_form(model: onnx.ModelProto) -> GraphForm:
    """Return what the graph of a sentence encoder takes and gives.

    Raises:
        ShelfmarkError: it is the graph of something else.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(one.name for one in model.graph.input if one.name not in stored)
    if not {"input_ids", "attention_mask"} <= {*inputs} <= {*KNOWN_INPUTS}:
        raise ShelfmarkError(
            f"its inputs are {_listed(inputs)}; those of an encoder are input_ids, attention_mask "
            "and perhaps token_type_ids"
        )
    ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in model.graph.output}
    found = [(name, True) for name in ("sentence_embedding",) if ranks.get(name) == 2]
    found += [(name, False) for name, rank in ranks.items() if rank == 3]
    found += [(name, True) for name, rank in ranks.items() if rank == 2 and len(ranks) == 1]
    if not found:
        raise ShelfmarkError(
            f"its outputs are {_listed(ranks)}; an encoder has sentence_embedding, or one of shape "
            "(texts, tokens, size)"
        )
    quantised = any(node.op_type in QUANTISED for node in _nodes(model))
    return GraphForm(inputs, *found[0], quantised)


def _listed(names: Iterable[object]) -> str:
    return one_line(", ".join(map(str, names)), 120) or "none"  # invalid UTF-8 is given as bytes


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """Yield the graph, the functions, and all graphs inside them."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    for training in model.training_info:
        waiting += [training.initialization, training.algorithm]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every array of a model, those of attributes included."""
    for graph in _graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        attributes = [one for node in graph.node for one in node.attribute]
        if isinstance(graph, onnx.FunctionProto):
            attributes += graph.attribute_proto
        for attribute in attributes:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
