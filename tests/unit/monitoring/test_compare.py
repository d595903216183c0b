"""Drift: detected if present, silent if absent, and never "no drift" with too little data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.load import load_drift_config
from shelfmark.config.schema import DriftConfig
from shelfmark.data.sources import sample
from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.monitoring import compare
from shelfmark.monitoring import reference as references
from shelfmark.monitoring.fingerprint import sketcher_for
from shelfmark.monitoring.page import render_page
from shelfmark.monitoring.records import (
    DRIFT,
    NO_DRIFT,
    TOO_LITTLE,
    UNKNOWN,
    DriftTest,
)
from shelfmark.monitoring.reference import Reference
from shelfmark.monitoring.report import build_report, prometheus_gauges
from shelfmark.monitoring.windows import Window, coerce_dtypes

LIMITS = load_drift_config(["domain_papers=150"])
DAY = 86400
Pool = tuple[list[str], pd.DataFrame]


@pytest.fixture(scope="module")
def pool(model: Model) -> Pool:
    """Papers of the sample as the model sees them."""
    made = [paper for _, paper in sample.read_records(None, 900)]
    texts = [join_texts(clean_text(paper.title), clean_text(paper.abstract)) for paper in made]
    return texts, seen(model, texts, [paper.categories[0] for paper in made])


def seen(model: Model, texts: list[str], labels: list[str] | None = None) -> pd.DataFrame:
    rows = references.describe_papers(model, texts, list(labels or [None] * len(texts)))
    return coerce_dtypes(pd.DataFrame(rows).assign(time=np.linspace(0, 10 * DAY, len(texts))))


def reference(model: Model, pool: Pool, rows: list[int]) -> Reference:
    terms = sketcher_for(model).transform([pool[0][row] for row in rows])
    return Reference(pool[1].iloc[rows], terms, references.mean_tfidf(terms), ["robot"])


def window(model: Model, texts: list[str], rows: pd.DataFrame) -> Window:
    everyone = np.arange(len(texts))
    rows = rows.reset_index(drop=True)
    return Window("here", rows, everyone, sketcher_for(model).transform(texts), texts, len(texts))


def divided(
    model: Model, pool: Pool, seed: int, old: int = 400, new: int = 200
) -> tuple[Reference, Window]:
    order = np.random.default_rng(seed).permutation(len(pool[0])).tolist()
    taken = order[old : old + new]
    rows = pool[1].iloc[taken].assign(time=np.linspace(0, 10 * DAY, new))
    return (
        reference(model, pool, order[:old]),
        window(model, [pool[0][row] for row in taken], rows),
    )


def test_draws_of_the_reference_are_silent(model: Model, pool: Pool) -> None:
    limits = load_drift_config(["domain_papers=100", "numbers=0", "shares=0", "text=0.5",
                                "accuracy=0", "calibration=0"])  # fmt: skip
    draws = 30
    verdicts = [compare.compare(*divided(model, pool, seed, 250, 120), limits).verdict
                for seed in range(draws)]  # fmt: skip
    # By significance alone, without the least effects that make it quieter still.
    assert verdicts.count(DRIFT) <= binom.ppf(0.999, draws, limits.level)
    assert verdicts.count(NO_DRIFT) == draws - verdicts.count(DRIFT)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda text: " ".join(text.split()[: len(text.split()) // 2]), {"words"}),
        (lambda text: f"A $k$-zebrafish study: {text}", {"text"}),
        (lambda text: text.replace("e", "é́x"), {"unknown", "text"}),
    ],
    ids=["cut in half", "new words and signs", "unknown words"],
)
def test_changed_papers_are_seen(
    model: Model, pool: Pool, change: Callable[[str], str], wanted: set[str]
) -> None:
    old, new = divided(model, pool, 1)
    texts = [change(text) for text in new.texts or []]
    comparison = compare.compare(old, window(model, texts, seen(model, texts)), LIMITS)
    assert comparison.verdict == DRIFT
    assert wanted <= {one.test for one in comparison.alarms}


def test_other_categories_are_seen_and_since_when(model: Model, pool: Pool) -> None:
    old, _ = divided(model, pool, 2)
    before = [x for x, label in enumerate(pool[1]["label"]) if label != "quant-ph"][:150]
    after = [x for x, label in enumerate(pool[1]["label"]) if label == "quant-ph"][:100]
    texts = [pool[0][row] for row in before + after]
    rows = (
        pool[1]
        .iloc[before + after]
        .assign(
            time=[
                *np.linspace(0, 6 * DAY, len(before)),
                *np.linspace(6.01 * DAY, 10 * DAY, len(after)),
            ]
        )
    )
    comparison = compare.compare(old, window(model, texts, rows), LIMITS)
    named = {one.test: one for one in comparison.alarms}
    assert {"predicted", "label"} <= set(named)
    assert named["predicted"].since is not None
    assert "1970-01-06" <= named["predicted"].since[:10] <= "1970-01-08"


def test_wrong_answers_and_false_confidence_are_seen_where_labels_are(
    model: Model, pool: Pool
) -> None:
    old, new = divided(model, pool, 3)
    rows = new.rows.assign(label=np.roll(new.rows["label"], 7), confidence=0.97)
    comparison = compare.compare(old, replace(new, rows=rows), LIMITS)
    named = {one.test: one for one in comparison.alarms}
    assert {"accuracy", "calibration", "confidence"} <= set(named)
    assert "text" not in named
    accuracy = named["accuracy"]
    assert accuracy.old is not None
    assert accuracy.new is not None
    assert accuracy.effect == pytest.approx(accuracy.old - accuracy.new)
    assert named["accuracy"].new == (rows["label"] == rows["predicted"]).mean()


def test_small_windows_are_too_little_and_never_no_drift(model: Model, pool: Pool) -> None:
    for old, new in ((400, 0), (400, 1), (400, 99), (99, 200)):
        comparison = compare.compare(*divided(model, pool, 4, old, new), LIMITS)
        assert comparison.verdict == TOO_LITTLE
        assert {one.status for one in comparison.tests} <= {TOO_LITTLE, UNKNOWN}


def test_what_is_not_there_is_not_known_and_few_labels_are_too_few(
    model: Model, pool: Pool
) -> None:
    old, new = divided(model, pool, 5)
    rows = new.rows.assign(unknown=np.nan)
    rows.loc[30:, "label"] = None
    comparison = compare.compare(old, replace(new, rows=rows, terms=None), LIMITS)
    status = {one.test: one.status for one in comparison.tests}
    assert status["unknown"] == status["text"] == UNKNOWN
    assert status["accuracy"] == status["calibration"] == status["label"] == TOO_LITTLE
    assert comparison.verdict == NO_DRIFT


def test_a_large_window_with_a_small_change_is_no_alarm(model: Model, pool: Pool) -> None:
    old, new = divided(model, pool, 6, 400, 400)
    loose = replace_limits(LIMITS, numbers=5.0, shares=1.0, text=1.0)
    texts = [text.replace(" the ", " ") for text in new.texts or []]
    comparison = compare.compare(old, window(model, texts, seen(model, texts)), loose)
    assert min(one.adjusted for one in comparison.tests if one.adjusted is not None) < 0.001
    assert comparison.verdict == NO_DRIFT


def replace_limits(limits: DriftConfig, **changes: float) -> DriftConfig:
    return limits.model_copy(update=changes)


def test_holm() -> None:
    result = [
        DriftTest(test=str(p), title="", threshold=0.1, p=p) for p in (0.01, 0.04, 0.03, 0.005)
    ]
    result.append(DriftTest(test="none", title="", threshold=0.1))
    compare.adjust_p_values(result)
    # The example of the method's usual textbook case.
    assert [one.adjusted for one in result] == [0.03, 0.06, 0.06, 0.02, None]


def test_the_page_shows_what_moved_and_runs_nothing_of_the_papers(model: Model, pool: Pool) -> None:
    old, new = divided(model, pool, 7)
    evil = "<script>alert(1)</script> zebrafish "
    texts = [evil + text for text in new.texts or []]
    window_ = window(model, texts, seen(model, texts, new.rows["label"].tolist()))
    comparison = compare.compare(old, window_, LIMITS)
    report = build_report("quick", old, window_, comparison, LIMITS, sketcher_for(model))
    assert report.words is not None
    assert "zebrafish" in [row.word for row in report.words.more]
    assert (report.examples[0].text or "").startswith("<script>")
    page = render_page(report)
    assert "<script" not in page
    assert "zebrafish" in page
    assert "&lt;script&gt;" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "words of the texts" in page[page.index("<h1") : page.index("<svg")]
    gauges = prometheus_gauges(report).decode()
    assert "shelfmark_drift_alarm 1.0" in gauges
    assert 'shelfmark_drift_score{test="text"}' in gauges


def test_the_page_without_drift_and_with_too_little(model: Model, pool: Pool) -> None:
    for new, word, alarm in ((200, "No drift in 200 papers", 0), (5, "Too little data", 0)):
        pair = divided(model, pool, 8, 400, new)
        comparison = compare.compare(*pair, LIMITS)
        report = build_report("quick", *pair, comparison, LIMITS, sketcher_for(model))
        assert f'">{word}' in render_page(report)
        assert report.examples == []
        assert f"shelfmark_drift_alarm {alarm}.0" in prometheus_gauges(report).decode()


def test_limits_from_words() -> None:
    assert load_drift_config(["level=0.01"]).level == 0.01
    for words, said in (
        (["levle=1"], "levle: no such key; did you mean level?"),
        (["level=2"], "level: 2"),
        (["min_papers=many"], "min_papers: 'many'"),
        (["level=[1"], "level: '[1': should be a number"),
    ):
        with pytest.raises(ShelfmarkError) as error:
            load_drift_config(words)
        assert said in str(error.value)
