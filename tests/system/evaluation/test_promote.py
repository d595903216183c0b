"""Promotion: a model that fails a check is refused, and the alias changes in one step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest

from shelfmark.artifacts.aliases import Alias, Pin
from shelfmark.core import files
from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import behaviour, promote
from shelfmark.models import artifact, registry
from tests.conftest import ROOT

Change = Callable[[dict[str, Any]], None]


def copied(home: Path, models: Path, name: str, change: Change | None = None) -> Path:
    """Copy the trained model under another name, its card changed."""
    folder = models / name
    shutil.copytree(home / "models" / "quick", folder)
    card = orjson.loads((folder / artifact.CARD).read_bytes())
    card["name"] = name
    if change is not None:
        change(card)
    (folder / artifact.CARD).write_bytes(orjson.dumps(card))
    return folder


def figures(**changed: float) -> Change:
    def change(card: dict[str, Any]) -> None:
        card["metrics"]["validation"] |= changed

    return change


MEASURE = promote._seconds


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """The time that each version takes for one paper, as the promotion measures it, by turns."""
    times: dict[str, list[float]] = {}

    def measure(model: artifact.Model, text: str) -> float:
        assert model.probabilities([text])[0].shape[0] == 1
        left = times.get(model.version) or [0.001]
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(promote, "_seconds", measure)
    return times


@pytest.fixture
def models(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two equal models, a and b; a is in use."""
    monkeypatch.chdir(home)  # the splits of a card are relative to where it was trained
    folder = tmp_path / "models"
    copied(home, folder, "a")
    copied(home, folder, "b")
    point_at(folder, "a")
    return folder


def point_at(models: Path, version: str) -> None:
    """Point the alias at a version as it is now."""
    Alias(str(models)).point_at(version, artifact.read_card(models / version).digest)


def promoted(models: Path, version: str, **options: Any) -> bool:
    reports = models.parent / "reports"
    return promote.promote_version(version, str(models), reports=reports, **options).passed


def digest(models: Path, version: str) -> str:
    return artifact.read_card(models / version).digest


def in_use(models: Path | str) -> str | None:
    return Alias(str(models)).version()


def page(models: Path, version: str) -> str:
    return (models.parent / "reports" / f"{version}-promotion" / "README.md").read_text()


def test_a_model_as_good_takes_the_alias_and_the_service_loads_it(models: Path) -> None:
    assert promoted(models, "b")
    assert in_use(models) == "b"
    there = registry.Registry(str(models))
    assert there.open("production").version == "b"
    assert there.pin("production") == there.pin("b") == Pin("b", digest(models, "b"))
    report = page(models, "b")
    assert "In use: a. Every check passed. Its papers are synthetic" in report
    for name in ("digests", "the card", "accuracy", "macro F1", "time for one paper"):
        assert f"| {name} | passed |" in report


def test_a_version_that_takes_more_than_twice_the_time_is_not_promoted(
    models: Path, seconds: dict[str, list[float]]
) -> None:
    seconds["a"], seconds["b"] = [0.004, 0.002, 0.005], [0.007, 0.0041]
    assert not promoted(models, "b")
    assert in_use(models) == "a"
    row = "| time for one paper | FAILED | 4.1 ms, 2.05 of the one in use, at most 2.0 |"
    assert row in page(models, "b")


def test_the_time_of_a_model_is_measured(model: artifact.Model) -> None:
    assert MEASURE(model, "a robot arm") > 0


def test_the_shortest_time_counts_whatever_else_runs(
    models: Path, seconds: dict[str, list[float]]
) -> None:
    seconds["a"], seconds["b"] = [0.002], [*[0.9] * 39, 0.0039]
    assert promoted(models, "b")


