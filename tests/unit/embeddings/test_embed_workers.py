"""Long files are shared among processes, and their vectors are the same as without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shelfmark.config.load import load_encoder_config
from shelfmark.data import batches, readers
from shelfmark.embeddings import embed
from shelfmark.embeddings.locate import LocatedEncoder, locate_encoder
from shelfmark.training.train_encoder import train_encoder
from tests.support import records

PAPERS = [{"id": str(n), "text": f"a robot arm grasps {n} galaxies"} for n in range(40)]
PAPERS[7] = {"id": "7", "text": " "}


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> LocatedEncoder:
    """A static encoder, which other processes can open."""
    home = tmp_path_factory.mktemp("home")
    words = [
        "experiment=fast", "data.options.papers=300", "data.min_papers=5", "encoder.epochs=1",
        "encoder.size=16", "encoder.sizes=[]", "encoder.batch=64", "encoder.n_jobs=1", "name=small",
    ]  # fmt: skip
    paths = [f'paths.{x}="{(home / x).as_posix()}"' for x in ("data", "encoders", "reports")]
    folder = train_encoder(load_encoder_config([*words, *paths])).folder
    with locate_encoder(str(folder)) as located:
        return located


def test_several_processes_give_the_same_rows_in_the_same_order(
    located: LocatedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(records.lines(PAPERS))
    alone, shared = tmp_path / "alone.npy", tmp_path / "shared.npy"
    embed.embed_file(located, str(tmp_path / "in.jsonl"), str(alone))
    monkeypatch.setattr(batches, "WORTH_DISTRIBUTING", 2)
    monkeypatch.setattr(readers, "BATCH", 6)
    summary = embed.embed_file(located, str(tmp_path / "in.jsonl"), str(shared))
    assert (summary.records, summary.invalid) == (40, 1)
    rows = np.load(shared)
    assert rows.tobytes() == np.load(alone).tobytes()
    assert rows.any(axis=1).tolist() == [n != 7 for n in range(40)]
