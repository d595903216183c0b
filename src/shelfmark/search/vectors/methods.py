"""The methods of vector search by their names; no other code names them."""

from __future__ import annotations

from importlib.util import find_spec

from shelfmark.config.schema import EngineConfig
from shelfmark.config.search import FaissConfig, IndexConfig, LocalConfig
from shelfmark.core import project
from shelfmark.errors import ShelfmarkError
from shelfmark.search.manifest import Manifest
from shelfmark.search.segment import AGAIN, Segment
from shelfmark.search.vectors.codes import WORD, CodeMethod
from shelfmark.search.vectors.exact import ExactMethod
from shelfmark.search.vectors.faiss import FaissMethod
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
        if exact or (config.method == "auto" and papers <= config.exact_papers):
            return ExactMethod()
        return CodeMethod(config.bits, config.rescored, seed)
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
