"""A stand-in for Google's services: jobs of Vertex AI, and the requests before and after them.

It speaks the REST interfaces of aiplatform v1 (customJobs), serviceusage, storage, secretmanager,
logging and, for images, the registry protocol of Docker. A test sets what is there, and reads what
was sent.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.moments import FOREVER

JOBS = "/v1/projects/my-project/locations/europe-west4/customJobs"
DIGEST = "sha256:" + "ab" * 32
RUN = ["JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING"]


class RefusalError(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Google:
    """What there is at Google's side, and what was asked."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    course: list[str] = field(default_factory=lambda: [*RUN, "JOB_STATE_SUCCEEDED"])
    reason: str = ""  # of a failed job
    refusals: list[tuple[int, str]] = field(default_factory=list)  # of the next requests
    answering: threading.Event = field(default_factory=threading.Event)  # no answer before it
    enabled: set[str] = field(
        default_factory=lambda: {
            "aiplatform", "storage", "artifactregistry", "logging", "secretmanager"
        }
    )  # fmt: skip
    location: str = "EUROPE-WEST4"
    images: dict[str, str] = field(
        default_factory=lambda: {"my-project/shelfmark/train:latest": DIGEST}
    )
    secrets: dict[str, bytes] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=lambda: {"": 2200, "europe-west4": 42})
    quotas_of: dict[str, dict[str, int]] = field(default_factory=dict)  # of single metrics
    entries: list[dict[str, Any]] = field(default_factory=list)
    page: int = 1000
    asked: list[tuple[str, str, Any]] = field(default_factory=list)  # method, path, body
    url: str = ""

    def answer(self, method: str, target: str, body: Any) -> tuple[dict[str, str], Any]:
        """Return the headers and the body of an answer.

        Raises:
            RefusalError: as Google would refuse.
        """
        parts = urlsplit(target)
        path, query = unquote(parts.path), parse_qs(parts.query)
        self.asked.append((method, path, body))
        self.answering.wait(FOREVER)
        if self.refusals:
            raise RefusalError(*self.refusals.pop(0))
        if path.startswith(JOBS):
            return {}, self._jobs(method, path.removeprefix(JOBS), query, body)
        if path.startswith("/v2/") and "/manifests/" in path:
            return self._manifest(path)
        return {}, self._other(method, path, query, body)

    def _jobs(self, method: str, rest: str, query: dict[str, list[str]], body: Any) -> Any:
        if method == "POST" and not rest:
            return self._create(body)
        if method == "GET" and not rest:
            listed = sorted(self.jobs.values(), key=lambda job: job["createTime"], reverse=True)
            begin = int(query.get("pageToken", ["0"])[0])
            page = {"customJobs": listed[begin : begin + 2]}
            return page | ({"nextPageToken": str(begin + 2)} if len(listed) > begin + 2 else {})
        name = JOBS.removeprefix("/v1/") + rest.removesuffix(":cancel")
        if name not in self.jobs:
            raise RefusalError(404, f"The CustomJob does not exist: {name}")
        job = self.jobs[name]
        if rest.endswith(":cancel"):
            job["state"], job["course"] = "JOB_STATE_CANCELLING", ["JOB_STATE_CANCELLED"]
            return {}
        fields = {key: value for key, value in job.items() if key != "course"}
        if job["course"]:
            job["state"] = job["course"].pop(0)
            if job["state"] == "JOB_STATE_FAILED":
                job["error"] = {"code": 9, "message": self.reason}
            fields = {key: value for key, value in job.items() if key != "course"}
        return fields

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        pools = body.get("jobSpec", {}).get("workerPoolSpecs", [])
        if not body.get("displayName") or not pools or "containerSpec" not in pools[0]:
            raise RefusalError(400, "Required field is not set.")
        number = str(7_000_000_000 + len(self.jobs))
        name = f"{JOBS.removeprefix('/v1/')}/{number}"
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        made = {"name": name, "state": "JOB_STATE_QUEUED", "createTime": now, "updateTime": now}
        self.jobs[name] = body | made | {"course": list(self.course)}
        return body | made

    def _manifest(self, path: str) -> tuple[dict[str, str], Any]:
        image, _, tag = path.removeprefix("/v2/").partition("/manifests/")
        known = {f"{image}@{digest}" for digest in self.images.values()}
        digest = self.images.get(f"{image}:{tag}", tag if f"{image}@{tag}" in known else "")
        if not digest:
            raise RefusalError(404, "manifest unknown")
        return {"Docker-Content-Digest": digest}, None

    def _other(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        if path.endswith("/services:batchGet"):
            states = {name: name.rpartition("/")[2].partition(".")[0] for name in query["names"]}
            return {
                "services": [
                    {"name": name, "state": "ENABLED" if short in self.enabled else "DISABLED"}
                    for name, short in states.items()
                ]
            }
        if "/consumerQuotaMetrics/" in path:
            limits = self.quotas_of.get(path.rpartition("/")[2], self.quotas)
            buckets = [
                {"effectiveLimit": str(limit), "dimensions": {"region": region} if region else {}}
                for region, limit in limits.items()
            ]
            return {"consumerQuotaLimits": [{"quotaBuckets": buckets}]}
        if path == "/storage/v1/b/my-bucket":
            return {"name": "my-bucket", "location": self.location}
        if path == "/v2/entries:list" and method == "POST":
            begin = int(body.get("pageToken", "0"))
            page = {"entries": self.entries[begin : begin + self.page]}
            more = len(self.entries) > begin + self.page
            return page | ({"nextPageToken": str(begin + self.page)} if more else {})
        name, _, action = path.removeprefix("/v1/").partition(":")
        secret = name.partition("/versions/")[0]
        if secret in self.secrets:
            data = base64.b64encode(self.secrets[secret]).decode()
            return {"name": name, "payload": {"data": data}} if action else {"name": name}
        raise RefusalError(404, f"{path} is not found.")

    def sent(self, method: str, ending: str) -> list[Any]:
        """Return the bodies of requests to paths with an ending."""
        return [body for how, path, body in self.asked if how == method and path.endswith(ending)]


@contextlib.contextmanager
def running() -> Iterator[Google]:
    """Answer on a free port of this machine while the block runs."""
    google = Google()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            assert "Authorization" not in self.headers
            status = 200
            headers: dict[str, str] = {}
            answer: Any
            try:
                headers, answer = google.answer(self.command, self.path, body)
            except RefusalError as refusal:
                status = refusal.status
                answer = {"error": {"code": status, "message": refusal.message, "status": "X"}}
            data = json.dumps(answer).encode() if self.command != "HEAD" else b""
            with contextlib.suppress(OSError):  # one who waits no longer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    google.url = f"http://127.0.0.1:{server.server_port}"
    google.answering.set()
    try:
        yield google
    finally:
        google.answering.set()
        server.shutdown()
        thread.join()
        server.server_close()
