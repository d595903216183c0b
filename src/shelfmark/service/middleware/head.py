"""HEAD, answered as GET is, without the content."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def answer_head(app: ASGIApp) -> ASGIApp:
    """Return an application that answers HEAD wherever another answers GET."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            empty = {"body": b""} if message["type"] == "http.response.body" else {}
            await send({**message, **empty})

        as_get = {**scope, "method": "GET"}
        try:
            await app(as_get, receive, send_head)
        finally:
            scope["route"] = as_get.get("route")  # by which the guard counts the request

    return answer
