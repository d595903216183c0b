"""From texts to sparse features: TF-IDF of text and title, scores of linear models, chosen terms.

Everything stays CSR without stored zeros: to the trees an absent entry is "missing" and a stored
zero is a value, so training and serving must agree. Source:
https://xgboost.readthedocs.io/en/stable/faq.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import FeatureUnion

from shelfmark.config.models import MOST_WEIGHT, FeaturesConfig, StackConfig
from shelfmark.core import checks
from shelfmark.core.arrays import Doubles, Floats, Ints, SparseRows
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.rows import MatrixRows, PaperLabels, TrainingRows
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.boosted.scorers import Bayes, Scorer, Svm
from shelfmark.models.boosted.stacking import CrossFittedScores
from shelfmark.tfidf.counts import NotExactError
from shelfmark.tfidf.fields import FieldTerms
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

Steps = list[tuple[str, Any]]


class TitleVectorizer(Structured, BaseEstimator):  # type: ignore[misc]
    """The TF-IDF of the titles alone.

    Args:
        vectorizer: of titles.
    """

    STATE: ClassVar[State] = {"vectorizer": checks.instance(FastTfidfVectorizer)}

    def __init__(self, vectorizer: FastTfidfVectorizer) -> None:
        self.vectorizer = vectorizer

    @property
    def vocabulary_(self) -> Mapping[str, int]:
        """The column of each term."""
        vocabulary: Mapping[str, int] = self.vectorizer.vocabulary_
        return vocabulary

    def fit(self, texts: Sequence[str], targets: object = None) -> Self:
        """Learn the terms of the titles and their idf.

        Raises:
            ValueError: no term is left.
        """
        self.vectorizer.fit(titles(texts))
        return self

    def fit_transform(self, texts: Sequence[str], targets: object = None) -> sp.csr_matrix:
        """Learn the terms, and return the TF-IDF of the titles, shape (texts, terms).

        Raises:
            ValueError: no term is left.
        """
        return self.vectorizer.fit_transform(titles(texts))

    def transform(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Return the TF-IDF of the titles, shape (texts, terms)."""
        return self.vectorizer.transform(titles(texts))

    def term_names(self, columns: Ints) -> list[str]:
        """Return the terms of some columns."""
        return self.vectorizer.term_names(columns)


