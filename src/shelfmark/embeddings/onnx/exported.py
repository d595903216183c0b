"""A folder of an encoder that a user exported to ONNX, as sentence-transformers and optimum do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import orjson

from shelfmark.core import files
from shelfmark.embeddings.onnx import MODEL, TOKENIZER
from shelfmark.embeddings.onnx.checks import parse_model, read_form
from shelfmark.embeddings.onnx.encoder import Pooling
from shelfmark.errors import ShelfmarkError, one_line

PLACES = (MODEL, f"onnx/{MODEL}")  # the second as sentence-transformers saves it
MODULES, POOLING = "modules.json", "1_Pooling/config.json"
IN_PLACE = {"Transformer", "Pooling", "Normalize"}  # modules that are done here for the graph


def read_model(folder: Path) -> tuple[onnx.ModelProto, bytes]:
    """Return the model and the content of its tokenizer.

    Raises:
        ShelfmarkError: the folder holds no such model.
    """
    if not folder.is_dir():
        raise ShelfmarkError(f"encoder.path={folder}: no such folder")
    path = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if path is None or not (folder / TOKENIZER).is_file():
        missing = MODEL if path is None else TOKENIZER
        raise ShelfmarkError(
            f"encoder.path={folder} has no {missing}: an exported encoder is {MODEL} and "
            f"{TOKENIZER}; docs/encoders.md shows how to export one"
        )
    try:
        return parse_model(_read(path)), _read(folder / TOKENIZER)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{path}: {error}") from error


def read_pooling(folder: Path, model: onnx.ModelProto) -> Pooling:
    """Return how the rows of tokens become one, as the files of sentence-transformers say.

    A folder without them has mean pooling, as nearly all models that give no vectors of texts.

    Raises:
        ShelfmarkError: the graph is no encoder's, or does less than the model that it was
            exported from.
    """
    if read_form(model).pooled:
        return "none"
    modules = _read_json(folder / MODULES)
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type", "") if isinstance(module, dict) else module).split(".")[-1]
        if kind not in IN_PLACE:
            raise ShelfmarkError(
                f"{folder / MODULES}: {MODEL} ends before the module {one_line(kind, 60)}: export "
                "the whole model, with the output sentence_embedding"
            )
    config = _read_json(folder / POOLING)
    return _pooling_of(config, folder) if isinstance(config, dict) else "mean"


def _pooling_of(config: dict[str, Any], folder: Path) -> Pooling:
    """Return the pooling that a configuration names, in its old or its new form."""
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else []
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    modes = modes or [key.removeprefix("pooling_mode_").removesuffix("_tokens") for key in flags]
    modes = [str(mode).removesuffix("_token") for mode in modes]
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    raise ShelfmarkError(
        f"{folder / POOLING}: pooling {one_line('+'.join(modes), 60) or 'unknown'}; mean and cls "
        "are known: export the whole model, with the output sentence_embedding"
    )


def _read_json(path: Path) -> Any:
    """Return the content of a JSON file, None if there is no such file."""
    if not path.is_file():
        return None
    try:
        return orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        raise ShelfmarkError(f"{path}: no JSON ({one_line(error)})") from error


def _read(path: Path) -> bytes:
    try:
        return files.read_bytes(path)
    except OSError as error:
        raise ShelfmarkError(f"{path} cannot be read: {error.strerror}") from error
