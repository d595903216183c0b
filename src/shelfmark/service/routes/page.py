"""The interactive page, and the interactive documentation of the API."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files as resources

import orjson
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shelfmark.arxiv import taxonomy
from shelfmark.service.middleware.prefix import PREFIX

MEDIA_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
# Of the package's files, by the folder of their addresses under /page/.
FOLDERS = {"page": "", "page/search": "search/", "swagger": ""}
SLICE_BYTES = 1 << 16  # of a file that wait for a client at once


def create_router() -> APIRouter:
    """Return the routes of the page; its files are read once, so that no request names a path."""
    router = APIRouter(include_in_schema=False)
    files = _read_files()

    @router.get("/")
    async def index(request: Request) -> Response:
        if prefix := request.scope["state"][PREFIX]:
            # At the path of the proxy without its last slash, relative addresses would miss it.
            content = files["index.html"].content.replace(b'"./', b'"%b/' % prefix.encode())
            return Response(content, headers={"Cache-Control": "no-store"}, media_type="text/html")
        return FileResponse(request, files["index.html"])

    @router.get("/page/{name}")
    async def page_file(request: Request, name: str) -> Response:
        return send(request, name)

    @router.get("/page/search/{name}")
    async def search_file(request: Request, name: str) -> Response:
        return send(request, f"search/{name}")

    def send(request: Request, address: str) -> Response:
        if address not in files:
            raise HTTPException(404, "The page has no such file.")
        return FileResponse(request, files[address])

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return FileResponse(request, files["docs.html"])

    return router


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Args:
        content: of the file.
        media_type: of the content.
        tag: stands for the content.
    """

    content: bytes
    media_type: str
    tag: str


class FileResponse(Response):
    """A file of the page, sent in slices; a browser that has it already gets 304.

    Args:
        request: for the file.
        file: to send.
    """

    def __init__(self, request: Request, file: PageFile) -> None:
        known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        status = 304 if file.tag in map(str.strip, known) else 200
        headers = {"Cache-Control": "no-cache", "ETag": file.tag}
        super().__init__(file.content if status == 200 else b"", status, headers, file.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file; no slice is sent before the client has taken the last one."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        body = memoryview(self.body)
        for begin in range(0, len(body), SLICE_BYTES):
            piece = bytes(body[begin : begin + SLICE_BYTES])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _read_files() -> dict[str, PageFile]:
    """Return the files of the page by their addresses under /page/."""
    palette = resources("shelfmark.core") / "templates" / "palette.css"
    service = resources("shelfmark.service")
    contents = {"palette.css": palette.read_bytes(), "taxonomy.js": _taxonomy_script()}
    for folder, address in FOLDERS.items():
        for file in service.joinpath(*folder.split("/")).iterdir():
            if _media_type(file.name):  # neither a licence nor a folder
                contents[address + file.name] = file.read_bytes()
    return {name: _to_page_file(name, content) for name, content in contents.items()}


def _media_type(name: str) -> str | None:
    return MEDIA_TYPES.get(name.rpartition(".")[2])


def _to_page_file(name: str, content: bytes) -> PageFile:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return PageFile(content, MEDIA_TYPES[name.rpartition(".")[2]], tag)


def _taxonomy_script() -> bytes:
    """Return the names of groups, archives and categories as a module of the page."""
    tables = {
        "GROUPS": taxonomy.GROUPS,
        "ARCHIVES": taxonomy.ARCHIVES,
        "CATEGORIES": taxonomy.CATEGORIES,
    }
    lines = [b"export const %b = %b;\n" % (name.encode(), orjson.dumps(table))
             for name, table in tables.items()]  # fmt: skip
    return b"".join(lines)
