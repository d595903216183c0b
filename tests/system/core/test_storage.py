"""Addresses of a bucket: reached within the time limits, or reported in one line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models.registry import Registry
from shelfmark.monitoring.shipping import ship_log
from tests.support.moments import FOREVER
from tests.support.serving import free_port
from tests.system.test_tasks import inv


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("gs://bucket/folder", True),
        ("memory://folder", True),
        ("folder", False),
        ("/folder/file.zip", False),
        (r"C:\\folder", False),
        ("", False),
    ],
)
def test_an_address_names_its_kind(address: str, is_one: bool) -> None:
    assert storage.is_remote(address) is is_one


def test_what_is_written_is_read(gcs: str) -> None:
    system, path = storage.filesystem_for(f"{gcs}/folder")
    system.pipe_file(f"{path}/file", b"content")
    again, _ = storage.filesystem_for(gcs)
    assert again.cat_file(f"{path}/file") == b"content"
    assert storage.emulator_host()


def test_what_others_write_is_seen_at_once(gcs: str) -> None:
    system, path = storage.filesystem_for(f"{gcs}/folder")
    assert system.find(path) == []
    code = (
        "import sys; from shelfmark.core import storage; s, p = storage.filesystem_for(sys.argv[1])"
    )
    command = [sys.executable, "-c", f"{code}; s.pipe_file(p + '/file', b'')", f"{gcs}/folder"]
    subprocess.run(command, check=True)
    assert system.find(path) == [f"{path}/file"]


@pytest.mark.parametrize("address", ["gs://bucket/nothing", "gs://other/nothing"])
def test_what_is_not_there_is_one_line(gcs: str, address: str) -> None:
    with pytest.raises(ShelfmarkError) as error, storage.user_errors(address):
        system, path = storage.filesystem_for(address)
        system.cat_file(path)
    names = "check the names of the bucket and the file"
    assert str(error.value) == f"{address}: does not exist; {names}"


@pytest.mark.usefixtures("no_google")
def test_missing_credentials_are_named_before_any_request() -> None:
    with pytest.raises(ShelfmarkError) as error:
        storage.filesystem_for("gs://bucket/folder")
    assert str(error.value) == f"gs://bucket/folder: no Google credentials; {storage.LOG_IN}"


@pytest.mark.usefixtures("no_google")
def test_a_public_bucket_is_read_without_credentials_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    code = "from shelfmark.core import storage; storage.filesystem_for('gs://bucket')"
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
    monkeypatch.setenv("FSSPEC_GS_ENDPOINT_URL", host)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"shelfmark.errors.ShelfmarkError: nothing answers at {host}")


def test_nobody_waits_for_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
    with pytest.raises(ShelfmarkError, match=f"nothing answers at {host} .*: check the network"):
        storage.filesystem_for("gs://bucket")


class Bad(BaseHTTPRequestHandler):
    """Sends its server's `answer`: silence, the half of a file, or an error."""

    protocol_version = "HTTP/1.1"
    server: BadServer

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.answer == "silence":
            time.sleep(FOREVER)
            return
        status, body = (200, b"half") if self.server.answer == "half" else self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) * (1 + (status == 200))))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class BadServer(ThreadingHTTPServer):
    daemon_threads = True
    answer: str | tuple[int, bytes] = "silence"
    asked = 0


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    """A storage that answers wrongly; what is tried again is tried sooner than in life."""
    server = BadServer(("127.0.0.1", 0), Bad)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        "gcsfs.retry.asyncio", SimpleNamespace(sleep=lambda seconds: asyncio.sleep(seconds / 100))
    )
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "asked", "said"),
    [
        ("silence", 6, "no answer in time; try again"),
        ("half", 6, "Response payload is not completed"),
        (
            (403, b'{"error": {"code": 403, "message": "me@here may not read this"}}'),
            1,
            "not allowed: me@here may not read this",
        ),
        ((401, b'{"error": {"code": 401, "message": "Expired"}}'), 1, "rejects these"),
        ((500, b"a page\nof words"), 6, "a page"),
    ],
)
def test_a_storage_that_answers_wrongly_is_one_line(
    bad: BadServer, answer: str | tuple[int, bytes], asked: int, said: str,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bad.answer = answer
    if answer == "silence":  # no other answer is to be late on a busy machine
        monkeypatch.setattr(storage, "IDLE_SECONDS", 0.2)
    with pytest.raises(ShelfmarkError) as error, storage.user_errors("gs://bucket/file"):
        system, path = storage.filesystem_for("gs://bucket/file")
        system.cat_file(path)
    assert said in str(error.value)
    assert str(error.value).startswith("gs://bucket/file: ")
    assert "\n" not in str(error.value)
    assert bad.asked == asked
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("address", "missing", "advice"),
    [
        ("gs://bucket/log", "gcsfs", "uv sync --extra gs"),
        ("gcs://bucket", "gcsfs", "uv sync --extra gs"),
        ("s3://bucket", "s3fs", "Install s3fs to access S3"),
    ],
)
def test_a_missing_package_is_one_line_with_its_installation(
    gcs: str, address: str, missing: str, advice: str
) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from shelfmark.core import storage"
    command = [sys.executable, "-c", f"{code}; storage.filesystem_for({address!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    message = done.stderr.splitlines()[-1].partition(": ")[2]
    assert message == f"{address} needs a package that is not installed: {advice}"


def test_ship_log_moves_the_log_to_a_bucket(gcs: str, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "1.jsonl").write_bytes(b"{}\n")
    words = ["ship-log", "--folder", "log", "--to"]
    done = inv(*words, f"{gcs}/shipped", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"1 files moved to {gcs}/shipped\n"
    system, path = storage.filesystem_for(f"{gcs}/shipped")
    assert system.cat_file(f"{path}/1.jsonl") == b"{}\n"
    assert list((tmp_path / "log").glob("*.jsonl")) == []
    (tmp_path / "log" / "2.jsonl").write_bytes(b"{}\n")
    done = inv(*words, "gs://other/shipped", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: gs://other/shipped: does not exist; check the names")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "log" / "2.jsonl").exists()


def test_shipping_again_sends_nothing_twice_and_mends_what_is_torn(
    gcs: str, tmp_path: Path
) -> None:
    system, path = storage.filesystem_for(f"{gcs}/log")
    system.pipe_file(f"{path}/whole.jsonl", b"whole\n")
    system.pipe_file(f"{path}/torn.jsonl", b"t")
    before = system.info(f"{path}/whole.jsonl")["generation"]
    for name in ("whole", "torn", "new"):
        (tmp_path / f"{name}.jsonl").write_bytes(f"{name}\n".encode())
    assert ship_log(tmp_path, f"{gcs}/log") == 3
    content = system.cat(system.find(path))
    assert content == {f"{path}/{name}.jsonl": f"{name}\n".encode() for name in
                     ("new", "torn", "whole")}  # fmt: skip
    assert system.info(f"{path}/whole.jsonl")["generation"] == before


def test_a_model_that_is_not_all_there_is_looked_for_again(gcs: str) -> None:
    registry = Registry(f"{gcs}/models/")
    with pytest.raises(ShelfmarkError, match=f"{gcs}/models/.*latest: does not exist"):
        registry.check("latest")
    system, path = storage.filesystem_for(f"{gcs}/models")
    system.pipe_file(f"{path}/latest", b"v1\n")
    with pytest.raises(ShelfmarkError, match="models/.*v1: does not exist"):
        registry.check("latest")
    for content in (b"{", b"{}"):
        system.pipe_file(f"{path}/v1/card.json", content)
        with pytest.raises(ShelfmarkError, match="v1: .*(damaged|names no kind)") as error:
            registry.check("v1")
    assert "names no kind" in str(error.value)  # the second, not the copy of the first
