"""The methods of vector search by their names; no other code names them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from loguru import logger

from shelfmark.config.schema import EngineConfig
from shelfmark.config.search import FaissConfig, IndexConfig, LocalConfig
from shelfmark.core import project
from shelfmark.errors import ShelfmarkError
from shelfmark.search.manifest import Manifest
from shelfmark.search.segment import AGAIN, CARD, Segment, read_card
from shelfmark.search.vectors.codes import WORD, CodeMethod
from shelfmark.search.vectors.exact import ExactMethod
from shelfmark.search.vectors.faiss import FaissMethod
from shelfmark.search.vectors.milvus import MilvusMethod
from shelfmark.search.vectors.protocol import VectorIndex, VectorMethod


def choose_method(
    config: IndexConfig, engine: EngineConfig, papers: int, seed: int
) -> VectorMethod:
    """Return the method that writes the vector index of a new segment.

    Args:
        config: of the index.
        engine: this machine, or Milvus.
        papers: number of papers of the segment.
        seed: of all random choices.
    """
    if isinstance(config, LocalConfig):
        exact = config.method == "exact"
        exact = exact or (config.method == "auto" and papers <= config.exact_papers)
        if engine.uri is not None:
            return MilvusMethod(engine.uri, engine.timeout, exact)
        return ExactMethod() if exact else CodeMethod(config.bits, config.rescored, seed)
    assert isinstance(config, FaissConfig)
    return FaissMethod(config, seed)


def open_vectors(segment: Segment, manifest: Manifest) -> VectorIndex:
    """Open the vector index of a segment, by the method that wrote it.

    Raises:
        ShelfmarkError: a file is damaged, a method is unknown, or a server does not answer.
    """
    method = written_by(segment, manifest)
    return method.open(segment.files, segment.vectors, segment.name, segment.card.settings)


def written_by(segment: Segment, manifest: Manifest) -> VectorMethod:
    """Return the method that wrote the vector index of a segment.

    Raises:
        ShelfmarkError: it is unknown, or its extra is not installed.
    """
    config, engine, seed = read_config(manifest)
    methods = _methods(config, engine, seed)
    method = methods.get(segment.card.method)
    if method is None:
        raise ShelfmarkError(
            f"{segment.folder}: made by a method {segment.card.method!r:.40} that is unknown here; "
            f"{AGAIN}"
        )
    require_installed(method)
    return method


def check_method(config: IndexConfig, engine: EngineConfig, size: int, seed: int) -> None:
    """Check that the segments of an index can be written, before any paper is encoded.

    Args:
        config: of the index.
        engine: this machine, or Milvus.
        size: the numbers of a vector.
        seed: of all random choices.

    Raises:
        ShelfmarkError: a library is not installed, a setting fits no index, or a server does not
            answer.
    """
    for papers in (1, sys.maxsize):  # few papers may have another method than many
        method = choose_method(config, engine, papers, seed)
        require_installed(method)
        method.check(size)


def remove_outside(folder: Path, manifest: Manifest, in_use: bool) -> bool:
    """Remove what a segment that no manifest names has outside of its folder.

    Args:
        folder: of the segment.
        manifest: of the index.
        in_use: whether a service may still search the segment: then it is left to the next change.

    Returns:
        Whether the folder may be removed too.
    """
    try:
        card, _ = read_card(folder)
        method = _methods(*read_config(manifest)).get(card.method)
        if method is None or not method.is_outside:
            return True
        if not in_use:
            require_installed(method)
            method.remove(folder.name, card.settings)
    except ShelfmarkError as error:
        if not (folder / CARD).exists():  # never finished
            return True
        logger.warning("{}: it is removed by a later change of the index", error)
        return False
    return not in_use


def require_installed(method: VectorMethod) -> None:
    """Check that the libraries of a method are installed.

    Raises:
        ShelfmarkError: one is not; names what installs it.
    """
    for module, extra in method.needs.items():
        if find_spec(module) is None:
            command = project.install_command(extra)
            raise ShelfmarkError(f"this index needs {module}, which is not installed: {command}")


def _methods(config: IndexConfig, engine: EngineConfig, seed: int) -> dict[str, VectorMethod]:
    """Return the methods by which the segments of an index may be written."""
    methods: list[VectorMethod] = [ExactMethod(), CodeMethod(WORD, 1, seed)]
    if isinstance(config, FaissConfig):
        methods.append(FaissMethod(config, seed))
    if engine.uri is not None:
        methods.append(MilvusMethod(engine.uri, engine.timeout))
    return {method.name: method for method in methods}


def read_config(manifest: Manifest) -> tuple[IndexConfig, EngineConfig, int]:
    """Return the configuration that an index was built with.

    Raises:
        ShelfmarkError: the manifest is of another version.
    """
    try:
        config = IndexConfig.model_validate(manifest.config["index"])
        engine = EngineConfig.model_validate(manifest.config["engine"])
        return config, engine, int(manifest.config["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise ShelfmarkError(f"the manifest has an unknown configuration; {AGAIN}") from error