class ChosenTerms(Structured, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the `k` features on which the classes differ most, by chi2, scaled to 0 to 1.

    The result is that of scikit-learn's `SelectKBest` and `MaxAbsScaler(clip=True)` for features
    that are never negative. Those check all features at each `transform`, which takes longer than
    everything else that is done for a paper.

    The bound is for the trees, which distinguish "present" from "absent" by a threshold above the
    largest value they saw. A title alone holds few terms, each with a larger value than in any
    abstract: unbounded, it would count as "absent".

    Args:
        k: how many features are kept.
    """

    STATE: ClassVar[State] = {
        "k": checks.integer(),
        "columns_": checks.array(np.int64, 1),
        "place_": checks.array(np.int32, 1),
        "largest_": checks.array(np.float32, 1, least=float(np.finfo(np.float32).tiny)),
    }

    def __init__(self, k: int = 1000) -> None:
        self.k = k

    @property
    def shape(self) -> tuple[int, int]:
        """The number of features and of chosen features, once it is fitted."""
        return len(self.place_), len(self.columns_)

    def check_structure(self) -> None:
        """Check that each chosen feature has its place.

        Raises:
            ValueError: one has not.
        """
        features, chosen = self.shape
        checks.require_shape("largest_", self.largest_, (chosen,))
        checks.require_range("columns_", self.columns_, 0, features - 1)
        place = np.full(features, -1, np.int32)
        place[self.columns_] = np.arange(chosen)
        if not np.array_equal(place, self.place_):
            raise ValueError("place_ should be that of the columns_")

    def fit(self, features: sp.csr_matrix, targets: Ints) -> ChosenTerms:
        """Choose among features of shape (papers, terms)."""
        classes = np.unique(targets, return_inverse=True)[1].astype(np.int32)
        nothing = sp.csr_matrix((len(classes), 0), dtype=np.uint8)
        labels = PaperLabels(classes, int(classes.max()) + 1, nothing)
        return self.fit_rows(MatrixRows(features, labels))

    def fit_rows(self, rows: TrainingRows) -> ChosenTerms:
        """Choose among the terms of rows, which are read twice."""
        terms, classes = rows.shape[1], rows.labels.classes
        sums = np.zeros((classes, terms))
        for block in rows.blocks():
            own = rows.labels.targets[block.papers]
            one_hot = sp.csr_matrix(
                (np.ones(len(own)), (own, np.arange(len(own)))), (classes, len(own))
            )
            sums += (one_hot @ block.features).toarray()
        worth = _chi2(sums, np.bincount(rows.labels.targets, minlength=classes))
        # Of equals the last, as scikit-learn's SelectKBest.
        self.columns_ = np.sort(np.argsort(worth, kind="stable")[-self.k :])
        self.place_ = np.full(terms, -1, np.int32)
        self.place_[self.columns_] = np.arange(len(self.columns_))
        largest = np.zeros(len(self.columns_), np.float32)
        for block in rows.blocks():
            chosen = block.features[:, self.columns_].max(axis=0).toarray()[0]
            largest = np.maximum(largest, chosen)
        self.largest_ = np.where(largest > 0, largest, np.float32(1))
        return self

    def transform(self, features: sp.csr_matrix) -> sp.csr_matrix:
        """Return the chosen features over the maximum of each in training, clipped at 1."""
        place = self.place_[features.indices]
        kept = place >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])[features.indptr]
        place = place[kept]
        values = np.minimum(features.data[kept] / self.largest_[place], 1)
        return sp.csr_matrix((values, place, ends), (features.shape[0], len(self.columns_)))

    def transform_rows(self, features: SparseRows) -> Floats:
        """Return the chosen features as `transform` does, dense, shape (papers, chosen)."""
        place = self.place_[features.columns]
        kept = np.flatnonzero(place >= 0)
        place = place[kept]
        chosen = np.zeros((len(features), len(self.columns_)), np.float32)
        values = np.minimum(features.values[kept] / self.largest_[place], 1)
        chosen[features.owners[kept], place] = values
        return chosen


# The parts of a union by their names: the fields of a text, or the features made from them.
FIELDS = (
    [("text", checks.instance(FastTfidfVectorizer))],
    [
        ("text", checks.instance(FastTfidfVectorizer)),
        ("title", checks.instance(TitleVectorizer)),
    ],
)
PARTS = (
    [("scores", checks.instance(CrossFittedScores))],
    [("terms", checks.instance(ChosenTerms))],
    [("scores", checks.instance(CrossFittedScores)), ("terms", checks.instance(ChosenTerms))],
)


class FastFeatureUnion(Structured, FeatureUnion):  # type: ignore[misc]
    """scikit-learn's union, without its preparations for several processes.

    For one paper these take longer than the work itself.
    """

    STATE: ClassVar[State] = {
        "transformer_list": checks.steps(*FIELDS, *PARTS),
        "transformer_weights": checks.optional(checks.mapping(checks.number(0, MOST_WEIGHT), 2)),
    }

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved."""
        return {name: getattr(self, name) for name in self.STATE}

    @classmethod
    def from_structure_state(cls, state: dict[str, Any]) -> Self:
        """Return the union of the parts."""
        return cls(state["transformer_list"], transformer_weights=state["transformer_weights"])

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_kept", None)  # made when it is needed
        return state

    @property
    def terms(self) -> int:
        """The number of terms of the fields."""
        return sum(len(field.vocabulary_) for _, field in self.transformer_list)

    def transform(self, given: Any) -> sp.csr_matrix:
        """Return the features of all parts side by side, shape (given, columns)."""
        weights = self.transformer_weights or {}
        parts = ((name, part.transform(given)) for name, part in self.transformer_list)
        return join_blocks(
            [block * np.float32(weights[name]) if name in weights else block
             for name, block in parts]
        )  # fmt: skip

    def read_texts(self, texts: Sequence[str]) -> SparseRows:
        """Return the terms of all fields of texts, as `transform` does.

        A parameter of a vectorizer that changes after the first call counts from the next fit on.
        """
        try:
            found = self._field_terms()
        except NotExactError:
            matrix = self.transform(texts)
            return SparseRows(matrix.indices, matrix.data, matrix.indptr)
        rows = found.weigh(
            [titles(texts) if isinstance(field, TitleVectorizer) else texts
             for _, field in self.transformer_list]
        )  # fmt: skip
        weights, begin = self.transformer_weights or {}, 0
        for name, field in self.transformer_list:
            end = begin + len(field.vocabulary_)
            if name in weights:
                own = (rows.columns >= begin) & (rows.columns < end)
                rows.values[own] *= np.float32(weights[name])
            begin = end
        return rows if rows.values.all() else rows.select(rows.values != 0)

    def knows(self, word: str) -> bool:
        """Whether a word is a term of the first field by itself."""
        try:
            return self._field_terms().trie.knows(word)
        except NotExactError:
            return self._vectorizers[0].knows(word)

    def _field_terms(self) -> FieldTerms:
        """Return the terms of the fields, made once.

        Raises:
            NotExactError: as `FieldTerms`.
        """
        kept: FieldTerms | None = vars(self).get("_kept")
        if kept is None or not kept.is_of(self._vectorizers):
            self._kept = kept = FieldTerms(self._vectorizers)
        return kept

    @property
    def _vectorizers(self) -> list[FastTfidfVectorizer]:
        return [getattr(field, "vectorizer", field) for _, field in self.transformer_list]

    def make_features(self, words: SparseRows) -> Floats:
        """Return the features that all parts make of papers' terms, shape (papers, columns).

        They are those of `transform`, 0 where it stores none.
        """
        weights = self.transformer_weights or {}
        parts = []
        for name, part in self.transformer_list:
            block = part.transform_rows(words)
            parts.append(block * np.float32(weights[name]) if name in weights else block)
        return np.concatenate(parts, axis=1)


def scorers(config: StackConfig, seed: int) -> list[tuple[str, Scorer]]:
    """Return the scorers of a stack, the one whose scores lead first."""
    made: list[tuple[str, Scorer]] = []
    if config.scorers.low_rank is not None:
        made.append(("low_rank", LowRankLinear(**dict(config.scorers.low_rank), random_state=seed)))
    if config.scorers.svm is not None:
        made.append(("svm", Svm(config.scorers.svm.C, seed)))
    if config.scorers.bayes is not None:
        made.append(("bayes", Bayes(config.scorers.bayes.alpha)))
    return made


def _chi2(sums: Doubles, papers: Ints) -> Doubles:
    """Return the chi2 of each term from its sums by class, as `sklearn.feature_selection.chi2`.

    Args:
        sums: of the values of each term, shape (classes, terms).
        papers: the number of papers of each class.
    """
    expected = np.outer(papers / papers.sum(), sums.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = ((sums - expected) ** 2 / expected).sum(axis=0)
    return np.asarray(np.nan_to_num(worth, nan=np.finfo(worth.dtype).min))


def titles(texts: Sequence[str]) -> list[str]:
    """Return the titles of texts as `shelfmark.arxiv.text.join_texts` returns them."""
    return [title if end else "" for title, end, _ in (text.partition("\n") for text in texts)]


def transform(steps: Steps, texts: Sequence[str]) -> sp.csr_matrix:
    """Return the features of texts by fitted steps, shape (texts, columns), float32."""
    features: Any = texts
    for _, step in steps:
        features = step.transform(features)
    return sparse(features)


def sparse(features: Any) -> sp.csr_matrix:
    """Return the matrix, of the same shape, as the trees take it in training and in serving."""
    matrix = sp.csr_matrix(features)
    matrix.eliminate_zeros()
    return matrix


def join_blocks(blocks: list[Any]) -> sp.csr_matrix:
    """Return the features of all blocks side by side, shape (papers, columns of all blocks)."""
    return sparse(sp.hstack([sp.csr_matrix(block) for block in blocks], format="csr"))


def term_names(steps: Steps, columns: Ints) -> list[str]:
    """Return the terms of some TF-IDF columns; those of the title come after those of the text."""
    names = np.empty(len(columns), object)
    begin = 0
    for _, field in steps[0][1].transformer_list:
        own = (columns >= begin) & (columns < begin + len(field.vocabulary_))
        names[own] = field.term_names(columns[own] - begin)
        begin += len(field.vocabulary_)
    return list(names)


def make_vectorizer(config: FeaturesConfig) -> FastTfidfVectorizer:
    """Return an unfitted vectorizer of these settings."""
    return FastTfidfVectorizer(
        max_features=config.max_features,
        ngram_range=config.ngram_range,
        stop_words=config.stop_words,
        min_df=config.min_df,
        max_df=config.max_df,
        sublinear_tf=config.sublinear_tf,
        strip_accents=config.strip_accents,
        dtype=np.float32,
    )
