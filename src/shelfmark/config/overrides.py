"""Overrides as people type them, made ready for Hydra.

Hydra's grammar gives a meaning to parentheses, commas, quotes and other characters that names of
files contain, and knows no accents. So the value of a key whose type is text is taken as it stands:
Hydra composes with a mark in its place, which `Overrides.restore_values` replaces. Quotes around a
whole value, `${...}` and, where a key takes several, `[a,b]` keep their meaning.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from shelfmark.config import groups
from shelfmark.config.encoders import ENCODER_KINDS, EncoderConfig
from shelfmark.config.models import MODEL_KINDS, ModelConfig
from shelfmark.config.schema import Config
from shelfmark.errors import ShelfmarkError

WORD = re.compile(r"(?P<sign>\+{0,2})(?P<key>[A-Za-z_][^=]*)=(?P<value>.*)", re.DOTALL)
PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")  # Hydra reads such a value as it stands
INTERPOLATION = re.compile(r"\$\{[^{}]*\}")
MARK = re.compile(r"SHELFMARK_TEXT_(\d+)_")
PATHS = re.compile(r"paths\.\w+|data\.path")  # the keys whose values are paths
QUOTES = "'\""
HYDRA = "hydra"  # its own section, which is no part of the configuration
ENCODER = "encoder."  # the section of an encoder, which no classifier has


@dataclass
class Overrides:
    """Overrides for Hydra.

    Args:
        words: with marks in place of texts.
        texts: the texts, by the numbers in their marks.
    """

    words: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """Return the mark that stands for a text."""
        self.texts.append(text)
        return f"SHELFMARK_TEXT_{len(self.texts) - 1}_"

    def restore_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return composed values with the texts in place of their marks."""
        return {key: self._restore(value) for key, value in values.items()}

    def _restore(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.restore_values(value)
        if isinstance(value, list):
            return [self._restore(entry) for entry in value]
        if isinstance(value, str):
            return MARK.sub(lambda match: self.texts[int(match[1])], value)
        return value


def read_overrides(overrides: Sequence[str]) -> Overrides:
    """Return overrides for Hydra.

    Raises:
        ShelfmarkError: a value has two readings; the error shows how to write each. Or a word is no
            override, or a text is not Unicode.
    """
    ready, choices = Overrides(), groups.list_groups()
    for word in overrides:
        match = WORD.fullmatch(word)
        key = match["key"] if match else word.lstrip("~")
        if re.match(rf"{HYDRA}\b", key):
            raise ShelfmarkError(f"{key.partition('=')[0]}: no such key")
        if match is None or key in choices:
            ready.words.append(word)
            continue
        value = _read_value(ready, key, match["value"])
        ready.words.append(f"{match['sign']}{key}={value}")
    return ready


def _read_value(ready: Overrides, key: str, value: str) -> str:
    """Return the value of an override as Hydra is to read it."""
    kinds = kinds_of(key)
    if not value or value.lower() == "null":
        return value
    if str not in kinds:
        # What Hydra cannot read is text; the schema says what it should be.
        reads = PLAIN.fullmatch(value) or parse_value(value)
        return value if reads and not MARK.search(value) else ready.mark(_check(key, value))
    reading = _choose(key, value, list in kinds)
    if isinstance(reading, list):
        return f"[{','.join(_mark_text(ready, key, text) for text in reading)}]"
    return _mark_text(ready, key, reading)


@dataclass(frozen=True)
class Parsed:
    """A value as Hydra reads it.

    Args:
        value: of a plain type.
    """

    value: Any


def is_readable(word: str) -> bool:
    """Whether Hydra can read an override."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def parse_value(text: str) -> Parsed | None:
    """Return what Hydra reads in a value; None if it reads none, or a choice among several."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"key={text}")
        return None if override.is_sweep_override() else Parsed(override.value())
    except HydraException:
        return None


def quote(text: str) -> str:
    """Return a text in quotes, as Hydra reads it back."""
    escaped = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text)
    return f'"{escaped}"'


@dataclass(frozen=True)
class _Interpolated:
    """A value that Hydra completes, such as ${oc.env:HOME}/papers.zip."""

    word: str


Reading = str | _Interpolated


def _mark_text(ready: Overrides, key: str, text: Reading) -> str:
    return text.word if isinstance(text, _Interpolated) else ready.mark(_check(key, text))


