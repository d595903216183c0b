"""The section of a report on encoders, from a record to the check of the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shelfmark.evaluation.encoders.run import write_report as write_record
from shelfmark.reports.check import check_report
from shelfmark.reports.collect import read_page
from shelfmark.reports.write import rewrite_page, write_report
from tests.support.encoder_record import encoder_record


def write(reports: Path) -> str:
    write_report(reports, reports / "models", reports / "data")
    return read_page(reports)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    write_record(encoder_record(), tmp_path)
    return tmp_path


def test_the_page_shows_the_figures_and_the_chart_of_encoders(reports: Path) -> None:
    page = write(reports)
    assert "## Encoders" in page
    assert "| figure | what it is | queries | pool | `static` | `static:64` |" in page
    figure = encoder_record().figures["static"]["title_4000_mrr"]
    cells = f"| 3,987 | 4,000 | {figure.value:.3f} ± {figure.error:.3f} |"
    assert f"| `title_4000_mrr` | title finds abstract, `MRR` {cells}" in page
    assert "no shared author" in page
    assert "![quality of static](figures/static-test-encoders/quality.png)" in page
    assert (reports / "figures/static-test-encoders/quality.png").is_file()
    assert "No evaluation of encoders yet" not in page
    assert check_report(reports) == []


def test_a_wrong_figure_of_an_encoder_is_found(reports: Path) -> None:
    page = write(reports)
    value = f"{encoder_record().figures['minilm']['title_4000_mrr'].value:.3f}"
    other = f"{encoder_record().figures['static']['title_4000_mrr'].value:.3f}"
    assert page.count(value) == 1
    # Even if the number is another encoder's.
    (reports / "README.md").write_text(page.replace(value, other), encoding="utf-8")
    (finding,) = check_report(reports)
    assert other in finding


def test_an_evaluation_after_the_report_is_found(reports: Path) -> None:
    write(reports)
    write_record(encoder_record(created="2026-11-29T10:00:00+00:00"), reports)
    (finding,) = check_report(reports)
    assert "encoders/static-test/metrics.json is newer" in finding
    write(reports)
    assert check_report(reports) == []


def test_only_the_test_split_is_reported(reports: Path) -> None:
    write_record(encoder_record("validation", name="other"), reports)
    assert "other" not in write(reports)


def test_each_table_of_encoders_has_a_section(reports: Path) -> None:
    write_record(encoder_record(created="2026-11-27T10:00:00+00:00", name="older"), reports)
    page = write(reports)
    assert page.index("### `older`") < page.index("### `static`")
    assert check_report(reports) == []


def test_a_clone_keeps_the_encoders_of_the_committed_report(reports: Path) -> None:
    page = write(reports)
    shutil.rmtree(reports / "encoders")
    assert write(reports) == page
    assert check_report(reports) == []
    rewrite_page(reports)
    assert read_page(reports) == page
