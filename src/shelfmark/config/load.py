"""The configuration of a run: composed by Hydra from `configs/`, validated before any work.

Hydra is imported only when a configuration is composed: the service runs without it.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from shelfmark.config import groups
from shelfmark.config.encoders import ENCODER_KINDS, EncoderConfig, EncoderSettings
from shelfmark.config.models import BOOSTED, MODEL_KINDS, ModelConfig
from shelfmark.config.overrides import is_readable, kinds_of, parse_value, read_overrides
from shelfmark.config.problems import MESSAGES, describe_problem, first_problem
from shelfmark.config.schema import RENAMED_KEYS, Config, DriftConfig
from shelfmark.config.search import IndexSettings
from shelfmark.config.trainings import (
    CLASSIFIER,
    ENCODER,
    SECTIONS,
    AnySettings,
    Training,
    foreign_sections,
)
from shelfmark.errors import ShelfmarkError, nearest

# The sections that are disabled while a key of theirs is null.
DISABLED_WITHOUT = {"stack.scorers.transformer": "base", "neighbours": "encoder"}
KIND = "kind@_global_"  # the group that names the kind of the model to experiments
LONGEST_INTEGER = 63  # bits beside the sign: orjson, which writes cards and keys, takes no more

Model = TypeVar("Model", bound=BaseModel)


def load_config(overrides: Sequence[str] = ()) -> Config:
    """Compose the configuration from `configs/` and overrides such as `experiment=fast`.

    Raises:
        ShelfmarkError: an override is malformed or names no key, a type or value is wrong, or an
            override concerns the cloud.
    """
    return load_training(CLASSIFIER, overrides)


def load_encoder_config(overrides: Sequence[str] = ()) -> EncoderSettings:
    """Compose the configuration of a training of an encoder, as `load_config` that of a model.

    Papers without a label, and authors, are kept unless overrides say otherwise.

    Raises:
        ShelfmarkError: as `load_config`.
    """
    return load_training(ENCODER, overrides)


def load_training(kind: Training[AnySettings], overrides: Sequence[str]) -> AnySettings:
    """Compose the configuration of a kind of training that runs on this machine.

    Raises:
        ShelfmarkError: as `compose_training`, or an override concerns the cloud.
    """
    settings, cloud = compose_training(kind, overrides)
    if cloud is not None:
        raise ShelfmarkError(
            "cloud: this command runs here; shelfmark submit sends a training there"
        )
    return settings


def compose_training(
    kind: Training[AnySettings], overrides: Sequence[str]
) -> tuple[AnySettings, dict[str, Any] | None]:
    """Compose the configuration of a kind of training, and the values of its cloud, if any.

    Raises:
        ShelfmarkError: an override is malformed, names no key or one of another kind of training,
            or a type or value is wrong.
    """
    own = _compose_own([*kind.presets, *overrides], kind.foreign)
    cloud = own.pop(groups.CLOUD, None)
    settings = validate_config(kind.settings, own)
    if isinstance(settings, Config):
        _refuse_without_effect(settings, overrides)
    return settings, cloud


def _refuse_without_effect(settings: Config, overrides: Iterable[str]) -> None:
    """Refuse overrides of sections that are disabled, or that the model does not read.

    Raises:
        ShelfmarkError: an override has no effect.
    """
    model = settings.model
    reasons: dict[str, str] = {}
    if not model.reads_terms:
        reasons["features"] = f"model.kind={model.kind} reads no terms"
    for section, key in DISABLED_WITHOUT.items():
        if model.kind == BOOSTED and not model.has(section):
            reasons[f"model.{section}"] = f"model.{section}.{key} is null"
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        for section, reason in reasons.items():
            if key.startswith(f"{section}.") and value != "null":
                raise ShelfmarkError(f"{key}: it has no effect: {reason}")


def load_index_config(overrides: Sequence[str] = ()) -> IndexSettings:
    """Compose the configuration of an index of papers, as `load_config` that of a model.

    Raises:
        ShelfmarkError: as `load_config`.
    """
    own = _compose_own(overrides, foreign_sections(SECTIONS["index"]))
    if own.pop(groups.CLOUD, None) is not None:
        raise ShelfmarkError(f"{groups.CLOUD}: an index is built on this machine")
    return validate_config(IndexSettings, own)


def _compose_own(overrides: Sequence[str], foreign: Mapping[str, str]) -> dict[str, Any]:
    """Compose the values that a command has; an override of another command's is an error."""
    values = compose_values(overrides)
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if command := foreign.get(key.partition(".")[0]):
            raise ShelfmarkError(f"{key}: this command has no such key; shelfmark {command} has it")
    return {name: value for name, value in values.items() if name not in foreign}


