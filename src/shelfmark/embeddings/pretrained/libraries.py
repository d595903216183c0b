"""The libraries of a fine-tuning, imported only when one begins: offline, quiet, without telemetry.

Their settings are environment variables that they read when they are imported.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from shelfmark.core import environment

NEEDED = ("torch", "transformers", "accelerate", "onnxscript")
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # else a warning after each fork
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}


def prepare(offline: bool) -> None:
    """Set the libraries up before their first import.

    Args:
        offline: whether none of them may use the network.
    """
    for name, value in QUIET.items():
        if not environment.read(name):
            os.environ[name] = value
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    _silence()


def _silence() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if find_spec("datasets") is not None:  # sentence-transformers needs it, transformers does not
        import datasets

        datasets.disable_progress_bars()
