"""The families of models by their kind; each is imported when it is first needed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shelfmark.embeddings import onnx
from shelfmark.errors import ShelfmarkError, nearest
from shelfmark.models.protocol import Family

# The module of each family, which names its Family `FAMILY`.
MODULES = {
    "boosted": "shelfmark.models.boosted.family",
    "transformer": "shelfmark.models.transformer.family",
}

# The extra of each module that the models of a kind need: here, so that a command knows it before
# it imports the family.
NEEDS: dict[str, dict[str, str]] = {"boosted": {}, "transformer": onnx.NEEDS}


def family_of(kind: str) -> Family:
    """Return a family of models.

    Raises:
        ShelfmarkError: there is no family of this kind.
    """
    if kind not in MODULES:
        raise ShelfmarkError(f"model.kind={kind}: no such kind of model{nearest(kind, MODULES)}")
    family: Family = importlib.import_module(MODULES[kind]).FAMILY
    return family


def kinds_of(section: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the families that open a model: its own, and that of a network in its stack.

    Args:
        section: `model` of the configuration, as a card holds it, whose form is not checked yet.
    """
    inner: object = section
    for key in ("stack", "scorers", "transformer"):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return (str(section["kind"]), "transformer") if inner else (str(section["kind"]),)


def folder_of(kind: str) -> Path:
    """Return the folder of a family's code."""
    return Path(inspect.getfile(type(family_of(kind)))).parent
