"""What a transformer needs: libraries that a command installs, or names in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest

from shelfmark.cli import extras
from shelfmark.config.load import load_config
from shelfmark.core import project
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.families import NEEDS, family_of


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    class Missing(type(family_of("transformer"))):  # type: ignore[misc]
        needs = {"no_such_runtime": "minilm"}  # noqa: RUF012
        fit_needs = {"no_such_library": "transformer"}  # noqa: RUF012

    with pytest.raises(ShelfmarkError) as caught:
        Missing().check_installed()
    assert str(caught.value) == (
        "a model of kind transformer needs no_such_runtime: uv sync --extra minilm"
    )
    with pytest.raises(ShelfmarkError) as caught:
        Missing().check_fit_installed()
    assert str(caught.value) == (
        "a training of kind transformer needs no_such_library: uv sync --extra transformer; "
        "docs/models.md says what that downloads"
    )


def test_the_needs_of_a_kind_are_known_before_its_family_is_imported() -> None:
    for kind, needs in NEEDS.items():
        assert family_of(kind).needs == needs
    assert family_of("transformer").fit_needs["torch"] == "transformer"
    code = "import sys, shelfmark.models.families; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"onnxruntime", "torch", "sklearn"} & {*done.stdout.split()}


def test_a_command_asks_for_what_the_family_of_a_model_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(extras, "require_extra", lambda *pair: asked.append(pair))
    for content in (b"{", b"[]", b'{"config": {"model": {"kind": "other"}}}'):
        (tmp_path / "card.json").write_bytes(content)
        extras.require_family(tmp_path)
    extras.require_family(tmp_path / "missing")
    (tmp_path / "card.json").unlink()
    os.mkfifo(tmp_path / "card.json")  # which nobody writes to
    extras.require_family(tmp_path)
    (tmp_path / "card.json").unlink()
    assert not asked
    stack = {"kind": "boosted", "stack": {"scorers": {"transformer": {"base": "minilm"}}}}
    for section in ({"kind": "transformer"}, stack):
        (tmp_path / "card.json").write_bytes(orjson.dumps({"config": {"model": section}}))
        extras.require_family(tmp_path)
    assert asked == [*NEEDS["transformer"].items()] * 2


@pytest.mark.parametrize("word", ["model=transformer", "model.stack.scorers.transformer.base=tiny"])
def test_opening_a_model_without_its_runtime_is_one_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    folder = shutil.copytree(home / "models" / "quick", tmp_path / "copy")
    card = orjson.loads((folder / "card.json").read_bytes())
    card["config"] = load_config([word]).model_dump(mode="json")
    (folder / "card.json").write_bytes(orjson.dumps(card))
    found = {"onnxruntime": None}
    monkeypatch.setattr(project, "find_spec", lambda name: found.get(name, find_spec(name)))
    with pytest.raises(ShelfmarkError) as caught:
        artifact.load(folder)
    wanted = "a model of kind transformer needs onnxruntime: uv sync --extra minilm"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("word", ["model=transformer", "model.stack.scorers.transformer.base=tiny"])
def test_a_fit_without_pytorch_is_one_line_wherever_it_begins(
    home: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(project, "find_spec", lambda name: None if name == "torch" else 1)
    settings = load_config(["experiment=fast", "model.n_jobs=1", word])
    (folder,) = (home / "data").glob("*/card.json")
    splits = open_splits(folder.parent)
    papers = splits.file("train"), splits.file("validation")
    with pytest.raises(ShelfmarkError, match="a training of kind transformer needs torch"):
        family_of(settings.model.kind).fit(settings, *papers, lambda *_: None)


def test_a_network_in_the_stack_needs_both_families() -> None:
    stack = "model.stack.scorers.transformer"
    plain, both = load_config(), load_config([f"{stack}.base=minilm"])
    assert plain.model.kinds == ("boosted",)
    assert load_config(["model=transformer"]).model.kinds == ("transformer",)
    assert plain.model.network is None
    assert "transformer" not in plain.model.model_dump()["stack"]["scorers"]
    assert both.model.kinds == ("boosted", "transformer")
    assert both.model.network is not None
    assert both.model.network.reads_minilm
    with pytest.raises(ShelfmarkError, match="needs trees, which classifier=linear lacks"):
        load_config(["model=linear", f"{stack}.base=minilm"])


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed")
def test_a_training_without_pytorch_ends_before_any_work(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shelfmark.cli", "train", "model=transformer"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "a training of kind transformer needs torch: uv sync --extra transformer" in line
    assert not [*tmp_path.iterdir()]
