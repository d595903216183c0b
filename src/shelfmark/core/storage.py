"""Addresses such as gs://bucket/folder, read through fsspec with time limits and one-line errors.

gcsfs by default waits forever for a silent server, becomes anonymous where credentials are missing,
and asks a second service, which emulators lack, for the kind of a bucket.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import socket
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from shelfmark.core import environment, project
from shelfmark.errors import ShelfmarkError

GOOGLE = ("gs", "gcs")
EXTRAS = dict.fromkeys(GOOGLE, "gs")  # the extra that installs the package of a protocol
BLOCK = 8 << 20  # bytes asked for at a time
BUFFER = 1 << 20
CONNECT_SECONDS = 5
IDLE_SECONDS = 15  # without a byte; gcsfs then retries, six times in all
ENVIRONMENT = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}  # read as gcsfs is imported
LOG_IN = (
    "log in with gcloud auth application-default login, or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GS_TOKEN=anon reads a public bucket without them"
)


def is_remote(address: str) -> bool:
    """Whether this is an address such as gs://bucket/folder and not a local path."""
    return "://" in address


def filesystem_for(address: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of an address, and the path in it.

    For Google's storage, missing credentials and an unreachable host fail within seconds.
    `STORAGE_EMULATOR_HOST` names an emulator, which needs no credentials; the variables
    `FSSPEC_GS_…` set the other options of gcsfs, such as `FSSPEC_GS_TOKEN=anon`.

    Args:
        address: an address or a local path.

    Raises:
        ShelfmarkError: the protocol is unknown, its package is not installed, credentials are
            missing, or the host cannot be reached.
    """
    google = address.partition("://")[0] in GOOGLE
    with user_errors(address):
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(address, **(_timeouts() if google else {}))
        if google:
            _check_reachable(filesystem.base)
            filesystem.credentials.maybe_refresh()
    return filesystem, str(path)


def path_kind(address: str) -> str | None:
    """Return whether an address is that of a `file` or of a `folder`, None for neither.

    Raises:
        ShelfmarkError: it cannot be reached.
    """
    filesystem, path = filesystem_for(address)
    with user_errors(address):
        try:
            return "file" if filesystem.info(path)["type"] == "file" else "folder"
        except FileNotFoundError:
            return None


def list_folder(address: str) -> list[str]:
    """Return the addresses of all that lies directly in a folder, a folder in it with a slash.

    Raises:
        ShelfmarkError: it cannot be reached, or its protocol lists no folders.
    """
    filesystem, path = filesystem_for(address)
    with user_errors(address):
        return [
            filesystem.unstrip_protocol(entry["name"].rstrip("/"))
            + ("" if entry["type"] == "file" else "/")
            for entry in filesystem.ls(path, detail=True)
        ]


def match_files(pattern: str) -> list[str]:
    """Return the addresses of the files that match a pattern with `*`, `?`, `[…]` or `**`.

    Raises:
        ShelfmarkError: the bucket cannot be reached, or its protocol lists no folders.
    """
    filesystem, path = filesystem_for(pattern)
    with user_errors(pattern):
        matches: dict[str, dict[str, Any]] = filesystem.glob(path, detail=True)
        return [
            filesystem.unstrip_protocol(name)
            for name, info in matches.items()
            if info["type"] == "file"
        ]


def file_size(address: str) -> int:
    """Return the size in bytes of the file at an address.

    Raises:
        ShelfmarkError: it does not exist, is a folder, or cannot be reached.
    """
    return int(_file_info(address)["size"])


def version_digest(address: str) -> str:
    """Return a digest that changes whenever the file at an address does, in hexadecimal.

    Raises:
        ShelfmarkError: it does not exist, is a folder, or cannot be reached.
    """
    return hashlib.sha256(repr(sorted(_file_info(address).items())).encode()).hexdigest()


def _file_info(address: str) -> dict[str, Any]:
    filesystem, path = filesystem_for(address)
    with user_errors(address):
        info: dict[str, Any] = filesystem.info(path)
    if info["type"] != "file":
        raise ShelfmarkError(f"{address} is a folder, a file is needed")
    return info


def open_remote(address: str) -> IO[bytes]:
    """Open the file at an address for reading, some megabytes at a time.

    Raises:
        ShelfmarkError: it cannot be reached, now or while it is read.
    """
    return io.BufferedReader(_Reader(address), BUFFER)


class _Reader(io.RawIOBase):
    """A file of a filesystem, with one-line errors wherever they occur."""

    def __init__(self, address: str) -> None:
        self._address = address
        filesystem, path = filesystem_for(address)
        with user_errors(address):
            self._file = filesystem.open(path, "rb", block_size=BLOCK, cache_type="readahead")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with user_errors(self._address):
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with user_errors(self._address):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def emulator_host() -> str:
    """Return the host that emulates Google's storage, "" if no emulator is set."""
    return environment.read("STORAGE_EMULATOR_HOST").removeprefix("default")


def set_timeouts() -> None:
    """Set the time limits for all other code of this process that opens Google's storage."""
    limits = _timeouts()
    limits.pop("token", None)
    if emulator_host():
        environment.set_default("NO_GCE_CHECK", "true")  # the search for a token takes seconds
    from fsspec.config import conf

    for name in GOOGLE:
        conf[name] = {**limits, **conf.get(name, {})}


def _timeouts() -> dict[str, Any]:
    """Return the options by which gcsfs times out, and fails where credentials are missing."""
    for name, value in ENVIRONMENT.items():
        environment.set_default(name, value)
    import aiohttp
    from fsspec.config import conf

    logging.getLogger("gcsfs").setLevel(
        logging.CRITICAL
    )  # it logs the tracebacks of the errors it raises
    chosen = any("token" in conf.get(name, {}) for name in GOOGLE)
    token = {} if chosen else {"token": "anon" if emulator_host() else "google_default"}
    return {
        **token,
        "requests_timeout": aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS
        ),
        "session_kwargs": {"trust_env": True},  # uses the proxies of the environment
        "use_listings_cache": False,  # other processes write there too
    }


def _check_reachable(url: str) -> None:
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
def user_errors(address: str) -> Iterator[None]:
    """Turn any error of a filesystem, or a missing package, into a `ShelfmarkError` of one line.

    Raises:
        ShelfmarkError: the block raised an error.
    """
    try:
        yield
    except ShelfmarkError:
        raise
    except Exception as error:  # each filesystem has its own errors
        raise ShelfmarkError(_message(address, error)) from error


def _message(address: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        extra = EXTRAS.get(address.partition("://")[0])
        how = project.install_command(extra) if extra else error
        return f"{address} needs a package that is not installed: {how}"
    if type(error).__name__ == "DefaultCredentialsError":
        return f"{address}: no Google credentials; {LOG_IN}"
    if getattr(error, "code", None) == 401:
        return f"{address}: Google rejects these credentials; {LOG_IN}"
    if isinstance(error, FileNotFoundError):
        return f"{address}: does not exist; check the names of the bucket and the file"
    if isinstance(error, TimeoutError):
        return f"{address}: no answer in time; try again"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if lines[0].startswith("Forbidden:"):  # gcsfs: the URL, then Google's message
        return f"{address}: not allowed: {lines[-1]}"
    return f"{address}: {lines[0]}"
