"""The path of a proxy: what counts as one, and where it is added and removed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from shelfmark.service.limits.headers import RequestHeaders
from shelfmark.service.middleware.prefix import PREFIX, ProxyPrefix, forwarded_prefix
from shelfmark.service.settings import Settings


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("", ""), ("/", ""), ("/shelf", "/shelf"), ("/shelf/", "/shelf"), ("shelf", "/shelf"),
     ("/a/b-c/d_e.f~1/", "/a/b-c/d_e.f~1")],
)  # fmt: skip
def test_a_root_path_is_read_with_or_without_slashes(given: str, prefix: str) -> None:
    assert Settings(root_path=given).root_path == prefix


STRANGE = ["/a b", "/a//b", "/..", "/a/../b", "/.", '/"><script>', "/a\r\nX: y", "/a?b", "/a#b",
           "/a%2f", "/a\\b", "/é", "http://evil.example", "/a:b", "/a@b",
           "/" + "x" * 300]  # fmt: skip


@pytest.mark.parametrize("given", STRANGE)
def test_a_root_path_that_is_not_plain_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="should be a path of letters, digits, -, _, . and ~"):
        Settings(root_path=given)


def header(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-prefix", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        (["/shelf"], "/shelf"),
        (["/shelf/"], "/shelf"),
        (["/a/b"], "/a/b"),
        (["/outer, /inner"], "/outer/inner"),
        (["/outer", "/inner/"], "/outer/inner"),
        (["/"], ""),
        ([""], ""),
        ([], ""),
        (["shelf"], ""),
        (["//evil.example"], ""),
        (["/, //evil.example"], ""),
        (["/,/evil.example"], "/evil.example"),
        (["/shelf, evil"], ""),
        (["https://evil.example"], ""),
        *(([strange], "") for strange in STRANGE),
    ],
)
def test_a_forwarded_prefix_is_a_plain_path_of_this_host_or_ignored(
    values: list[str], prefix: str
) -> None:
    assert forwarded_prefix(RequestHeaders(header(*values))) == prefix


@pytest.mark.parametrize(
    ("root", "forwarded", "asked", "path", "prefix"),
    [
        ("", "", "/predict", "/predict", ""),
        ("", "/shelf", "/predict", "/predict", "/shelf"),
        ("", "/shelf", "/shelf/load", "/shelf/load", "/shelf"),
        ("/shelf", "", "/shelf/predict", "/predict", "/shelf"),
        ("/shelf", "", "/predict", "/predict", "/shelf"),
        ("/shelf", "/other", "/shelf/docs", "/docs", "/shelf"),
        ("/shelf", "", "/shelf", "/", "/shelf"),
        ("/shelf", "", "http://example.org/shelf/model", "/model", "/shelf"),
        ("", "", "http://example.org", "/", ""),
        ("", "", "/http://example.org/", "/http://example.org/", ""),
        ("/shelf", "", "/shelf/", "/", "/shelf"),
        ("/shelf", "", "/shelfmark", "/shelfmark", "/shelf"),
        ("/a/b", "", "/a/b/model", "/model", "/a/b"),
        ("/a/b", "", "/a/model", "/a/model", "/a/b"),
    ],
)
def test_only_a_root_path_is_removed_from_the_path(
    root: str, forwarded: str, asked: str, path: str, prefix: str
) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["state"][PREFIX]))

    scope = {"type": "http", "path": asked, "headers": header(forwarded) if forwarded else []}
    asyncio.run(ProxyPrefix(app, root)(scope, None, None))  # type: ignore[arg-type]
    assert seen == [(path, prefix)]
