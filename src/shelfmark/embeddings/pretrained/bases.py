"""Pretrained models that a training starts from: the packaged MiniLM, folders, and hub names."""

from __future__ import annotations

from pathlib import Path

from shelfmark.config.models import MINILM
from shelfmark.embeddings.onnx import packaged
from shelfmark.errors import ShelfmarkError

CONFIG = "config.json"  # of transformers, or of a module's


def is_local(base: str) -> bool:
    """Whether a base needs no network: the packaged MiniLM, or a path rather than a hub name."""
    return base == MINILM or _is_path(base)


def _is_path(base: str) -> bool:
    """A hub name has at most one slash and is no folder here."""
    return Path(base).exists() or base.count("/") != 1 or base.startswith((".", "/", "~"))


def folder_of(base: str, key: str, *marks: str) -> str:
    """Return the folder of a local base, or a hub name unchanged.

    Args:
        base: minilm, a folder, or the name of a repository on the hub.
        key: of the configuration that names it, for errors.
        marks: files of which a folder has to hold one.

    Raises:
        ShelfmarkError: the folder is missing or holds no model, or the packaged weights are
            missing or other ones.
    """
    if base == MINILM:
        for name in packaged.DIGESTS:
            packaged.read_file(name)
        return str(packaged.model_folder())
    if not is_local(base):
        return base
    folder = Path(base).expanduser()
    if not folder.is_dir():
        raise ShelfmarkError(f"{key}={base}: no such folder, and no name on the hub")
    if not any((folder / mark).is_file() for mark in marks):
        raise ShelfmarkError(
            f"{key}={base}: no model of sentence-transformers or transformers "
            f"({' and '.join(marks)} {'is' if len(marks) == 1 else 'are'} missing)"
        )
    return str(folder)
