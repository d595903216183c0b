"""The service under faults: killed workers, replaced models, slow and greedy clients."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import psutil
import pytest

from shelfmark.data.sources import sample
from shelfmark.models import answers, artifact
from shelfmark.service.workers import supervisor
from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.serving import free_port, log_of, start, wait_until_ready, workers_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")

PAPERS = [("", paper.abstract) for _, paper in sample.read_records(None, 20)]
VERSIONS = ("one", "two")
ADMIN = {"X-Admin-Key": "admin-key-of-tests"}
LIMITS = {
    "SHELFMARK_ADMIN_KEY": "admin-key-of-tests",
    "SHELFMARK_MAX_BODY_BYTES": "100000",
    "SHELFMARK_HEADER_SECONDS": "3",
    # No answer is given up, however slow the machine is.
    "SHELFMARK_REQUEST_SECONDS": str(FOREVER),
    "SHELFMARK_SHUTDOWN_SECONDS": str(FOREVER),
}
Served = tuple[subprocess.Popen[bytes], str, Path]  # the process, its address, its log
Right = dict[str, list[dict[str, Any]]]  # the answers of each version to each paper
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def right(house: Path) -> Right:
    """The answers of both versions, computed in this process."""
    result = {}
    for name in VERSIONS:
        model = artifact.load(house / "models" / name, threads=1)
        result[name] = [
            orjson.loads(orjson.dumps(answers.answer_papers(model, [paper])[0].to_json()))
            for paper in PAPERS
        ]
    assert all(one["ranking"] != two["ranking"] for one, two in zip(*result.values(), strict=True))
    return result


# The supervisor waits for the answer to a health check without a limit.
PATIENT = f"""
from shelfmark.service.workers import supervisor
supervisor.HEALTH_SECONDS = {FOREVER}
"""


@contextlib.contextmanager
def served(house: Path, workers: int, before: str = "") -> Iterator[Served]:
    """Run the service while the block runs; every worker is ready when it starts."""
    port = free_port()
    process = start(house, port, "'one'", str(workers), before=before, **LIMITS)
    url, log = f"http://127.0.0.1:{port}", log_of(house, port)
    try:
        with httpx.Client(base_url=url) as client:
            wait_until_ready(process, client)
        until(lambda: log.read_text().count("serving one") == workers)
        yield process, url, log
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(house: Path) -> Iterator[str]:
    """One service of one worker, for the faults that it survives."""
    with served(house, 1) as (process, url, log):
        yield url
        assert process.poll() is None
        assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def pair(house: Path) -> Iterator[Served]:
    """One service of two workers, for the tests that kill one of them and then all."""
    with served(house, 2) as running:
        yield running


@pytest.fixture(scope="module")
def watched_pair(house: Path) -> Iterator[Served]:
    """Another one, whose supervisor kills no worker, for three tests in their order."""
    with served(house, 2, PATIENT) as running:
        yield running


class Crowd:
    """Clients that send requests while the block runs, and the responses they get.

    A client whose connection breaks continues if they are `patient`, and stops otherwise.
    """

    def __init__(self, url: str, clients: int = 4, patient: bool = False) -> None:
        self._url = url
        self._patient = patient
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        self.answers: list[tuple[list[int], int, Any]] = []
        self.broken: list[str] = []

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            while not self._over.is_set():
                turn += 1
                # Every other question is of three papers, which one model is to answer.
                asked = [number % len(PAPERS) for number in range(turn, turn + 1 + turn % 2 * 2)]
                papers = [{"text": PAPERS[number][1]} for number in asked]
                body: Any = papers[0] if len(papers) == 1 else {"papers": papers}
                try:
                    answer = client.post("/predict", json=body)
                except httpx.TransportError as error:
                    self.broken.append(repr(error))
                    if not self._patient:
                        return
                    continue
                self.answers.append((asked, answer.status_code, answer.json()))
                self._over.wait(0.03)  # the service has other work to do in these tests

    def assert_all_right(self, right: Right, broken: int = 0) -> None:
        assert len(self.broken) <= broken, self.broken
        for asked, status, answer in self.answers:
            assert status == 200, answer
            result = answer["predictions"] if len(asked) > 1 else [answer]
            assert result == [right[answer["model"]][number] for number in asked]

    def wait_for_answers(self, more: int = 20) -> None:
        """Wait until so many more requests are answered."""
        enough = len(self.answers) + more
        until(lambda: len(self.answers) >= enough)


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_killed_worker_is_replaced_and_its_clients_are_answered(
    pair: Served, right: Right
) -> None:
    process, url, log = pair
    before = set(workers_of(process))
    assert len(before) == 2
    with Crowd(url, patient=True) as crowd:
        crowd.wait_for_answers()
        os.kill(min(before), signal.SIGKILL)
        crowd.wait_for_answers()
        until(lambda: log.read_text().count("serving one") == 3)
        crowd.wait_for_answers()
    assert len({*workers_of(process)} - {min(before)}) == 2
    crowd.assert_all_right(right, broken=4)  # at most the requests in flight of the killed worker


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_worker_killed_during_a_health_check_is_replaced_at_once(
    watched_pair: Served,
) -> None:
    process, _, log = watched_pair
    worker = min(workers_of(process))
    os.kill(worker, signal.SIGSTOP)
    until(lambda: psutil.Process(worker).status() == psutil.STATUS_STOPPED)
    time.sleep(2 * supervisor.PING_SECONDS)  # a health check has begun, and has no answer
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in workers_of(process))  # its answer would be waited for
    until(lambda: log.read_text().count("serving one") == 3)


def test_requests_in_flight_at_sigterm_are_answered(pair: Served, right: Right) -> None:
    process, url, log = pair
    body = orjson.dumps({"papers": [{"text": text} for _, text in PAPERS]})
    head = HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
    with Crowd(url) as crowd, contextlib.ExitStack() as stack:
        crowd.wait_for_answers()
        lines = [stack.enter_context(connected(url)) for _ in range(8)]
        for line in lines:
            line.sendall(head)
        for line in lines:  # which shows that the request is in flight
            assert line.recv(100).startswith(b"HTTP/1.1 100 ")
        process.send_signal(signal.SIGTERM)
        until(lambda: log.read_text().count("Shutting down") == 2)
        for line in lines:
            line.sendall(body)
        for line in lines:
            given = b"".join(iter(lambda: line.recv(1 << 16), b""))  # noqa: B023
            assert given.startswith(b"HTTP/1.1 200 ")
            assert orjson.loads(given.partition(b"\r\n\r\n")[2])["predictions"] == right["one"]
        assert process.wait(PATIENCE) == 0
    crowd.assert_all_right(right, broken=4)


def test_fifty_replacements_of_the_model_change_no_answer(server: str, right: Right) -> None:
    with httpx.Client(base_url=server, timeout=PATIENCE) as client, Crowd(server) as crowd:
        for version in VERSIONS:
            client.post("/load", json={"version": version}, headers=ADMIN)
            crowd.wait_for_answers(8)  # two of each client, the second asked since
        for turn in range(1, 51):
            version = VERSIONS[turn % 2]
            loaded = client.post("/load", json={"version": version}, headers=ADMIN)
            assert loaded.status_code == 200
            assert {worker["model"] for worker in loaded.json()["workers"]} == {version}
            answer = client.post("/predict", json={"text": PAPERS[0][1]}).json()
            assert answer == right[version][0]
    assert {answer["model"] for _, _, answer in crowd.answers} == set(VERSIONS)
    crowd.assert_all_right(right)


def damaged(house: Path, how: str) -> str:
    """Make a damaged copy of a model and return its name."""
    folder = house / "models" / how
    shutil.copytree(house / "models" / "two", folder, dirs_exist_ok=True)
    file = folder / ("card.json" if how == "card" else "booster.ubj")
    content = file.read_bytes()
    half = len(content) // 2
    rest = bytes([content[half] ^ 1]) + content[half + 1 :] if how == "flipped" else b""
    file.unlink()
    if how != "missing":
        file.write_bytes(content[:half] + rest)
    return how


def test_all_workers_and_later_ones_serve_the_version_that_one_loads(
    watched_pair: Served,
) -> None:
    process, url, log = watched_pair
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert client.post("/load", json={"version": "two"}, headers=ADMIN).status_code == 200
        assert log.read_text().count("serving two") == 2
        os.kill(min(workers_of(process)), signal.SIGKILL)
        until(lambda: log.read_text().count("serving two") == 3)
        page = client.get("/metrics").text
    assert 'shelfmark_model{version="two"} 1.0' in page
    assert 'shelfmark_model{version="one"} 1.0' not in page


def test_workers_end_with_the_process_that_started_them(watched_pair: Served) -> None:
    process, _, _ = watched_pair
    workers = workers_of(process)
    assert len(workers) == 2
    process.kill()
    process.wait(PATIENCE)
    until(lambda: not any(alive(worker) for worker in workers))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "card"])
def test_a_damaged_model_is_refused_and_the_current_one_stays(
    house: Path, server: str, right: Right, how: str
) -> None:
    version = damaged(house, how)
    with httpx.Client(base_url=server, timeout=PATIENCE) as client:
        client.post("/load", json={"version": "one"}, headers=ADMIN)
        with Crowd(server, clients=2) as crowd:
            refused = client.post("/load", json={"version": version}, headers=ADMIN)
            crowd.wait_for_answers()
        assert 400 <= refused.status_code < 500
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.get("/ready").json()["model"] == "one"
    assert {answer["model"] for _, _, answer in crowd.answers} == {"one"}
    crowd.assert_all_right(right)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_with_a_damaged_model_is_one_line(house: Path, workers: str) -> None:
    port = free_port()
    process = start(house, port, repr(damaged(house, "flipped")), workers)
    assert process.wait(PATIENCE) == 1
    (line,) = log_of(house, port).read_text().splitlines()
    assert line.startswith("error: ")
    assert "booster.ubj" in line


def still_takes(line: socket.socket, byte: bytes) -> bool:
    with contextlib.suppress(OSError):
        line.sendall(byte)
        return True
    return False


def test_slow_clients_delay_nobody_and_are_disconnected(server: str, right: Right) -> None:
    with contextlib.ExitStack() as stack, Crowd(server) as crowd:
        for _ in range(
            150
        ):  # with a body that never comes, and more than the limit of requests in flight
            line = stack.enter_context(connected(server))
            line.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        lines = [stack.enter_context(connected(server)) for _ in range(50)]
        deadline = time.monotonic() + PATIENCE
        while lines:
            assert time.monotonic() < deadline
            lines = [line for line in lines if still_takes(line, b"P")]
            crowd.wait_for_answers()
    crowd.assert_all_right(right)


def test_bodies_too_large_are_refused_while_others_are_answered(server: str, right: Right) -> None:
    announced = b"Content-Length: 100001\r\n\r\n"
    streamed = b"Transfer-Encoding: chunked\r\n\r\n186a1\r\n" + b"x" * 100_001 + b"\r\n"
    with contextlib.ExitStack() as stack, Crowd(server) as crowd:
        lines = [stack.enter_context(connected(server)) for _ in range(20)]
        for number, line in enumerate(lines):
            line.sendall(HEAD + (streamed if number % 2 else announced))
        crowd.wait_for_answers()
        for line in lines:
            given = line.recv(1 << 16)
            assert given.startswith(b"HTTP/1.1 413 ")
            assert b"application/problem+json" in given
    crowd.assert_all_right(right)
