"""Whose cloud it is: project, region, bucket, images' repository and service account, in one file.

The file is part of the configuration group `cloud`, so that an override such as
`cloud.region=europe-west4` wins over it for one command. It holds names, never a secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from shelfmark.config.groups import CONFIGS
from shelfmark.config.schema import Strict
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

FILE = CONFIGS / "cloud" / "account.yaml"
SHOWN = FILE.relative_to(CONFIGS.parent).as_posix()

# An organisation's own domain may stand before the project's id.
Project = Annotated[str, Field(pattern=r"^([a-z][a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
Region = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")]
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]
Repository = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
Email = Annotated[str, Field(pattern=r"^[a-z0-9.-]+@[a-z0-9.-]+$")]


class Account(Strict):
    """The names that differ from one user to the next; null where one is not given yet."""

    project: Project | None = None
    region: Region | None = None
    bucket: Bucket | None = None
    repository: Repository | None = None
    service_account: Email | None = None


def read(path: Path | None = None) -> Account:
    """Return what the file says.

    Raises:
        ShelfmarkError: the file is not there, damaged, or a name in it cannot be one.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError

    path = path or FILE
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
        return Account.model_validate(values)
    except (OSError, YAMLError) as error:
        raise ShelfmarkError(f"{path} cannot be read ({error}); run inv cloud-init") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ShelfmarkError(f"{path}: {key}: {first['input']!r}: {first['msg']}") from error


def write(account: Account, path: Path = FILE) -> None:
    """Fill the file in; its comments stay as they are.

    Raises:
        ShelfmarkError: the file is not there, or cannot be written.
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


def missing(account: Account, *keys: str) -> list[str]:
    """Return those of the keys that have no value yet."""
    return [key for key in keys if getattr(account, key) is None]


def spelt_out(account: Account) -> Account:
    """Return the account with a word in capitals for what is missing, to show and never to use."""
    capitals = {key: key.upper() for key in missing(account, *Account.model_fields)}
    return account.model_copy(update=capitals)


def require(account: Account, *keys: str, without: str) -> None:
    """Let pass an account that has all of these keys.

    Args:
        account: what the file and the overrides say.
        keys: names of its fields.
        without: what works without an account, for the error.

    Raises:
        ShelfmarkError: one line that names the missing keys, what fills them in, and `without`.
    """
    if lacking := missing(account, *keys):
        raise ShelfmarkError(
            f"no {', '.join(lacking)} in {SHOWN}: run inv cloud-init; without an account, {without}"
        )
