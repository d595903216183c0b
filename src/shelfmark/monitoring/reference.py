"""Reference statistics of the validation split, for drift detection.

`reference.parquet` lies beside the model, a paper a row, with the same quantities as the lines of
the prediction log. It holds no text.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from shelfmark.artifacts.digested import AGAIN, DigestedFiles
from shelfmark.core import checks
from shelfmark.core.arrays import Floats, Ints
from shelfmark.data.splits import PaperGroups, as_groups, read_rows
from shelfmark.errors import ShelfmarkError, one_line
from shelfmark.models.artifact import REFERENCE, Model
from shelfmark.models.judgement import grade_answers
from shelfmark.models.traits import text_traits
from shelfmark.models.verdicts import SCOPES, VERDICTS, Scope, Verdict, are_short
from shelfmark.monitoring import fingerprint
from shelfmark.monitoring.fingerprint import sketcher_for
from shelfmark.monitoring.parquet_pages import Limits, check_pages

BATCH = 2048  # papers classified at once
MOST = 5000  # papers: more make the artifact larger and no test much more powerful
NAMED = 4000  # words that name buckets
ROWS = pa.schema(
    [
        ("label", pa.string()),
        ("predicted", pa.string()),
        ("confidence", pa.float64()),
        ("words", pa.int32()),
        ("unknown", pa.float64()),
        ("language", pa.string()),
        ("verdict", pa.string()),
        ("scope", pa.string()),
        ("terms", pa.list_(pa.uint16())),
    ]
)
NEWER = ("verdict", "scope")  # columns that older references lack
# Of the numbers in the footer, by which memory is taken before anything is read.
FOOTER_LIMITS = {"thrift_string_size_limit": 1 << 20, "thrift_container_size_limit": 10_000}
COLUMNS = [name for name in ROWS.names if name != "terms"]
TEXTS = [
    "label",
    "predicted",
    "language",
    "verdict",
    "scope",
]  # each value is kept once until its length is known
LONGEST = 1000  # characters of a text
ENCODED = pa.schema(
    [(one.name, pa.dictionary(pa.int32(), pa.string()) if one.name in TEXTS else one.type)
     for one in ROWS]
)  # fmt: skip
OLDER = pa.schema([one for one in ENCODED if one.name not in NEWER])
# Of a column: a megabyte and 500,000 terms are usual.
LIMITS = Limits(size=32 << 20, values=1 << 23)


@dataclass(frozen=True)
class Reference:
    """Papers as a model saw them.

    Args:
        rows: a paper a row, with `COLUMNS`.
        terms: their wide buckets, shape (papers, WIDE).
        mean: the mean of their TF-IDF rows over narrow buckets, shape (NARROW,).
        names: the most frequent words, most frequent first.
    """

    rows: pd.DataFrame
    terms: sp.csr_matrix
    mean: Floats
    names: list[str]


def build_reference(model: Model, papers: PaperGroups | pa.Table) -> pa.Table:
    """Return the reference of a model: a sample of at most `MOST` papers, always the same.

    Args:
        model: classifies the papers.
        papers: with text and label; the model was not trained on them.
    """
    groups = as_groups(papers)
    sample = read_rows(groups, sample_rows(sum(groups.groups)), ["text", "label"])
    texts, labels = sample["text"].to_pylist(), sample["label"].to_pylist()
    terms = sketcher_for(model).transform(texts)
    rows = describe_papers(model, texts, labels)
    table = pa.table(
        {**{name: rows[name] for name in COLUMNS}, "terms": _lists(terms)}, schema=ROWS
    )
    counts = Counter(word for text in texts for word in set(sketcher_for(model).words(text)))
    # Ties in alphabetical order: the same file every time.
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    known = {
        b"mean": mean_tfidf(terms).tobytes(),
        b"names": orjson.dumps([word for word, _ in ranked[:NAMED]]),
    }
    return table.replace_schema_metadata(known)


def sample_rows(papers: int) -> Ints:
    """Return the rows of the validation split that are a reference: `MOST` of them at most."""
    return np.sort(np.random.default_rng(0).permutation(papers)[:MOST])


def reference_parquet(model: Model, papers: PaperGroups | pa.Table) -> bytes:
    """Return the reference of a model as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(build_reference(model, papers), file, compression="zstd")
    return file.getvalue()


def describe_papers(
    model: Model, texts: list[str], labels: list[str | None]
) -> dict[str, list[Any]]:
    """Return the columns of a reference, from cleaned texts and true labels."""
    empty = np.zeros((0, len(model.classes)), np.float32)
    parts = [model.probabilities(texts[start : start + BATCH])[0]
             for start in range(0, len(texts), BATCH)]  # fmt: skip
    probabilities = np.concatenate([empty, *parts])
    traits = [text_traits(model, text) for text in texts]
    return {
        "label": labels,
        "predicted": [model.classes[number] for number in probabilities.argmax(axis=1).tolist()],
        "confidence": list(probabilities.max(axis=1).astype(np.float64).round(6)),
        **_describe_verdicts(model, texts, probabilities),
        **{
            name: [getattr(one, name) for one in traits]
            for name in ("words", "unknown", "language")
        },
    }


