"""The family of transformers: tuned by PyTorch, served by ONNX Runtime without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.models import ModelConfig, NetworkConfig, TransformerConfig
from shelfmark.config.schema import Config
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.onnx import NEEDS
from shelfmark.embeddings.pretrained import libraries
from shelfmark.embeddings.pretrained.bases import is_local
from shelfmark.models.card import ModelCard
from shelfmark.models.protocol import Family, Fitted, RoundCallback

if TYPE_CHECKING:
    from shelfmark.data.splits import PaperGroups
    from shelfmark.models.transformer.classifier import TransformerClassifier

FIT_NEEDS = dict.fromkeys(libraries.NEEDED, "transformer")


class TransformerFamily(Family):
    """Fits and opens transformers."""

    kind = "transformer"
    description = "fine-tuned transformer"
    # Under other versions the same files could give other numbers.
    libraries = ("onnxruntime", "tokenizers", "numpy")
    files = ("network.pkl", "model.onnx", "tokenizer.json")
    needs = NEEDS
    fit_needs = FIT_NEEDS
    code = ("embeddings/onnx", "embeddings/pretrained", "models/calibration")

    def fit(
        self,
        config: Config,
        train: PaperGroups,
        validation: PaperGroups,
        callback: RoundCallback,
        checkpoint: Checkpoint | None = None,
        engine: Any = None,
    ) -> Fitted:
        """Tune the base and its linear layer, and export the network of the best evaluation.

        Raises:
            ShelfmarkError: a library is missing, the base is no encoder, the splits share no labels
                to learn, or the exported network differs from the trained one.
        """
        assert isinstance(config.model, TransformerConfig)
        from shelfmark.models.transformer.fitting.fit import fit_transformer

        return fit_transformer(config, config.model, train, validation, callback, checkpoint)

    def load(
        self, files: DigestedFiles, card: ModelCard, threads: int | None = None
    ) -> TransformerClassifier:
        """Open the network.

        Raises:
            ShelfmarkError: a file is damaged or foreign, or does not fit the card.
        """
        from shelfmark.models.transformer.classifier import open_classifier

        return open_classifier(files, tuple(card.labels), tuple(card.listed), threads)


FAMILY = TransformerFamily()


def prepare_fit(network: NetworkConfig) -> None:
    """Check the libraries of a fit, and set them up: before anything imports them.

    Raises:
        ShelfmarkError: one is not installed; names what installs it.
    """
    FAMILY.check_installed()
    FAMILY.check_fit_installed()
    libraries.prepare(offline=is_local(network.base))


def check_network(model: ModelConfig) -> None:
    """Check that the network of a training, if it has one, can be tuned: before any other work.

    Raises:
        ShelfmarkError: a library is missing, or the base is no encoder, cannot be reached, or
            reads fewer tokens or has fewer layers than are asked for.
    """
    if model.network is None:
        return
    prepare_fit(model.network)
    from shelfmark.models.transformer.fitting.bases import load_base

    load_base(model.network, model.network_section, [])
