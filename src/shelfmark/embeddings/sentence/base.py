"""The pretrained model that a fine-tuning starts from, and the guide of the guided losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelfmark.embeddings.pretrained.bases import CONFIG, folder_of, is_local
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

KEY = "encoder.base"
MODULES = "modules.json"  # of sentence-transformers


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

    path = folder_of(base, KEY, MODULES, CONFIG)
    try:
        model = SentenceTransformer(path, device=device, local_files_only=is_local(base))
    except Exception as error:  # a foreign folder may raise anything
        raise ShelfmarkError(f"{KEY}={base}: cannot be opened ({one_line(error, 200)})") from error
    if not getattr(model.tokenizer, "is_fast", False):
        raise ShelfmarkError(f"{KEY}={base}: its tokenizer has no tokenizer.json")
    model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)
    return model
