"""The losses of a fine-tuning, by the names of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shelfmark.config.encoders import SentenceConfig
from shelfmark.embeddings.sentence.base import load_base

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# A title finds its abstract, and an abstract its title.
DIRECTIONS = ("query_to_doc", "doc_to_query")
LABELLED = ("contrastive",)  # losses of pairs that belong together or do not
GUIDED = ("guided", "cached_guided")


def make_loss(model: SentenceTransformer, config: SentenceConfig) -> Any:
    """Return the loss of the configuration, for vectors of all sizes where it names smaller ones.

    Raises:
        ShelfmarkError: the guide of a guided loss cannot be opened.
    """
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    loss = _plain_loss(model, config)
    sizes = [model.get_embedding_dimension(), *reversed(config.sizes)]
    return MatryoshkaLoss(model, loss, sizes) if config.sizes else loss


def _plain_loss(model: SentenceTransformer, config: SentenceConfig) -> Any:
    from sentence_transformers.sentence_transformer import losses

    if config.loss == "contrastive":
        return losses.ContrastiveLoss(model)
    if config.loss == "ranking":
        return losses.MultipleNegativesRankingLoss(model, directions=DIRECTIONS)
    if config.loss == "cached_ranking":
        return losses.CachedMultipleNegativesRankingLoss(
            model, mini_batch_size=config.mini_batch, directions=DIRECTIONS
        )
    guide = load_base(config.guide or config.base, str(model.device), config.max_tokens)
    if config.loss == "guided":
        return losses.GISTEmbedLoss(model, guide)
    return losses.CachedGISTEmbedLoss(model, guide, mini_batch_size=config.mini_batch)
