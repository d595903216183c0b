"""The rates of bench-drift, on synthetic papers: changed papers raise alarms, the same do not.

The draws are seeded, so that the rates are the same on every machine.
"""

from __future__ import annotations

from collections import Counter

import pytest

from shelfmark.core.output.tables import Table
from shelfmark.embeddings import artifact
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import drift
from tests.support import hashed_encoder
from tests.support.tables import papers

PAPERS = ["data.options.papers=4000", "data.min_papers=5"]
ALL, NONE = "100.0% (15.8% to 100.0%)", "0.0% (0.0% to 84.2%)"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """The rates with small windows, and two categories in place of five."""
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        texts = papers(500)["text"].to_pylist()
        folder = hashed_encoder.save_encoder(tmp_path_factory.mktemp("encoders"), texts)
        for name, value in {
            "SIZES": (100, 200), "REFERENCE": 200, "TRAINED": 500, "VALIDATED": 100, "POOL": 300,
            "FIVE": ("cs.CL", "cs.LG"), "OTHERS": ("cs.CV", "cs.RO"), "FEW": (100,),
        }.items():  # fmt: skip
            patch.setattr(drift, name, value)
        return drift.measure_detection(PAPERS, 2, 2, artifact.load(folder))


def test_the_same_papers_raise_no_alarm(tables: list[Table]) -> None:
    assert "2 draws each, level 0.05" in tables[0].title
    assert len(tables[0].rows) == 3
    for _, *rates, tests in tables[0].rows:
        assert (rates, tests) == ([NONE, NONE], "")


@pytest.mark.parametrize("log", ["", ", log without texts"])
def test_changed_papers_raise_alarms(tables: list[Table], log: str) -> None:
    assert tables[1].columns == ("", "100 papers", "200 papers", "by")
    rows = {name: rest for name, *rest in tables[1].rows}
    assert len(rows) == 8
    for shift in ("abstracts cut in half", "five categories, then another five"):
        *rates, tests = rows[shift + log]
        assert rates == [ALL, ALL]
        assert "text 4" in tests


def test_words_are_compared_with_vectors_where_an_encoder_is_given(tables: list[Table]) -> None:
    *_, table = tables
    assert table.title == "Words against vectors of hashed: mean AUC, detections in 2 draws"
    assert table.columns == ("", "100 papers")
    rows = dict(table.rows)
    assert len(rows) == 10  # without those of logs without texts
    for kind in ("words", "vectors"):
        auc, found = rows[f"the very same, labels known, {kind}"].split(", ")
        assert 0.3 < float(auc) < 0.7
        assert found == "0"
        auc, found = rows[f"five categories, then another five, {kind}"].split(", ")
        assert float(auc) > 0.9
        assert found == "2"


def test_a_rate_has_its_exact_interval_and_the_tests_by_their_number() -> None:
    rates = drift.CaseRates("case", 200, [10, 0], Counter(text=3, words=8))
    assert rates.row() == ["case", "5.0% (2.4% to 9.0%)", "0.0% (0.0% to 1.8%)", "words 8, text 3"]


def test_too_few_papers_are_one_line() -> None:
    with pytest.raises(ShelfmarkError, match=r"papers of 2013-2015 are too few for this measureme"):
        drift.measure_detection(["data.options.papers=300", "data.min_papers=5"], 1, 1)
