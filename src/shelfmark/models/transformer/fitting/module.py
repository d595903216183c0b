"""The network in PyTorch: an encoder, the mean of its rows, and a linear layer; and its loss."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch

from shelfmark.config.models import NetworkConfig
from shelfmark.core.arrays import Floats, Ints
from shelfmark.models.transformer.fitting.bases import Base


class Network(torch.nn.Module):  # type: ignore[misc]
    """Scores of the classes, then of the listed categories.

    Args:
        base: the encoder.
        config: of the network.
        classes: number of classes.
        listed: number of listed categories.
        weights: of each class in the loss, shape (classes,); None for equal ones.
    """

    def __init__(
        self,
        base: Base,
        config: NetworkConfig,
        classes: int,
        listed: int,
        weights: Floats | None = None,
    ) -> None:
        super().__init__()
        self.encoder = base.encoder
        self.dropout = torch.nn.Dropout(config.dropout)
        self.head = torch.nn.Linear(base.size, classes + listed)
        self.classes = classes
        self.listed_weight = config.listed_weight if listed else 0.0
        logarithms = np.zeros(classes) if weights is None else np.log(weights)
        self.register_buffer("log_weights", torch.tensor(logarithms, dtype=torch.float32))

    def mean_rows(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return the mean of the rows of each text's tokens, (texts, size); zeros of no token."""
        rows = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(rows.dtype)
        return (rows * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def forward(
        self,
        targets: Any,
        membership: Any,
        input_ids: Any = None,
        attention_mask: Any = None,
        vectors: Any = None,
    ) -> dict[str, Any]:
        """Return the loss and the scores of some papers.

        Args:
            targets: the class of each paper.
            membership: 1 where a paper has a listed category.
            input_ids: their tokens, padded.
            attention_mask: 0 where a token is padding.
            vectors: the means of their rows, in place of tokens.
        """
        means = self.mean_rows(input_ids, attention_mask) if vectors is None else vectors
        scores = self.head(self.dropout(means)).float()
        loss = self._loss(scores, targets, membership)
        return {"loss": loss, "scores": scores}

    def _loss(self, scores: Any, targets: Any, membership: Any) -> Any:
        """Return the log loss of the classes; in a training weighted, and with the cross-lists.

        A loss whose papers have weights is least where the probabilities are those of weighted
        papers. Its margins are therefore the scores and the logarithms of the weights: the scores
        alone are those of the papers as they come.
        """
        margins = scores[:, : self.classes]
        if not self.training:
            return torch.nn.functional.cross_entropy(margins, targets)
        weights = self.log_weights.exp()[targets]
        each = torch.nn.functional.cross_entropy(
            margins + self.log_weights, targets, reduction="none"
        )
        loss = (weights * each).sum() / weights.sum()
        if self.listed_weight:
            listed = scores[:, self.classes :]
            loss = loss + self.listed_weight * (
                torch.nn.functional.binary_cross_entropy_with_logits(listed, membership)
            )
        return loss

    def linear_layer(self) -> tuple[Floats, Floats]:
        """Return the weights, shape (size, scores), and the constants of the linear layer."""
        weights, bias = (
            cast(Floats, values.detach().float().cpu().numpy())
            for values in (self.head.weight.T, self.head.bias)
        )
        return np.ascontiguousarray(weights), bias.copy()


def freeze_layers(base: Base, tuned: int | None) -> None:
    """Freeze all parameters before the last layers.

    Args:
        base: the encoder.
        tuned: number of layers that are tuned, None for all, and the embeddings.
    """
    if tuned is None:
        return
    first = next(base.layers[-tuned].parameters()) if tuned else None
    frozen = True
    for parameter in base.encoder.parameters():
        frozen = frozen and parameter is not first
        parameter.requires_grad = not frozen


def balanced_weights(targets: Ints, classes: int) -> Floats:
    """Return the weight of each class with which all count alike, float32 of shape (classes,)."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return (len(targets) / (classes * counts)).astype(np.float32)
