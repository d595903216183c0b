"""Robustness: real models on changed papers and on later years, and a complete or absent report."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import f1_score

from shelfmark.arxiv import taxonomy
from shelfmark.data import splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.experiments.robustness import ageing, changes, charts, figures, run
from shelfmark.experiments.robustness import report as report_page
from shelfmark.experiments.robustness.figures import Predictions, Sample
from shelfmark.models import answers, artifact
from tests.system.test_tasks import inv

NAMES = [*changes.CHANGES, *changes.STUFFINGS]
FILES = ["README.md", "changes.png", "classes.png", "metrics.json", "promises.png", "years.png"]


@pytest.fixture(scope="module")
def report(home: Path) -> dict[str, Any]:
    """All of validation, and two years, of which the first has too few papers before it."""
    return run.measure_robustness(home / "models" / "quick", home / "reports", years="2015,2012")


@pytest.fixture(scope="module")
def parts(model: artifact.Model) -> splits.Splits:
    return splits.open_splits(Path(model.card.data.folder))


def test_the_report_is_whole(home: Path, report: dict[str, Any]) -> None:
    folder = home / "reports" / "quick-robustness"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert orjson.loads((folder / "metrics.json").read_bytes()) == report
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert report["command"] in page
    assert "synthetic" in page
    assert f"| {NAMES[0]} | {report['changes'][NAMES[0]]['accuracy']:.4f} |" in page
    assert all(f"({name})" in page for name in FILES if name.endswith(".png"))


def test_the_layout_of_the_metrics(report: dict[str, Any]) -> None:
    assert report["kind"] == "robustness"
    assert report["synthetic"] is True
    assert (report["model"], report["split"], report["seed"]) == ("quick", "validation", 7)
    assert list(report["changes"]) == NAMES
    for one in [report["as_is"], *report["changes"].values()]:
        assert set(figures.FIGURES) <= set(one)
        assert set(one["classes"]) == set(report["as_is"]["classes"])
    assert set(report["years"]["2015"]) == {"2016", "2017", "2018", "2019"}
    for row in report["years"]["2015"].values():
        assert {"accuracy", "macro_f1", "abstained", "papers"} <= set(row)


def test_unchanged_papers_have_the_figures_of_an_evaluation(
    report: dict[str, Any], model: artifact.Model, parts: splits.Splits
) -> None:
    table = parts.read("validation")
    assert report["papers"] == table.num_rows
    usual = evaluate.score_answers(predict_papers(model, table), model)
    for name in ("accuracy", "macro_f1", "confident_precision"):
        assert report["as_is"][name] == pytest.approx(getattr(usual, name))
    assert report["as_is"]["abstained"] == pytest.approx(1 - usual.confident_share)
    for label, one in report["as_is"]["classes"].items():
        assert one == pytest.approx({key: getattr(usual.per_class[label], key) for key in one})


def test_a_changed_paper_is_answered_as_by_the_service(
    report: dict[str, Any], model: artifact.Model, parts: splits.Splits
) -> None:
    table = parts.read("validation")
    papers = zip(table["title"].to_pylist(), table["abstract"].to_pylist(), strict=True)
    given = answers.answer_papers(model, changes.apply_change("title only", list(papers), 7))
    right = [
        one.category == label for one, label in zip(given, table["label"].to_pylist(), strict=True)
    ]
    figures_of_change = report["changes"]["title only"]
    assert figures_of_change["accuracy"] == pytest.approx(np.mean(right))
    assert figures_of_change["abstained"] == pytest.approx(
        np.mean([not one.confident for one in given])
    )


def test_the_figures_are_consistent(report: dict[str, Any]) -> None:
    before, after = report["as_is"], report["changes"]
    assert after["upper case"]["difference"]["accuracy"] == {"value": 0, "low": 0, "high": 0}
    assert after["upper case"]["touched"] == 1
    assert 0 < after["TeX removed"]["touched"] < 1
    assert after["title only"]["difference"]["accuracy"]["high"] < 0
    assert after["title only"]["abstained"] > before["abstained"]
    for one in after.values():
        for name, apart in one["difference"].items():
            if apart is None:
                assert None in (one[name], before[name])
                continue
            assert apart["value"] == pytest.approx(one[name] - before[name])
            assert apart["low"] <= apart["value"] <= apart["high"]


def test_stuffed_papers_move_to_the_class_of_their_keywords(report: dict[str, Any]) -> None:
    once, twice = (report["changes"][name]["moved"] for name in changes.STUFFINGS)
    assert once["before"] == twice["before"]
    assert once["after"] > once["before"] + 0.05
    assert twice["after"] > once["after"]
    assert once["confidently"] <= once["after"]


def test_another_language_is_noticed(report: dict[str, Any]) -> None:
    figures_of_change = report["changes"][run.LANGUAGE]["language"]
    assert figures_of_change["marked_before"] < 0.1
    assert figures_of_change["marked_after"] > 0.9
    assert 0.3 < figures_of_change["words"] < 0.9


def test_a_year_with_too_few_papers_is_left_out_with_a_reason(
    home: Path, report: dict[str, Any]
) -> None:
    assert list(report["years"]) == list(report["years_trained"]) == ["2015"]
    assert report["years_trained"]["2015"] >= ageing.TRAINED
    assert "500 are needed" in report["years_left_out"]["2012"]
    page = (home / "reports" / "quick-robustness" / "README.md").read_text(encoding="utf-8")
    assert "2012 is left out" in page
    assert "| to 2015 |" in page


def test_training_papers_precede_validation_and_test_papers(parts: splits.Splits) -> None:
    pool = ageing.Pool.of(parts, with_test=False).papers
    assert pool.num_rows == parts.read("train").num_rows + parts.read("validation").num_rows
    assert (
        ageing.Pool.of(parts, with_test=True).papers.num_rows
        == pool.num_rows + parts.read("test").num_rows
    )
    result = ageing.split_by_year(pool, 2014)
    assert sum(part.num_rows for part in result.values()) == pool.num_rows
    spans = [pc.min_max(result[name]["submitted"]).as_py() for name in splits.SPLITS]
    assert spans[0]["max"] < spans[1]["min"]
    assert spans[1]["max"].year == 2014
    assert spans[2]["min"].year == 2015
    share = result["validation"].num_rows / (pool.num_rows - result["test"].num_rows)
    assert 0.08 < share < 0.12
    later = ageing.sample_later_years(result["test"], 2014, 120, 7)
    assert list(later) == [2015, 2016, 2017, 2018]
    assert all(table.num_rows <= 120 for table in later.values())


def test_a_model_of_an_earlier_year_has_the_configuration_and_leaves_nothing(
    model: artifact.Model, parts: splits.Splits, home: Path
) -> None:
    pool = ageing.Pool.of(parts, with_test=False)
    before = sorted(home.rglob("*"))
    by_year = ageing.split_by_year(pool.papers, 2016)
    made = ageing.train_until(model, parts, by_year, pool.outside, 2016)
    assert sorted(home.rglob("*")) == before
    for section in ("features", "model", "predict"):
        assert made.card.config[section] == model.card.config[section]
    assert made.card.config["data"]["labels"] == model.card.config["data"]["labels"]
    assert made.card.config["data"]["cuts"]["test"] == "2017-01-01"
    assert made.classes == model.classes


def test_the_same_seed_makes_the_same_report(
    model: artifact.Model, parts: splits.Splits, report: dict[str, Any]
) -> None:
    sample = figures.make_sample(model, parts.read("validation"))
    again = run.measure_changes(model, parts, sample, 7)
    assert again == {name: report[name] for name in ("as_is", "changes")}


def test_the_number_of_papers_is_limited_and_years_are_optional(home: Path, tmp_path: Path) -> None:
    few = run.measure_robustness(home / "models" / "quick", tmp_path, papers=20)
    assert few["papers"] == sum(one["papers"] for one in few["as_is"]["classes"].values()) == 20
    assert few["years"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["quick-robustness"]


def test_the_interval_covers_a_known_difference() -> None:
    chance = np.random.default_rng(0)
    covered = 0
    for _ in range(8):
        truth = np.zeros(300, np.int64)
        sample = Sample(["a", "b"], [("", "")] * 300, truth)
        before = Predictions((chance.random(300) > 0.8).astype(np.int64), np.ones(300, bool))
        # A tenth of the right answers goes wrong: 8 points.
        gone = (before.labels == 0) & (chance.random(300) < 0.1)
        after = Predictions(np.where(gone, 1, before.labels), np.zeros(300, bool))
        resampled = [
            figures.score(sample, before, rows) for rows in figures.resample_rows(sample, 3)
        ]
        effects = figures.compare(sample, before, after, 3, resampled)
        accuracy, abstained = effects["accuracy"], effects["abstained"]
        assert accuracy is not None
        assert abstained == {"value": 1, "low": 1, "high": 1}
        assert effects["confident_precision"] is None
        # Paired: unpaired it would be twice as wide.
        assert accuracy["high"] - accuracy["low"] < 0.08
        covered += accuracy["low"] <= -0.08 <= accuracy["high"]
    assert covered >= 6


def test_labels_without_papers_do_not_count() -> None:
    truth, given = np.array([0, 0, 1, 1, 3]), np.array([0, 2, 1, 1, 0])
    sample = Sample(["a", "b", "c", "d"], [("", "")] * 5, truth)
    predictions = Predictions(given, np.zeros(5, bool))
    scores = figures.score(sample, predictions)
    known = f1_score(truth, given, labels=[0, 1, 3], average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(known)
    assert scores["confident_precision"] is None
    assert scores["abstained"] == 1
    assert set(figures.score_classes(sample, predictions)) == {"a", "b", "d"}


def test_a_label_that_the_model_does_not_know_is_always_wrong(model: artifact.Model) -> None:
    table = pa.table({"title": ["a", "b"], "abstract": ["", ""], "label": ["hep-th", "cs.RO"]})
    sample = figures.make_sample(model, table)
    assert sample.names == [*model.classes, "hep-th"]
    assert sample.truth.tolist() == [len(model.classes), model.classes.index("cs.RO")]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"split": "tset"}, "no split 'tset'; there are train, validation, test"),
        ({"papers": 0}, "--papers: 0: should be a whole number from 1"),
        ({"seed": -1}, "--seed: -1: should be a whole number from 0"),
        ({"years": "2013,soon"}, "--years: 'soon' is no year"),
        ({"years": "1985"}, "--years: 1985: the papers are of 2012 to 2019"),
        ({"years": "2019"}, "2012 to 2018 have papers before and after"),
    ],
)
def test_a_mistake_leaves_no_report(
    home: Path, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ShelfmarkError, match=said):
        run.measure_robustness(home / "models" / "quick", tmp_path, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(ShelfmarkError, match="cannot write .*quick-robustness"):
        run.measure_robustness(home / "models" / "quick", tmp_path / "reports", papers=5)


def test_a_killed_run_leaves_the_previous_report(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "made-up-robustness"
    brief = {"years": None}
    run.write_report(made_up(2) | brief, folder)
    last = (folder / "metrics.json").read_bytes()
    (tmp_path / "next.json").write_bytes(orjson.dumps(made_up(3) | brief))
    code = f"""