def _describe_verdicts(
    model: Model, texts: list[str], probabilities: Floats
) -> dict[str, list[Any]]:
    """Return the verdict and the scope of each text; None of a model without limits."""
    if model.card.thresholds is None:
        return {name: [None] * len(texts) for name in NEWER}
    evidence = None if model.scope is None else model.scope.weigh(texts)
    grades = grade_answers(model, probabilities, are_short(texts), evidence)
    return {
        "verdict": [VERDICTS[Verdict(number)] for number in grades.primary.tolist()],
        "scope": [SCOPES[Scope(number)] for number in grades.scopes.tolist()],
    }


def mean_tfidf(terms: sp.csr_matrix) -> Floats:
    """Return the mean of TF-IDF rows over narrow buckets, shape (NARROW,)."""
    weighed = TfidfTransformer().fit_transform(fingerprint.fold(terms))
    return np.asarray(weighed.mean(axis=0), np.float32).ravel()


def load_reference(files: DigestedFiles) -> Reference:
    """Read the reference among the files of a model.

    Raises:
        ShelfmarkError: it is missing, as beside older models, or damaged.
    """
    if REFERENCE not in files:
        raise ShelfmarkError(f"{files.folder} has no {REFERENCE} to compare with: train again")
    try:
        return from_table(_read_table(files.content(REFERENCE)))
    except (OSError, pa.ArrowException, KeyError, ValueError, MemoryError) as error:
        path = files.folder / REFERENCE
        raise ShelfmarkError(f"{path} is damaged ({one_line(error)}); {AGAIN}") from error


def _read_table(content: memoryview) -> pa.Table:
    """Return the table in the file of a reference, of `ROWS`.

    Raises:
        ValueError: it is none, or a few of its bytes unpack to many.
    """
    source = pa.BufferReader(content)
    with pq.ParquetFile(source, read_dictionary=TEXTS, **FOOTER_LIMITS) as file:
        known = file.metadata
        fits = known.num_rows <= MOST and known.num_row_groups <= 1
        if not fits or not any(map(file.schema_arrow.equals, (ENCODED, OLDER))):
            raise ValueError("its columns or rows are not those of a reference")
        check_pages(content, known, LIMITS)
        table = file.read()
    for name in NEWER:
        if name not in table.column_names:
            place = ROWS.get_field_index(name)
            table = table.add_column(place, ENCODED.field(place), pa.nulls(table.num_rows))
    for name in TEXTS:
        for chunk in table[name].chunks:
            if (pc.max(pc.utf8_length(chunk.dictionary)).as_py() or 0) > LONGEST:
                raise ValueError(f"{name} has more than {LONGEST} characters")
    return table.cast(ROWS.with_metadata(table.schema.metadata))


def _check_rows(rows: pd.DataFrame) -> None:
    """Check the numbers of the papers: those that are needed are there, and all are in range."""
    unknown = rows["unknown"].dropna()
    within = (
        rows["predicted"].notna().all()
        and rows["confidence"].between(0, 1).all()
        and unknown.between(0, 1).all()
        and (rows["words"] >= 0).all()
    )
    if not within:
        raise ValueError("a paper has impossible numbers")


def from_table(table: pa.Table) -> Reference:
    """Return the reference that a table of `build_reference` holds.

    Raises:
        ValueError: a value is none that `build_reference` makes.
    """
    lists = table["terms"].combine_chunks()
    ends = np.asarray(lists.offsets)
    indices = np.asarray(lists.flatten()).astype(np.int32)
    shape = table.num_rows, fingerprint.WIDE
    terms = sp.csr_matrix((np.ones(len(indices), np.float32), indices, ends - ends[0]), shape)
    terms.check_format(full_check=True)
    known = table.schema.metadata
    mean = np.frombuffer(known[b"mean"], np.float32)
    if mean.shape != (fingerprint.NARROW,):
        raise ValueError("its mean has another length")
    checks.array(np.float32, 1)(mean)
    names = orjson.loads(known[b"names"])
    checks.items(checks.string(LONGEST), most=NAMED)(names)
    rows = table.select(COLUMNS).to_pandas()
    _check_rows(rows)
    return Reference(rows, terms, mean, names)


def _lists(terms: sp.csr_matrix) -> pa.Array:
    indices = pa.array(terms.indices.astype(np.uint16))
    return pa.ListArray.from_arrays(pa.array(terms.indptr.astype(np.int32)), indices)
