"""What counts as drift: the keys of `configs/drift.yaml`, with overrides such as `level=0.01`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import Field, ValidationError

from shelfmark.config.groups import CONFIGS
from shelfmark.config.schema import Fraction, Strict
from shelfmark.errors import ShelfmarkError, nearest

FILE = CONFIGS / "drift.yaml"


class DriftConfig(Strict):
    """The limits of a comparison, and of the retraining that may follow."""

    level: Fraction
    min_papers: int = Field(ge=20)  # five folds of four
    max_papers: int = Field(ge=20)
    domain_papers: int = Field(ge=20)
    numbers: float = Field(ge=0)
    shares: float = Field(ge=0, le=1)
    text: float = Field(ge=0.5, le=1)
    accuracy: float = Field(ge=0, le=1)
    calibration: float = Field(ge=0, le=1)
    newest: Fraction
    chance: Fraction
    keep: int = Field(ge=1)


def load_drift_config(overrides: Sequence[str] = ()) -> DriftConfig:
    """Return the limits of `configs/drift.yaml` with overrides.

    Raises:
        ShelfmarkError: a key is not known, or its value is wrong.
    """
    try:
        values: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
        for override in overrides:
            key, _, value = override.partition("=")
            if key not in DriftConfig.model_fields:
                raise ShelfmarkError(f"{key}: no such key{nearest(key, DriftConfig.model_fields)}")
            values[key] = yaml.safe_load(value)
        return DriftConfig.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        raise ShelfmarkError(f"{FILE}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise ShelfmarkError(f"{place}: {problem['input']!r}: {problem['msg'].lower()}") from error
