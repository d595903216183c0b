"""The sockets that a service accepts connections on, and the addresses that people open."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
import time
from typing import Any

from loguru import logger

from shelfmark.errors import ShelfmarkError

ALL_IPV4, ALL_IPV6 = "0.0.0.0", "::"  # noqa: S104 - compared, and listened on only as asked for
# A host has an address of this kind, but this machine does not.
UNAVAILABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
ADDRESSES = "--host takes an address or a name of this machine, such as 127.0.0.1, or 0.0.0.0 or ::"
ADVICE = {
    errno.EADDRINUSE: "choose another port with --port or PORT, or stop the program that uses it",
    errno.EACCES: "choose a port from 1024 on with --port or PORT",
}
Address = tuple[socket.AddressFamily, Any]
# Of a listening socket, Linux gives the number of connections that wait for `accept` here: the
# field tcpi_unacked. Source: tcp_get_info in net/ipv4/tcp.c.
WAITING = struct.Struct("24x I")
PAUSE_SECONDS = 0.001  # for each connection accepted: another worker may be asleep or busy
LONGEST_PAUSE = 0.02


class SharedListener(socket.socket):
    """A listening socket of one of several workers, which leaves the others their part.

    asyncio accepts all connections that wait, in one turn of its loop. The first worker to notice
    many clients would get them all, for as long as they keep their connections.

    Args:
        listener: the socket, which is not used any more.
        workers: the number of workers that share it.
    """

    def __init__(self, listener: socket.socket, workers: int) -> None:
        kind = listener.family, listener.type, listener.proto
        super().__init__(*kind, fileno=listener.detach())
        self._workers = workers
        self._left: int | None = None  # that this worker may still accept in this turn
        self._resumes = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: none waits, or those that wait are for the other workers.
        """
        now = time.monotonic()
        if self._left is None and now >= self._resumes:
            self._left = -(-max(self._count_waiting(), 1) // self._workers)
        if not self._left:
            self._left = None
            raise BlockingIOError(errno.EAGAIN, "the other workers have their turns")
        try:
            accepted = super().accept()
        except OSError:
            self._left = None
            raise
        self._left -= 1
        self._resumes = min(max(self._resumes, now) + PAUSE_SECONDS, now + LONGEST_PAUSE)
        return accepted

    def _count_waiting(self) -> int:
        info = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, WAITING.size)
        return int(WAITING.unpack(info)[0])


def share(listener: socket.socket, workers: int) -> socket.socket:
    """Return the socket of one of several workers, which accepts no more than its part.

    Systems other than Linux do not tell how many connections wait; they share them by chance.
    """
    if workers == 1 or sys.platform != "linux":
        return listener
    return SharedListener(listener, workers)


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of a host, to accept connections on.

    `::` stands for all addresses, IPv4 among them, on every system. An address of a kind that the
    machine lacks is left out if the host has another.

    Raises:
        ShelfmarkError: the host is unknown or of another machine, or the port is taken.
    """
    sockets: list[socket.socket] = []
    missing: list[OSError] = []
    try:
        for family, address in _addresses(host, port):
            try:
                sockets.append(_bind(family, address))
            except OSError as error:
                if error.errno not in UNAVAILABLE:
                    raise
                missing.append(error)
        if not sockets:
            raise missing[0]
    except (OSError, ValueError) as error:  # ValueError: no name of a host looks like that
        for one in sockets:
            one.close()
        raise ShelfmarkError(_describe(host, port, error)) from error
    if missing:
        urls = ", ".join(f"{one.getsockname()[0]}" for one in sockets)
        logger.warning("{} is only listened on at {}: {}", host, urls, missing[0].strerror)
    return sockets


def _addresses(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, given as a name or as an address, also in brackets."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    hosts = [host]
    if _is_all_ipv6(host):
        hosts = [ALL_IPV4, ALL_IPV6]
    found = [
        (family, address)
        for one in hosts
        for family, _, _, _, address in socket.getaddrinfo(
            one, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    ]
    return list(dict.fromkeys(found))


def _is_all_ipv6(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.version == 6 and address.is_unspecified


def _bind(family: socket.AddressFamily, address: Any) -> socket.socket:
    # asyncio sends small packets at once only on sockets that name their protocol: otherwise the
    # second packet of an answer waits 40 ms for a client that acknowledges the first one late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Whether one socket takes IPv4 too depends on the system, so IPv4 has its own.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _describe(host: str, port: int, error: Exception) -> str:
    """Return where a service cannot listen, why, and what helps."""
    where = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
    reason = getattr(error, "strerror", None) or error
    advice = ADVICE.get(getattr(error, "errno", None) or 0, ADDRESSES)
    return f"cannot listen on {where}: {reason}; {advice}"


def describe_sockets(sockets: list[socket.socket]) -> str:
    """Return the addresses to open in a browser on this machine, and whether there are more."""
    urls, more = [], ""
    for listener in sockets:
        host, port = listener.getsockname()[:2]
        if host in (ALL_IPV4, ALL_IPV6):
            more = " and at every other address of this machine"
            host = "127.0.0.1" if host == ALL_IPV4 else "::1"
        urls.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return ", ".join(urls) + more
