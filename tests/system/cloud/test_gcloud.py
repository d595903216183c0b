"""The real gcloud reads the project's files, and sends them to a server on this machine.

It refuses a field it does not know, so what arrives is what the services' own types can hold.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shelfmark.cloud import deploy, setup
from shelfmark.cloud.account import Account
from shelfmark.cloud.gcloud import Command
from tests.support.moments import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("gcloud") is None, reason="no gcloud here")
CHANNEL = "projects/my-project/notificationChannels/1"


@pytest.fixture
def ours() -> Account:
    return setup.make_account("my-project", "europe-west4", "my-bucket")


class Kept(BaseHTTPRequestHandler):
    """Answers every request with what came, or that there is nothing yet."""

    arrived: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        document = json.loads(body or "null")
        self.arrived.append((self.command, self.path.partition("?")[0], document))
        project = self.path.startswith("/v1/projects/my-project")
        there = project or self.command != "GET"
        output = document if there else {"error": {"code": 404, "message": "none yet"}}
        if project:
            output = {"projectId": "my-project", "projectNumber": "1"}
        answer = json.dumps(output).encode()
        self.send_response(200 if there else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, Any]]]:
    """What has arrived at a server that gcloud takes for Google's."""
    handler = type("Handler", (Kept,), {"arrived": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
        monkeypatch.setenv("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
        for api in ("MONITORING", "CLOUDRESOURCEMANAGER"):
            monkeypatch.setenv(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}", f"{here}/")
        # gcloud puts the region before this name, so that only a proxy can find it.
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://run.invalid/")
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, here)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        yield handler.arrived
        server.shutdown()


def gcloud(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["gcloud", *words, "--quiet"],
        env=os.environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_alerts_and_dashboard_arrive_whole(ours: Account, cloud: list[Any]) -> None:
    watched = [
        step for step in setup.plan_steps(ours) if step.what.startswith(("alert", "dashboard"))
    ]
    for step in watched:
        done = gcloud(*step.create)
        assert done.returncode == 0, done.stderr
    sent = [document for verb, _, document in cloud if verb == "POST"]
    files = [*sorted((setup.FOLDER / "alerts").glob("*.json")), setup.FOLDER / "dashboard.json"]
    assert len(sent) == len(files) == 5
    for document, file in zip(sent, files, strict=True):
        ours_now = json.loads(file.read_text(encoding="utf-8"))
        assert document["displayName"] == ours_now["displayName"]
        if "conditions" in ours_now:
            assert document["conditions"] == ours_now["conditions"]
        else:
            assert len(document["mosaicLayout"]["tiles"]) == 10


def test_the_service_arrives_whole(ours: Account, cloud: list[Any], tmp_path: Path) -> None:
    document = deploy.render_service(ours, "newest", "image@sha256:0", "shelfmark-00001")
    file = tmp_path / "service.json"
    file.write_text(json.dumps(document))
    done = gcloud("run", "services", "replace", str(file), *deploy._where(ours), "--async")
    sent = [body for verb, path, body in cloud if verb == "POST" and path.endswith("/services")]
    assert len(sent) == 1, done.stderr
    template, arrived = document["spec"]["template"], sent[0]["spec"]["template"]
    assert arrived["spec"] == template["spec"]
    assert sent[0]["spec"]["traffic"][0] == document["spec"]["traffic"][0]
    assert template["metadata"]["annotations"].items() <= arrived["metadata"]["annotations"].items()


def test_an_unknown_field_is_never_sent(ours: Account, cloud: list[Any], tmp_path: Path) -> None:
    document = deploy.render_service(ours, "newest", "image@sha256:0", None)
    document["spec"]["template"]["spec"]["concurrency"] = 3
    file = tmp_path / "service.json"
    file.write_text(json.dumps(document))
    done = gcloud("run", "services", "replace", str(file), *deploy._where(ours), "--async")
    assert done.returncode
    assert "concurrency" in done.stderr
    assert not [verb for verb, _, _ in cloud if verb == "POST"]


def every_command(ours: Account) -> list[Command]:
    """All that the tasks may run, with words that stand for what is known only then."""
    steps = setup.plan_steps(
        ours, number="123456", github="me/shelfmark", channel=CHANNEL, secret=True
    )
    return [
        *(step.create for step in steps),
        *(step.describe for step in steps if step.describe),
        *deploy.build_commands(ours),
        *deploy.deploy_commands(ours),
        *deploy.rollback_commands(ours),
        deploy._move(ours, "b", None),
        [*deploy._replace(ours, "service.json"), "--format=json"],
        [*deploy._describe(ours), "--format=json"],
        ["projects", "describe", "my-project", "--format=value(projectNumber)"],
        ["auth", "print-identity-token", "--audiences=https://a.run.app"],
        ["config", "get-value", "account"],
    ]  # fmt: skip


def test_gcloud_accepts_every_command(ours: Account, tmp_path: Path) -> None:
    commands = [shlex.join(["gcloud", *command, "--quiet"]) for command in every_command(ours)]
    commands.append("gcloud run services describe shelfmark --no-such-flag")
    file = tmp_path / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    lint = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=PATIENCE, check=True)
    judged = {one["command_string"]: one["error_message"] for one in json.loads(done.stdout)}
    wrong = {command: error for command, error in judged.items() if error}
    assert len(judged) == len(set(commands))
    assert list(wrong) == [commands[-1]]  # it does judge