def test_the_first_promotion_has_nothing_to_compare_with(home: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    copied(home, models, "a")
    artifact.point_latest_at(models / "a")
    assert promoted(models, "latest")
    assert in_use(models) == "a"
    assert "nothing is in use to compare with" in page(models, "a")


def test_going_back_is_one_step_and_may_be_repeated(models: Path, home: Path) -> None:
    copied(home, models, "c")
    assert promoted(models, "b")
    assert promoted(models, "c")
    assert promote.roll_back(str(models)) == "b"
    assert promote.roll_back(str(models)) == "a"
    with pytest.raises(ShelfmarkError, match="has named no other version before"):
        promote.roll_back(str(models))
    assert promoted(models, "c")
    assert promote.roll_back(str(models)) == "a"
    entries = Alias(str(models)).history()
    assert [entry.version for entry in entries] == ["a", "b", "c", "b", "a", "c", "a"]


def test_a_promotion_killed_between_its_two_steps_does_not_mislead_the_way_back(
    models: Path,
) -> None:
    assert promoted(models, "b")
    history = models / "production.history.json"
    entries = orjson.loads(history.read_bytes())
    history.write_bytes(orjson.dumps([*entries, {"version": "c", "at": "now", "back": False}]))
    assert promote.roll_back(str(models)) == "a"


def test_a_version_that_is_gone_is_not_gone_back_to(models: Path) -> None:
    assert promoted(models, "b")
    shutil.rmtree(models / "a")
    with pytest.raises(ShelfmarkError, match="no model in"):
        promote.roll_back(str(models))
    assert in_use(models) == "b"


def test_checking_only_changes_nothing(models: Path) -> None:
    assert promoted(models, "b", dry_run=True)
    assert in_use(models) == "a"


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (figures(accuracy=0.1), "| accuracy | FAILED | 0.1000, in use 0."),
        (figures(macro_f1=0.1), "| macro F1 | FAILED |"),
        (figures(log_loss=9.0), "| log loss | FAILED | 9.0000"),
        (figures(calibration_error=0.9), "| calibration error | FAILED |"),
        (lambda card: card.pop("listed"), "| the card | FAILED | lacks listed |"),
        (
            lambda card: card["classes"][0].update(name="Alchemy"),
            "has another name in the taxonomy",
        ),
        (
            lambda card: card["metrics"]["validation"].pop("log_loss"),
            "metrics.validation lacks log_loss",
        ),
    ],
)
def test_a_check_that_fails_leaves_the_alias_where_it_is(
    models: Path, home: Path, change: Change, failed: str
) -> None:
    copied(home, models, "c", change)
    assert not promoted(models, "c")
    assert in_use(models) == "a"
    assert failed in page(models, "c")
    assert "Not promoted." in page(models, "c")


def test_worse_figures_pass_by_force_and_a_little_worse_by_themselves(
    models: Path, home: Path
) -> None:
    now = artifact.read_card(models / "a").metrics["validation"]["accuracy"]
    copied(home, models, "c", figures(accuracy=now - 0.004))
    assert promoted(models, "c")
    copied(home, models, "d", figures(accuracy=0.1))
    assert promoted(models, "d", force=True)
    assert "accepted by --force" in page(models, "d")
    assert in_use(models) == "d"


def other_papers(card: dict[str, Any]) -> None:
    card["data"] |= {"card_sha256": "0" * 64, "folder": "nowhere"}


def test_figures_on_other_papers_are_measured_again_or_not_compared(
    models: Path, home: Path
) -> None:
    # The version in use has figures of other papers; those of the new one are here.
    def old(card: dict[str, Any]) -> None:
        other_papers(card)
        card["metrics"]["validation"]["accuracy"] = 0.999

    copied(home, models, "old", old)
    point_at(models, "old")
    now = artifact.read_card(models / "b").metrics["validation"]["accuracy"]
    assert promoted(models, "b")
    assert f"| accuracy | passed | {now:.4f}, in use {now:.4f}" in page(models, "b")
    copied(home, models, "c", other_papers)
    assert not promoted(models, "c")
    assert "not comparable: other papers, and those of the new version are missing" in page(
        models, "c"
    )
    assert promoted(models, "c", force=True)


def test_a_damaged_version_is_one_line(models: Path) -> None:
    with (models / "b" / "pipeline.pkl").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ShelfmarkError, match="not the file its card names"):
        promoted(models, "b")
    assert in_use(models) == "a"


