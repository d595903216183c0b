"""scikit-learn's `TfidfVectorizer`, to the last bit, several times faster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from shelfmark.core.parallel import map_threads
from shelfmark.tfidf.counts import (
    NotExactError,
    Ready,
    count,
    exact_strings,
    most_frequent,
    positions,
)
from shelfmark.tfidf.ngrams import Grams, Limits, TooManyGramsError
from shelfmark.tfidf.tokens import END, Reader
from shelfmark.tfidf.trie import Terms
from shelfmark.tfidf.weights import weigh_columns, weighed, weighs_as_fitted

# What `counts.count` does: words by rank, and n-grams within limits, of documents.
Counting = Callable[[Sequence[str], Reader, Limits], tuple[list[str], Grams]]

FEW = 2500  # characters up to which a dict is faster than arrays
PART = 2048  # documents whose terms are found at once


class FastTfidfVectorizer(TfidfVectorizer):  # type: ignore[misc]
    r"""A drop-in for `sklearn.feature_extraction.text.TfidfVectorizer`.

    The parameters, methods, attributes, results and errors are those of the
    base class. `vocabulary_` lists the same terms in the order of the columns,
    and the rows of `fit_transform` are sorted by column; scikit-learn leaves
    both in the order it met them. One parameter is new:

    n_jobs : int or None, default=None
        Threads that `fit`, `fit_transform` and `transform` may use, as joblib
        counts them: None is 1 and -1 every core. The result is always the same.

    Attributes:
    engine_ : {"fast", "sklearn"}
        Whose code read the documents in the last `fit`. scikit-learn's own does
        if `analyzer` is not "word", `input` not "content", a `tokenizer` or
        `preprocessor` is given, `strip_accents` is a function, a document is
        not a `str`, `dtype` is not float32 or float64, `ngram_range` starts
        below 1, the n-grams are too many for 63 bits, or a `token_pattern` of
        one's own finds tokens with a space or a control character and n-grams
        are wanted. `transform` makes the same choice anew each time.

    Notes:
    Documents are read fastest if `token_pattern` is a run of ``\w``, as it is
    by default. `vocabulary_` must not be changed in place after a `transform`.
    Pickles and clones are as small as those of the base class.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TfidfVectorizer._parameter_constraints,
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        input: str = "content",
        encoding: str = "utf-8",
        decode_error: str = "strict",
        strip_accents: str | Callable[[str], str] | None = None,
        lowercase: bool = True,
        preprocessor: Callable[[str], str] | None = None,
        tokenizer: Callable[[str], Iterable[str]] | None = None,
        analyzer: str | Callable[[Any], Iterable[str]] = "word",
        stop_words: str | list[str] | None = None,
        token_pattern: str | None = r"(?u)\b\w\w+\b",
        ngram_range: tuple[int, int] = (1, 1),
        max_df: float = 1.0,
        min_df: float = 1,
        max_features: int | None = None,
        vocabulary: Mapping[str, int] | Iterable[str] | None = None,
        binary: bool = False,
        dtype: Any = np.float64,
        norm: str | None = "l2",
        use_idf: bool = True,
        smooth_idf: bool = True,
        sublinear_tf: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        theirs = set(locals()) - {"self", "n_jobs", "__class__"}
        super().__init__(**{k: v for k, v in locals().items() if k in theirs})
        self.n_jobs = n_jobs

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_kept", None)  # made anew when it is needed
        state.pop("_counting", None)
        return state

    def counting_by(self, counting: Counting) -> Self:
        """Have the documents of `fit` counted elsewhere; not kept in pickles and clones."""
        self._counting = counting
        return self

    def transform(self, raw_documents: Iterable[Any]) -> Any:
        """Documents as TF-IDF rows, CSR of shape (n_documents, n_terms).

        Raises `NotFittedError` before `fit`, ValueError for a single string.
        """
        if isinstance(raw_documents, list | tuple) and raw_documents:
            check_is_fitted(self, msg="The TF-IDF vectorizer is not fitted")
            self._check_vocabulary()
            fits = weighs_as_fitted(self._tfidf, len(self.vocabulary_))
            if fits and set(map(type, raw_documents)) == {str}:
                with contextlib.suppress(NotExactError):
                    return weighed(self._counted(raw_documents), self._tfidf)
        # The same, and slower by checks that take longer than a few documents.
        return super().transform(raw_documents)

    def _counted(self, documents: Sequence[str]) -> Any:
        """Counts of the terms in CSR, of the type of the result."""
        ready = self._ready()
        if ready.reader is None:
            raise NotExactError
        if sum(map(len, documents)) <= FEW:
            return ready.rows(documents, self.binary, self.dtype)
        X = self._find(documents, ready)
        if self.binary:
            X.data.fill(1)
        return X

    def fit(self, raw_documents: Iterable[Any], y: Any = None) -> FastTfidfVectorizer:
        """Learn the terms and their idf; `y` is ignored. Raises as `fit_transform`."""
        super().fit(raw_documents)
        self.__dict__.pop("_seen", None)
        return self

    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the terms and their idf and return the documents as `transform` does.

        `y` is ignored. Raises ValueError if there is no term, or none within
        the limits, and for a single string.
        """
        self._check_params()
        self._tfidf = TfidfTransformer(
            norm=self.norm,
            use_idf=self.use_idf,
            smooth_idf=self.smooth_idf,
            sublinear_tf=self.sublinear_tf,
        )
        X = super(TfidfVectorizer, self).fit_transform(raw_documents)
        self._tfidf.fit(X)
        seen = self.__dict__.pop("_seen", None)
        if seen is None:
            X = self._tfidf.transform(X, copy=False)
            X.sort_indices()  # scikit-learn leaves them as they come
            return X
        weigh_columns(X, self._tfidf, seen)
        return X.tocsr()

    def _ready(self) -> Ready:
        """What `transform` needs, from the last call if nothing has changed.

        Threads may race to replace it; each then works with its own, as good.
        """
        parameters = self._reading()
        kept: Ready | None = getattr(self, "_kept", None)
        if kept and kept.vocabulary is self.vocabulary_ and kept.parameters == parameters:
            return kept
        self._kept = Ready(parameters, self.vocabulary_, self._reader(), self.ngram_range)
        return self._kept

    def _reading(self) -> tuple[Any, ...]:
        """The parameters by which documents are read."""
        stop = self.stop_words if isinstance(self.stop_words, str) else tuple(self.stop_words or ())
        return (
            *(self.input, self.strip_accents, self.lowercase, self.preprocessor),
            *(self.tokenizer, self.analyzer, self.token_pattern, self.ngram_range, stop),
        )

    def _reader(self) -> Reader | None:
        """How to read a document; None if scikit-learn's code has to.

        Raises and warns as `build_analyzer` does.
        """
        self.build_analyzer()
        if (
            self.analyzer != "word"
            or self.input != "content"
            or self.tokenizer is not None
            or self.preprocessor is not None
            or self.dtype not in (np.float32, np.float64)
            or callable(self.strip_accents)
            or set(map(type, self.ngram_range)) != {int}
            or not 1 <= self.ngram_range[0] <= self.ngram_range[1]
        ):
            return None
        stop = frozenset(self.get_stop_words() or ())
        if not set(map(type, stop)) <= {str}:
            return None
        return Reader(
            self.build_preprocessor(),
            self.build_tokenizer(),
            self.token_pattern,
            bool(self.lowercase),
            stop,
        )

    def _validate_vocabulary(self) -> None:
        super()._validate_vocabulary()
        self.__dict__.pop("engine_", None)  # a fit begins

    def _count_vocab(
        self, raw_documents: Iterable[Any], fixed_vocab: bool
    ) -> tuple[dict[str, int], Any]:
        """The hook of the base class: terms with their columns, and counts.

        Terms outside of `min_df` and `max_df` are left out here already.
        """
        self.__dict__.pop("_seen", None)
        ready = self._ready() if fixed_vocab else None
        reader = ready.reader if ready else self._reader()
        engine = "sklearn"
        try:
            if reader is None:
                raise NotExactError
            raw_documents = list(raw_documents)
            documents = exact_strings(raw_documents)
            if ready:
                result = self.vocabulary_, self._find(documents, ready)
            else:
                result = self._learn(documents, reader)
            engine = "fast"
        except (NotExactError, TooManyGramsError):
            result = super()._count_vocab(raw_documents, fixed_vocab)
        self.engine_ = getattr(self, "engine_", engine)
        return result

    def _learn(self, documents: list[str], reader: Reader) -> tuple[dict[str, int], Any]:
        """Terms with their columns, and counts in CSC; both as the strings sort."""
        n_min, n_max = self.ngram_range
        low, high = (
            float(df if isinstance(df, Integral) else df * len(documents))
            for df in (self.min_df, self.max_df)
        )
        counting = getattr(self, "_counting", None)
        counting = counting or partial(count, jobs=effective_n_jobs(self.n_jobs))
        words, grams = counting(documents, reader, Limits(n_min, n_max, low, high))
        if self.binary:
            grams.counts.fill(1)
        X = grams.matrix(len(documents))
        if self.max_features is not None and X.shape[1] > self.max_features:
            kept = most_frequent(X.sum(axis=0), self.max_features, self.dtype)
            grams = grams.take(kept)
            X = grams.matrix(len(documents))
        self._seen, names, places = grams.seen(), grams.terms(words), grams.places
        del grams  # the dictionary takes much of the memory
        X = X.astype(self.dtype)
        vocabulary = dict(zip(names, range(len(names)), strict=True))
        # What `transform` needs, before it is forgotten what the terms are made of.
        known = dict(zip(words, range(1, len(words) + 1), strict=True))
        terms = Terms(known, np.stack(places, axis=1), np.arange(len(names), dtype=np.int32))
        self._kept = Ready(self._reading(), vocabulary, reader, self.ngram_range, terms)
        return vocabulary, X

    def _find(self, documents: Sequence[str], ready: Ready) -> Any:
        """Counts of the terms of a vocabulary."""
        jobs = effective_n_jobs(self.n_jobs)
        ids, ranks = ready.ranked(documents, jobs)
        tokens, rows = positions(ids, ranks)
        after = np.flatnonzero(ids == END) + 1

        def part(begin: int) -> sp.csr_array:
            end = min(begin + size, len(documents))
            piece = slice(after[begin - 1] if begin else 0, after[end - 1])
            return ready.trie.find(tokens[piece], rows[piece] - begin, end - begin)

        size = min(-(-len(documents) // jobs), PART)
        parts = map_threads(jobs, part, range(0, len(documents), size))
        if len(parts) == 1:  # as of any request; to stack it takes longer than to find it
            return parts[0].astype(self.dtype)
        return sp.vstack(parts, format="csr", dtype=self.dtype)

    def _sort_features(self, X: Any, vocabulary: dict[str, int]) -> Any:
        return X if self.engine_ == "fast" else super()._sort_features(X, vocabulary)

    def _limit_features(
        self,
        X: Any,
        vocabulary: dict[str, int],
        high: float | None = None,
        low: float | None = None,
        limit: int | None = None,
    ) -> Any:
        if self.engine_ == "fast" and vocabulary:
            return X  # `_learn` has done it
        return super()._limit_features(X, vocabulary, high, low, limit)
