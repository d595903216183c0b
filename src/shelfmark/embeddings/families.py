"""The families of encoders by their kind; each is imported when it is first needed."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from shelfmark.embeddings.protocol import EncoderFamily
from shelfmark.errors import ShelfmarkError, nearest

# The module of each family, which names its EncoderFamily `FAMILY`.
MODULES = {
    "minilm": "shelfmark.embeddings.onnx.family",
    "sentence": "shelfmark.embeddings.sentence.family",
    "static": "shelfmark.embeddings.static.family",
}


def family_of(kind: str) -> EncoderFamily:
    """Return a family of encoders.

    Raises:
        ShelfmarkError: there is no family of this kind.
    """
    if kind not in MODULES:
        near = nearest(kind, MODULES)
        raise ShelfmarkError(f"encoder.kind={kind}: no such kind of encoder{near}")
    family: EncoderFamily = importlib.import_module(MODULES[kind]).FAMILY
    return family


def folder_of(kind: str) -> Path:
    """Return the folder of a family's code."""
    return Path(inspect.getfile(type(family_of(kind)))).parent