@pytest.mark.parametrize(
    ("version", "options", "line"),
    [
        ("nothing", {}, "no model in"),
        ("../b", {}, "../b: not the name of a version"),
        ("production", {}, "production is the alias itself"),
        ("b", {"alias": "a/b"}, "--alias a/b: not a name"),
        ("b", {"alias": "a"}, "a is a version itself, no alias: choose another --alias"),
        ("b", {"source": "elsewhere"}, "--source is for a bucket"),
    ],
)
def test_a_mistake_is_one_line(
    models: Path, version: str, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        promoted(models, version, **options)
    assert line in str(raised.value)
    assert in_use(models) == "a"


def test_a_model_that_fails_to_behave_is_kept_out(model: artifact.Model) -> None:
    assert all(check.passed for check in behaviour.check_behaviour(model)), (
        behaviour.check_behaviour(model)
    )
    # One that answers by the case of letters, sure of everything, and by its place in a list.
    flaws = {
        check.name: check
        for check in behaviour.check_behaviour(_Flawed(model.classifier, model.card))
    }
    assert not flaws["what carries no meaning changes nothing"].passed
    assert not flaws["probabilities sum to 1, of short and long texts"].passed
    assert not flaws["the same answer alone and in a list"].passed
    assert not flaws["papers of a class's own words are put in it"].passed
    assert not flaws["no text, no confident answer"].passed
    assert not flaws["explanations add up to the answer"].passed


class _Flawed(artifact.Model):
    """Answers by the number of capitals and by the place in the list."""

    def probabilities(self, texts: list[str]) -> tuple[Floats, Floats]:
        classes, lists = super().probabilities(texts)
        classes[:] = 0.001
        classes[:, 0] = [
            2 + place + sum(map(str.isupper, text)) / 10 for place, text in enumerate(texts)
        ]
        return classes, lists


def test_a_bucket_is_served_what_is_promoted_into_it(home: Path, tmp_path: Path, gcs: str) -> None:
    local = tmp_path / "local"
    copied(home, local, "a")
    copied(home, local, "b")
    models = f"{gcs}/models"
    reports = tmp_path / "reports"
    for version in ("a", "b"):
        assert promote.promote_version(version, models, source=str(local), reports=reports).passed
        assert in_use(models) == version
        there = registry.Registry(models)
        assert there.open(there.pin("production").version).version == version
    system, root = fsspec.core.url_to_fs(models, token="anon")
    system.invalidate_cache()
    for path in (local / "b").iterdir():
        assert system.cat_file(f"{root}/b/{path.name}") == path.read_bytes()
    assert promote.roll_back(models) == "a"
    assert registry.Registry(models).open("production").version == "a"
    copied(home, tmp_path / "other", "a", figures(accuracy=0.99))
    with pytest.raises(ShelfmarkError, match="is another model of the same name"):
        registry.upload_version(tmp_path / "other" / "a", models)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_the_card_does_not_name_is_not_uploaded(home: Path, tmp_path: Path, gcs: str) -> None:
    folder = copied(home, tmp_path, "strange")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (folder / "linked").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    registry.upload_version(folder, f"{gcs}/models")
    system, root = fsspec.core.url_to_fs(f"{gcs}/models/strange", token="anon")
    system.invalidate_cache()
    uploaded = {Path(path).name for path in system.find(root)}
    assert uploaded == {*artifact.read_card(folder).files, artifact.CARD}


def test_a_version_whose_card_has_another_name_is_not_promoted(models: Path) -> None:
    path = models / "b" / artifact.CARD
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"name": "a"}))
    with pytest.raises(ShelfmarkError, match="b: its card has the name a; train again"):
        promote.promote_version("b", str(models))
    assert in_use(str(models)) == "a"


def test_what_is_promoted_is_what_was_checked(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = registry.Registry.open

    def replaced(own: registry.Registry, version: str, digest: str = "") -> artifact.Model:
        path = models / "b" / artifact.CARD
        path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"key": "another"}))
        return opened(own, version, digest)

    monkeypatch.setattr(registry.Registry, "open", replaced)
    with pytest.raises(ShelfmarkError, match="b is another model now"):
        promote.promote_version("b", str(models))


def test_a_version_in_use_without_figures_cannot_be_compared(home: Path, models: Path) -> None:
    def without(card: dict[str, Any]) -> None:
        card["metrics"] = {}

    copied(home, models, "c", without)
    point = Alias(str(models))
    point.point_at("c", digest(models, "c"))
    checks = promote.promote_version("b", str(models), dry_run=True).checks
    unknown = [check for check in checks if check.detail == "unknown of the version in use"]
    assert len(unknown) == len(promote.TOLERANCES)
    assert not any(check.passed for check in unknown)


def test_the_commands(models: Path, tmp_path: Path) -> None:
    def inv(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "promote", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = inv("b")
    assert done.returncode == 0, done.stderr
    assert "b, in use: a" in done.stdout
    assert in_use(models) == "b"
    done = inv("--back")
    assert (done.returncode, done.stdout) == (0, "a\n"), done.stderr
    done = inv()
    assert done.returncode == 1
    assert done.stderr == "error: name the version, promote VERSION, or go back, promote --back\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links")
def test_the_alias_is_never_missing_while_it_changes(models: Path) -> None:
    alias = Alias(str(models))
    for turn in range(50):
        alias.point_at(version := "ab"[turn % 2], digest(models, version))
        assert not list(models.glob(f"{files.PARTIAL}*"))
        assert (models / "production" / artifact.CARD).is_file()
