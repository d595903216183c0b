"""BERT encoders for tests: random weights of a small one, its tokenizer, and the sums in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf, softmax

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"a robot arm grasps dark matter halo of the".split()]
POSITIONS, SIZE, HEADS = 32, 24, 2


def small_weights(layers: int = 2, words: int = len(WORDS), seed: int = 1) -> dict[str, Any]:
    """Return random weights, named as transformers names those of BERT."""
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> Any:
        return random.normal(0, 0.3, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": draw(words, SIZE),
        "embeddings.position_embeddings.weight": draw(POSITIONS, SIZE),
        "embeddings.token_type_embeddings.weight": draw(2, SIZE),
    }
    norms, dense = ["embeddings.LayerNorm"], {}
    for layer in (f"encoder.layer.{number}" for number in range(layers)):
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        dense |= {
            f"{layer}.attention.self.{part}": (SIZE, SIZE) for part in ("query", "key", "value")
        }
        dense |= {
            f"{layer}.attention.output.dense": (SIZE, SIZE),
            f"{layer}.intermediate.dense": (2 * SIZE, SIZE),
            f"{layer}.output.dense": (SIZE, 2 * SIZE),
        }
    for name in norms:
        weights |= {f"{name}.weight": 1 + draw(SIZE), f"{name}.bias": draw(SIZE)}
    for name, shape in dense.items():
        weights |= {f"{name}.weight": draw(*shape), f"{name}.bias": draw(shape[0])}
    return weights


def write_tokenizer(path: Path, words: Sequence[str] = WORDS) -> None:
    """Write a tokenizer.json that splits at blanks and adds [CLS] and [SEP], as BERT's."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    tokenizer.enable_truncation(4)  # as some folders have it, and fixed padding too
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(path))


def token_rows(weights: Mapping[str, Any], ids: Sequence[int], heads: int) -> Any:
    """Return the last hidden state of one text, of shape (tokens, size), in float64."""
    place = "embeddings"
    x = weights[f"{place}.word_embeddings.weight"][list(ids)].astype(np.float64)
    x += weights[f"{place}.position_embeddings.weight"][: len(ids)]
    x = _normalise(
        weights, "embeddings.LayerNorm", x + weights[f"{place}.token_type_embeddings.weight"][0]
    )
    for layer in range(len({key.split(".")[2] for key in weights if key.startswith("encoder.")})):
        name = f"encoder.layer.{layer}"
        mixed = _dense(weights, f"{name}.attention.output.dense", _attend(weights, name, x, heads))
        x = _normalise(weights, f"{name}.attention.output.LayerNorm", x + mixed)
        wide = _dense(weights, f"{name}.intermediate.dense", x)
        wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
        narrow = _dense(weights, f"{name}.output.dense", wide)
        x = _normalise(weights, f"{name}.output.LayerNorm", x + narrow)
    return x


def sentence_vector(weights: Mapping[str, Any], ids: Sequence[int], heads: int) -> Any:
    """Return the mean of the rows of a text at unit length."""
    mean = token_rows(weights, ids, heads).mean(axis=0)
    return mean / np.linalg.norm(mean)


def _attend(weights: Mapping[str, Any], layer: str, x: Any, heads: int) -> Any:
    query, key, value = (
        np.split(_dense(weights, f"{layer}.attention.self.{part}", x), heads, axis=1)
        for part in ("query", "key", "value")
    )
    root = np.sqrt(query[0].shape[1])
    parts = [softmax(q @ k.T / root, axis=1) @ v for q, k, v in zip(query, key, value, strict=True)]
    return np.concatenate(parts, axis=1)


def _dense(weights: Mapping[str, Any], name: str, x: Any) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalise(weights: Mapping[str, Any], name: str, x: Any) -> Any:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def end_at_tokens(model: Any) -> None:
    """Make the last hidden state the output of a graph of `build_graph`, with segments as input."""
    import onnx

    graph = model.graph
    row = next(node for node in graph.node if node.output[0] == "total_row")
    pooling = {"mask_row", "total_row", "total", "sentence_embedding"}
    kept = [node for node in graph.node if node.output[0] not in pooling]
    del graph.node[:], graph.output[:]
    graph.node.extend([*kept, onnx.helper.make_node("Identity", [row.input[1]], ["hidden"])])
    shape = ["texts", "tokens", SIZE]
    graph.output.append(onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, shape))
    segments = onnx.helper.make_tensor_value_info(
        "token_type_ids", onnx.TensorProto.INT64, shape[:2]
    )
    graph.input.append(segments)
