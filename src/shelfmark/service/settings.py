"""The settings of the service and its limits, read from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shelfmark.config.schema import VERSION
from shelfmark.models.aliases import LATEST
from shelfmark.service.middleware.prefix import normalize_prefix


class Settings(BaseSettings):
    """Read from the environment: each as SHELFMARK_ and its name in capitals, and PORT."""

    model_config = SettingsConfigDict(env_prefix="SHELFMARK_", frozen=True, extra="ignore")

    models: str = Field("models", description="folder or bucket (gs://...) of the models")
    model: str = Field(LATEST, pattern=VERSION, description="version or alias to load at the start")
    port: int = Field(8000, ge=1, le=65535, validation_alias="PORT", description="port")
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
        description="time for requests in flight after SIGTERM; 1.5 s later no process is left",
    )
    load_seconds: float = Field(
        60, gt=0, description="longest time of POST /load, until all workers serve the model"
    )

    api_key: SecretStr | None = Field(None, description="X-API-Key that POST /predict requires")
    admin_key: SecretStr | None = Field(
        None, description="X-Admin-Key of POST /load; disabled without it"
    )
    cors_origins: list[str] = Field(
        [], description="origins of other sites allowed by CORS, a JSON list"
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


def settings_table(kind: type[Settings] = Settings) -> str:
    """Return the settings, or those that a subclass adds, as a Markdown table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in kind.model_fields.items():
        added = kind is Settings or name not in Settings.model_fields
        if field.description and added:
            variable = str(field.validation_alias or f"SHELFMARK_{name.upper()}")
            default = "" if field.default in (None, "") else f"`{field.default}`"
            lines.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(lines)
