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
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from shelfmark.config import groups
from shelfmark.config.overrides import quote
from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.config.sections import Strict
from shelfmark.config.trainings import Settings
from shelfmark.errors import ShelfmarkError, nearest
from shelfmark.experiments.sweeps.programs import PROGRAMS, Program

FOLDER = groups.CONFIGS / "sweep"
PLAIN = re.compile(r"[A-Za-z_][\w.-]*")

Scalar = bool | int | float | str | None
Value = Scalar | list[Scalar]
Number = int | float
Distribution = Literal[
    "constant", "categorical", "int_uniform", "uniform", "q_uniform", "log_uniform_values",
    "q_log_uniform_values",
]  # fmt: skip
Values = dict[str, Any]  # of each parameter, by its key


class Metric(Strict):
    """The objective: a figure of a trial, or `validation`, the least loss of a step."""

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
        """Set the distribution that W&B would infer."""
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

    def round_value(self, value: Any) -> Any:
        """Return the value that an engine drew, rounded to a multiple of q or to four digits."""
        if self.min is None or self.max is None:
            return value
        if self.q is not None:
            value = round(round(value / self.q) * self.q, 12)
        elif isinstance(value, float):
            value = float(f"{value:.4g}")  # more digits only clutter the file
        value = min(max(value, self.min), self.max)
        return round(value) if self.whole and self.distribution != "uniform" else value

    def all_values(self) -> list[Any] | None:
        """Return every value, None if there are infinitely many."""
        if self.distribution == "constant":
            return [self.value]
        if self.min is None or self.max is None:
            return self.values
        step = {"int_uniform": 1, "q_uniform": self.q}.get(self.distribution)
        if step is None:
            return None
        count = round((self.max - self.min) / step) + 1
        return [self.round_value(self.min + step * number) for number in range(count)]


class EarlyTerminate(Strict):
    """Pruning of trials that are worse than others after the same number of rounds."""

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
        """The number of rounds after which a trial can first be pruned."""
        if self.min_iter is not None:
            return self.min_iter
        assert self.max_iter is not None
        assert self.s is not None
        return max(1, self.max_iter // int(self.eta**self.s))


def _check_program(name: object) -> object:
    if name not in PROGRAMS:
        raise ValueError(f"should be {' or '.join(PROGRAMS)}")
    return name


class Sweep(Strict):
    """A search among configurations; each trial stands for the command `program`."""

    program: Annotated[str, BeforeValidator(_check_program)] = "train"
    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    method: Literal["bayes", "random", "grid"]
    metric: Metric
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]
    early_terminate: EarlyTerminate | None = None
    run_cap: Annotated[int, Field(ge=1)] | None = None

    @property
    def runs(self) -> Program:
        """What each trial runs."""
        return PROGRAMS[self.program]

    @model_validator(mode="after")
    def _countable(self) -> Sweep:
        for key, parameter in self.parameters.items():
            if self.method == "grid" and parameter.all_values() is None:
                raise ValueError(f"grid cannot count the values of {key}: give values")
        return self

    def grid(self) -> Iterator[Values]:
        """Yield every configuration of a grid."""
        choices = [parameter.all_values() or [] for parameter in self.parameters.values()]
        for chosen in itertools.product(*choices):
            yield dict(zip(self.parameters, chosen, strict=True))

    def candidates(self) -> list[Values]:
        """Return configurations that contain each value of a list, and each bound, once."""
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

    def round_values(self, drawn: Values) -> Values:
        """Return the values that an engine drew, rounded as `Parameter.round_value` does."""
        return {key: self.parameters[key].round_value(value) for key, value in drawn.items()}

    def drawn_keys(self) -> list[str]:
        """Return the keys of the parameters that are not constant."""
        return [key for key, one in self.parameters.items() if one.distribution != "constant"]

    def without(self, overrides: Sequence[str]) -> Sweep:
        """Return the sweep without the parameters that overrides set.

        Raises:
            ShelfmarkError: no parameter is left.
        """
        keys = {override.lstrip("+~").partition("=")[0] for override in overrides}
        left = {key: found for key, found in self.parameters.items() if key not in keys}
        if not left:
            raise ShelfmarkError("the overrides set every parameter of the sweep: train instead")
        return self.model_copy(update={"parameters": left})


def read_sweep(name: str) -> Sweep:
    """Return the sweep of a file, given its name in `configs/sweep` or its path.

    Raises:
        ShelfmarkError: there is no such file, or it is invalid.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = sweep_names()
        there = f"{nearest(name, known)}; there are {', '.join(known)}"
        raise ShelfmarkError(f"sweep {name}: there is no such file{there}")
    try:
        given = OmegaConf.to_container(OmegaConf.load(path))
        return Sweep.model_validate(given)
    except ValidationError as error:
        raise ShelfmarkError(f"{path}: {_first_problem(error)}") from error
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise ShelfmarkError(f"{path}: no sweep file: {str(error).splitlines()[0]}") from error


def sweep_names() -> list[str]:
    """Return the names of the files in `configs/sweep`."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def check_sweep(sweep: Sweep, overrides: Sequence[str]) -> list[Settings]:
    """Return the configurations of `Sweep.candidates`, which are valid.

    Raises:
        ShelfmarkError: a parameter is no key of the configuration, one of its values is invalid,
            or it would change the papers, which must be the same in all trials.
    """
    runs = sweep.runs
    configs = [_load(sweep, overrides, values) for values in sweep.candidates()]
    variable = {*runs.sections, "experiment"}
    first, *others = [one.model_dump(mode="json", exclude=variable) for one in configs]
    for key, value in first.items():
        if any(other[key] != value for other in others):
            raise ShelfmarkError(f"parameters: {key} must be the same in all trials of a sweep")
    return configs


def _load(sweep: Sweep, overrides: Sequence[str], values: Values) -> Settings:
    """Return a configuration; an error names the parameter, or the group that a trial chooses."""
    try:
        return sweep.runs.load([*overrides, *as_overrides(values)])
    except ShelfmarkError as error:
        if str(error).partition(":")[0] in values:
            raise ShelfmarkError(f"parameters.{error}") from error
        drawn = groups.list_groups().keys() & sweep.drawn_keys()
        if not drawn:
            raise
        chosen = as_overrides({key: values[key] for key in sorted(drawn)})
        raise ShelfmarkError(f"in trials with {' '.join(chosen)}: {error}") from error


def as_overrides(values: Values) -> list[str]:
    """Return values as overrides of Hydra, such as features.ngram_range=[1,2]."""
    return [f"{key}={_format_value(value)}" for key, value in values.items()]


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_format_value, value))}]"
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    if PLAIN.fullmatch(value) and value not in ("null", "true", "false"):
        return value  # the names of choices need no quotes
    return quote(value)


def _first_problem(error: ValidationError) -> str:
    problem = first_problem(error)
    place = ".".join(str(part) for part in problem["loc"] if "[" not in str(part))
    if problem["type"] == "extra_forbidden":
        return f"{place}: no such key in a sweep file"
    return f"{place}: {describe_problem(problem)}".removeprefix(": ")
