"""What settles the numbers of a model: who shares it may go on from what another has finished."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
from threadpoolctl import threadpool_info

from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data.splits import Splits
from shelfmark.models import artifact
from shelfmark.models.boosted import boosting


def key_of(settings: Config, splits: Splits) -> str:
    """Return a key that two runs share if they fit the same numbers to the last bit.

    By the same code and libraries, that is, and on as many threads, of which the order of sums
    depends. Names, paths and where a run is recorded are no part of it.
    """
    settled = settings.model_dump(mode="json", include={"seed", "features", "model"})
    settled["model"]["n_jobs"] = boosting.thread_count(settings.model)
    known = ("internal_api", "version", "architecture", "num_threads")
    libraries = [{name: found.get(name) for name in known} for found in threadpool_info()]
    libraries.sort(key=orjson.dumps)
    # Rather than the commit, which says nothing of changes that are not committed yet.
    code = [files.sha256(path) for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    parts = [settled, splits.digest, artifact.versions(), libraries, code]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]
