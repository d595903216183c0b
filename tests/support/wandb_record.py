"""The records of an offline run, read back from its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from wandb.proto.wandb_internal_pb2 import Record

from shelfmark.training import wandb


@dataclass
class Recorded:
    """The records of a run, by kind."""

    records: list[Any]

    def of(self, kind: str) -> list[Any]:
        """Return the records of a kind, in order."""
        return [getattr(x, kind) for x in self.records if x.WhichOneof("record_type") == kind]

    @property
    def config(self) -> dict[str, Any]:
        """What was given as the configuration."""
        return {x.key: orjson.loads(x.value_json) for x in self.of("run")[0].config.update}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The logged rows, without what W&B adds to them."""
        rows = [values_of(row.item) for row in self.of("history")]
        return [{"_step": row["_step"], **ours(row)} for row in rows]

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each key of the summary, without what W&B adds."""
        return ours(values_of([item for part in self.of("summary") for item in part.update]))


def values_of(items: Iterable[Any]) -> dict[str, Any]:
    """Return the values of a row or a summary; a part of a value has its path as its key."""
    result: dict[str, Any] = {}
    for item in items:
        *path, last = item.nested_key or [item.key]
        place = result
        for key in path:
            place = place.setdefault(key, {})
        place[last] = orjson.loads(item.value_json)
    return result


def ours(values: dict[str, Any]) -> dict[str, Any]:
    """Return what we logged of a row or a summary."""
    return {key: value for key, value in values.items() if not key.startswith("_")}


def only_record(folder: Path) -> Path:
    """Return the file of the one run that was recorded in a run's folder."""
    (file,) = (folder / "wandb").glob("*run-*-*/run-*.wandb")
    return file


def read(folder: Path) -> Recorded:
    """Return what is recorded of the one run in a run's folder."""
    return at(only_record(folder))


def at(file: Path) -> Recorded:
    """Return what a file holds."""
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    assert wandb.HEADER == 7
    return Recorded([Record.FromString(part) for part in wandb.read_records(file)])
