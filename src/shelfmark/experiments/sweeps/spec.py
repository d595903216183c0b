"""Sweep files, `configs/sweep/*.yaml`: W&B's own form, checked before any work.

Source: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationError, model_validator

from shelfmark.config import groups
from shelfmark.config.load import load_config
from shelfmark.config.schema import Config, Strict
from shelfmark.errors import ShelfmarkError, nearest

FOLDER = groups.CONFIGS / "sweep"
PLAIN = re.compile(r"[A-Za-z_][\w.-]*")
SECTIONS = ("seed", "features", "model", "predict")  # what settles a model on given papers
CHANGED = (*SECTIONS, "experiment")  # what may differ from trial to trial

Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]
Number = int | float
Distribution = Literal[
    "constant", "categorical", "int_uniform", "uniform", "q_uniform", "log_uniform_values",
    "q_log_uniform_values",
]  # fmt: skip
Values = dict[str, Any]  # of each parameter, by its key


class Metric(Strict):
    """What is to be least or greatest: a figure of a model, or `validation`, a round's loss."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"


class Parameter(Strict):
    """The values that a key of the configuration may take."""

    value: Value = None
    values: Annotated[list[Value], Field(min_length=1)] | None = None
    min: Number | None = None
    max: Number | None = None
    q: Annotated[Number, Field(gt=0)] | None = None
    distribution: Distribution = "constant"

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Name the distribution where W&B would guess it."""
        if not isinstance(given, dict):
            raise ValueError("should say value, values, or min and max")
        ways = [way for way in ("value", "values", "min") if way in given]
        if len(ways) != 1 or ("min" in given) != ("max" in given):
            raise ValueError("should say either value, values, or min and max")
        whole = isinstance(given.get("min"), int) and isinstance(given.get("max"), int)
        meant = {"value": "constant", "values": "categorical"}.get(
            ways[0], "int_uniform" if whole else "uniform"
        )
        return {"distribution": meant, **given}

    @model_validator(mode="after")
    def _consistent(self) -> Parameter:
        fitting = {"constant": self.min is None and self.values is None,
                   "categorical": self.values is not None}  # fmt: skip
        if not fitting.get(self.distribution, self.min is not None):
            raise ValueError(f"{self.distribution} does not go with what is given")
        if self.distribution.startswith("q_") != (self.q is not None):
            raise ValueError("q goes with q_uniform and q_log_uniform_values, and they with q")
        if self.min is None or self.max is None:
            return self
        if self.min >= self.max:
            raise ValueError(f"min {self.min} should be less than max {self.max}")
        if "log" in self.distribution and self.min <= 0:
            raise ValueError(f"min {self.min} should be greater than 0 for {self.distribution}")
        if self.distribution == "int_uniform" and not self.whole:
            raise ValueError("int_uniform needs whole numbers")
        for bound in (self.min, self.max):
            if self.q is not None and abs(bound / self.q - round(bound / self.q)) > 1e-9:
                raise ValueError(f"{bound} should be a multiple of q {self.q}")
        return self

    @property
    def whole(self) -> bool:
        """Whether a number between the bounds is to be a whole one."""
        return all(isinstance(x, int) for x in (self.min, self.max, self.q or 0))

    def settle(self, value: Any) -> Any:
        """Return the value meant by what an engine drew: a multiple of q, or four digits."""
        if self.min is None or self.max is None:
            return value
        if self.q is not None:
            value = round(round(value / self.q) * self.q, 12)
        elif isinstance(value, float):
            value = float(f"{value:.4g}")  # more digits change nothing but the look of a file
        value = min(max(value, self.min), self.max)
        return round(value) if self.whole and self.distribution != "uniform" else value

    def all(self) -> list[Any] | None:
        """Return every value, None where they cannot be counted."""
        if self.distribution == "constant":
            return [self.value]
        if self.min is None or self.max is None:
            return self.values
        step = {"int_uniform": 1, "q_uniform": self.q}.get(self.distribution)
        if step is None:
            return None
        count = round((self.max - self.min) / step) + 1
        return [self.settle(self.min + step * number) for number in range(count)]


class EarlyTerminate(Strict):
    """Giving up trials that are worse than others after the same number of rounds."""

    type: Literal["hyperband"]
    min_iter: Annotated[int, Field(ge=1)] | None = None
    max_iter: Annotated[int, Field(ge=2)] | None = None
    s: Annotated[int, Field(ge=1)] | None = None
    eta: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _one_way(self) -> EarlyTerminate:
        if (self.min_iter is None) == (self.max_iter is None):
            raise ValueError("should say either min_iter, or max_iter and s")
        if (self.s is None) != (self.max_iter is None):
            raise ValueError("s goes with max_iter, and max_iter with s")
        return self

    @property
    def first(self) -> int:
        """The number of rounds after which a trial can be given up first."""
        if self.min_iter is not None:
            return self.min_iter
        assert self.max_iter is not None
        assert self.s is not None
        return max(1, self.max_iter // int(self.eta**self.s))


class Sweep(Strict):
    """A search among configurations."""

    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    method: Literal["bayes", "random", "grid"]
    metric: Metric
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    early_terminate: EarlyTerminate | None = None
    run_cap: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _countable(self) -> Sweep:
        for key, parameter in self.parameters.items():
            if self.method == "grid" and parameter.all() is None:
                raise ValueError(f"grid cannot count the values of {key}: give values")
        return self

    def grid(self) -> Iterator[Values]:
        """Return every configuration of a grid."""
        choices = [parameter.all() or [] for parameter in self.parameters.values()]
        for chosen in itertools.product(*choices):
            yield dict(zip(self.parameters, chosen, strict=True))

    def candidates(self) -> list[Values]:
        """Return configurations in which every value of a list, and every bound, comes up once."""
        ends = {
            key: parameter.values or [parameter.min, parameter.max]
            if parameter.distribution != "constant"
            else [parameter.value]
            for key, parameter in self.parameters.items()
        }
        rows = range(max(map(len, ends.values())))
        return [
            {key: found[min(row, len(found) - 1)] for key, found in ends.items()} for row in rows
        ]

    def settle(self, drawn: Values) -> Values:
        """Return the values meant by what an engine drew."""
        return {key: self.parameters[key].settle(value) for key, value in drawn.items()}

    def without(self, keys: Sequence[str]) -> Sweep:
        """Return the sweep without parameters that something else settles.

        Raises:
            ShelfmarkError: none is left.
        """
        left = {key: found for key, found in self.parameters.items() if key not in keys}
        if not left:
            raise ShelfmarkError("the overrides settle every parameter of the sweep: train instead")
        return self.model_copy(update={"parameters": left})


def read(name: str) -> Sweep:
    """Return the sweep of a file by its name in `configs/sweep`, or by its path.

    Raises:
        ShelfmarkError: there is no such file, or something in it is wrong.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = names()
        there = f"{nearest(name, known)}; there are {', '.join(known)}"
        raise ShelfmarkError(f"sweep {name}: there is no such file{there}")
    try:
        given = OmegaConf.to_container(OmegaConf.load(path))
        return Sweep.model_validate(given)
    except ValidationError as error:
        raise ShelfmarkError(f"{path}: {_first_problem(error)}") from error
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise ShelfmarkError(f"{path}: no sweep file: {str(error).splitlines()[0]}") from error


def names() -> list[str]:
    """Return the names of the files in `configs/sweep`."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def check(sweep: Sweep, overrides: Sequence[str]) -> Config:
    """Try the values of a sweep on the configuration, and return the first that it makes.

    Raises:
        ShelfmarkError: a parameter is no key of the configuration, a value is none for it, or it
            would change the papers, of which all trials must see the same.
    """
    made = [load_config([*overrides, *as_overrides(values)]) for values in sweep.candidates()]
    first, *others = [one.model_dump(mode="json", exclude=set(CHANGED)) for one in made]
    for key, value in first.items():
        if any(other[key] != value for other in others):
            raise ShelfmarkError(f"parameters: {key} must be the same in all trials of a sweep")
    return made[0]


def as_overrides(values: Values) -> list[str]:
    """Return values as Hydra takes them: features.ngram_range=[1,2]."""
    return [f"{key}={_written(value)}" for key, value in values.items()]


def _written(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value not in ("null", "true", "false"):
        return value  # the names of choices stand without quotes
    return orjson.dumps(value).decode()


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if "[" not in str(part))
    if problem["type"] == "extra_forbidden":
        return f"{place}: no such key in a sweep file"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}".removeprefix(": ")
