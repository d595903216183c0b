"""The key of a training: runs that share it compute the same numbers, so one can resume another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from threadpoolctl import threadpool_info

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data.splits import Splits
from shelfmark.embeddings import artifact as encoders
from shelfmark.embeddings import families as encoder_families
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.models import artifact, families

PACKAGE = Path(__file__).parents[1]
# The code that computes what a checkpoint holds. The splits have a separate digest.
COMMON = (
    "core/checkpoint.py",
    "core/marks.py",
    "core/npy.py",
    "core/parallel.py",
    "core/structure.py",
    "tfidf",
)
OF_CLASSIFIERS = (
    "arxiv/taxonomy.py",
    "arxiv/text.py",
    "data/labels.py",
    "models/calibration",
    "models/protocol.py",
    "models/scope",
)
OF_ENCODERS = ("embeddings/protocol.py",)


def key_of(settings: Config, splits: Splits) -> str:
    """Return a key that two runs share if they compute the same numbers to the last bit.

    That takes the same settings, splits, code and libraries, and as many threads, on which the
    order of sums depends. Names, paths and where a run is recorded are no part of it.
    """
    settled = settings.model_dump(mode="json", include={"seed", "features", "model"})
    settled["model"]["n_jobs"] = settings.model.n_jobs or os.cpu_count() or 1
    kinds = settings.model.kinds
    code = [digest for kind in kinds for digest in _code(kind)]
    used = [*find_used_encoder(settings), *digest_base(settings)]
    return _digest([settled, splits.digest, artifact.versions(kinds), _libraries(), code, *used])


def find_used_encoder(settings: Config) -> list[str]:
    """Return the digest of the encoder that a training uses, if it uses one.

    Raises:
        ShelfmarkError: there is no such encoder.
    """
    neighbours = getattr(settings.model, "neighbours", None)
    if neighbours is None:
        return []
    with locate_encoder(neighbours.encoder, settings.paths.encoders) as located:
        return [located.digest]


def digest_base(settings: Config) -> list[str]:
    """Return the digests of the files of a base in a folder, which may have changed since."""
    network = settings.model.network
    base = Path(network.base if network else "").expanduser()
    if network is None or not base.is_dir():
        return []
    return [files.sha256(path) for path in sorted(base.iterdir()) if path.is_file()]


def key_of_encoder(settings: EncoderSettings, splits: Splits) -> str:
    """Return the key of a training of an encoder, as `key_of` that of a classifier."""
    settled = settings.model_dump(mode="json", include={"seed", "encoder"})
    settled["encoder"]["n_jobs"] = settings.encoder.n_jobs or os.cpu_count() or 1
    kind = settings.encoder.kind
    code = [files.sha256(path) for path in encoder_files(kind)]
    return _digest([settled, splits.digest, encoders.versions(kind), _libraries(), code])


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:10]


def _libraries() -> list[dict[str, Any]]:
    """Return the numerical libraries that are loaded, with their threads."""
    known = ("internal_api", "version", "architecture", "num_threads")
    libraries = [{name: found.get(name) for name in known} for found in threadpool_info()]
    return sorted(libraries, key=orjson.dumps)


def _code(kind: str) -> list[str]:
    # The files, not the commit: changes that are not committed yet count too.
    return [files.sha256(path) for path in code_files(kind)]


def code_files(kind: str) -> Iterator[Path]:
    """Yield the modules on which the numbers of a kind of model depend, in a fixed order."""
    own = families.family_of(kind).code
    return _modules([*COMMON, *OF_CLASSIFIERS, *own], families.folder_of(kind))


def encoder_files(kind: str) -> Iterator[Path]:
    """Yield the modules on which the numbers of a kind of encoder depend, in a fixed order."""
    return _modules([*COMMON, *OF_ENCODERS], encoder_families.folder_of(kind))


def _modules(names: list[str], folder: Path) -> Iterator[Path]:
    for path in (*(PACKAGE / name for name in names), folder):
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]
