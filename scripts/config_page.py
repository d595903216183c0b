"""The reference page of the configuration keys: comments in `configs/`, schema and defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from shelfmark.cloud.spec import CloudConfig
from shelfmark.config import groups
from shelfmark.config.encoders import ENCODER_KINDS
from shelfmark.config.load import compose_values
from shelfmark.config.models import BOOSTED, MODEL_KINDS
from shelfmark.config.schema import Config, DriftConfig
from shelfmark.config.search import INDEX_KINDS

CONFIGS = groups.CONFIGS
NETWORK = CONFIGS / "network" / "pretrained.yaml"
VERTEX = "cloud=vertex_cpu"
KEY = re.compile(r"^( *)([\w-]+):(.*)$")
LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}",
          "maximum": "to {}", "exclusiveMaximum": "and below {}"}  # fmt: skip
TYPES = {"integer": "integer", "number": "number", "string": "string",
         "boolean": "boolean", "null": "null", "object": "mapping"}  # fmt: skip
HEAD = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
INTRO = """\
# Configuration keys

Any key can be set on the command line: `uv run inv train model.max_depth=4`. Later values take
precedence: the base configuration, the selected files of the groups, the experiment, the command
line. A misspelt key or an invalid value is an error before any work.
"""


def render_page() -> str:
    """Return the page: type, default and meaning of each key, and what each group's choices set."""
    base, notes = compose_values([]), read_meanings()
    schema = Config.model_json_schema()["properties"]
    sections = [key for key in schema if isinstance(base[key], dict)]
    single = [key for key in schema if key not in [*sections, "experiment"]]
    lines = [INTRO, "## Top-level keys", "", *key_table(Config, base, notes, single)]
    lines += ["## experiment", "", "Select one experiment: `uv run inv train experiment=best`.", ""]
    lines += choice_table("experiment", base)
    for name in sections:
        intro = notes.get(name, "")
        lines += [f"## {name}", "", *([f"{intro[0].upper()}{intro[1:]}.", ""] if intro else [])]
        lines += key_table(Config, base, notes, [name])
        lines += transformer_table() if name == "model" else []
        lines += choice_table(name, base) if name in groups.list_groups() else []
    only = "Only for `inv train-encoder` and `inv submit --encoder`."
    lines += kind_tables("encoder", "kind of encoder", only, ENCODER_KINDS)
    lines += kind_tables("index", "kind of index", "Only for `inv index`.", INDEX_KINDS)
    cloud = compose_values([VERTEX])
    lines += ["## cloud", "", f"Only for `inv submit` and `inv preflight`, as with `{VERTEX}`.", ""]
    lines += key_table(CloudConfig, cloud["cloud"], notes, prefix="cloud.")
    lines += choice_table("cloud", cloud)
    lines += choice_table("cloud/machine", cloud)
    lines += ["## drift", "", "Only for `inv drift`: `inv drift --log logs level=0.01`.", ""]
    drift = CONFIGS / "drift.yaml"
    values = yaml.safe_load(drift.read_text(encoding="utf-8"))
    return "\n".join([*lines, *key_table(DriftConfig, values, read_comments(drift))])


def kind_tables(
    group: str, kind: str, only: str, kinds: Mapping[str, type[BaseModel]]
) -> list[str]:
    """Return the tables of the keys of each choice of a group whose kinds have few in common.

    Args:
        group: of the configuration.
        kind: what its key `kind` means.
        only: the commands that read it.
        kinds: the model of each kind.
    """
    lines = [f"## {group}", "", only, ""]
    for name in groups.list_groups()[group]:
        file = CONFIGS / group / f"{name}.yaml"
        values = compose_values([f"{group}={name}"])[group]
        notes = {"kind": f"{kind}, which the file sets", **read_comments(file)}
        head = f"[`{group}={name}`](../../configs/{group}/{name}.yaml): {first_comment(file)}"
        meanings = {f"{group}.{key}": text for key, text in notes.items()}
        model = kinds[values["kind"]]
        lines += [head, "", *key_table(model, values, meanings, prefix=f"{group}.")]
    return lines


def transformer_table() -> list[str]:
    """Return the table of the keys of `model=transformer`, which no other model has."""
    file = CONFIGS / "model" / "transformer.yaml"
    notes = read_comments(NETWORK) | read_comments(file)
    values = compose_values(["model=transformer"])["model"]
    head = f"[`model=transformer`](../../configs/model/transformer.yaml): {first_comment(file)}"
    meanings = {f"model.{key}": text for key, text in notes.items()}
    model = MODEL_KINDS[values["kind"]]
    return [head, "", *key_table(model, values, meanings, prefix="model.")]


