"""The sockets of a service, for every way to name an address."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import pytest
from loguru import logger

from shelfmark.errors import ShelfmarkError
from shelfmark.service.workers.listening import describe_sockets, listen
from tests.support.moments import PATIENCE
from tests.support.serving import free_port


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    sockets = listen(host, port)
    try:
        for one in sockets:
            one.listen()
        yield sockets
    finally:
        for one in sockets:
            one.close()


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "ipv4", "ipv6"),
    [
        ("127.0.0.1", True, False),
        ("0.0.0.0", True, False),
        ("::1", False, True),
        ("[::1]", False, True),
        ("::", True, True),
        ("[::]", True, True),
        ("0:0:0:0:0:0:0:0", True, True),
        ("::0", True, True),
        ("localhost", True, None),
    ],
)
def test_a_host_is_listened_on_at_all_its_addresses(
    host: str, ipv4: bool, ipv6: bool | None
) -> None:
    port = free_port()
    with listening(host, port):
        assert answers("127.0.0.1", port) is ipv4
        if ipv6 is not None:
            assert answers("::1", port) is ipv6


@pytest.mark.parametrize(
    ("host", "urls"),
    [
        ("127.0.0.1", "http://127.0.0.1:{port}"),
        ("::1", "http://[::1]:{port}"),
        ("0.0.0.0", "http://127.0.0.1:{port} and at every other address of this machine"),
        ("::", "http://127.0.0.1:{port}, http://[::1]:{port} and at every other address of this "
         "machine"),
    ],
)  # fmt: skip
def test_the_addresses_shown_can_be_opened(host: str, urls: str) -> None:
    port = free_port()
    with listening(host, port) as sockets:
        assert describe_sockets(sockets) == urls.format(port=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
def test_a_taken_port_is_one_line(host: str) -> None:
    port = free_port()
    with listening("127.0.0.1", port), pytest.raises(ShelfmarkError) as error:
        listen(host, port)
    shown = "[::]" if host == "::" else host
    assert str(error.value) == (
        f"cannot listen on {shown}:{port}: {os.strerror(errno.EADDRINUSE)}; choose another port "
        "with --port or PORT, or stop the program that uses it"
    )


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "2001:db8::1", "no-such-host.invalid", "", "a..b", "x" * 70, "http://127.0.0.1",
     "127.0.0.1:80", "[::1", "::1]", "a\0b", "256.1.1.1"],
)  # fmt: skip
def test_a_host_that_is_not_of_this_machine_is_one_line(host: str) -> None:
    with pytest.raises(ShelfmarkError, match="^cannot listen on ") as error:
        listen(host, free_port())
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(
        "--host takes an address or a name of this machine, such as 127.0.0.1, or 0.0.0.0 or ::"
    )


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_listens_on_ipv4(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class WithoutIPv6(socket.socket):
        def bind(self, address: object) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(number, os.strerror(number))
            super().bind(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    port = free_port()
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    with listening("::", port):
        assert answers("127.0.0.1", port)
    logger.remove(sink)
    assert any(":: is only listened on at 0.0.0.0" in line for line in lines)
    with pytest.raises(ShelfmarkError, match=r"cannot listen on \[::1\]:"):
        listen("::1", port)


def test_answers_are_sent_at_once() -> None:
    """A packet that waits for the acknowledgement of the one before costs 40 ms."""

    async def accept(listener: socket.socket) -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(answer, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            found = await asyncio.wait_for(accepted, PATIENCE)
            writer.close()
            return found

    with listening("127.0.0.1", free_port()) as [listener]:
        assert asyncio.run(accept(listener)) != 0
