"""The account in Google Cloud: project, region, bucket, images' repository and service account.

Its file is part of the configuration group `cloud`, so that an override such as
`cloud.region=europe-west4` replaces a value for one command. It holds names, never a secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from shelfmark.config.groups import CONFIGS
from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.config.sections import Strict
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

FILE = CONFIGS / "cloud" / "account.yaml"
DISPLAYED_PATH = FILE.relative_to(CONFIGS.parent).as_posix()

# An organisation's own domain may stand before the project's id.
Project = Annotated[str, Field(pattern=r"^([a-z][a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
Region = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]
Repository = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
Email = Annotated[str, Field(pattern=r"^[a-z0-9.-]+@[a-z0-9.-]+$")]


class Account(Strict):
    """The names that differ from one user to the next; None where one is missing."""

    project: Project | None = None
    region: Region | None = None
    bucket: Bucket | None = None
    repository: Repository | None = None
    service_account: Email | None = None


def read_account(path: Path | None = None) -> Account:
    """Return the account of a file, by default `FILE`.

    Raises:
        ShelfmarkError: the file is missing or damaged, or a name in it is invalid.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError

    path = path or FILE
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
        return Account.model_validate(values)
    except (OSError, YAMLError) as error:
        raise ShelfmarkError(
            f"{path} cannot be read ({error}); run shelfmark cloud-init"
        ) from error
    except ValidationError as error:
        first = first_problem(error)
        key = ".".join(str(part) for part in first["loc"])
        reason = describe_problem(first)
        raise ShelfmarkError(f"{path}: {key}: {first['input']!r}: {reason}") from error


def write_account(account: Account, path: Path = FILE) -> None:
    """Write the values of an account into its file; the comments stay as they are.

    Raises:
        ShelfmarkError: the file is missing, or cannot be written.
    """
    values = account.model_dump(mode="json")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ShelfmarkError(f"{path} cannot be read: {error.strerror}") from error
    with files.atomic_write(path) as file:
        for line in lines:
            key, _, rest = line.partition(":")
            if key in values:
                _, mark, comment = rest.partition(" #")
                line = f"{key}: {values[key] or 'null'}{mark}{comment}"
            file.write(f"{line}\n".encode())


def missing_keys(account: Account, *keys: str) -> list[str]:
    """Return the keys whose value is missing."""
    return [key for key in keys if getattr(account, key) is None]


def with_placeholders(account: Account) -> Account:
    """Return the account with a word in capitals for each missing value, for dry runs only."""
    capitals = {key: key.upper() for key in missing_keys(account, *Account.model_fields)}
    return account.model_copy(update=capitals)


def require_keys(account: Account, *keys: str, without: str) -> None:
    """Raise if the account lacks any of these keys.

    Args:
        account: as the file and the overrides make it.
        keys: names of its fields.
        without: what works without an account, for the error.

    Raises:
        ShelfmarkError: one line that names the missing keys, the command that fills them in, and
            `without`.
    """
    if lacking := missing_keys(account, *keys):
        raise ShelfmarkError(
            f"no {', '.join(lacking)} in {DISPLAYED_PATH}: run shelfmark cloud-init; "
            f"without an account, {without}"
        )
