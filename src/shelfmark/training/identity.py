"""The key of a training: runs that share it compute the same numbers, so one can resume another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import orjson
from threadpoolctl import threadpool_info

from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data.splits import Splits
from shelfmark.models import artifact, families

PACKAGE = Path(__file__).parents[1]
# The code that computes what a checkpoint holds. The splits have a separate digest.
CODE = (
    "arxiv/taxonomy.py",
    "core/checkpoint.py",
    "core/marks.py",
    "core/npy.py",
    "core/parallel.py",
    "core/structure.py",
    "data/labels.py",
    "models/protocol.py",
    "tfidf",
)


def key_of(settings: Config, splits: Splits) -> str:
    """Return a key that two runs share if they compute the same numbers to the last bit.

    That takes the same settings, splits, code and libraries, and as many threads, on which the
    order of sums depends. Names, paths and where a run is recorded are no part of it.
    """
    settled = settings.model_dump(mode="json", include={"seed", "features", "model"})
    settled["model"]["n_jobs"] = settings.model.n_jobs or os.cpu_count() or 1
    known = ("internal_api", "version", "architecture", "num_threads")
    libraries = [{name: found.get(name) for name in known} for found in threadpool_info()]
    libraries.sort(key=orjson.dumps)
    # The files, not the commit: changes that are not committed yet count too.
    code = [files.sha256(path) for path in code_files(settings.model.kind)]
    parts = [settled, splits.digest, artifact.versions(settings.model.kind), libraries, code]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]


def code_files(kind: str) -> Iterator[Path]:
    """Yield the modules on which the numbers of a kind of model depend, in a fixed order."""
    for path in (*(PACKAGE / name for name in CODE), families.folder_of(kind)):
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]