import os, signal, orjson
from pathlib import Path
from shelfmark.experiments.robustness import charts, run
charts.draw_classes = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
run.write_report(orjson.loads(Path("next.json").read_bytes()), Path({str(folder)!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (folder / "metrics.json").read_bytes() == last
    assert len(list(folder.parent.iterdir())) == 2  # what was half-written, until the next run
    run.write_report(made_up(3) | brief, folder)
    assert list(folder.parent.iterdir()) == [folder]
    assert (folder / "metrics.json").read_bytes() != last


def test_the_command(home: Path, tmp_path: Path) -> None:
    options = ["--models", str(home / "models"), "--model", "quick"]
    data = artifact.read_card(home / "models" / "quick").data.folder
    assert Path(data).is_absolute()
    done = inv("robustness", *options, "--papers", "30", "--split", "test", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quick: 30 papers of the test split (synthetic)" in done.stdout
    assert all(name.split()[0] in done.stdout for name in NAMES)
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["quick-robustness"]


def test_the_summary_fits_a_terminal_without_a_broken_number() -> None:
    table, _ = report_page.summary_tables(made_up(3))
    names, *numbers = zip(table.columns, *table.rows, strict=True)
    widths = [max(len(line) for cell in cells for line in cell.split("\n")) for cells in numbers]
    longest_word = max(len(word) for name in names for word in name.split())
    borders = 3 * len(table.columns) + 1
    assert longest_word + sum(widths) + borders <= 80


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no model in .*none: train one with shelfmark train"):
        run.measure_robustness(tmp_path / "none", tmp_path / "reports")
    assert list(tmp_path.iterdir()) == []


def made_up(count: int) -> dict[str, Any]:
    """Return a report of so many classes, of which no answer to stuffed papers is confident."""
    chance = np.random.default_rng(0)
    labels = list(taxonomy.CATEGORIES)[:count]

    def some(sure: bool = True) -> dict[str, Any]:
        low, mid, high = sorted(chance.normal(-0.1, 0.05, 3).tolist())
        apart = {"value": mid, "low": low, "high": high}
        return {
            **{name: float(chance.random()) for name in figures.FIGURES},
            "confident_precision": 0.9 if sure else None,
            "difference": {
                **dict.fromkeys(figures.FIGURES, apart),
                "confident_precision": apart if sure else None,
            },
            "touched": 0.4,
            "classes": {
                label: {"recall": 0.5, "f1": float(chance.random()), "papers": 30 + number}
                for number, label in enumerate(labels)
            },
        }

    result = {name: some(name not in changes.STUFFINGS) for name in NAMES}
    for name in changes.STUFFINGS:
        result[name]["moved"] = {"before": 0.1, "after": 0.3, "confidently": 0.2}
    result[run.LANGUAGE]["language"] = {
        "words": 0.5, "marked_before": 0.0, "marked_after": 1.0,
    }  # fmt: skip
    row = {"accuracy": 0.8, "macro_f1": 0.7, "abstained": 0.3, "papers": 100}
    row |= {"confident_precision": None}
    return {
        "model": "made-up", "split": "validation", "synthetic": True, "papers": 9, "command": "x",
        "created": "2026-01-01T00:00:00+00:00",
        "as_is": some(), "changes": result, "years_left_out": {},
        "years": {"2013": {"2014": row, "2015": row}, "2014": {"2015": row}},
        "years_trained": {"2013": 500, "2014": 600},
    }  # fmt: skip


@pytest.mark.parametrize("count", [2, 149])
def test_every_picture_is_an_image_that_fits_a_screen(count: int, tmp_path: Path) -> None:
    names = charts.draw_all(made_up(count), tmp_path, "big-robustness")
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        image = matplotlib.image.imread(tmp_path / name)
        assert image[..., :3].std() > 0.01, f"{name} is blank"
        assert 500 < image.shape[1] < 2100
        assert 300 < image.shape[0] < 1500


def test_a_page_names_the_classes_that_lose_most_and_leaves_missing_figures_empty() -> None:
    report = made_up(149)
    page = report_page.render_report(report, ["changes.png"])
    before, after = (one["classes"] for one in (report["as_is"], report["changes"]["typos"]))
    worst = min(before, key=lambda label: after[label]["f1"] - before[label]["f1"])
    (row,) = [line for line in page.splitlines() if line.startswith(f"| typos | {worst} (")]
    assert row.count(";") == report_page.HURT - 1
    (row,) = [line for line in page.splitlines() if line.startswith("| keyword stuffing | 0.")]
    assert row.endswith("|  | 0.0000 |")
    assert "None" not in page
