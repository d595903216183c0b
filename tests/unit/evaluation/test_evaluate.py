"""The report: figures beside baselines, a table, pictures, for one split at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.data import splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate, predicting
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import EvaluationReport
from shelfmark.models import artifact
from shelfmark.models.scope.made_texts import MADE
from shelfmark.models.verdicts import Scope
from tests.support.tables import KINDS, fit, papers


@pytest.fixture(scope="module")
def report(home: Path) -> EvaluationReport:
    return evaluate.evaluate_model(home / "models" / "quick", home / "reports", "test")


def test_the_files_of_a_report(home: Path, report: EvaluationReport) -> None:
    folder = home / "reports" / "quick-test"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "class_f1.png", "confusion.png", "coverage.png", "metrics.json",
        "promises.png", "reliability.png", "strangers.png", "suggestions.png", "telling_terms.png",
    ]  # fmt: skip
    assert EvaluationReport.from_json((folder / "metrics.json").read_bytes()) == report


def test_the_page_shows_what_the_figures_say(home: Path, report: EvaluationReport) -> None:
    page = (home / "reports" / "quick-test" / "README.md").read_text(encoding="utf-8")
    assert f"| accuracy | {report.accuracy:.4f} |" in page
    assert "synthetic" in page
    for label in report.per_class:
        assert f"| {label} |" in page
    for chart in (home / "reports" / "quick-test").glob("*.png"):
        assert f"({chart.name})" in page


def test_the_verdicts_and_what_strangers_are_told_are_measured(report: EvaluationReport) -> None:
    primary, _, listed, _ = report.promises
    assert (primary.verdict, primary.question) == ("sure", "primary")
    assert (listed.verdict, listed.question) == ("sure", "listed")
    assert (primary.kept, primary.share) == (report.confident_precision, report.confident_share)
    # A primary category is one of the paper's.
    assert listed.share >= primary.share > 0
    kinds = {row.kind: row for row in report.strangers}
    assert {"a list", "code or data", "words without sentences"} <= kinds.keys()
    for row in report.strangers:
        assert row.sure + row.doubtful + row.outside <= 1 + 1e-9
        assert row.papers > 0
    made = [row for row in report.strangers if row.kind in MADE]
    assert sum(row.sure * row.papers for row in made) < 0.02 * sum(row.papers for row in made)


def test_suggestions_are_counted_by_tenth(report: EvaluationReport) -> None:
    tenths = [int(10 * row.promised) for row in report.suggestions]
    assert tenths == sorted(set(tenths))
    assert all(0 <= row.kept <= 1 and row.suggestions > 0 for row in report.suggestions)


def test_baselines_stand_beside_the_model(report: EvaluationReport) -> None:
    frequent = report.baselines["most frequent class"].accuracy
    linear = report.baselines["linear SVM"].accuracy
    shares = [row.papers / report.papers for row in report.per_class.values()]
    assert frequent in shares
    assert linear > frequent + 0.2
    assert report.accuracy > frequent + 0.2


def test_the_confusion_adds_up(report: EvaluationReport) -> None:
    matrix = np.array(report.confusion)
    assert matrix.sum() == report.papers
    assert matrix.trace() == round(report.accuracy * report.papers)


def test_telling_terms_point_to_their_class(report: EvaluationReport) -> None:
    terms = {label: [term for term, _ in result] for label, result in report.telling_terms.items()}
    assert {"robot", "grasping", "manipulator"} & set(terms["cs.RO"])
    assert {"galaxy", "star", "redshift"} & set(terms["astro-ph.GA"])


def test_telling_terms_without_a_linear_model_are_those_of_the_trees() -> None:
    some = papers(600)
    trees = fit(some.slice(0, 400), some.slice(400), *KINDS["trees"], "model.rounds=15")
    terms = {
        label: [term for term, _ in result]
        for label, result in evaluate.find_telling_terms(trees, some.slice(400)).items()
    }
    assert {"robot", "grasping", "manipulator"} & set(terms["cs.RO"])
    assert {"galaxy", "star", "redshift"} & set(terms["astro-ph.GA"])


def test_sure_answers_are_those_above_the_limits_of_the_card_in_scope(
    model: artifact.Model, report: EvaluationReport
) -> None:
    table = splits.open_splits(Path(model.card.data.folder)).read("test")
    probabilities, _ = model.probabilities(table["text"].to_pylist())
    assert model.scope is not None
    limits = model.card.limits
    assert limits.verdicts is not None
    scopes = limits.verdicts.scope.scopes(model.scope.weigh(table["text"].to_pylist()))
    right = []
    for row, label, scope in zip(probabilities, table["label"].to_pylist(), scopes, strict=True):
        given = model.classes[int(row.argmax())]
        limit = limits.confident_from[given]
        if limit is not None and row.max() >= limit and scope == Scope.IN:
            right.append(given == label)
    assert report.confident_share == len(right) / table.num_rows
    assert report.confident_precision == np.mean(right)


def test_the_precision_of_all_answers_is_the_accuracy(report: EvaluationReport) -> None:
    assert dict(report.coverage[-1]) == {"coverage": 1.0, "precision": report.accuracy}


def test_a_class_among_the_categories_of_a_paper_counts_beside_the_primary_one(
    report: EvaluationReport,
) -> None:
    assert report.accuracy < report.among < 1


def test_cross_lists_have_their_figures(report: EvaluationReport) -> None:
    assert 0 < report.cross_lists_precision < 1
    assert 0 < report.cross_lists_recall < 1


def test_answers_come_in_batches_and_in_order(
    home: Path, model: artifact.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = splits.open_splits(Path(model.card.data.folder)).read("test").slice(0, 50)
    whole = predict_papers(model, table)
    monkeypatch.setattr(predicting, "BATCH", 7)
    parts = predict_papers(model, table)
    assert parts.probabilities.tobytes() == whole.probabilities.tobytes()
    assert parts.lists.tobytes() == whole.lists.tobytes()
    assert whole.targets.tolist() == [model.classes.index(x) for x in table["label"].to_pylist()]


def test_another_split_is_another_report(home: Path) -> None:
    report = evaluate.evaluate_model(
        home / "models" / "quick", home / "reports", "validation", False
    )
    assert (home / "reports" / "quick-validation" / "metrics.json").exists()
    card = artifact.read_card(home / "models" / "quick")
    assert report.accuracy == card.metrics["validation"]["accuracy"]
    assert report.baselines == {}


def test_a_folder_that_cannot_be_written_is_one_line(
    report: EvaluationReport, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ShelfmarkError, match="cannot write "):
        evaluate.write_report(report, file / "reports")


def test_an_unknown_split_is_named(home: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no split 'tset'; there are train, validation, test"):
        evaluate.evaluate_model(home / "models" / "quick", home / "reports", "tset")


def test_other_data_than_the_model_was_trained_on_is_refused(home: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(home / "models" / "quick", tmp_path / "m"))
    card = orjson.loads((model / "card.json").read_bytes())
    card["data"]["card_sha256"] = "0" * 64
    (model / "card.json").write_bytes(orjson.dumps(card))
    with pytest.raises(ShelfmarkError, match="is not the data m was trained on"):
        evaluate.evaluate_model(model, tmp_path)


def test_the_table_has_the_model_and_the_baselines(report: EvaluationReport) -> None:
    table = report.table()
    assert list(table.columns) == ["", "this model", "most frequent class", "linear SVM"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["macro F1"][0] == f"{report.macro_f1:.4f}"
    assert rows["macro F1"][2] == f"{report.baselines['linear SVM'].macro_f1:.4f}"
    assert rows["log loss"][1:] == ["", ""]
    assert table.title.endswith("of the test split (synthetic)")
