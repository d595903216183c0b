"""Addresses such as gs://bucket/folder, reached through fsspec: never a silent wait, no traceback.

gcsfs by itself waits for ever on a server that says nothing, turns anonymous where credentials are
missing, and asks a second service, not there on an emulator, of what kind a bucket is.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import socket
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from shelfmark.errors import ShelfmarkError

GOOGLE = ("gs", "gcs")
EXTRAS = dict.fromkeys(GOOGLE, "gs")  # what installs the package of an address
BLOCK = 8 << 20  # bytes asked for at a time
BUFFER = 1 << 20
CONNECT_SECONDS = 5
IDLE_SECONDS = 15  # without a byte; gcsfs then tries again, six times in all
ENVIRONMENT = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}  # read as gcsfs is imported
LOG_IN = (
    "log in with gcloud auth application-default login, or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GS_TOKEN=anon reads a public bucket without"
)


def is_remote(address: str) -> bool:
    """Whether this is an address such as gs://bucket/folder, and no path of this machine."""
    return "://" in address


def reached(address: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of an address, and the path in it.

    For Google's storage, credentials are looked for first, then whether anything answers, both
    within seconds. `STORAGE_EMULATOR_HOST` names an emulator, which needs no credentials; the
    variables `FSSPEC_GS_…` set what else gcsfs takes, such as `FSSPEC_GS_TOKEN=anon`.

    Args:
        address: an address, or a path of this machine.

    Raises:
        ShelfmarkError: no such kind of address, its package is not installed, no credentials, or
            nothing answers there.
    """
    google = address.partition("://")[0] in GOOGLE
    with plainly(address):
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(address, **(_limits() if google else {}))
        if google:
            _check_answers(filesystem.base)
            filesystem.credentials.maybe_refresh()
    return filesystem, str(path)


def size(address: str) -> int:
    """Return the bytes of the file at an address.

    Raises:
        ShelfmarkError: it is not there, a folder, or cannot be reached.
    """
    return int(_found(address)["size"])


def version_of(address: str) -> str:
    """Return what changes whenever the file at an address does, in hexadecimal.

    Raises:
        ShelfmarkError: it is not there, a folder, or cannot be reached.
    """
    return hashlib.sha256(repr(sorted(_found(address).items())).encode()).hexdigest()


def _found(address: str) -> dict[str, Any]:
    filesystem, path = reached(address)
    with plainly(address):
        found: dict[str, Any] = filesystem.info(path)
    if found["type"] != "file":
        raise ShelfmarkError(f"{address} is a folder, a file is needed")
    return found


def opened(address: str) -> IO[bytes]:
    """Open the file at an address for reading, some megabytes of it at a time.

    Raises:
        ShelfmarkError: it cannot be reached, now or while it is read.
    """
    return io.BufferedReader(_Reader(address), BUFFER)


class _Reader(io.RawIOBase):
    """A file of a filesystem, whose errors are told in one line wherever they come up."""

    def __init__(self, address: str) -> None:
        self._address = address
        filesystem, path = reached(address)
        with plainly(address):
            self._file = filesystem.open(path, "rb", block_size=BLOCK, cache_type="readahead")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with plainly(self._address):
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with plainly(self._address):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def emulated() -> str:
    """Return the host that stands in for Google's storage, or nothing."""
    return os.environ.get("STORAGE_EMULATOR_HOST", "").removeprefix("default")


def limit() -> None:
    """Set the same time limits for whatever else opens Google's storage in this process."""
    limits = _limits()
    limits.pop("token", None)
    if emulated():
        os.environ.setdefault("NO_GCE_CHECK", "true")  # or seconds go by in the search for a token
    from fsspec.config import conf

    for name in GOOGLE:
        conf[name] = {**limits, **conf.get(name, {})}


def _limits() -> dict[str, Any]:
    """Return what makes gcsfs give up in time, and name missing credentials."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import aiohttp
    from fsspec.config import conf

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs tracebacks of what it raises
    chosen = any("token" in conf.get(name, {}) for name in GOOGLE)
    token = {} if chosen else {"token": "anon" if emulated() else "google_default"}
    return {
        **token,
        "requests_timeout": aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS
        ),
        "session_kwargs": {"trust_env": True},  # proxies, as everything else takes them
        "use_listings_cache": False,  # others write there too
    }


def _check_answers(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in getproxies():
        return
    where = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(where, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        host = f"{parts.scheme}://{parts.netloc}"
        raise ShelfmarkError(f"nothing answers at {host} ({error}): check the network") from error


@contextlib.contextmanager
def plainly(address: str) -> Iterator[None]:
    """Turn whatever a filesystem raises, and a missing package, into one line.

    Raises:
        ShelfmarkError: something was raised in the block.
    """
    try:
        yield
    except ShelfmarkError:
        raise
    except Exception as error:  # each filesystem raises errors of its own
        raise ShelfmarkError(_told(address, error)) from error


def _told(address: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        extra = EXTRAS.get(address.partition("://")[0])
        how = f"uv sync --extra {extra}" if extra else error
        return f"{address} needs a package that is not installed: {how}"
    if type(error).__name__ == "DefaultCredentialsError":
        return f"{address}: no Google credentials; {LOG_IN}"
    if getattr(error, "code", None) == 401:
        return f"{address}: Google does not take these credentials; {LOG_IN}"
    if isinstance(error, FileNotFoundError):
        return f"{address}: not there; check the names of the bucket and of what is in it"
    if isinstance(error, TimeoutError):
        return f"{address}: no answer in time; try again"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if lines[0].startswith("Forbidden:"):  # gcsfs: the URL, then what Google says
        return f"{address}: not allowed: {lines[-1]}"
    return f"{address}: {lines[0]}"
