"""A W&B server on this machine: keeps what the real client sends, and can fail on request.

It answers the client's GraphQL operations by name, takes the rows of runs (file_stream) and the
files that the client puts where it was asked to. Who needs another operation adds it to `answers`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

KEY = "5e" * 20  # of no account; the client wants 40 characters


@dataclass
class SentRun:
    """What has arrived of a run."""

    name: str = ""
    group: str = ""
    commit: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[int, Any]] = field(default_factory=dict)  # by file, then by line
    ended: bool = False

    @property
    def history(self) -> list[dict[str, Any]]:
        """The logged rows in order."""
        lines = self.rows.get("wandb-history.jsonl", {})
        return [orjson.loads(lines[number]) for number in sorted(lines)]


class WandbServer(ThreadingHTTPServer):
    """Serves on a free port while its block runs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.status = 200  # another: every request is answered by it
        self.runs: dict[str, SentRun] = {}
        self.artifacts: list[dict[str, Any]] = []  # as CreateArtifact was asked, and `committed`
        self.files: dict[str, bytes] = {}  # by run/name, artifact number/name
        self.asked: list[str] = []
        self.keys: set[str] = set()
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "Viewer": lambda _: {"viewer": self._viewer()},
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
            "UpsertBucket": self._upsert,
            "RunResumeStatus": lambda _: {"model": None},
            "RunStoppedStatus": lambda _: {"project": {"run": {"stopped": False}}},
            "CreateRunFiles": self._run_files,
            "CreateArtifact": self._create_artifact,
            "CreateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._artifact_files,
            "CommitArtifact": self._commit,
        }

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""

    def environment(self) -> dict[str, str]:
        """Return the variables that send a client here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def artifact(self, kind: str) -> dict[str, Any]:
        """Return the one artifact of a kind that has arrived."""
        (result,) = [x for x in self.artifacts if x["artifactTypeName"] == kind]
        return result

    def model(self) -> dict[str, Any]:
        """Return the one model that has arrived."""
        return self.artifact("model")

    def _viewer(self) -> dict[str, Any]:
        name = {"id": "me", "entity": "me", "username": "me", "email": "", "flags": "{}"}
        return {**name, "teams": {"edges": []}}

    def _upsert(self, asked: dict[str, Any]) -> Any:
        run = self.runs.setdefault(asked["name"], SentRun())
        run.name = asked["displayName"] or run.name
        run.group = asked["groupName"] or run.group
        run.commit = asked["commit"] or run.commit
        config = orjson.loads(asked["config"] or "{}")
        run.config |= {key: entry["value"] for key, entry in config.items()}
        project = {"id": "p", "name": asked["project"], "entity": {"id": "me", "name": "me"}}
        bucket = {"id": asked["name"], "name": asked["name"], "displayName": run.name}
        rest = {"description": None, "config": "{}", "sweepName": None, "historyLineCount": 0}
        whole = {**bucket, **rest, "project": project}
        return {"upsertBucket": {"bucket": whole, "inserted": True}}

    def _run_files(self, asked: dict[str, Any]) -> Any:
        files = [{"name": x, "uploadUrl": self._place(asked["run"], x)} for x in asked["files"]]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}

    def _create_artifact(self, asked: dict[str, Any]) -> Any:
        self.artifacts.append({**asked["input"], "committed": False})
        artifact = {"id": str(len(self.artifacts) - 1), "state": "PENDING"}
        sequence = {"artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": {**artifact, **sequence}}}

    def _manifest(self, asked: dict[str, Any]) -> Any:
        url = self._place(f"artifact-{asked['artifactID']}", "manifest")
        file = {"id": "m", "name": "manifest", "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _artifact_files(self, asked: dict[str, Any]) -> Any:
        edges = []
        for wanted in asked["input"]["artifactFiles"]:
            folder = f"artifact-{wanted['artifactID']}"
            url = self._place(folder, wanted["name"])
            node = {"id": wanted["name"], "name": wanted["name"], "displayName": wanted["name"]}
            place = {"uploadUrl": url, "uploadHeaders": [], "storagePath": wanted["name"]}
            rest = {"uploadMultipartUrls": None, "artifact": {"id": wanted["artifactID"]}}
            edges.append({"node": {**node, **place, **rest}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _commit(self, asked: dict[str, Any]) -> Any:
        self.artifacts[int(asked["artifactID"])]["committed"] = True
        return {"commitArtifact": {"artifact": {"id": asked["artifactID"], "digest": "d"}}}

    def _place(self, folder: str, name: str) -> str:
        return f"{self.url}/put/{folder}/{name}"

    def take_rows(self, run: SentRun, sent: dict[str, Any]) -> None:
        """Keep lines of a file_stream request, each at its place, as the real server does."""
        for file, part in sent.get("files", {}).items():
            lines = run.rows.setdefault(file, {})
            for number, line in enumerate(part["content"], part["offset"]):
                lines[number] = line
        last = run.rows.get("wandb-summary.json")
        run.summary = orjson.loads(last[max(last)]) if last else {}
        run.ended |= bool(sent.get("complete"))


def _operation(query: str) -> str:
    """Return an operation's name as its text has it: the client's older half sends no other."""
    match = re.search(r"(?:query|mutation)\s+(\w+)", query)
    return match[1] if match else ""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.status != 200:
            self._answer({"errors": [{"message": "out of order"}]}, self.server.status)
        elif self.path == "/graphql":
            asked = orjson.loads(body)
            self.server.keys.add(self.headers.get("Authorization", ""))
            name = asked.get("operationName") or _operation(asked["query"])
            self.server.asked.append(name)
            answer = self.server.answers.get(name)
            if answer is None:
                self._answer({"errors": [{"message": f"no operation {name!r}"}]})
            else:
                self._answer({"data": answer(asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            run = self.server.runs[self.path.split("/")[-2]]
            self.server.take_rows(run, orjson.loads(body))
            self._answer({"exitcode": None, "limits": {}})
        else:  # the client's data about itself
            self._answer({})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.files[self.path.removeprefix("/put/")] = body
        self._answer({})

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = orjson.dumps(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""
