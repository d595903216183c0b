"""Lines of a prediction log, as the service writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from shelfmark.models.artifact import Model
from shelfmark.monitoring.fingerprint import sketcher_for


def line(by: Model, moment: float, text: str = "we train a robot", **more: Any) -> dict[str, Any]:
    base = {"time": moment, "model": "quick", "category": "cs.RO", "confidence": 0.5, "words": 4,
            "unknown": 0.25, "language": "en", "sketch": sketcher_for(by).sketch(text)}  # fmt: skip
    return base | more


def write(path: Path, *lines: Any) -> Path:
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in lines))
    return path
