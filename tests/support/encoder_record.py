"""A record of an evaluation of encoders, whose figures are drawn by a seed."""

from __future__ import annotations

import numpy as np

from shelfmark.evaluation.encoders.records import EncoderReport, Figure, TaskSize

NAMES = ("static", "static:64", "minilm", "TF-IDF")
TASKS = {
    "same_shelf_ndcg10": TaskSize(queries=996, pool=4000),
    "title_4000_mrr": TaskSize(queries=3987, pool=4000),
}
COSTS = ("abstracts_a_second", "bytes_float32", "bytes_int8", "train_seconds")
CREATED = "2026-11-28T10:00:00+00:00"


def encoder_record(
    split: str = "test", created: str = CREATED, name: str = "static"
) -> EncoderReport:
    """Return a record with figures drawn by a seed."""
    rng = np.random.default_rng(5)
    figures = {
        encoder: {
            **{key: Figure(value=rng.random(), error=rng.random() / 100) for key in TASKS},
            **{key: Figure(value=rng.integers(100, 20_000)) for key in COSTS},
        }
        for encoder in NAMES
    }
    del figures["minilm"]["train_seconds"]
    kinds = dict.fromkeys(["static", "minilm"], "static") | {"TF-IDF": "baseline"}
    return EncoderReport(
        name=name, split=split, command="uv run inv evaluate-encoder --encoder static,minilm",
        created=created, data_card_sha256="0" * 64, papers=50_416, tasks=TASKS, figures=figures,
        encoders={encoder: {"kind": kind} for encoder, kind in kinds.items()},
        notes=["no shared author: these splits have no column of authors"],
    )  # fmt: skip
