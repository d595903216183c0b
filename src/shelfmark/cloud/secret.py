"""The W&B key of a job: fetched from Secret Manager into this process alone, when it begins."""

from __future__ import annotations

import base64
import binascii
import os

from loguru import logger

from shelfmark.cloud import rest
from shelfmark.errors import ShelfmarkError

NAME = "WANDB_SECRET"  # projects/P/secrets/S/versions/latest: a name, no secret itself
KEY = "WANDB_API_KEY"
MODE = "WANDB_MODE"


def bring_wandb_key() -> None:
    """Set W&B's key from the secret that the job names; without it, W&B records offline.

    A training is worth more than its record, so that nothing here stops it.
    """
    name = os.environ.get(NAME)
    if not name or os.environ.get(KEY):
        return
    try:
        os.environ[KEY] = _fetched(name)
    except ShelfmarkError as error:
        logger.warning("no W&B key from {}: {}; recorded offline", name, error)
        os.environ.setdefault(MODE, "offline")


def _fetched(name: str) -> str:
    """Return a secret's value; no error of this function shows a part of it."""
    url = f"{rest.base('secretmanager.googleapis.com')}/v1/{name}:access"
    try:
        answer = rest.ask(rest.session(), "GET", url)
    except ModuleNotFoundError as error:
        raise ShelfmarkError("google-auth is not installed: the gs extra brings it") from error
    try:
        value = base64.b64decode(answer.json()["payload"]["data"], validate=True).decode().strip()
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ShelfmarkError("Secret Manager's answer holds no text") from None
    if not value:
        raise ShelfmarkError("the secret is empty")
    return value
