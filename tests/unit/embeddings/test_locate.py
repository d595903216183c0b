"""An encoder is located by its name, its alias, its folder or its address."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from shelfmark.embeddings import artifact
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.errors import ShelfmarkError


def test_a_name_an_alias_and_a_folder_lead_to_the_same_encoder(
    hashed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = artifact.read_card(hashed).digest
    monkeypatch.chdir(hashed.parent.parent)
    for name, encoders in (
        ("hashed", "encoders"), ("latest", "encoders"), ("encoders/latest", "elsewhere"),
        (str(hashed), "elsewhere"),
    ):  # fmt: skip
        with locate_encoder(name, encoders) as located:
            assert located.folder.resolve() == hashed.resolve()
            assert located.digest == digest


def test_an_encoder_of_a_bucket_is_copied_for_the_block(hashed: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in hashed.iterdir():
        memory.pipe_file(f"/located/encoders/hashed/{path.name}", path.read_bytes())
    memory.pipe_file("/located/encoders/latest", b"hashed")
    for name, encoders in (
        ("latest", "memory://located/encoders"), ("memory://located/encoders/hashed", "encoders"),
    ):  # fmt: skip
        with locate_encoder(name, encoders) as located:
            assert located.digest == artifact.read_card(hashed).digest
            assert artifact.load(located.folder).size == 64
            copy = located.folder
        assert not copy.exists()
    memory.rm("/located", recursive=True)


@pytest.mark.parametrize("name", ["missing", "encoders/missing", "memory://nowhere/missing"])
def test_a_missing_encoder_is_one_line(
    hashed: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hashed.parent.parent)
    with pytest.raises(ShelfmarkError, match="no encoder in|does not exist"), locate_encoder(name):
        pass
