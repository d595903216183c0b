"""GET /landscape: the picture of the papers of the index, as numbers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from io import BufferedReader
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shelfmark.core import files
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.responses import OpenApi, document_problems

LANDSCAPE = "landscape.json"
SLICE_BYTES = 1 << 16  # that wait for a client at once
NO_LANDSCAPE = "The index has no landscape: its folder holds no landscape.json."


def has_landscape(index: Path) -> bool:
    """Return whether the folder of an index holds a landscape."""
    return (index / LANDSCAPE).is_file()


def create_router(service: PredictionService) -> APIRouter:
    """Return the route of the landscape."""
    router = APIRouter()
    path = service.settings.index / LANDSCAPE
    content = {"application/json": {"schema": {"type": "object"}}}
    documented: OpenApi = {
        200: {"description": "The landscape", "content": content},
        304: {"description": "The client has the landscape, by its `If-None-Match`"},
        **document_problems(s404="The index has no landscape"),
    }

    @router.get("/landscape", response_class=Response, responses=documented)
    async def landscape(request: Request) -> Response:
        """Return the places of the papers of the index in the plane."""
        try:
            file = await asyncio.to_thread(files.open_regular, path)
        except OSError:
            raise HTTPException(404, NO_LANDSCAPE) from None
        return LandscapeResponse(request, file)

    return router


class LandscapeResponse(Response):
    """An open file, sent in slices; a browser that has it already gets 304.

    Args:
        request: for the file.
        file: closed with the response.
    """

    media_type = "application/json"

    def __init__(self, request: Request, file: BufferedReader) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        tag = f'"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"'
        known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        fresh = tag in map(str.strip, known)
        self._bytes = 0 if fresh else status.st_size
        headers = {"Cache-Control": "no-cache", "ETag": tag, "Content-Length": str(self._bytes)}
        super().__init__(None, 304 if fresh else 200, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file; no slice is read before the client has taken the last one."""
        with contextlib.closing(self._file) as file:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            while self._bytes > 0:
                piece = await asyncio.to_thread(file.read, min(SLICE_BYTES, self._bytes))
                self._bytes -= len(piece) or self._bytes  # the file has been cut
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
