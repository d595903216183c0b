"""The configuration of a run: composed by Hydra from `configs/`, checked before any work.

Hydra is imported only when a configuration is composed, so that serving does without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from shelfmark.config import groups
from shelfmark.config.schema import RENAMED_KEYS, Config
from shelfmark.errors import ShelfmarkError, nearest

Model = TypeVar("Model", bound=BaseModel)


def load_config(overrides: Sequence[str] = ()) -> Config:
    """Compose the configuration from `configs/` and overrides such as `experiment=fast`.

    Raises:
        ShelfmarkError: an override is malformed or names no key, a type or a value is wrong, or
            it is about the cloud.
    """
    values = compose_values(list(overrides))
    if groups.CLOUD in values:
        raise ShelfmarkError("cloud: this command works here; inv submit sends a training there")
    return validate_config(Config, values)


def validate_config(model: type[Model], values: dict[str, Any]) -> Model:
    """Return composed values as what they should be.

    Raises:
        ShelfmarkError: a key is not known, a type or a value is wrong; names the nearest known key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ShelfmarkError(_first_problem(error, model)) from error


def compose_values(overrides: list[str]) -> dict[str, Any]:
    """Compose the values from `configs/` and overrides, not checked yet.

    Raises:
        ShelfmarkError: an override is malformed or names no key.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(groups.CONFIGS.resolve()), version_base="1.3"):
            try:
                compose_values = compose("config", overrides=overrides, return_hydra_config=True)
            except HydraException as error:
                base = OmegaConf.to_container(compose("config", overrides=_chosen(overrides)))
                raise ShelfmarkError(_hint(overrides, base, _short(error))) from error
            chosen = compose_values.hydra.runtime.choices.get("experiment")
            values = OmegaConf.masked_copy(
                compose_values, [str(key) for key in compose_values if key != "hydra"]
            )
            plain = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ShelfmarkError(_short(error)) from error
    assert isinstance(plain, dict)
    return {**{str(key): value for key, value in plain.items()}, "experiment": chosen}


def _chosen(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose what there is: they decide which other keys there are."""
    choices = groups.groups()
    pairs = (override.partition("=") for override in overrides)
    return ["=".join((key, value)) for key, _, value in pairs if value in choices.get(key, ())]


def _hint(overrides: Sequence[str], base: Any, message: str) -> str:
    """Say which override names nothing or replaces a mapping, and what it may have meant."""
    keys, choices = list(_flat(base)), groups.groups()
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if present := _present_key(key):
            return f"{key}: this key is now {present}"
        if key in choices:
            if value not in (*choices[key], "null"):
                there = nearest(value, choices[key]) + f"; there are {', '.join(choices[key])}"
                return f"{key}={value}: no such {key}{there}"
        elif key not in keys:
            return f"{key}: no such key{nearest(key, [*keys, *choices])}"
        elif f"override {key}=" in message or f"override '{key}'" in message:
            return f"{key}: a mapping cannot be replaced; take it away: ~{key} +{override}"
    return message


def _present_key(key: str) -> str | None:
    """Return the present name of a key that was renamed, None for any other."""
    for old, new in RENAMED_KEYS.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return None


def _flat(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _flat(value, f"{prefix}{key}.")


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    problem = error.errors()[0]
    # Branches of a union end the place with a type's name, which is not part of the key.
    place = ".".join(str(part) for part in problem["loc"] if str(part).isidentifier() or part == 0)
    if problem["type"] == "extra_forbidden":
        if present := _present_key(place):
            return f"{place}: this key is now {present}"
        section = place.rpartition(".")[0]
        known = [f"{section}.{name}".lstrip(".") for name in _fields(section, model)]
        return f"{place}: no such key{nearest(place, known)}"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    shown = "" if isinstance(given, dict) else f"{given!r}: "
    return f"{place}: {shown}{message[0].lower()}{message[1:]}"


def _fields(section: str, model: type[BaseModel]) -> list[str]:
    for part in filter(None, section.split(".")):
        annotation = model.model_fields[part].annotation
        # A section that may be null is the first branch of a union.
        section_type = next(iter(get_args(annotation)), annotation)
        if not (isinstance(section_type, type) and issubclass(section_type, BaseModel)):
            return []
        model = section_type
    return list(model.model_fields)


def _short(error: Exception) -> str:
    return f"configuration: {str(error).splitlines()[0]}"
