"""A proxy that has the service under a path of its own, as nginx and Traefik do."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.moments import PATIENCE

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


@contextlib.contextmanager
def proxying(
    address: str, prefix: str, strips: bool = True, tells: bool = False, bare: bool = False
) -> Iterator[str]:
    """Run a proxy while the block does, and yield its address.

    Args:
        address: of the service.
        prefix: path under which the service is reached.
        strips: whether the proxy removes the path.
        tells: whether it sends the path in X-Forwarded-Prefix.
        bare: whether it passes on the path without its last slash, too.
    """
    service = urlsplit(address)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def pass_on(self) -> None:
            if not (self.path.startswith(f"{prefix}/") or (bare and self.path == prefix)):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix(prefix) if strips else self.path
            headers = dict(self.headers.items()) | ({"X-Forwarded-Prefix": prefix} if tells else {})
            line = http.client.HTTPConnection(
                service.hostname or "", service.port, timeout=PATIENCE
            )
            with contextlib.closing(line):
                line.request(self.command, path or "/", body, headers)
                answer = line.getresponse()
                content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_HEAD = do_OPTIONS = pass_on  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