def key_table(
    model: type[BaseModel],
    values: Any,
    notes: dict[str, str],
    only: list[str] | None = None,
    prefix: str = "",
) -> list[str]:
    """Return the table of a model's keys, or of those in the sections `only`."""
    schema = json_schema(model)
    lines = []
    for key, kind in iter_keys(schema, schema.get("$defs", {})):
        if only is None or key.partition(".")[0] in only:
            meaning = notes.get(prefix + key, "")
            cells = [f"`{prefix}{key}`", kind, f"`{format_value(value_at(values, key))}`", meaning]
            lines.append(table_row(cells))
    return [*HEAD, *lines, ""]


def choice_table(group: str, base: Any) -> list[str]:
    """Return a table of a group's choices: purpose, and the keys that differ from the base."""
    lines = ["| choice | purpose | sets |", "| --- | --- | --- |"]
    before = dict(flatten(base))
    for name in groups.list_groups()[group]:
        wanted = [f"{group}={name}", *([VERTEX] if group.startswith("cloud/") else [])]
        after = dict(flatten(compose_values(wanted)))
        changed = [
            f"`{key}={format_value(value)}`"
            for key, value in after.items()
            if before.get(key, ...) != value and key != "experiment"
        ]
        link = f"[`{group}={name}`](../../configs/{group}/{name}.yaml)"
        about = first_comment(CONFIGS / group / f"{name}.yaml")
        lines.append(table_row([link, about, ", ".join(changed) or "the default"]))
    return [*lines, ""]


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a configuration, with the keys of the default family of models."""
    schema = model.model_json_schema()
    if model is Config:
        boosted = MODEL_KINDS[BOOSTED].model_json_schema()
        schema["$defs"] |= boosted.pop("$defs", {})
        schema["properties"]["model"] = boosted
    return schema


def iter_keys(schema: dict[str, Any], defs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each dotted key of a schema and its type, and each section that may be null."""
    for name, one in schema.get("properties", {}).items():
        branches = [resolve(branch, defs) for branch in one.get("anyOf", [one])]
        sections = [branch for branch in branches if "properties" in branch]
        if len(branches) > len(sections):
            yield name, type_text(one, defs)
        for section in sections:
            yield from ((f"{name}.{key}", kind) for key, kind in iter_keys(section, defs))


def type_text(one: dict[str, Any], defs: dict[str, Any]) -> str:
    """Return the type in a JSON schema as text."""
    one = resolve(one, defs)
    if "anyOf" in one:
        return " or ".join(dict.fromkeys(type_text(branch, defs) for branch in one["anyOf"]))
    if "properties" in one:
        return "the keys below"
    if "const" in one or "enum" in one:
        return " or ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    if one.get("type") == "array":
        inner = one.get("items") or one["prefixItems"][0]
        return ("pair" if "prefixItems" in one else "list") + f" of {type_text(inner, defs)}"
    if one.get("format") == "date":
        return "date"
    limits = [text.format(one[key]) for key, text in LIMITS.items() if key in one]
    return f"{TYPES.get(one.get('type', ''), 'any')} {' '.join(limits)}".strip()


def resolve(one: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema itself, or the definition to which it refers."""
    return defs[one["$ref"].rpartition("/")[2]] if "$ref" in one else one


def read_meanings() -> dict[str, str]:
    """Return the comment of each key in the base and in the groups; the first takes precedence."""
    comments = read_comments(CONFIGS / "config.yaml")
    base = yaml.safe_load((CONFIGS / "config.yaml").read_text(encoding="utf-8"))
    chosen = {group: name for one in base["defaults"] if isinstance(one, dict)
              for group, name in one.items()}  # fmt: skip
    for key, text in read_comments(NETWORK).items():
        comments.setdefault(f"model.stack.scorers.transformer.{key}", text)
    for group in sorted({*groups.list_groups()} - {"experiment"}):
        files = sorted((CONFIGS / group).glob("*.yaml"), key=lambda x: x.stem != chosen.get(group))
        for file in files:
            for key, text in read_comments(file).items():
                comments.setdefault(f"{group.replace('/', '.')}.{key}", text)
    return comments


def read_comments(file: Path) -> dict[str, str]:
    """Return the comment of each dotted key: on its line, and on the lines directly below."""
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    last = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := KEY.match(line):
            indent, name, rest = len(match[1]), match[2], match[3]
            path = [*(x for x in path if x[0] < indent), (indent, name)]
            last = ".".join(key for _, key in path)
            if " #" in rest:
                comments[last] = rest.partition(" #")[2].strip()
        elif line.lstrip().startswith("#") and last:
            comments[last] = f"{comments.get(last, '')} {line.strip(' #')}".strip()
        else:
            last = ""  # a comment after an empty line does not belong to the previous key
    return comments


def first_comment(file: Path) -> str:
    """Return the first comment of a file of a group."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(line[2:] for line in lines if line.startswith("# ") and "@package" not in line)


def flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key with its value, unless that is a mapping with keys."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def value_at(values: Any, key: str) -> Any:
    """Return the value of a dotted key; None if a section above it is None."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def format_value(value: Any) -> str:
    """Return a value in the form of the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{format_value(one)}" for key, one in value.items()) + "}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def table_row(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
