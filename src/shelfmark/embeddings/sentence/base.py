"""The pretrained model that a fine-tuning starts from, and the guide of the guided losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shelfmark.embeddings.onnx import packaged
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MINILM = "minilm"
CONFIG = "config.json"  # of transformers, or of a module's
MODULES = "modules.json"  # of sentence-transformers


def is_local(base: str) -> bool:
    """Whether a base needs no network: the packaged MiniLM, or a path rather than a hub name."""
    return base == MINILM or _is_path(base)


def _is_path(base: str) -> bool:
    """A hub name has at most one slash and is no folder here."""
    return Path(base).exists() or base.count("/") != 1 or base.startswith((".", "/", "~"))


def load_base(base: str, device: str, max_tokens: int) -> SentenceTransformer:
    """Return a pretrained sentence transformer, or one of a plain language model with mean pooling.

    Args:
        base: minilm, a folder, or the name of a repository on the hub.
        device: cpu or cuda.
        max_tokens: tokens of a text that are read, at most as many as the model can.

    Raises:
        ShelfmarkError: the base is no such model, or cannot be reached.
    """
    from sentence_transformers import SentenceTransformer

    path = _folder_of(base)
    try:
        model = SentenceTransformer(path, device=device, local_files_only=is_local(base))
    except Exception as error:  # a foreign folder may raise anything
        raise ShelfmarkError(
            f"encoder.base={base}: cannot be opened ({one_line(error, 200)})"
        ) from error
    if not getattr(model.tokenizer, "is_fast", False):
        raise ShelfmarkError(f"encoder.base={base}: its tokenizer has no tokenizer.json")
    model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model


def _folder_of(base: str) -> str:
    """Return what SentenceTransformer takes for a base, the folder of a local one.

    Raises:
        ShelfmarkError: the folder is missing or holds no model.
    """
    if base == MINILM:
        for name in packaged.DIGESTS:
            packaged.read_file(name)
        return str(packaged.model_folder())
    if not is_local(base):
        return base
    folder = Path(base).expanduser()
    if not folder.is_dir():
        raise ShelfmarkError(f"encoder.base={base}: no such folder, and no name on the hub")
    if not (folder / CONFIG).is_file() and not (folder / MODULES).is_file():
        raise ShelfmarkError(
            f"encoder.base={base}: no model of sentence-transformers or transformers "
            f"({MODULES} and {CONFIG} are missing)"
        )
    return str(folder)