def _choose(key: str, value: str, several: bool) -> Reading | list[Reading]:
    """Return the reading of a text, or of a list of texts where a key takes several.

    Raises:
        ShelfmarkError: two readings are possible, and both are there.
    """
    other = _other_reading(value, several)
    if not PATHS.fullmatch(key):
        return value if other is None else other
    escaped = parse_value(value) if other is None and "\\" in value else None
    if escaped and isinstance(escaped.value, str) and os.path.lexists(escaped.value):
        other = escaped.value
    if other is None:
        return _expand(value)
    if os.path.lexists(value):
        if other != value and _is_there(other):
            raise ShelfmarkError(_explain(key, value, other))
        return value
    return [_expand(one) for one in other] if isinstance(other, list) else _expand(other)


def _other_reading(value: str, several: bool) -> Reading | list[Reading] | None:
    """Return what a value is if it is not taken as it stands, None if it can only be that."""
    if several and is_list(value):
        return [_other_text(entry) or entry for entry in split_list(value)]
    return _other_text(value)


def _other_text(value: str) -> Reading | None:
    if INTERPOLATION.search(value):
        value = _expand_home(value)
        return _Interpolated(value if parse_value(value) else quote(value))
    if _is_quoted(value):
        parsed = parse_value(value)
        return str(parsed.value) if parsed and isinstance(parsed.value, str) else None
    return None


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES


def is_list(value: str) -> bool:
    """Whether the bracket that begins a value is closed by the one that ends it."""
    depth = 0
    for place, one in enumerate(value):
        depth += (one == "[") - (one == "]")
        if depth == 0:
            return one == "]" and place == len(value) - 1
    return False


def split_list(value: str) -> list[str]:
    """Return the entries of a list; a comma within quotes or brackets divides none."""
    found, quoted, depth = [""], "", 0
    for one in value[1:-1]:
        if quoted:
            quoted = "" if one == quoted else quoted
        elif one in QUOTES and not found[-1].strip():
            quoted = one
        elif one in "[({":
            depth += 1
        elif one in "])}":
            depth -= 1
        elif one == "," and depth <= 0:
            found.append("")
            continue
        found[-1] += one
    return [entry for entry in (entry.strip() for entry in found) if entry]


def _expand(text: Reading) -> Reading:
    """Return a path with the home folder in place of a leading ~."""
    if isinstance(text, _Interpolated):
        return text
    if os.path.lexists(text):
        return text
    return _expand_home(text)


def _expand_home(text: str) -> str:
    """Return a path with a home folder in place of its ~ or ~name; as it is if there is none."""
    return os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for ~$draft.csv


def _is_there(reading: Reading | list[Reading]) -> bool:
    if isinstance(reading, list):
        return any(_is_there(one) for one in reading)
    return isinstance(reading, str) and (
        os.path.lexists(reading) or os.path.lexists(_expand_home(reading))
    )


def _explain(key: str, value: str, other: Reading | list[Reading]) -> str:
    texts = other if isinstance(other, list) else [other]
    quoted = ",".join(quote(one) for one in texts if isinstance(one, str))
    meant = [f"[{quoted}]" if isinstance(other, list) else quoted, quote(value)]
    ways = " or ".join(shlex.quote(f"{key}={one}") for one in meant)
    return f"{key}={value}: there are files for two readings: write {ways}"


def _check(key: str, text: str) -> str:
    """Return a text that a card can record.

    Raises:
        ShelfmarkError: it is not Unicode.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        name = os.fsencode(text).decode("ascii", "backslashreplace")
        raise ShelfmarkError(
            f"{key}: {name} is not UTF-8, in which the cards record it: rename it, or name a link"
        ) from None
    return text


def kinds_of(key: str) -> set[type]:
    """Return the types that a key takes: str, list, dict, NoneType; others only as `object`."""
    annotation: Any = EncoderConfig if key.startswith(ENCODER) else Config
    for part in key.removeprefix(ENCODER).split("."):
        options = [one for one in _flatten(annotation) if isinstance(one, type)]
        models = [one for one in options if issubclass(one, BaseModel)]
        fields = {name: found for model in models for name, found in _fields_of(model)}
        if part not in fields:
            return {object}
        annotation = fields[part]
    kinds = {get_origin(one) or one for one in _flatten(annotation)}
    plain = {str, list, dict, types.NoneType}
    return {kind if kind in plain else object for kind in kinds}


def _flatten(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        yield from _flatten(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _flatten(one)
    else:
        yield annotation


@functools.cache
def _fields_of(model: type[BaseModel]) -> list[tuple[str, Any]]:
    sections: dict[type[BaseModel], Iterable[type[BaseModel]]] = {
        ModelConfig: MODEL_KINDS.values(),
        EncoderConfig: ENCODER_KINDS.values(),
    }
    kinds = sections.get(model, [model])
    return [(name, one.annotation) for kind in kinds for name, one in kind.model_fields.items()]
