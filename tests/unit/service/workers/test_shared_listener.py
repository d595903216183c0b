"""How the workers of a service share the connections that wait."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from shelfmark.service.workers import listening
from shelfmark.service.workers.listening import SharedListener, share

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many wait")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listening.listen("127.0.0.1", 0)[0] as made:
        made.listen(64)
        made.setblocking(False)
        yield made


@pytest.fixture
def clients(listener: socket.socket) -> Iterator[list[socket.socket]]:
    """Yield eight clients, whose connections wait."""
    made = [socket.create_connection(listener.getsockname()) for _ in range(8)]
    yield made
    for one in made:
        one.close()


def worker_of(listener: socket.socket) -> socket.socket:
    """Return the socket as one of two workers has it."""
    copy = socket.socket(fileno=os.dup(listener.fileno()))
    return share(copy, 2)


def accept_turn(worker: socket.socket) -> int:
    """Accept as asyncio does in one turn of its loop; return how many there were."""
    count = 0
    while True:
        try:
            connection, _ = worker.accept()
        except BlockingIOError:
            return count
        connection.close()
        count += 1


def test_a_single_worker_has_the_socket_as_it_is(listener: socket.socket) -> None:
    assert share(listener, 1) is listener


@linux
def test_a_worker_accepts_its_part_and_leaves_the_rest(
    listener: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PAUSE_SECONDS", 1000.0)
    monkeypatch.setattr(listening, "LONGEST_PAUSE", 1000.0)
    with worker_of(listener) as one, worker_of(listener) as other:
        assert isinstance(one, SharedListener)
        assert accept_turn(one) == len(clients) // 2
        assert accept_turn(one) == 0  # it leaves the next to the other
        assert accept_turn(other) == len(clients) // 4


@linux
def test_a_worker_that_is_alone_accepts_all_in_the_end(
    listener: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PAUSE_SECONDS", 0.0)
    with worker_of(listener) as one:
        turns = [accept_turn(one) for _ in range(6)]
    assert turns == [4, 2, 1, 1, 0, 0]
    assert sum(turns) == len(clients)


@linux
def test_an_accepted_connection_sends_at_once_and_to_the_client(
    listener: socket.socket, clients: list[socket.socket]
) -> None:
    with worker_of(listener) as one:
        assert (one.family, one.proto) == (socket.AF_INET, socket.IPPROTO_TCP)
        connection, address = one.accept()
    with connection:
        assert connection.proto == socket.IPPROTO_TCP
        client = next(one for one in clients if one.getsockname() == address)
        connection.sendall(b"hello")
        assert client.recv(5) == b"hello"


@linux
def test_nothing_to_accept_is_no_turn(listener: socket.socket) -> None:
    with worker_of(listener) as one:
        assert accept_turn(one) == 0
        with socket.create_connection(listener.getsockname()):
            assert accept_turn(one) == 1