def load_drift_config(overrides: Sequence[str] = ()) -> DriftConfig:
    """Return the limits of `configs/drift.yaml`, with overrides such as `level=0.01`.

    Raises:
        ShelfmarkError: a key is unknown, or a value is wrong.
    """
    import yaml

    path = groups.CONFIGS / "drift.yaml"
    try:
        values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        for override in overrides:
            key, _, value = override.partition("=")
            if key not in DriftConfig.model_fields:
                raise ShelfmarkError(f"{key}: no such key{nearest(key, DriftConfig.model_fields)}")
            parsed = parse_value(value)
            values[key] = parsed.value if parsed else value
        return DriftConfig.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        raise ShelfmarkError(f"{path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise ShelfmarkError(_first_problem(error, DriftConfig, {})) from error


def validate_config(model: type[Model], values: dict[str, Any]) -> Model:
    """Return composed values as a model of the schema.

    Raises:
        ShelfmarkError: a key is unknown, or a type or value is wrong; names the nearest known key.
    """
    for key, value in _leaves(values):
        if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
            raise ShelfmarkError(f"{key}: {value}: {MESSAGES['int_parsing_size']}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ShelfmarkError(_first_problem(error, model, values)) from error


def compose_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose the values from `configs/` and overrides, before any validation.

    Hydra takes half a second for a composition. The one of the chosen groups is therefore cached,
    and overrides of single values are applied to a copy; Hydra composes all that is not so simple,
    and so reports every error.

    Raises:
        ShelfmarkError: an override is malformed or names no key.
    """
    ready = read_overrides(overrides)
    values = _compose_from_cache(ready.words)
    return _compose(overrides) if values is None else ready.restore_values(values)


def _compose_from_cache(overrides: Sequence[str]) -> dict[str, Any] | None:
    """Return the composed values, None if an override is more than a choice or a single value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType
    from hydra.errors import HydraException

    chosen = _choices_among(overrides)
    rest = [override for override in overrides if override not in chosen]
    try:
        values = copy.deepcopy(_cached_composition(tuple(chosen), _files_state()))
        for override in OverridesParser.create().parse_overrides(rest):
            plain = override.type is OverrideType.CHANGE and not override.is_sweep_override()
            if not plain or override.package or override.key_or_group in groups.list_groups():
                return None
            *sections, name = override.key_or_group.split(".")
            section = functools.reduce(operator.getitem, sections, values)
            value = override.value()
            if isinstance(section[name], dict) or set("${?\\") & set(str(value)):
                return None
            section[name] = value
    except (ShelfmarkError, HydraException, KeyError, TypeError):
        return None
    return values


@functools.cache
def _cached_composition(chosen: tuple[str, ...], state: object) -> dict[str, Any]:
    return _compose(chosen)


def _files_state() -> tuple[tuple[str, int, int], ...]:
    """Return a value that changes with any file of the configuration."""
    paths = sorted(groups.CONFIGS.rglob("*.yaml"))
    return tuple((str(path), (s := path.stat()).st_mtime_ns, s.st_size) for path in paths)


def _compose(overrides: Sequence[str]) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    ready = read_overrides(overrides)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(groups.CONFIGS.resolve()), version_base="1.3"):
            try:
                composed = compose("config", overrides=ready.words, return_hydra_config=True)
                experiment = composed.hydra.runtime.choices.get("experiment")
                kind = OmegaConf.select(composed, "model.kind")
                # Only now is it known which values of the experiment are for this kind of model.
                if experiment not in (None, "null") and kind in MODEL_KINDS:
                    words = [*ready.words, f"{KIND}={kind}"]
                    composed = compose("config", overrides=words, return_hydra_config=True)
            except (HydraException, ValueError) as error:
                base = OmegaConf.to_container(
                    compose("config", overrides=_choices_among(overrides))
                )
                raise ShelfmarkError(_hint(ready.words, overrides, base, _short(error))) from error
            ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            plain = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        raise ShelfmarkError(_short(error)) from error
    except YAMLError as error:
        raise ShelfmarkError(f"configuration: {' '.join(str(error).split())}") from error
    assert isinstance(plain, dict)
    values = {str(key): value for key, value in plain.items()}
    return ready.restore_values({**values, "experiment": experiment})


def _choices_among(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that choose a file of a group: they decide which other keys exist."""
    choices = groups.list_groups()
    pairs = (override.partition("=") for override in overrides)
    return ["=".join((key, value)) for key, _, value in pairs if value in choices.get(key, ())]


def _hint(words: Sequence[str], overrides: Sequence[str], base: Any, message: str) -> str:
    """Return which override names no key or replaces a mapping, and the nearest known key."""
    keys, choices = list(_flat(base)), groups.list_groups()
    for word, override in zip(words, overrides, strict=True):
        key, _, value = override.lstrip("+~").partition("=")
        section, _, name = key.rpartition(".")
        if present := _present_key(key):
            return f"{key}: this key is now {present}"
        if section == "model" and key not in keys and name in _known_fields(ModelConfig):
            return f"{key}: model.kind={base['model']['kind']} has no such key"
        if key in choices:
            if value not in (*choices[key], "null"):
                there = nearest(value, choices[key]) + f"; there are {', '.join(choices[key])}"
                return f"{key}={value}: no such {key}{there}"
        elif key not in keys and _is_free(key) and not override.startswith("+"):
            return f"{key}: no such key; write +{override} for a new one"
        elif key not in keys and not _is_free(key):
            return f"{key}: no such key{nearest(key, [*keys, *choices])}"
        elif not is_readable(word):
            return f"{override}: no override: give key=value, +key=value or ~key"
        elif key in keys and f"already at '{key}'" in message:
            return f"{key} is there already: write {override.lstrip('+')}"
        elif f"override {key}=" in message or f"override '{key}'" in message:
            return f"{key}: a mapping cannot be replaced; remove it first: ~{key} +{override}"
    return message


def _is_free(key: str) -> bool:
    """Whether a key lies in a mapping that takes any, such as model.params."""
    return dict in kinds_of(key.rpartition(".")[0])


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


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a mapping or a list, and of those within it, each with its key."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        own = f"{key}.{name}".lstrip(".")
        if isinstance(value, dict | list):
            yield from _leaves(value, own)
        else:
            yield own, value


def _first_problem(
    error: ValidationError, model: type[BaseModel], values: Mapping[str, Any]
) -> str:
    problem = first_problem(error)
    # The location of an error within a union ends with the name of a type.
    key = ".".join(str(part) for part in problem["loc"] if str(part).isidentifier() or part == 0)
    if problem["type"] == "extra_forbidden":
        if present := _present_key(key):
            return f"{key}: this key is now {present}"
        section, _, name = key.rpartition(".")
        fields = _fields(section, model)
        if name in fields:  # of another kind
            return f"{key}: {section}.kind={values[section]['kind']} has no such key"
        known = [f"{section}.{name}".lstrip(".") for name in fields]
        return f"{key}: no such key{nearest(key, known)}"
    value = problem["input"]
    shown = "" if isinstance(value, dict) else f"{value!r}: "
    # A problem of several sections together has no key.
    return f"{key}: {shown}{describe_problem(problem)}".removeprefix(": ")


def _fields(section: str, model: type[BaseModel]) -> list[str]:
    for part in filter(None, section.split(".")):
        annotation = _known_fields(model)[part].annotation
        # The section is the first branch of a union if it may be null.
        section_type = next(iter(get_args(annotation)), annotation)
        if not (isinstance(section_type, type) and issubclass(section_type, BaseModel)):
            return []
        model = section_type
    return list(_known_fields(model))


def _known_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a section; those of every kind where they depend on the kind."""
    sections: dict[type[BaseModel], Iterable[type[BaseModel]]] = {
        ModelConfig: MODEL_KINDS.values(),
        EncoderConfig: ENCODER_KINDS.values(),
    }
    return {
        name: field
        for section in sections.get(model, [model])
        for name, field in section.model_fields.items()
    }


def _short(error: Exception) -> str:
    return f"configuration: {str(error).splitlines()[0]}"
