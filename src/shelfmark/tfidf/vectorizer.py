"""A TF-IDF vectorizer with the results of scikit-learn's, several times faster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.feature_extraction.text import (
    TfidfTransformer,
    TfidfVectorizer,
    strip_accents_ascii,
    strip_accents_unicode,
)
from sklearn.utils.validation import check_is_fitted

from shelfmark.core import checks, marks
from shelfmark.core.arrays import Ints
from shelfmark.core.checks import State
from shelfmark.core.parallel import map_threads
from shelfmark.core.structure import Structured
from shelfmark.tfidf.counts import (
    FEW,
    NotExactError,
    TransformCache,
    count_terms,
    keep_most_frequent,
    require_strings,
    token_positions,
)
from shelfmark.tfidf.ngrams import Limits, Terms, TooManyGramsError
from shelfmark.tfidf.terms import TermList
from shelfmark.tfidf.tokens import END, Reader
from shelfmark.tfidf.weights import (
    matches_weights,
    weigh_columns,
    weigh_rows,
)

FREQUENCY = checks.either(checks.integer(1), checks.number(0, 1))
MOST_WORDS = 16  # of a term
LARGEST_IDF = 1e3  # it grows with the logarithm of the number of papers
PART = 2048  # documents searched at a time

STRIPPERS = {"ascii": strip_accents_ascii, "unicode": strip_accents_unicode}


class FastTfidfVectorizer(Structured, TfidfVectorizer):  # type: ignore[misc]
    r"""Convert documents to a matrix of TF-IDF features, exactly as scikit-learn does but faster.

    A drop-in for :class:`sklearn.feature_extraction.text.TfidfVectorizer`: parameters, methods,
    attributes, results and errors are the same, to the last bit. `vocabulary_` lists the terms in
    the order of the columns, and the rows of `fit_transform` are sorted by column; scikit-learn
    leaves both in the order in which it meets the terms.

    Args:
        input ({"filename", "file", "content"}, default="content"): What a document is: a file name,
            an open file, or the text itself.
        encoding (str, default="utf-8"): Encoding of documents that are bytes or files.
        decode_error ({"strict", "ignore", "replace"}, default="strict"): What to do with bytes that
            the encoding does not allow.
        strip_accents ({"ascii", "unicode"} or callable, default=None): How to remove accents from
            letters.
        lowercase (bool, default=True): Whether to convert the documents to lower case.
        preprocessor (callable, default=None): Replaces the removal of accents and the conversion to
            lower case.
        tokenizer (callable, default=None): Replaces `token_pattern`.
        analyzer ({"word", "char", "char_wb"} or callable, default="word"): Whether a term is an
            n-gram of words or of characters.
        stop_words ({"english"} or list of str, default=None): Words to leave out.
        token_pattern (str, default=r"(?u)\b\w\w+\b"): Regular expression of a word.
        ngram_range (tuple (min_n, max_n), default=(1, 1)): Fewest and most words of a term.
        max_df (float in range [0.0, 1.0] or int, default=1.0): Largest document frequency of a
            term, a share of the documents or a count.
        min_df (float in range [0.0, 1.0] or int, default=1): Smallest document frequency of a term,
            a share of the documents or a count.
        max_features (int, default=None): Number of the most frequent terms to keep, None for all.
        vocabulary (Mapping or iterable, default=None): The terms, which `fit` then does not learn.
        binary (bool, default=False): Whether to count a term once for each document.
        dtype (dtype, default=float64): Type of the matrix.
        norm ({"l1", "l2"} or None, default="l2"): Norm to which each row is scaled.
        use_idf (bool, default=True): Whether to weight the terms by their inverse document
            frequency.
        smooth_idf (bool, default=True): Whether to add one to all document frequencies.
        sublinear_tf (bool, default=False): Whether to replace a count tf by 1 + log(tf).
        n_jobs (int or None, default=None): Number of threads of `fit`, `fit_transform` and
            `transform`: None for one, -1 for one a core. The result does not depend on it.
            scikit-learn has no such parameter.

    Attributes:
        vocabulary_ (dict): The column of each term.
        fixed_vocabulary_ (bool): Whether `vocabulary` was given.
        idf_ (ndarray of shape (n_terms,)): The inverse document frequency of each term, if
            `use_idf`.
        engine_ ({"fast", "sklearn"}): The code that counted the terms in the last `fit`.
            scikit-learn's counts if `analyzer` is not "word", `input` is not "content", a
            `tokenizer` or `preprocessor` is given, `strip_accents` is callable, a document is not a
            `str`, `dtype` is not float32 or float64, `ngram_range` starts below 1, the n-grams need
            more than 63 bits, or a custom `token_pattern` finds tokens with a space or a control
            character and n-grams are wanted. `transform` chooses by the same rules.

    See Also:
        `sklearn.feature_extraction.text.TfidfVectorizer`, the base class.

    Notes:
        Reading is fastest if `token_pattern` is a run of ``\w``, as by default. Do not change
        `vocabulary_` in place after a `transform`. Pickles and clones are as small as those of the
        base class.

    Examples:
        >>> from shelfmark import FastTfidfVectorizer
        >>> vectorizer = FastTfidfVectorizer(ngram_range=(1, 2), n_jobs=2)
        >>> X = vectorizer.fit_transform(["a robot grasps", "a robot walks", "a galaxy spins"])
        >>> X.shape
        (3, 8)
        >>> vectorizer.get_feature_names_out()[:3].tolist()
        ['galaxy', 'galaxy spins', 'grasps']
    """

    # What a saved model may say: parameters that are strings name a function of this module or of
    # scikit-learn, and a pattern of a stranger could take hours.
    STATE: ClassVar[State] = {
        "max_df": FREQUENCY,
        "min_df": FREQUENCY,
        "max_features": checks.optional(checks.integer(1)),
        "ngram_range": checks.pair(checks.integer(1, MOST_WORDS), checks.integer(1, MOST_WORDS)),
        "stop_words": checks.one_of(None, "english"),
        "strip_accents": checks.one_of(None, "ascii", "unicode"),
        "lowercase": checks.boolean,
        "binary": checks.boolean,
        "dtype": checks.one_of("float32", "float64"),
        "norm": checks.one_of(None, "l1", "l2"),
        "use_idf": checks.boolean,
        "smooth_idf": checks.boolean,
        "sublinear_tf": checks.boolean,
        "terms": checks.array(np.uint8, 1),
        "idf": checks.either(
            checks.nothing,
            checks.array(np.float32, 1, least=0, most=LARGEST_IDF),
            checks.array(np.float64, 1, least=0, most=LARGEST_IDF),
        ),
    }

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
        state.pop("_kept", None)  # rebuilt on demand
        return state

    def structure_state(self) -> dict[str, Any]:
        """Return the state that a saved model holds, of a vectorizer that is fitted.

        Raises:
            TypeError: a parameter is one that no saved model may have.
        """
        own = {name: getattr(self, name) for name in self.STATE if name in self.get_params()}
        terms = self.vocabulary_
        if not isinstance(terms, TermList):
            terms = TermList(np.frombuffer("\n".join(terms).encode(), np.uint8))
        weights = self._tfidf
        state = own | {
            "dtype": np.dtype(self.dtype).name,
            "terms": terms.lines,
            "idf": weights.idf_ if weights.use_idf else None,
        }
        kept = type(self).from_structure_state(state)
        if kept.get_params() != self.get_params() or kept.vocabulary_ != self.vocabulary_:
            raise TypeError("a saved model cannot hold a vectorizer with these parameters")
        return state

    @classmethod
    def from_structure_state(cls, state: dict[str, Any]) -> Self:
        """Return the fitted vectorizer of a state.

        Raises:
            ValueError: the terms differ in number from their weights, or repeat.
        """
        state = dict(state)
        lines, idf = state.pop("terms"), state.pop("idf")
        new = cls(**state | {"dtype": np.dtype(state["dtype"]).type})
        terms = TermList(lines)
        fits = (idf is not None) == state["use_idf"] and terms.are_distinct()
        if not fits or (idf is not None and len(idf) != len(terms)):
            raise ValueError("terms should be distinct, each with an idf")
        return new.set_terms(terms, idf)

    def set_terms(self, terms: Mapping[str, int], idf: NDArray[Any] | None) -> Self:
        """Make this the fitted vectorizer of these terms.

        Args:
            terms: the column of each.
            idf: the inverse document frequency of each, None without `use_idf`.
        """
        self.vocabulary_ = terms
        names = ("norm", "use_idf", "smooth_idf", "sublinear_tf")
        self._tfidf = TfidfTransformer(**{name: getattr(self, name) for name in names})
        self._tfidf.n_features_in_ = len(terms)
        if idf is not None:
            self._tfidf.idf_ = idf
        self.fixed_vocabulary_, self.engine_ = False, "fast"
        return self

    def build_preprocessor(self) -> Callable[[str], str]:
        """Return the function that lowers the case and strips the accents of a document.

        In time proportional to its length, unlike the base class where marks follow one another.
        """
        strip = STRIPPERS.get(self.strip_accents) if isinstance(self.strip_accents, str) else None
        if self.preprocessor is not None or strip is None:
            prepare: Callable[[str], str] = super().build_preprocessor()
            return prepare
        return partial(_prepare, strip, self.lowercase)

    def transform(self, raw_documents: Iterable[Any]) -> Any:
        """Return the TF-IDF of documents, CSR of shape (n_documents, n_terms).

        Raises:
            NotFittedError: before `fit`.
            ValueError: the documents are a single string.
        """
        if isinstance(raw_documents, list | tuple) and raw_documents:
            check_is_fitted(self, msg="The TF-IDF vectorizer is not fitted")
            self._check_vocabulary()
            fits = matches_weights(self._tfidf, len(self.vocabulary_))
            if fits and set(map(type, raw_documents)) == {str}:
                with contextlib.suppress(NotExactError):
                    return weigh_rows(self._count_terms(raw_documents), self._tfidf)
        # The same result, after checks that take longer than a few documents.
        return super().transform(raw_documents)

    def knows(self, word: str) -> bool:
        """Whether a word is a term by itself."""
        if isinstance(self.vocabulary_, TermList):  # whose dictionary would take much memory
            with contextlib.suppress(NotExactError):
                return self.ready().trie.knows(word)
        return word in self.vocabulary_

    def term_names(self, columns: Ints) -> list[str]:
        """Return the terms of some columns."""
        if isinstance(self.vocabulary_, TermList):
            return self.vocabulary_.names(columns)
        return list(self.get_feature_names_out()[columns])

    def _count_terms(self, documents: Sequence[str]) -> Any:
        """Return the counts of the terms in CSR, of the type of the result."""
        ready = self.ready()
        if ready.reader is None:
            raise NotExactError
        # A dictionary of the terms takes much memory where there is none yet.
        if isinstance(self.vocabulary_, dict) and sum(map(len, documents)) <= FEW:
            return ready.rows(documents, self.binary, self.dtype)
        X = self._find(documents, ready)
        if self.binary:
            X.data.fill(1)
        return X

    def fit(self, raw_documents: Iterable[Any], y: Any = None) -> FastTfidfVectorizer:
        """Learn the terms and their idf; `y` is ignored.

        Raises:
            ValueError: as `fit_transform`.
        """
        super().fit(raw_documents)
        self.__dict__.pop("_seen", None)
        return self

    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the terms and their idf, and return the TF-IDF of the documents.

        Raises:
            ValueError: no term is left, or the documents are a single string.
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
            X.sort_indices()  # scikit-learn leaves them unsorted
            return X
        weigh_columns(X, self._tfidf, seen)
        return X.tocsr()

    @property
    def weights(self) -> TfidfTransformer:
        """The fitted weights of the terms."""
        return self._tfidf

    def ready(self) -> TransformCache:
        """Return what `transform` needs, the same object while no parameter changes.

        Threads may race to replace it; each then uses its own, which is equal.
        """
        parameters = self._reading()
        kept: TransformCache | None = getattr(self, "_kept", None)
        if kept and kept.vocabulary is self.vocabulary_ and kept.parameters == parameters:
            return kept
        self._kept = TransformCache(parameters, self.vocabulary_, self._reader(), self.ngram_range)
        return self._kept

    def _reading(self) -> tuple[Any, ...]:
        """Return the parameters on which the tokens depend."""
        stop = self.stop_words if isinstance(self.stop_words, str) else tuple(self.stop_words or ())
        return (
            *(self.input, self.strip_accents, self.lowercase, self.preprocessor),
            *(self.tokenizer, self.analyzer, self.token_pattern, self.ngram_range, stop),
        )

    def _reader(self) -> Reader | None:
        """Return the reader of documents, None if only scikit-learn's code can read them.

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
    ) -> tuple[Mapping[str, int], Any]:
        """Return the terms with their columns, and the counts; the base class calls this.

        Terms outside `min_df` and `max_df` are left out already.
        """
        self.__dict__.pop("_seen", None)
        ready = self.ready() if fixed_vocab else None
        reader = ready.reader if ready else self._reader()
        engine = "sklearn"
        result: tuple[Mapping[str, int], Any]
        try:
            if reader is None:
                raise NotExactError
            raw_documents = list(raw_documents)
            documents = require_strings(raw_documents)
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
        """Return the terms with their columns, and the counts in CSC, sorted by term."""
        n_min, n_max = self.ngram_range
        low, high = (
            float(df if isinstance(df, Integral) else df * len(documents))
            for df in (self.min_df, self.max_df)
        )
        limits = Limits(n_min, n_max, low, high)
        words, grams = count_terms(documents, reader, limits, effective_n_jobs(self.n_jobs))
        if self.binary:
            grams.counts.fill(1)
        X = grams.matrix(len(documents))
        if self.max_features is not None and X.shape[1] > self.max_features:
            kept = keep_most_frequent(X.sum(axis=0), self.max_features, self.dtype)
            grams = grams.take(kept)
            X = grams.matrix(len(documents))
        self._seen, names, places = grams.first_seen_order(), grams.terms(words), grams.places
        del grams  # the dictionary takes much of the memory
        X = X.astype(self.dtype)
        vocabulary = dict(zip(names, range(len(names)), strict=True))
        # Kept for `transform`: the words of the terms are known here.
        known = dict(zip(words, range(1, len(words) + 1), strict=True))
        terms = Terms(known, np.stack(places, axis=1), np.arange(len(names), dtype=np.int32))
        self._kept = TransformCache(self._reading(), vocabulary, reader, self.ngram_range, terms)
        return vocabulary, X

    def _find(self, documents: Sequence[str], ready: TransformCache) -> Any:
        """Return the counts of the terms of a vocabulary."""
        jobs = effective_n_jobs(self.n_jobs)
        ids, ranks = ready.rank_stream(documents, jobs)
        tokens, rows = token_positions(ids, ranks)
        after = np.flatnonzero(ids == END) + 1

        def part(begin: int) -> sp.csr_array:
            end = min(begin + size, len(documents))
            piece = slice(after[begin - 1] if begin else 0, after[end - 1])
            return ready.trie.find(tokens[piece], rows[piece] - begin, end - begin)

        size = min(-(-len(documents) // jobs), PART)
        parts = map_threads(jobs, part, range(0, len(documents), size))
        if len(parts) == 1:  # such as a request; stacking it takes longer than counting
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
            return X  # `_learn` has limited them
        return super()._limit_features(X, vocabulary, high, low, limit)


def _prepare(strip: Callable[[str], str], lowercase: bool, document: str) -> str:
    return strip(marks.remove_long_runs(document.lower() if lowercase else document))
