"""The report: written from small real runs of the commands, and checked against its figures."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

from shelfmark.config.load import load_drift_config
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import charts
from shelfmark.evaluation.encoders.run import write_report as write_record
from shelfmark.experiments.benchmarks.load import LoadTest, PhaseFigures
from shelfmark.monitoring import detect
from shelfmark.reports import write as report
from shelfmark.reports.check import check_report
from shelfmark.reports.collect import EVALUATION_PICTURES
from shelfmark.reports.write import render_html, write_report
from tests.support.encoder_record import encoder_record
from tests.support.moments import PATIENCE
from tests.system.test_tasks import inv

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "reports" / "report.py"
TRAIN = ["train", "experiment=fast", "data.options.papers=1500", "data.min_papers=20",
         "model.rounds=5", "model.n_jobs=1", "name=tiny"]  # fmt: skip
ROBUST: dict[str, Any] = {
    "kind": "robustness", "model": "tiny", "split": "validation", "synthetic": True, "papers": 136,
    "command": "uv run inv robustness --model tiny", "created": "2026-11-22T10:00:00+00:00",
    "as_is": {"accuracy": 0.71, "macro_f1": 0.7, "abstained": 0.3, "confident_precision": 0.91},
    "changes": {
        "typos": {
            "accuracy": 0.65, "macro_f1": 0.6, "abstained": 0.4, "confident_precision": None,
            "difference": {"accuracy": {"value": -0.06, "low": -0.0912, "high": 0.01}},
        }
    },
    "years": {"2013": {"2014": {"accuracy": 0.5123, "macro_f1": 0.5, "abstained": 0.4,
                                "papers": 1234}}},
}  # fmt: skip


def script(what: str, reports: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), what, "--reports", str(reports)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of each kind, and the report of them."""
    folder = tmp_path_factory.mktemp("work")
    for words in (TRAIN, ["evaluate", "--model", "tiny"]):
        done = inv(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
    reports = folder / "reports"
    card = orjson.loads((folder / "models" / "tiny" / "card.json").read_bytes())
    # As the commands find them, which run in this folder; of some labels alone, which is drift.
    whole = pq.read_table(folder / card["data"]["folder"] / "test.parquet")
    some = sorted(set(whole["label"].to_pylist()))[::2]
    pq.write_table(whole.filter(pc.is_in(whole["label"], pa.array(some))), folder / "new.parquet")
    detect.detect_drift(
        folder / "models" / "tiny",
        reports,
        load_drift_config(["level=0.9", "min_papers=20"]),
        papers=str(folder / "new.parquet"),
    )
    times = np.linspace(5.0, 50.0, 2500)
    phases = {
        name: PhaseFigures(times, 2500, 2.0, 0, "", 0.2, [150.0, 151.0, 152.0])
        for name in ("health", "predict", "lists of 64")
    }
    about = {
        "model": "tiny", "synthetic": True, "command": "uv run inv load-test", "users": 32,
        "created": "2026-11-22T10:00:00+00:00", "seconds_a_phase": 30.0, "workers": 1,
    }  # fmt: skip
    LoadTest("tiny", phases).write(about, reports / "tiny-load")
    write_record(encoder_record(), reports)
    (reports / "tiny-robustness").mkdir()
    (reports / "tiny-robustness" / "metrics.json").write_bytes(orjson.dumps(ROBUST))
    done = inv("report", "--models", "tiny", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def reports(work: Path, tmp_path: Path) -> Path:
    """What git keeps of the report, in a folder of its own."""
    shutil.copytree(work / "reports" / "figures", tmp_path / "figures")
    shutil.copy(work / "reports" / "README.md", tmp_path)
    return tmp_path


def page_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the figures of the evaluation."""
    file = folder / "metrics.json"
    figures = orjson.loads(file.read_bytes())
    change(figures)
    file.write_bytes(orjson.dumps(figures))


def test_the_page_shows_every_run(work: Path) -> None:
    page = page_of(work / "reports")
    figures = orjson.loads((work / "reports" / "tiny-test" / "metrics.json").read_bytes())
    card = orjson.loads((work / "models" / "tiny" / "card.json").read_bytes())
    assert f"| `tiny` (synthetic papers) | 149 | {figures['accuracy']:.4f} |" in page
    linear = figures["baselines"]["linear SVM"]["accuracy"]
    assert f"| `linear SVM`, baseline of `tiny` |  | {linear:.4f} |" in page
    assert f" {sum(card['seconds'].values()):,.0f} |" in page
    for label, one in figures["per_class"].items():
        assert f"| `{label}` |" in page
        assert f"| {one['f1']:.3f} | {one['papers']} |" in page
    assert "| `duplicate text` | 7 |" in page
    assert "![confusion of tiny](figures/tiny-test/confusion.png)" in page
    assert "![reliability of tiny](figures/tiny-test/reliability.png)" in page
    assert "| `2013`, `2014` | 1,234 | 0.5123 | 0.5000 | 0.4000 |" in page
    assert "| `typos` | 0.6500 | 0.6000 | 0.4000 |  | -0.060 (-0.091 to +0.010) |" in page
    assert "| `predict` | 1,250 | 1,250 |" in page
    for title in ("Drift", "Robustness", "Load test", "Encoders", "Most confused pairs"):
        assert f"# {title}\n" in page
    assert "Missing" not in page
    assert "| `predicted categories` | Predicted categories changed: " in page
    assert "They say nothing about real ones" in page


def test_each_section_names_the_command_that_made_it(work: Path) -> None:
    page = page_of(work / "reports")
    shown = [f"{' '.join(words)}`" for words in (TRAIN, ["evaluate", "--model", "tiny"])]
    for words in [*shown, "inv robustness --model tiny`", "inv load-test`"]:
        assert re.search(rf"Made by `uv run inv .*{re.escape(words.removeprefix('inv '))}", page)
    sections = page.split("\n## ")[1:]
    assert len(sections) == 7
    assert all("Made by" in section for section in sections)
    assert "inv --search-root" in page.split("## Data")[0]  # what wrote it, as the test typed it


def test_the_committed_files_are_small_and_contain_no_paper(work: Path) -> None:
    folder = work / "reports" / "figures"
    files = sorted(str(x.relative_to(folder)) for x in folder.glob("*/*"))
    (data,) = [x for x in files if x.startswith("data-sample-")]
    assert files == sorted([
        data, "drift/metrics.json", "static-test-encoders/metrics.json",
        "static-test-encoders/quality.png", "tiny-load/metrics.json",
        "tiny-robustness/metrics.json", "tiny-test/metrics.json",
        *(f"tiny-test/{name}" for name in EVALUATION_PICTURES),
        "tiny-training/metrics.json",
    ])  # fmt: skip
    assert sum(x.stat().st_size for x in folder.glob("*/*")) < 200_000
    whole = work / "reports" / "tiny-test" / "confusion.png"
    assert (folder / "tiny-test" / "confusion.png").stat().st_size < whole.stat().st_size / 2
    assert "examples" not in orjson.loads((folder / "drift" / "metrics.json").read_bytes())


def test_a_fresh_clone_passes_the_check(reports: Path) -> None:
    done = script("check", reports)
    assert (done.returncode, done.stdout) == (0, "every figure holds\n"), done.stderr


def test_one_wrong_digit_is_found(reports: Path) -> None:
    lines = page_of(reports).split("\n")
    tried, missed = 0, []
    for number, line in enumerate(lines):
        if line.startswith(("#", "<!--", "![")):
            continue
        bare = re.sub(r"`[^`]*`", lambda match: "x" * len(match[0]), line)
        for match in list(re.finditer(r"(?<![\w-])\d[\d,.]*", bare))[number % 4 :: 4]:
            last = max(x for x in range(*match.span()) if line[x].isdigit())
            wrong = f"{line[:last]}{(int(line[last]) + 1) % 10}{line[last + 1 :]}"
            (reports / "README.md").write_text(
                "\n".join([*lines[:number], wrong, *lines[number + 1 :]]), encoding="utf-8"
            )
            tried += 1
            if not any(f"README.md:{number + 1}:" in x for x in check_report(reports)):
                missed.append(wrong)
    assert tried > 40
    # 0.8125 is both 0.812 and 0.813; a sentence has some numbers, of which one may be another.
    assert len(missed) <= tried // 20, missed


def test_a_typed_number_without_a_source_is_found(reports: Path) -> None:
    with (reports / "README.md").open("a", encoding="utf-8") as page:
        page.write("\n## Mine\n\nIt reaches 0.99 on [12 papers](x.md), `0.98` and cs.AI-7.\n")
    done = script("check", reports)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.endswith("0.99 is not among the figures that its mark names")


def test_a_missing_picture_is_found(reports: Path) -> None:
    (reports / "figures" / "tiny-test" / "confusion.png").unlink()
    (line,) = check_report(reports)
    assert "confusion.png: it or its metrics.json is missing" in line
    done = script("html", reports)
    assert done.returncode == 1
    assert "confusion.png is missing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (reports / "report.html").exists()


@pytest.mark.parametrize(
    ("created", "result"),
    [
        ("2099-01-01T00:00:00+00:00", "it is older than its figures"),
        ("2001-01-01T00:00:00+00:00", "it is newer than its figures"),
    ],
)
def test_a_picture_of_other_figures_is_found(reports: Path, created: str, result: str) -> None:
    rewritten(reports / "figures" / "tiny-test", lambda figures: figures.update(created=created))
    lines = [x for x in check_report(reports) if ".png" in x]
    assert len(lines) == len(EVALUATION_PICTURES)
    assert all(result in line for line in lines)


def test_a_picture_of_another_run_is_found(reports: Path) -> None:
    folder = reports / "figures" / "tiny-test"
    folder.rename(folder.with_name("other-test"))
    page = page_of(reports).replace("tiny-test", "other-test")
    (reports / "README.md").write_text(page, encoding="utf-8")
    lines = check_report(reports)
    assert len(lines) == len(EVALUATION_PICTURES)
    assert all("it shows tiny-test, not other-test" in line for line in lines)


def test_figures_that_are_gone_are_found(reports: Path) -> None:
    shutil.rmtree(reports / "figures" / "drift")
    assert any("there are no figures drift/tests" in x for x in check_report(reports))


def test_a_run_that_was_repeated_is_found(reports: Path) -> None:
    shutil.copytree(reports / "figures" / "tiny-test", reports / "tiny-test")
    assert check_report(reports) == []
    rewritten(reports / "tiny-test", lambda x: x.update(created="2099-01-01T00:00:00+00:00"))
    (line,) = check_report(reports)
    assert "tiny-test/metrics.json is newer" in line.replace("\\", "/")


def test_the_committed_page_passes_the_check(tmp_path: Path) -> None:
    # Without the runs beside it, which may be newer on the machine that makes them.
    shutil.copy(ROOT / "reports" / "README.md", tmp_path)
    if (ROOT / "reports" / "figures").exists():
        shutil.copytree(ROOT / "reports" / "figures", tmp_path / "figures")
    assert check_report(tmp_path) == []


def test_the_html_page_contains_everything(reports: Path) -> None:
    done = script("html", reports)
    assert done.returncode == 0, done.stderr
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 1 + len(EVALUATION_PICTURES)
    assert not re.search(r'<script|<link|(?:src|href)="(?!data:|https://)|<!--|url\(', page)
    assert page.count("<table>") == page.count('<div class="scroll"') > 8


def test_no_picture_outside_the_folder_is_embedded(reports: Path, tmp_path: Path) -> None:
    (tmp_path.parent / "secret.png").write_bytes(b"secret")
    with pytest.raises(ShelfmarkError, match="is missing"):
        render_html("![x](../secret.png)", tmp_path)


def test_no_runs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ShelfmarkError, match="no run to report in .*shelfmark train, shelfmark evaluate"
    ):
        write_report(tmp_path, tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []
    done = script("check", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no report in")


def test_a_model_without_an_evaluation_is_named(work: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no evaluation of tinny on .* did you mean tiny?"):
        write_report(work / "reports", work / "models", work / "data", ["tinny"])


def test_a_missing_kind_of_run_is_listed_with_its_command(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "reports" / "tiny-test", tmp_path / "tiny-test")
    # Neither the model nor its splits are there any more.
    write_report(tmp_path, tmp_path / "models", tmp_path / "data")
    page = page_of(tmp_path)
    missing = page.split("## Missing")[1]
    assert re.findall("- No (.*?) yet", missing) == [
        "comparison with new papers", "measurement of robustness", "load test",
        "evaluation of encoders",
    ]  # fmt: skip
    assert "`shelfmark robustness --model tiny`" in missing
    assert "## Drift" not in page
    assert check_report(tmp_path) == []


def test_a_long_table_is_folded_and_still_checked(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_ROWS", 3)
    shutil.copytree(work / "reports" / "tiny-test", tmp_path / "tiny-test")
    write_report(tmp_path, work / "models", work / "data")
    page = page_of(tmp_path)
    assert page.count("<details>") == page.count("</details>") == 2
    html = render_html(page, tmp_path)
    assert re.search("<summary>Papers per label</summary>\\s*<div class=.scroll", html)
    assert check_report(tmp_path) == []
    page = page.replace("<summary>Scores", "<summary>0.123 Scores")
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    assert len(check_report(tmp_path)) == 1


def test_pictures_of_other_runs_are_left_out(
    work: Path, tmp_path: Path, log: Callable[[], str]
) -> None:
    folder = shutil.copytree(work / "reports" / "tiny-test", tmp_path / "tiny-test")
    rewritten(Path(folder), lambda figures: figures.update(created="2099-01-01T00:00:00+00:00"))
    write_report(tmp_path, work / "models", work / "data")
    assert "![" not in page_of(tmp_path)
    assert log().count("does not show the figures beside it") == len(EVALUATION_PICTURES)


@pytest.mark.parametrize("shown", [True, False])
def test_a_picture_is_shown_if_it_is_marked_with_the_run(
    work: Path, tmp_path: Path, shown: bool
) -> None:
    shutil.copytree(work / "reports" / "tiny-robustness", tmp_path / "tiny-robustness")
    picture = tmp_path / "tiny-robustness" / "years.png"
    if shown:
        charts.save_figure(Figure(figsize=(1, 1)), picture, "tiny-robustness", ROBUST["created"])
    else:
        Image.new("RGB", (8, 8), "white").save(picture)
    write_report(tmp_path, work / "models", work / "data")
    assert ("![years of tiny](figures/tiny-robustness/years.png)" in page_of(tmp_path)) is shown
    assert check_report(tmp_path) == []


def published_files(folder: Path) -> dict[str, bytes]:
    kept = [folder / "README.md", *(folder / "figures").rglob("*.*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


@pytest.fixture
def clone(work: Path, tmp_path: Path) -> Path:
    """A clone of the project with its report, where one more model was trained and evaluated."""
    shutil.copytree(ROOT / "reports" / "figures", tmp_path / "reports" / "figures")
    shutil.copy(ROOT / "reports" / "README.md", tmp_path / "reports")
    shutil.copytree(work / "reports" / "tiny-test", tmp_path / "reports" / "tiny-test")
    return tmp_path / "reports"


def test_committed_runs_that_are_not_here_stay_in_the_report(work: Path, clone: Path) -> None:
    figures = ROOT / "reports" / "figures"
    before = {path.relative_to(figures): path.read_bytes() for path in figures.rglob("*.*")}
    for names in ((), ("tiny",), ()):
        write_report(clone, work / "models", work / "data", names)
        after = clone / "figures"
        assert {name: (after / name).read_bytes() for name in before} == before
        assert (after / "tiny-test" / "metrics.json").is_file()
        assert check_report(clone) == []
        models = {"five", "twelve", "all"}
        assert all((f"`{name}`" in page_of(clone)) is (not names) for name in models)
        assert "`tiny`" in page_of(clone)


def test_a_model_that_is_not_here_can_be_named(work: Path, clone: Path) -> None:
    write_report(clone, work / "models", work / "data", ("tiny", "five"))
    page = page_of(clone)
    assert page.index("| `tiny`") < page.index("| `five`")
    assert "| `twelve`" not in page
    assert check_report(clone) == []


def test_a_report_through_links(work: Path, reports: Path, tmp_path: Path) -> None:
    """The page and the folder of the figures are links to another folder."""
    away = tmp_path / "away"
    away.mkdir()
    for name in ("README.md", "figures"):
        (reports / name).rename(away / name)
        (reports / name).symlink_to(away / name)
    shutil.copytree(work / "reports" / "tiny-test", reports / "tiny-test")
    (away / "README.md").write_text("old")
    (away / "figures" / "stale").mkdir()
    write_report(reports, work / "models", work / "data")
    assert (reports / "README.md").is_symlink()
    assert (reports / "figures").is_symlink()
    assert page_of(away).startswith("# Reports")
    assert not (away / "figures" / "stale").exists()
    assert check_report(reports) == []


def test_a_failed_report_leaves_the_previous_one(work: Path, reports: Path) -> None:
    before = published_files(reports)
    folder = shutil.copytree(work / "reports" / "tiny-test", reports / "tiny-test")
    (Path(folder) / "metrics.json").write_text('{"kind": "evaluation"')
    with pytest.raises(ShelfmarkError, match="cannot be read"):
        write_report(reports, work / "models", work / "data")
    assert published_files(reports) == before


def test_a_page_that_cannot_be_replaced_restores_the_figures(work: Path, reports: Path) -> None:
    shutil.copytree(work / "reports" / "tiny-test", reports / "tiny-test")
    (reports / "README.md").unlink()
    (reports / "README.md").mkdir()  # which no file can replace
    figures = {path: path.read_bytes() for path in (reports / "figures").rglob("*.*")}
    with pytest.raises(ShelfmarkError, match="cannot write"):
        write_report(reports, work / "models", work / "data")
    assert {path: path.read_bytes() for path in (reports / "figures").rglob("*.*")} == figures
    assert not list(reports.glob(".partial-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
def test_a_killed_report_leaves_the_previous_one(work: Path, reports: Path) -> None:
    shutil.copytree(work / "reports" / "tiny-test", reports / "tiny-test")
    before = published_files(reports)
    code = f"""
import threading
from pathlib import Path
from shelfmark.reports import write
def page(*arguments):  # all figures are gathered, the page is not written
    print("now", flush=True)
    threading.Event().wait()
write.render_report = page
folders = {[str(reports), str(work / "models"), str(work / "data")]!r}
write.write_report(*map(Path, folders))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGKILL)
    assert published_files(reports) == before
    assert list(reports.glob(".partial-*"))
    write_report(reports, work / "models", work / "data")
    assert not list(reports.glob(".partial-*"))
    assert check_report(reports) == []


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("README.md", True),
        ("report.py", True),
        ("figures/five-test/metrics.json", True),
        ("figures/five-test/confusion.png", True),
        ("five-test/metrics.json", False),
        ("report.html", False),
        (".partial-7-report/README.md", False),
    ],
)
def test_git_tracks_the_report_but_not_the_runs(path: str, kept: bool) -> None:
    command = ["git", "check-ignore", "--no-index", f"reports/{path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode > 1:
        pytest.skip("this is no checkout")
    assert done.returncode == (1 if kept else 0)
