"""What the headers say of a body: its type, its character set and how it is packed."""

from __future__ import annotations

from collections.abc import Iterable

from shelfmark.service.limits.headers import RequestHeaders
from shelfmark.service.responses import RefusedFieldError

UNSUPPORTED = 415
GZIP = ("gzip", "x-gzip")
UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
MAX_SHOWN = 60  # characters of a header that a refusal repeats


def check_content(headers: RequestHeaders) -> bool:
    """Check that a body is JSON as the service reads it; return whether it is packed by gzip.

    Raises:
        RefusedFieldError: 415, it is of another type or packed in another way.
    """
    if headers.all(b"content-type") != [b"application/json"]:  # as nearly all requests have it
        _check_type(_values(headers, b"content-type"))
    if b"content-encoding" not in headers:
        return False
    codings = ",".join(_values(headers, b"content-encoding")).lower().split(",")
    applied = [coding.strip() for coding in codings if coding.strip() not in ("", "identity")]
    if applied and (len(applied) > 1 or applied[0] not in GZIP):
        problem = f"should be gzip or missing, not {_show(applied)}"
        accepted = {"Accept-Encoding": "gzip"}
        raise RefusedFieldError(UNSUPPORTED, "Content-Encoding", problem, accepted)
    return bool(applied)


def _check_type(values: list[str]) -> None:
    for value in values or [""]:
        media_type, _, parameters = value.partition(";")
        main, _, subtype = media_type.strip().lower().partition("/")
        if main != "application" or not (subtype == "json" or subtype.endswith("+json")):
            given = f"not {_show([value])}" if value else "but is missing"
            problem = f"should be application/json, {given}"
            accepted = {"Accept": "application/json"}
            raise RefusedFieldError(UNSUPPORTED, "Content-Type", problem, accepted)
        _check_charset(parameters)


def _check_charset(parameters: str) -> None:
    for parameter in parameters.lower().split(";"):
        name, _, charset = (part.strip(' \t"') for part in parameter.partition("="))
        if name == "charset" and charset and charset not in UTF_8:
            problem = f"should have no charset but utf-8, not {_show([charset])}"
            raise RefusedFieldError(UNSUPPORTED, "Content-Type", problem)


def _values(headers: RequestHeaders, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for value in headers.all(name)]


def _show(parts: Iterable[str]) -> str:
    """Return what a client has sent, cut where it is long."""
    text = ", ".join(parts).encode("ascii", "replace").decode()
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
