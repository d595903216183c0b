"""Does `inv drift` see drift, and is it silent without? Rates over many draws of real papers.

A model is trained on some papers of 2013-2015. References and windows are drawn from the others:
windows of the very same papers must raise no alarm more often than the configured level; of papers
that are changed, or of others, each should. Where true labels come later they would help; here they
are known only for false alarms, where more tests can go wrong.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from rich.table import Table
from scipy.stats import binomtest

from shelfmark.arxiv.text import MATHS, join_texts
from shelfmark.config.load import load_config, load_drift_config
from shelfmark.config.schema import Config, DriftConfig
from shelfmark.core import console
from shelfmark.core.arrays import Ints
from shelfmark.data import sources
from shelfmark.data.cleaning import clean
from shelfmark.data.labels import label_of
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted.fit import fit_model
from shelfmark.monitoring import compare as drift
from shelfmark.monitoring import fingerprint, reference, windows
from shelfmark.monitoring.fingerprint import sketcher_for
from shelfmark.monitoring.reference import Reference
from shelfmark.monitoring.windows import Window

SIZES = (200, 1000, 5000)  # papers of a window
KEPT = 2500  # papers of a reference
TRAINED, STOPPED = 8000, 1000  # papers for training, and for stopping it
MOST = 8000  # papers that a shift is drawn from
FIVE = ("cs.AI", "cs.CL", "cs.CV", "cs.LG", "cs.RO")
OTHERS = ("math.NA", "math.FA", "math.CA", "cond-mat.quant-gas", "physics.ins-det")
BASE = ("experiment=fast", "data.level=archive", "model.n_jobs=1")  # quick, and labels enough
COMMAND = re.compile(r"\\[A-Za-z]+|[\\{}^_$~]")


@dataclass(frozen=True)
class Seen:
    """Papers as the model saw them: rows of a reference and their wide buckets."""

    rows: pd.DataFrame
    terms: sp.csr_matrix


@dataclass(frozen=True)
class Case:
    """Where references and windows are drawn from.

    Args:
        name: what is shifted.
        old: papers of references.
        new: papers of windows; None: the old ones, those that are in no reference.
        labelled: whether the window's true labels are known.
        folded: whether the windows come from a log without texts.
        fixed: whether all draws share one reference, as in use.
    """

    name: str
    old: Seen
    new: Seen | None
    labelled: bool = False
    folded: bool = False
    fixed: bool = False


def run(overrides: Sequence[str], draws: int, repeats: int) -> None:
    """Train, draw and compare, and print two tables of rates.

    Args:
        overrides: of `inv train`, to say where the papers are; a snapshot.
        draws: windows of each size without a shift.
        repeats: windows of each size of each shift.

    Raises:
        ShelfmarkError: there are too few papers of these years.
    """
    settings, limits = load_config([*BASE, *overrides]), load_drift_config()
    silent, shifted = _cases(settings)
    for title, cases, count in (
        (f"False alarms without drift, {draws} draws each, level {limits.level:g}", silent, draws),
        (f"Drift seen, {repeats} draws each, window without labels", shifted, repeats),
    ):
        table = Table(title=title, title_justify="left")
        for heading in ("", *(f"{size:,} papers" for size in SIZES), "by"):
            table.add_column(heading)
        with console.progress("comparing", len(cases) * len(SIZES) * count) as bar:
            for case in cases:
                cells, by = [], Counter[str]()
                for size in SIZES:
                    alarms = 0
                    for one in _alarms(case, size, count, limits):
                        alarms += bool(one)
                        by.update(one)
                        bar.advance()
                    cells.append(_rate(alarms, count))
                table.add_row(case.name, *cells, ", ".join(f"{k} {n}" for k, n in by.most_common()))
        console.STDOUT.print(table)


def _rate(found: int, count: int) -> str:
    low, high = binomtest(found, count).proportion_ci(method="exact")
    return f"{found / count:.1%} ({low:.1%} to {high:.1%})"


def _alarms(case: Case, size: int, count: int, limits: DriftConfig) -> Iterator[list[str]]:
    """Yield the tests that raise an alarm for each of some windows."""
    for number in range(count):
        order = np.random.default_rng([7, 0 if case.fixed else number]).permutation(
            case.old.terms.shape[0]
        )
        kept = min(KEPT, len(order) // 2)
        old = _reference(case.old, order[:kept])
        chance = np.random.default_rng([size, number])
        if case.new is None:
            window = _window(case, case.old, chance.permutation(order[kept:])[:size])
        else:
            window = _window(case, case.new, chance.permutation(case.new.terms.shape[0])[:size])
        if len(window.rows) < size:
            raise ShelfmarkError(f"{case.name}: {len(window.rows):,} papers, {size:,} are needed")
        yield [one.test for one in drift.compare(old, window, limits).alarms]


def _reference(seen: Seen, rows: Ints) -> Reference:
    terms = seen.terms[rows]
    return Reference(seen.rows.iloc[rows], terms, reference.mean_tfidf(terms), [])


def _window(case: Case, seen: Seen, rows: Ints) -> Window:
    taken = seen.rows.iloc[rows].assign(time=np.nan).reset_index(drop=True)
    if not case.labelled:
        taken["label"] = None
    terms = seen.terms[rows]
    return Window(
        case.name, taken, np.arange(len(rows)), fingerprint.fold(terms) if case.folded else terms
    )


def _cases(settings: Config) -> tuple[list[Case], list[Case]]:
    """Return what must be silent and what must not."""
    papers = _read(settings)
    year = pc.year(papers["submitted"]).to_numpy()
    first = [names[0] for names in papers["categories"].to_pylist()]
    then, now = np.flatnonzero((year >= 2013) & (year <= 2015)), np.flatnonzero(year == 2019)
    chance = np.random.default_rng(0)
    then = chance.permutation(then)
    if len(then) < TRAINED + STOPPED + KEPT + max(SIZES):
        raise ShelfmarkError(f"{len(then):,} papers of 2013-2015 are too few for this measurement")
    made = _fitted(settings, papers.take(then[: TRAINED + STOPPED]))
    rest = then[TRAINED + STOPPED :]
    pool = papers.take(rest)
    old = _seen(made, pool)
    five = np.array([first[row] in FIVE for row in rest])
    # One era holds too few of the other five.
    others = np.array([first[row] in OTHERS for row in range(len(first))])
    others[then[: TRAINED + STOPPED]] = False
    some = pool.take(chance.permutation(len(rest))[:MOST])
    shifted = {
        "papers of 2019": papers.take(chance.permutation(now)[:MOST]),
        "TeX stripped": _changed(some, _without_tex),
        "abstracts cut in half": _changed(some, _half),
    }
    other = papers.take(chance.permutation(np.flatnonzero(others))[:MOST])
    cases = [Case(name, old, _seen(made, table)) for name, table in shifted.items()]
    of_five = Seen(old.rows[five], old.terms[np.flatnonzero(five)])
    cases.append(Case("five categories, then another five", of_five, _seen(made, other)))
    cases += [
        Case(f"{case.name}, log without texts", case.old, case.new, folded=True) for case in cases
    ]
    silent = [
        Case("the very same, labels known", old, None, labelled=True),
        Case("the same, log without texts", old, None, folded=True),
        Case("the same, one reference for all", old, None, labelled=True, fixed=True),
    ]
    return silent, cases


def _read(settings: Config) -> pa.Table:
    """Return all papers worth keeping, each once, with a label."""
    records = sources.records(settings.data.source, _path(settings), settings.data.options)
    parts = []
    with console.progress("reading papers") as bar:
        for chunk in iter(lambda: list(itertools.islice(records, 2048)), []):
            parts.append(pa.Table.from_batches([clean(settings.data, chunk).rows]))
            bar.advance(len(chunk))
    papers = pa.concat_tables(parts).combine_chunks()
    firsts = [names[0] for names in papers["categories"].to_pylist()]
    labels = [label_of(settings.data, name) for name in firsts]
    return papers.append_column("label", pa.array(labels, pa.string()))


def _path(settings: Config) -> Path | None:
    return Path(settings.data.path) if settings.data.path else None


def _fitted(settings: Config, papers: pa.Table) -> artifact.Model:
    train, validation = papers.slice(0, TRAINED), papers.slice(TRAINED)
    common = [
        entry["values"] for entry in pc.value_counts(train["label"]).to_pylist()
        if entry["counts"] >= settings.data.min_papers
    ]  # fmt: skip
    train, validation = (
        table.filter(pc.is_in(table["label"], pa.array(common))) for table in (train, validation)
    )
    fitted = fit_model(settings, train, validation, lambda step, losses: None)
    card = {
        "name": "bench",
        "config": settings.model_dump(mode="json"),
        "classes": [{"label": label} for label in fitted.classes],
        "listed": list(fitted.targets.listed),
    }
    return artifact.Model(fitted.pipeline, card)


def _seen(made: artifact.Model, papers: pa.Table) -> Seen:
    texts, labels = papers["text"].to_pylist(), papers["label"].to_pylist()
    rows = pd.DataFrame(reference.describe_papers(made, texts, labels))
    return Seen(windows.coerce_dtypes(rows), sketcher_for(made).transform(texts))


def _changed(papers: pa.Table, change: Any) -> pa.Table:
    pairs = zip(papers["title"].to_pylist(), papers["abstract"].to_pylist(), strict=True)
    texts = pa.array([join_texts(title, change(abstract)) for title, abstract in pairs])
    return papers.set_column(papers.schema.get_field_index("text"), "text", texts)


def _without_tex(text: str) -> str:
    return " ".join(COMMAND.sub(" ", MATHS.sub(" ", text)).split())


def _half(text: str) -> str:
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])
