"""The vocabulary: the TF-IDF of the texts and of the titles, fitted on the training papers."""

from __future__ import annotations

from loguru import logger

from shelfmark.config.schema import FeaturesConfig
from shelfmark.data.splits import PaperGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.features import (
    FastFeatureUnion,
    Steps,
    TitleVectorizer,
    make_vectorizer,
)
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine
from shelfmark.models.boosted.fitting.rows import PaperLabels


def fit_fields(
    config: FeaturesConfig, papers: PaperGroups, labels: PaperLabels, engine: Engine = LOCAL
) -> FastFeatureUnion:
    """Fit the TF-IDF of texts and, as a separate field, of their titles.

    Args:
        config: how to read and weigh them.
        papers: with texts as `shelfmark.arxiv.text.join_texts` returns them.
        labels: of the papers, which tell what a term is worth.
        engine: counts the n-grams.

    Raises:
        ShelfmarkError: no term is left by `min_df`, `max_df` and `stop_words`.
    """
    fields: Steps = []
    texts = papers.read(["text"])["text"].to_pylist()
    try:
        vectorizer = make_vectorizer(config).count_with(engine.count)
        fields.append(("text", vectorizer.fit(texts)))
    except ValueError as error:
        raise ShelfmarkError(f"features: {error}; lower min_df or raise max_df") from error
    if config.title_weight is not None:
        titled = TitleVectorizer(make_vectorizer(config).count_with(engine.count))
        try:
            fields.append(("title", titled.fit(texts)))
        except ValueError:
            logger.warning("features: the titles hold no term of their own; read with the rest")
    weights = {"title": config.title_weight} if len(fields) > 1 else None
    return FastFeatureUnion(fields, transformer_weights=weights)
