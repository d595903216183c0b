"""Export of a module of PyTorch to ONNX: from the tokens of texts to one array."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shelfmark.embeddings.onnx.checks import parse_model
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    import onnx

INPUTS = ("input_ids", "attention_mask")
TEXTS = ("one text", "another text of more words")  # that the module is traced with


def export_module(module: torch.nn.Module, tokenizer: Any, output: str) -> onnx.ModelProto:
    """Return a module as an ONNX graph in fp32; the module itself stays as it is.

    Args:
        module: takes `INPUTS`, integers of shape (texts, tokens), and returns one array whose
            first dimension are the texts.
        tokenizer: of transformers, with padding.
        output: the name of the array in the graph.

    Raises:
        ShelfmarkError: it has parts that cannot be exported.
    """
    on_cpu = copy.deepcopy(module).to("cpu").float().eval()
    example = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    # It warns that torchvision is missing. (The import of torch sets the levels of its loggers.)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        target = Path(folder, "model.onnx")
        try:
            torch.onnx.export(
                on_cpu, tuple(example[name] for name in INPUTS), target,
                input_names=list(INPUTS), output_names=[output],
                dynamic_shapes=dict.fromkeys(INPUTS, axes),
                dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:  # a foreign model may raise anything
            reason = one_line(error, 160)
            raise ShelfmarkError(f"the model cannot be exported to ONNX: {reason}") from error
        return parse_model(target.read_bytes())


def tokenizer_json(tokenizer: Any) -> bytes:
    """Return the content of the tokenizer.json of a tokenizer of transformers."""
    return str(tokenizer.backend_tokenizer.to_str()).encode()
