"""The page of all configuration keys: what the comments in `configs/`, the schema and Hydra say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from shelfmark.cloud.submission import CloudConfig
from shelfmark.config import groups
from shelfmark.config.drift import DriftConfig
from shelfmark.config.load import compose_values
from shelfmark.config.schema import Config

CONFIGS = groups.CONFIGS
VERTEX = "cloud=vertex_cpu"
KEY = re.compile(r"^( *)([\w-]+):(.*)$")
LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}",
          "maximum": "to {}", "exclusiveMaximum": "and below {}"}  # fmt: skip
TYPES = {"integer": "whole number", "number": "number", "string": "text",
         "boolean": "true or false", "null": "null", "object": "mapping"}  # fmt: skip
HEAD = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
INTRO = """\
# Configuration keys

Any key can be set behind a command: `uv run inv train model.max_depth=4`. The last wins: this
base, the chosen files of the groups, the experiment, the command line. A misspelt key or a wrong
value is an error before any work.
"""


def page() -> str:
    """Return the page: each key's type, default and meaning, and what each group's choices set."""
    base, notes = compose_values([]), meanings()
    schema = Config.model_json_schema()["properties"]
    sections = [key for key in schema if isinstance(base[key], dict)]
    single = [key for key in schema if key not in [*sections, "experiment"]]
    lines = [INTRO, "## Keys of no section", "", *table(Config, base, notes, single)]
    lines += ["## experiment", "", "One at a time: `uv run inv train experiment=best`.", ""]
    lines += choices("experiment", base)
    for name in sections:
        intro = notes.get(name, "")
        lines += [f"## {name}", "", *([f"{intro[0].upper()}{intro[1:]}.", ""] if intro else [])]
        lines += table(Config, base, notes, [name])
        lines += choices(name, base) if name in groups.groups() else []
    cloud = compose_values([VERTEX])
    lines += ["## cloud", "", f"For `inv submit` and `inv preflight` alone, with `{VERTEX}`.", ""]
    lines += table(CloudConfig, cloud["cloud"], notes, prefix="cloud.")
    lines += choices("cloud/machine", cloud)
    lines += ["## drift", "", "Keys of `inv drift` alone: `inv drift --log logs level=0.01`.", ""]
    drift = CONFIGS / "drift.yaml"
    values = yaml.safe_load(drift.read_text(encoding="utf-8"))
    return "\n".join([*lines, *table(DriftConfig, values, comments(drift))])


def table(
    model: type[BaseModel],
    values: Any,
    notes: dict[str, str],
    only: list[str] | None = None,
    prefix: str = "",
) -> list[str]:
    """Return the rows of a model's keys, or of those that begin with one of some names."""
    schema = model.model_json_schema()
    lines = []
    for key, kind in keys(schema, schema.get("$defs", {})):
        if only is None or key.partition(".")[0] in only:
            meaning = notes.get(prefix + key, "")
            cells = [f"`{prefix}{key}`", kind, f"`{written(at(values, key))}`", meaning]
            lines.append(row(cells))
    return [*HEAD, *lines, ""]


def choices(group: str, base: Any) -> list[str]:
    """Return what each choice of a group is for, and the keys that it sets other than the base."""
    lines = ["| choice | what it is | sets |", "| --- | --- | --- |"]
    before = dict(flat(base))
    for name in groups.groups()[group]:
        wanted = [f"{group}={name}", *([VERTEX] if group.startswith("cloud") else [])]
        after = dict(flat(compose_values(wanted)))
        changed = [
            f"`{key}={written(value)}`"
            for key, value in after.items()
            if before.get(key, ...) != value and key != "experiment"
        ]
        link = f"[`{group}={name}`](../../configs/{group}/{name}.yaml)"
        about = heading(CONFIGS / group / f"{name}.yaml")
        lines.append(row([link, about, ", ".join(changed) or "the default"]))
    return [*lines, ""]


def keys(schema: dict[str, Any], defs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each dotted key of a schema and its type; of a section that may be null, itself too."""
    for name, one in schema.get("properties", {}).items():
        branches = [resolved(branch, defs) for branch in one.get("anyOf", [one])]
        sections = [branch for branch in branches if "properties" in branch]
        if len(branches) > len(sections):
            yield name, words(one, defs)
        for section in sections:
            yield from ((f"{name}.{key}", kind) for key, kind in keys(section, defs))


def words(one: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return the type that a JSON schema asks for, in a few words."""
    one = resolved(one, defs)
    if "anyOf" in one:
        return " or ".join(dict.fromkeys(words(branch, defs) for branch in one["anyOf"]))
    if "properties" in one:
        return "the keys below"
    if "const" in one or "enum" in one:
        return " or ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    if one.get("type") == "array":
        inner = one.get("items") or one["prefixItems"][0]
        return ("pair" if "prefixItems" in one else "list") + f" of {words(inner, defs)}"
    if one.get("format") == "date":
        return "day"
    limits = [text.format(one[key]) for key, text in LIMITS.items() if key in one]
    return f"{TYPES.get(one.get('type', ''), 'any')} {' '.join(limits)}".strip()


def resolved(one: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference within a schema stands for."""
    return defs[one["$ref"].rpartition("/")[2]] if "$ref" in one else one


def meanings() -> dict[str, str]:
    """Return what the comments of the base and of the groups say of each key; the first wins."""
    found = comments(CONFIGS / "config.yaml")
    base = yaml.safe_load((CONFIGS / "config.yaml").read_text(encoding="utf-8"))
    chosen = {group: name for one in base["defaults"] if isinstance(one, dict)
              for group, name in one.items()}  # fmt: skip
    for group in sorted({*groups.groups()} - {"experiment"}):
        files = sorted((CONFIGS / group).glob("*.yaml"), key=lambda x: x.stem != chosen.get(group))
        for file in files:
            for key, text in comments(file).items():
                found.setdefault(f"{group.replace('/', '.')}.{key}", text)
    return found


def comments(file: Path) -> dict[str, str]:
    """Return the comment of each dotted key: behind it, and in the lines right below it."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    last = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := KEY.match(line):
            indent, name, rest = len(match[1]), match[2], match[3]
            path = [*(x for x in path if x[0] < indent), (indent, name)]
            last = ".".join(key for _, key in path)
            if " #" in rest:
                found[last] = rest.partition(" #")[2].strip()
        elif line.lstrip().startswith("#") and last:
            found[last] = f"{found.get(last, '')} {line.strip(' #')}".strip()
        else:
            last = ""  # behind an empty line a comment is none of the key before
    return found


def heading(file: Path) -> str:
    """Return the comment that a file of a group begins with."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(line[2:] for line in lines if line.startswith("# ") and "@package" not in line)


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key that is no mapping, or an empty one, with its value."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def at(values: Any, key: str) -> Any:
    """Return the value of a dotted key; null where a section above it is."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def written(value: Any) -> str:
    """Return a value as it is written behind a command."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(one)}" for key, one in value.items()) + "}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def row(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
