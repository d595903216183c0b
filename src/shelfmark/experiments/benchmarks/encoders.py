"""The speed of encoders on one thread, beside what a user would run instead."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.data.splits import Splits
from shelfmark.embeddings import baselines
from shelfmark.embeddings.families import family_of
from shelfmark.evaluation.encoders.samples import Sample
from shelfmark.evaluation.encoders.subjects import MOST_TIMED, Encode, Subject, measure_speed

FITTED = 20_000  # papers, where there are so many: their number hardly changes the speed
PRETRAINED = "minilm"


def time_encoders(settings: EncoderSettings, splits: Splits) -> dict[str, Any]:
    """Time the encoding of validation abstracts on one thread.

    Args:
        settings: of the encoder, which is trained for a single epoch.
        splits: the papers.

    Returns:
        The number of papers, and under `rates` the abstracts a second of the encoder, by its kind,
        of scikit-learn's TF-IDF and LSA, and of MiniLM if its extra is installed.
    """
    sample = Sample(splits.read("validation"), settings.data.maths)
    abstracts = sample.texts("abstract", sample.order[:MOST_TIMED])
    train = Sample(splits.read("train"), settings.data.maths)
    table = train.table.take(train.order[:FITTED])
    rates = {
        name: measure_speed(Subject(name, encode, encode, 0, None), abstracts)
        for name, encode in _encoders(settings, table, sample.table)
    }
    return {"papers": len(abstracts), "fitted": table.num_rows, "rates": rates}


def _encoders(
    settings: EncoderSettings, train: pa.Table, validation: pa.Table
) -> Iterator[tuple[str, Encode]]:
    """Yield the encoders by their names, of one thread each."""
    kind = settings.encoder.kind
    yield kind, _fit(settings, train, validation)
    texts = train["text"].to_pylist()
    words = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32).fit(texts)
    yield "scikit-learn's TF-IDF", words.transform
    size = min(baselines.SIZE, len(words.vocabulary_) - 1, len(texts) - 1)
    lsa = make_pipeline(words, TruncatedSVD(size, random_state=0).fit(words.transform(texts)),
                        Normalizer(copy=False))  # fmt: skip
    yield "scikit-learn's LSA", lsa.transform
    if kind != PRETRAINED and all(find_spec(name) for name in family_of(PRETRAINED).needs):
        pretrained = load_encoder_config([f"encoder={PRETRAINED}"]).encoder
        yield (
            PRETRAINED,
            _fit(settings.model_copy(update={"encoder": pretrained}), train, validation),
        )


def _fit(settings: EncoderSettings, train: pa.Table, validation: pa.Table) -> Encode:
    short = {"n_jobs": 1} | ({"epochs": 1} if hasattr(settings.encoder, "epochs") else {})
    encoder = settings.encoder.model_copy(update=short)
    fitted = family_of(encoder.kind).fit(
        settings.model_copy(update={"encoder": encoder}), train, validation, lambda *figures: None
    )
    return fitted.encoder.encode
