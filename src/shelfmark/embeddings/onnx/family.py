"""The family minilm: all-MiniLM-L6-v2, or a user's own encoder, as an ONNX graph."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.encoders import EncoderSettings, MinilmConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.onnx import MODEL, NEEDS, TOKENIZER
from shelfmark.embeddings.protocol import EncoderFamily, EpochCallback, FittedEncoder
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import onnx
    import pyarrow as pa

    from shelfmark.embeddings.onnx.encoder import OnnxEncoder, Pooling

POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "none")


class MinilmFamily(EncoderFamily):
    """Builds and opens encoders of pretrained weights; no paper changes them."""

    kind = "minilm"
    description = "MiniLM, a small pretrained transformer"
    libraries = ("onnxruntime", "tokenizers")
    files = (MODEL, TOKENIZER)
    needs = NEEDS

    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        """Build the graph, quantise it if asked to, and open it; the papers are not read."""
        config = settings.encoder
        assert isinstance(config, MinilmConfig)
        return build_encoder(config)

    def load(
        self, files: DigestedFiles, card: EncoderCard, threads: int | None = None
    ) -> OnnxEncoder:
        """Open the model and its tokenizer."""
        return open_encoder(files, card, card.config["encoder"]["max_tokens"], threads)


def build_encoder(config: MinilmConfig) -> FittedEncoder:
    """Return the encoder of a configuration.

    Raises:
        ShelfmarkError: the weights are missing or other ones, or the folder holds no encoder.
    """
    from shelfmark.embeddings.onnx.checks import read_form
    from shelfmark.embeddings.onnx.encoder import OnnxEncoder

    started = time.perf_counter()
    model, tokenizer, pooling = _read_source(config)
    quantised = read_form(model).quantised
    content = _model_content(model, config, quantised)
    read = time.perf_counter()
    encoder = OnnxEncoder(content, tokenizer, config.max_tokens, pooling, config.n_jobs)
    seconds = {"building": read - started, "opening": time.perf_counter() - read}
    details: dict[str, Any] = {
        "weights": "all-MiniLM-L6-v2" if config.path is None else Path(config.path).name,
        "pooling": pooling,
    }
    return FittedEncoder(encoder, details, seconds)


def open_encoder(
    files: DigestedFiles, card: EncoderCard, max_tokens: int, threads: int | None
) -> OnnxEncoder:
    """Return the encoder of the files of an artifact, whose card names the pooling.

    Raises:
        ShelfmarkError: a file is damaged or foreign.
    """
    from shelfmark.embeddings.onnx.encoder import OnnxEncoder

    pooling = card.details.get("pooling")
    if pooling not in POOLINGS:
        raise ShelfmarkError(f"its card names no pooling, one of {', '.join(POOLINGS)}")
    model, tokenizer = files.content(MODEL), files.content(TOKENIZER)
    return OnnxEncoder(model, tokenizer, max_tokens, pooling, threads)


def _read_source(config: MinilmConfig) -> tuple[onnx.ModelProto, bytes, Pooling]:
    """Return the graph in fp32, the tokenizer, and what is left to do for the graph."""
    if config.path is not None:
        from shelfmark.embeddings.onnx import exported

        folder = Path(config.path).expanduser()
        model, tokenizer = exported.read_model(folder)
        return model, tokenizer, exported.read_pooling(folder, model)
    from safetensors.numpy import load

    from shelfmark.embeddings.onnx import packaged
    from shelfmark.embeddings.onnx.graph import build_graph

    weights = load(packaged.read_file(packaged.WEIGHTS))
    return build_graph(weights), packaged.read_file(packaged.TOKENIZER), "none"


def _model_content(model: onnx.ModelProto, config: MinilmConfig, quantised: bool) -> bytes:
    """Return the content of the artifact's model in the precision asked for."""
    if config.precision == "int8" and not quantised:
        from shelfmark.embeddings.onnx.quantize import quantise_model

        return quantise_model(model)
    if config.precision == "fp32" and quantised:
        raise ShelfmarkError(
            f"encoder.path={config.path} holds a quantised model: encoder.precision=int8"
        )
    return bytes(model.SerializeToString(deterministic=True))


FAMILY = MinilmFamily()
