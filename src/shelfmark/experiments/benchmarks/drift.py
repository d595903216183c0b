"""The false-alarm rate and the detection rate of `shelfmark drift`, over many draws of real papers.

A model is trained on some papers of 2013-2015. References and windows are drawn from the others:
windows of the same papers must raise an alarm no more often than the configured level; windows of
changed or other papers should raise one each. True labels, which would help, are known only where
false alarms are counted: there they add tests that can fail.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy.stats import binomtest

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.arxiv.text import MATHS, join_texts
from shelfmark.config.load import load_config, load_drift_config
from shelfmark.config.schema import Config, DriftConfig
from shelfmark.core import console
from shelfmark.core.arrays import Floats, Ints
from shelfmark.core.output.tables import Table
from shelfmark.data import sources
from shelfmark.data.cleaning import Reason, clean_records, mark_duplicates
from shelfmark.data.labels import label_of
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.boosted.fitting.fit import fit_model
from shelfmark.models.card import ClassLabel, ModelCard
from shelfmark.monitoring import compare as drift
from shelfmark.monitoring import fingerprint, reference, statistics, windows
from shelfmark.monitoring.fingerprint import sketcher_for
from shelfmark.monitoring.reference import Reference
from shelfmark.monitoring.statistics import ClassifierTest
from shelfmark.monitoring.vectors import encode
from shelfmark.monitoring.windows import Window

SIZES = (200, 1000, 5000)  # papers of a window
FEW = (100, 200, 500, 1000)  # papers of a window in which words are compared with vectors
REFERENCE = 2500  # papers of a reference
TRAINED, VALIDATED = 8000, 1000  # papers for training, and for early stopping
POOL = 8000  # papers that the windows of a shift are drawn from
FIVE = ("cs.AI", "cs.CL", "cs.CV", "cs.LG", "cs.RO")
OTHERS = ("math.NA", "math.FA", "math.CA", "cond-mat.quant-gas", "physics.ins-det")
BASE = ("experiment=fast", "data.level=archive", "model.n_jobs=1")  # quick, with enough labels
COMMAND = re.compile(r"\\[A-Za-z]+|[\\{}^_$~]")


@dataclass(frozen=True)
class Described:
    """Papers as monitoring describes them.

    Args:
        rows: those of a reference.
        terms: their hashed terms.
        vectors: by an encoder, if there is one.
    """

    rows: pd.DataFrame
    terms: sp.csr_matrix
    vectors: Floats | None = None

    def take(self, rows: Ints) -> Described:
        """Return some of the papers."""
        vectors = None if self.vectors is None else self.vectors[rows]
        return Described(self.rows.iloc[rows], self.terms[rows], vectors)


@dataclass(frozen=True)
class Case:
    """Where references and windows are drawn from.

    Args:
        name: the shift.
        old: papers of references.
        new: papers of windows; None for the old papers that are in no reference.
        labelled: whether the window's true labels are known.
        folded: whether the windows come from a log without texts.
        fixed: whether all draws share one reference, as in use.
    """

    name: str
    old: Described
    new: Described | None
    labelled: bool = False
    folded: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class CaseRates:
    """The alarms of one case.

    Args:
        name: of the case.
        draws: windows of each size.
        alarms: windows that raised an alarm, for each of `SIZES`.
        tests: how often each test raised one, over all sizes.
    """

    name: str
    draws: int
    alarms: list[int]
    tests: Counter[str]

    def row(self) -> list[str]:
        """Return the cells of a table: a rate with its 95 % interval for each size, the tests."""
        rates = [_format_rate(count, self.draws) for count in self.alarms]
        tests = ", ".join(f"{test} {count}" for test, count in self.tests.most_common())
        return [self.name, *rates, tests]


def measure_detection(
    overrides: Sequence[str], draws: int, repeats: int, encoder: OpenEncoder | None = None
) -> list[Table]:
    """Train a model, draw windows and compare them.

    Args:
        overrides: of `shelfmark train`, to name the papers; a snapshot.
        draws: windows of each size without a shift.
        repeats: windows of each size of each shift.
        encoder: whose vectors are compared with words.

    Returns:
        The false-alarm rates and the detection rates, a row for each case; with an encoder, also
        how well words and vectors tell windows from references.

    Raises:
        ShelfmarkError: there are too few papers of these years.
    """
    settings, limits = load_config([*BASE, *overrides]), load_drift_config()
    stable, shifted = _make_cases(settings, encoder)
    columns = ("", *(f"{size:,} papers" for size in SIZES), "by")
    tables = []
    for title, cases, count in (
        (f"False alarms without drift, {draws} draws each, level {limits.level:g}", stable, draws),
        (f"Detected drift, {repeats} draws each, window without labels", shifted, repeats),
    ):
        with console.progress("comparing", len(cases) * len(SIZES) * count) as bar:
            rows = [_measure_case(case, count, limits, bar).row() for case in cases]
        tables.append(Table(columns, rows, title=title))
    if encoder is not None:
        tables.append(compare_inputs([*stable[:1], *shifted], repeats, limits, encoder.name))
    return tables


def compare_inputs(cases: Sequence[Case], repeats: int, limits: DriftConfig, encoder: str) -> Table:
    """Return how well the domain classifier tells windows of few papers from a reference.

    A detection is a significant AUC that is at least `limits.text`, of one test alone.

    Args:
        cases: those from a log without texts are left out, as only words can be compared there.
        repeats: windows of each size of each case.
        limits: what counts as drift.
        encoder: name of the encoder of the vectors.
    """
    cases = [case for case in cases if not case.folded]
    columns = ("", *(f"{size:,} papers" for size in FEW))
    title = f"Words against vectors of {encoder}: mean AUC, detections in {repeats} draws"
    rows = []
    with console.progress("separating", len(cases) * len(FEW) * repeats) as bar:
        for case in cases:
            cells: dict[str, list[str]] = {"words": [], "vectors": []}
            for size in FEW:
                for kind, tests in _separate_draws(case, size, repeats, limits, bar).items():
                    cells[kind].append(_format_tests(tests, limits))
            rows += [[f"{case.name}, {kind}", *row] for kind, row in cells.items()]
    return Table(columns, rows, title=title)


def _separate_draws(
    case: Case, size: int, repeats: int, limits: DriftConfig, bar: console.Bar
) -> dict[str, list[ClassifierTest]]:
    """Return the domain tests of windows of one size, on words and on vectors of the same draws."""
    tests: dict[str, list[ClassifierTest]] = {"words": [], "vectors": []}
    for number in range(repeats):
        old, new = _draw_papers(case, size, number)
        assert old.vectors is not None
        assert new.vectors is not None
        most = limits.domain_papers
        tests["words"].append(statistics.two_sample_classifier(old.terms, new.terms, most))
        tests["vectors"].append(statistics.separate_vectors(old.vectors, new.vectors, most))
        bar.advance()
    return tests


def _format_tests(tests: Sequence[ClassifierTest], limits: DriftConfig) -> str:
    found = sum(test.p <= limits.level and test.auc >= limits.text for test in tests)
    return f"{np.mean([test.auc for test in tests]):.3f}, {found}"


def _measure_case(case: Case, count: int, limits: DriftConfig, bar: console.Bar) -> CaseRates:
    alarms, tests = [], Counter[str]()
    for size in SIZES:
        alarms.append(0)
        for raised in _draw_alarms(case, size, count, limits):
            alarms[-1] += bool(raised)
            tests.update(raised)
            bar.advance()
    return CaseRates(case.name, count, alarms, tests)


def _format_rate(alarms: int, draws: int) -> str:
    low, high = binomtest(alarms, draws).proportion_ci(method="exact")
    return f"{alarms / draws:.1%} ({low:.1%} to {high:.1%})"


def _draw_alarms(case: Case, size: int, count: int, limits: DriftConfig) -> Iterator[list[str]]:
    """Yield the names of the tests that raise an alarm, for each window drawn."""
    for number in range(count):
        old, new = _draw_papers(case, size, number)
        known = Reference(old.rows, old.terms, reference.mean_tfidf(old.terms), [])
        yield [one.test for one in drift.compare(known, _window(case, new), limits).alarms]


def _draw_papers(case: Case, size: int, number: int) -> tuple[Described, Described]:
    """Return the papers of a reference and of a window.

    Raises:
        ShelfmarkError: there are fewer papers than the window should have.
    """
    order = np.random.default_rng([7, 0 if case.fixed else number]).permutation(len(case.old.rows))
    split = min(REFERENCE, len(order) // 2)
    rng = np.random.default_rng([size, number])
    if case.new is None:
        new = case.old.take(rng.permutation(order[split:])[:size])
    else:
        new = case.new.take(rng.permutation(len(case.new.rows))[:size])
    if len(new.rows) < size:
        raise ShelfmarkError(f"{case.name}: {len(new.rows):,} papers, {size:,} are needed")
    return case.old.take(order[:split]), new


def _window(case: Case, new: Described) -> Window:
    rows = new.rows.assign(time=np.nan).reset_index(drop=True)
    if not case.labelled:
        rows["label"] = None
    terms = fingerprint.fold(new.terms) if case.folded else new.terms
    return Window(case.name, rows, np.arange(len(rows)), terms)


def _make_cases(settings: Config, encoder: OpenEncoder | None) -> tuple[list[Case], list[Case]]:
    """Return the cases without a shift, and those with one."""
    papers = _read_papers(settings)
    year = pc.year(papers["submitted"]).to_numpy()
    then, now = np.flatnonzero((year >= 2013) & (year <= 2015)), np.flatnonzero(year == 2019)
    rng = np.random.default_rng(0)
    then = rng.permutation(then)
    if len(then) < TRAINED + VALIDATED + REFERENCE + max(SIZES):
        raise ShelfmarkError(f"{len(then):,} papers of 2013-2015 are too few for this measurement")
    fitted, rest = then[: TRAINED + VALIDATED], then[TRAINED + VALIDATED :]
    model = _fit_model(settings, papers.take(fitted))
    describe = functools.partial(_describe, model, encoder)
    old = describe(papers.take(rest))
    some = papers.take(rest).take(rng.permutation(len(rest))[:POOL])
    shifted = {
        "papers of 2019": papers.take(rng.permutation(now)[:POOL]),
        "TeX stripped": _with_abstracts(some, _without_tex),
        "abstracts cut in half": _with_abstracts(some, _half),
    }
    cases = [Case(name, old, describe(table)) for name, table in shifted.items()]
    cases.append(_other_categories(describe, papers, old, fitted, rest, rng))
    cases += [
        Case(f"{case.name}, log without texts", case.old, case.new, folded=True) for case in cases
    ]
    stable = [
        Case("the very same, labels known", old, None, labelled=True),
        Case("the same, log without texts", old, None, folded=True),
        Case("the same, one reference for all", old, None, labelled=True, fixed=True),
    ]
    return stable, cases


def _other_categories(
    describe: Callable[[pa.Table], Described], papers: pa.Table, old: Described, fitted: Ints,
    rest: Ints, rng: np.random.Generator,
) -> Case:  # fmt: skip
    """Return the case of references of five categories, and windows of another five."""
    primary = np.array([names[0] for names in papers["categories"].to_pylist()])
    five = np.isin(primary[rest], FIVE)
    # From all years: 2013-2015 hold too few of them.
    others = np.isin(primary, OTHERS)
    others[fitted] = False
    other = papers.take(rng.permutation(np.flatnonzero(others))[:POOL])
    of_five = old.take(np.flatnonzero(five))
    return Case("five categories, then another five", of_five, describe(other))


def _read_papers(settings: Config) -> pa.Table:
    """Return all papers that cleaning keeps, with a label each."""
    paths = sources.find_files(settings.data)
    parts, keys = [], []
    with console.progress("reading papers") as bar:
        for place, chunk in sources.read_chunks(settings.data, paths, 2048):
            cleaned = clean_records(settings.data, chunk, place)
            parts.append(pa.Table.from_batches([cleaned.rows]))
            keys.append(cleaned.keys | {"file": np.full(len(cleaned.keys["id"]), place)})
            bar.advance(len(chunk))
    numbers = {name: np.concatenate([part[name] for part in keys]) for name in keys[0]}
    kept = numbers["reason"] == Reason.KEPT
    newest = mark_duplicates(numbers)[kept] != Reason.DUPLICATE_ID
    papers = pa.concat_tables(parts).filter(pa.array(newest)).combine_chunks()
    firsts = [names[0] for names in papers["categories"].to_pylist()]
    labels = [label_of(settings.data, name) for name in firsts]
    return papers.append_column("label", pa.array(labels, pa.string()))


def _fit_model(settings: Config, papers: pa.Table) -> artifact.Model:
    train, validation = papers.slice(0, TRAINED), papers.slice(TRAINED)
    common = [
        entry["values"] for entry in pc.value_counts(train["label"]).to_pylist()
        if entry["counts"] >= settings.data.min_papers
    ]  # fmt: skip
    train, validation = (
        table.filter(pc.is_in(table["label"], pa.array(common))) for table in (train, validation)
    )
    fitted = fit_model(settings, train, validation, lambda step, losses: None)
    card = ModelCard(
        name="bench",
        config=settings.model_dump(mode="json"),
        classes=[ClassLabel(label, full_name(label)) for label in fitted.classes],
        listed=list(fitted.targets.listed),
        details=fitted.details,
    )
    return artifact.Model(fitted.classifier, card)


def _describe(model: artifact.Model, encoder: OpenEncoder | None, papers: pa.Table) -> Described:
    texts, labels = papers["text"].to_pylist(), papers["label"].to_pylist()
    rows = pd.DataFrame(reference.describe_papers(model, texts, labels))
    vectors = None if encoder is None else encode(encoder, texts)
    return Described(windows.coerce_dtypes(rows), sketcher_for(model).transform(texts), vectors)


def _with_abstracts(papers: pa.Table, change: Callable[[str], str]) -> pa.Table:
    pairs = zip(papers["title"].to_pylist(), papers["abstract"].to_pylist(), strict=True)
    texts = pa.array([join_texts(title, change(abstract)) for title, abstract in pairs])
    return papers.set_column(papers.schema.get_field_index("text"), "text", texts)


def _without_tex(text: str) -> str:
    return " ".join(COMMAND.sub(" ", MATHS.sub(" ", text)).split())


def _half(text: str) -> str:
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])
