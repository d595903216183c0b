"""The family of sentence transformers: fine-tuned by PyTorch, served by ONNX Runtime."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shelfmark.config.encoders import EncoderSettings, SentenceConfig
from shelfmark.embeddings.onnx import MODEL, TOKENIZER
from shelfmark.embeddings.onnx.family import MinilmFamily, open_encoder
from shelfmark.embeddings.pretrained import libraries
from shelfmark.embeddings.pretrained.bases import is_local
from shelfmark.embeddings.protocol import Encoder, EncoderFamily, EpochCallback, FittedEncoder
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pyarrow as pa

    from shelfmark.artifacts.digested import DigestedFiles
    from shelfmark.core.checkpoint import Checkpoint
    from shelfmark.embeddings.card import EncoderCard

TRAINING_LIBRARIES = (
    *libraries.NEEDED, "sentence_transformers", "datasets",
)  # fmt: skip


class SentenceFamily(EncoderFamily):
    """Trains a sentence transformer; what it saves is opened as any other ONNX encoder."""

    kind = "sentence"
    description = "fine-tuned sentence transformer"
    libraries = ("onnxruntime", "tokenizers")
    files = (MODEL, TOKENIZER)
    needs = MinilmFamily.needs
    fit_needs = dict.fromkeys(TRAINING_LIBRARIES, "sentence")

    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        """Fine-tune the base on pairs of training papers, and export the best evaluation's model.

        Args:
            settings: of the training.
            train: papers that pairs are made from.
            validation: papers that the evaluator takes.
            callback: called after each epoch.
            checkpoint: in whose folder the trainer keeps its own checkpoints.

        Raises:
            ShelfmarkError: a library is missing, the base is no model, there are no pairs, or the
                exported model differs from the trained one.
        """
        config = settings.encoder
        assert isinstance(config, SentenceConfig)
        self.check_fit_installed()
        bases = (config.base, config.guide or config.base)
        libraries.prepare(offline=all(map(is_local, bases)))
        from shelfmark.embeddings.sentence.fitting import fit

        with _folder(checkpoint) as folder:
            return fit(settings, config, train, validation, callback, folder)

    def load(self, files: DigestedFiles, card: EncoderCard, threads: int | None = None) -> Encoder:
        """Open a saved encoder, without torch."""
        return open_encoder(files, card, _max_tokens(card), threads)


def _max_tokens(card: EncoderCard) -> int:
    most = card.details.get("max_tokens")
    if type(most) is not int or not 1 <= most <= card.config["encoder"]["max_tokens"]:
        raise ShelfmarkError("details.max_tokens is invalid")
    return most


@contextlib.contextmanager
def _folder(checkpoint: Checkpoint | None) -> Iterator[Path]:
    """Yield the folder of the trainer's checkpoints, a temporary one without a checkpoint."""
    if checkpoint is not None:
        folder = checkpoint.folder / "trainer"
        folder.mkdir(exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)


FAMILY = SentenceFamily()
