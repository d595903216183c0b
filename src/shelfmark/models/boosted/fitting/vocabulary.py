"""The vocabulary: the TF-IDF of the texts and of the titles, fitted on the training papers."""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from shelfmark.config.models import FeaturesConfig
from shelfmark.core.arrays import SmallInts
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import PaperGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.features import (
    FastFeatureUnion,
    Steps,
    TitleVectorizer,
    make_vectorizer,
    titles,
)
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine
from shelfmark.models.boosted.fitting.rows import PaperLabels
from shelfmark.tfidf.corpus.fields import Field


@dataclass(frozen=True)
class GroupPart:
    """One group of the training papers, as a part of the corpus.

    Args:
        papers: all groups.
        number: of the group.
        targets: the class of each of its papers.
    """

    papers: PaperGroups
    number: int
    targets: SmallInts

    def read(self) -> tuple[list[str], SmallInts]:
        """Return the texts of the group, and the class of each, int32 of shape (texts,)."""
        return self.papers.read_group(self.number, ["text"])["text"].to_pylist(), self.targets


def fit_fields(
    config: FeaturesConfig,
    papers: PaperGroups,
    labels: PaperLabels,
    checkpoint: Checkpoint,
    engine: Engine = LOCAL,
) -> FastFeatureUnion:
    """Fit the TF-IDF of texts and, as a separate field, of their titles.

    Args:
        config: how to read and weigh them.
        papers: with texts as `shelfmark.arxiv.text.join_texts` returns them.
        labels: of the papers, which tell what a term is worth.
        checkpoint: in whose folder counts are kept while they are merged.
        engine: counts the n-grams.

    Raises:
        ShelfmarkError: no term is left by `min_df`, `max_df` and `stop_words`.
    """
    fields = [Field("text", make_vectorizer(config))]
    if config.title_weight is not None:
        fields.append(Field("title", make_vectorizer(config), titles, optional=True))
    parts = []
    begin = 0
    for number, size in enumerate(papers.groups):
        parts.append(GroupPart(papers, number, labels.targets[begin : begin + size]))
        begin += size
    try:
        fitted = engine.learn_vocabulary(
            fields, parts, labels.classes, config.max_terms, checkpoint
        )
    except ValueError as error:
        raise ShelfmarkError(f"features: {error}; lower min_df or raise max_df") from error
    steps: Steps = [("text", fitted[0])]
    weights = None
    if len(fitted) > 1 and fitted[1] is not None:
        steps.append(("title", TitleVectorizer(fitted[1])))
        weights = {"title": config.title_weight}
    elif len(fitted) > 1:
        logger.warning("features: the titles hold no term of their own; read with the rest")
    return FastFeatureUnion(steps, transformer_weights=weights)
