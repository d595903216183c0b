"""The settings of the service and its limits, read from environment variables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shelfmark.artifacts.aliases import LATEST
from shelfmark.config.problems import describe_problem
from shelfmark.config.schema import VERSION
from shelfmark.core.environment import PREFIX, check_key
from shelfmark.monitoring.spans import check_since
from shelfmark.service.middleware.prefix import normalize_prefix

ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>[0-9]{1,5}))?"
)
ANY_ORIGIN = "*"
MAX_PORT = 65_535
DAY = 86_400  # seconds
DEFAULT_PORTS = {"http": 80, "https": 443}  # which browsers leave out of an origin
# What a value looks like where the default does not show it.
FORMS = {
    "cors_origins": '; give a JSON list, ["https://a.org"]',
    "encoder": "",
    "every_seconds": ", such as 3600",
    "log_folder": ", such as logs",
    "root_path": "",
    "since": "",
}


def _check_secret(key: SecretStr) -> SecretStr:
    return SecretStr(check_key(key.get_secret_value()))


def _read_list(value: object) -> object:
    """Return a JSON list as a list; else entries with commas between them."""
    if not isinstance(value, str):
        return value
    if value.startswith(("[", "{", '"')):
        try:
            found = json.loads(value)
        except ValueError:
            raise ValueError("should be a list") from None
        return [found] if isinstance(found, str) else found
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _check_origins(origins: list[str]) -> list[str]:
    """Return origins as browsers send them."""
    if ANY_ORIGIN in origins and len(origins) > 1:
        raise ValueError(f"{ANY_ORIGIN} allows every origin, so it stands alone")
    return [origin if origin == ANY_ORIGIN else _check_origin(origin) for origin in origins]


def _check_origin(origin: str) -> str:
    found = ORIGIN.fullmatch(origin.strip().lower())
    if not found or int(found["port"] or 0) > MAX_PORT:
        raise ValueError(f"{origin!r} is no origin: scheme, host and port alone, as https://a.org")
    port = int(found["port"] or 0)
    shown = port and port != DEFAULT_PORTS.get(found["scheme"])
    return f"{found['scheme']}://{found['host']}" + (f":{port}" if shown else "")


Key = Annotated[SecretStr, AfterValidator(_check_secret)]
Origins = Annotated[
    list[str], NoDecode, BeforeValidator(_read_list), AfterValidator(_check_origins)
]


class Settings(BaseSettings):
    """Read from the environment: each as SHELFMARK_ and its name in capitals, and PORT.

    A variable that is empty or blank is unset. Blanks around a value are no part of it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    models: str = Field("models", description="folder or bucket (gs://...) of the models")
    model: str = Field(LATEST, pattern=VERSION, description="version or alias to load at the start")
    index: Path = Field(Path("index"), description="folder of the index of papers, if there is one")
    encoders: str = Field("encoders", description="folder or bucket (gs://...) of the encoders")
    encoder: str = Field(
        "",
        description="encoder of POST /search and POST /embed; by default the one that made the "
        "index, or `latest` without an index",
    )
    port: int = Field(8000, ge=1, le=MAX_PORT, validation_alias="PORT", description="port")
    workers: int = Field(1, ge=1, le=256, description="server processes")
    root_path: Annotated[str, AfterValidator(normalize_prefix)] = Field(
        "", description="path of a proxy under which the service stands, such as /shelf"
    )

    max_body_bytes: int = Field(2 << 20, ge=1024, description="largest body of a request")
    max_characters: int = Field(50_000, ge=100, description="longest title, abstract or text")
    max_papers: int = Field(256, ge=1, description="longest list")
    max_total_characters: int = Field(
        1_000_000, ge=100, description="most characters of all texts of a request together"
    )
    max_explanations: int = Field(
        32, ge=1, description="longest list with explain, whose answers cost twenty times more"
    )
    max_searches: int = Field(64, ge=1, description="longest list of POST /search and POST /embed")
    max_results: int = Field(
        2000, ge=1, description="most papers that all searches of a request together may ask for"
    )
    max_in_flight: int = Field(
        128,
        ge=1,
        description="most requests in flight per worker; further ones get 503 and Retry-After",
    )
    request_seconds: float = Field(30, gt=0, description="longest time of a request")
    header_seconds: float = Field(
        10, gt=0, description="longest time to receive a request's headers"
    )
    answer_seconds: float = Field(
        30, gt=0, description="longest time for a client to receive an answer"
    )
    buffer_bytes: int = Field(
        64 << 20,
        ge=1024,
        description="most bytes of bodies and of answers not yet received, per worker",
    )
    shutdown_seconds: int = Field(
        8,
        ge=1,
        le=DAY,
        description="time for requests in flight after SIGTERM; 1.5 s later no process is left",
    )
    load_seconds: float = Field(
        60, gt=0, description="longest time of POST /load, until all workers serve the model"
    )

    api_key: Key | None = Field(
        None,
        description="X-API-Key that POST /predict, /search and /embed require, at least 16 "
        "characters",
    )
    admin_key: Key | None = Field(
        None,
        description="X-Admin-Key of POST /load, at least 16 characters; disabled without it",
    )
    cors_origins: Origins = Field(
        [],
        description='origins of other sites allowed by CORS, a JSON list: `["https://a.org"]`; '
        '`["*"]` allows all',
    )

    log_folder: Path | None = Field(
        None, description="folder of the prediction log; disabled without it"
    )
    log_sketch: bool = Field(True, description="log the hashed words, for shelfmark drift")
    log_texts: bool = Field(False, description="log the texts too")
    log_max_bytes: int = Field(64 << 20, ge=1024, description="size at which a log file is closed")
    log_max_seconds: float = Field(3600, gt=0, description="age at which a log file is closed")

    # Set by `serve`: the folder that the workers share.
    runtime: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_blank(cls, values: Any) -> Any:
        """Leave out values that are blank, and the blanks around the others."""
        if not isinstance(values, Mapping):
            return values
        trimmed = {
            key: value.strip() if isinstance(value, str) else value for key, value in values.items()
        }
        return {key: value for key, value in trimmed.items() if value != ""}

    @classmethod
    def variable(cls, name: str) -> str:
        """Return the variable that sets a field."""
        field = cls.model_fields[name]
        return str(field.validation_alias or f"{PREFIX}{name.upper()}")

    @classmethod
    def describe(cls, problem: ErrorDetails) -> str:
        """Return the line for an invalid value: its variable, what is wrong, and a right form.

        A key is never shown.
        """
        place = str(problem["loc"][0])
        names = {one: cls.variable(one) for one in cls.model_fields}
        name = next(one for one, variable in names.items() if place in (one, variable))
        field = cls.model_fields[name]
        value, secret = problem["input"], name.endswith("_key")
        reason = describe_problem(problem)
        # A reason that names an entry of a list says what the value is.
        named = secret or not isinstance(value, str) or not reason.startswith("should")
        shown = "" if named else f"{value!r} "
        plain = secret or isinstance(field.default, bool)
        form = FORMS.get(name, "" if plain else f", such as {field.default}")
        return f"{names[name]}: {shown}{reason}{form}"


class MonitorSettings(Settings):
    """The settings of the monitor, besides those of the service that it shares."""

    reports: Path = Field(Path("reports"), description="folder of the reports")
    since: Annotated[str, AfterValidator(check_since)] = Field(
        "7d", description="window of log lines that a run compares; `all` for the whole log"
    )
    every_seconds: float | None = Field(
        None, gt=0, description="time between scheduled runs; without it, runs start on request"
    )
    run_seconds: float = Field(3600, gt=0, description="longest time of a run")


def variable_names() -> set[str]:
    """Return the variables of the service and of the monitor."""
    return {MonitorSettings.variable(name) for name in MonitorSettings.model_fields}


def settings_table(kind: type[Settings] = Settings) -> str:
    """Return the settings, or those that a subclass adds, as a Markdown table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in kind.model_fields.items():
        added = kind is Settings or name not in Settings.model_fields
        if field.description and added:
            variable = kind.variable(name)
            default = "" if field.default in (None, "") else f"`{field.default}`"
            lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines)
