"""The interactive page and the interactive API documentation."""

from __future__ import annotations

from importlib.resources import files as resources

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
# The documentation is the one page that fetches from another host: its script and its style, of
# this version alone. A browser refuses a file whose SHA-384 differs.
SWAGGER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5.32.15"
SWAGGER_FILES = {
    f"{SWAGGER}/swagger-ui-bundle.js": (
        "sha384-m7zaGj7MPzU+G4lz2eyy73GxK9bbRDr9bB2CSdj8wodg2wu/Wnt6wsoLP3JD+RS9"
    ),
    f"{SWAGGER}/swagger-ui.css": (
        "sha384-fgyWYkUAamzuI8mJFu/xpRP0JWCJRwkwUwsYDoOYVHUJ8NQE5cENn8ib3ppwFFSX"
    ),
}
DOCS_POLICY = (
    f"default-src 'self'; script-src 'self' 'unsafe-inline' {SWAGGER}/; "
    f"style-src 'self' {SWAGGER}/; img-src 'self' data:"
)


def create_router() -> APIRouter:
    """Return the routes of the page; its files are read once, so that no request names a path."""
    router = APIRouter(include_in_schema=False)
    files = _read_files()

    @router.get("/")
    async def index() -> Response:
        return _file_response("index.html", files["index.html"])

    @router.get("/page/{name}")
    async def page_file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "The page has no such file.")
        return _file_response(name, files[name])

    @router.get("/docs")
    async def docs() -> Response:
        return _docs_response()

    return router


def _docs_response() -> Response:
    script, style = SWAGGER_FILES
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Shelfmark",
        swagger_js_url=script,
        swagger_css_url=style,
        swagger_favicon_url="/page/icon.svg",
    )
    text = bytes(page.body).decode()
    for url, digest in SWAGGER_FILES.items():
        text = text.replace(f'"{url}"', f'"{url}" integrity="{digest}" crossorigin="anonymous"')
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": DOCS_POLICY})


def _read_files() -> dict[str, bytes]:
    palette = resources("shelfmark.core") / "templates" / "palette.css"
    folder = resources("shelfmark.service") / "page"
    files = [palette, *(file for file in folder.iterdir() if file.is_file())]
    return {file.name: file.read_bytes() for file in files}


def _file_response(name: str, content: bytes) -> Response:
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})
