"""How the server of a worker stops."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket

import uvicorn
from starlette.types import Receive, Scope, Send

from shelfmark.service.workers.process import SupervisorLink, WorkerServer
from tests.support.moments import PATIENCE


async def no_request(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no request was sent")


async def stop_beside_a_late_connection(listening: socket.socket, link: SupervisorLink) -> bytes:
    """Return what a client reads whose connection is accepted while the server stops."""
    config = uvicorn.Config(no_request, http="h11", lifespan="off", log_config=None)
    config.load()
    server = WorkerServer(config, link)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listening])
    loop = asyncio.get_running_loop()
    stopping = asyncio.create_task(server.shutdown())
    await asyncio.sleep(0)  # all connections that it knows are closed by now
    theirs, client = socket.socketpair()
    client.setblocking(False)
    with client:
        await loop.connect_accepted_socket(
            lambda: config.http_protocol_class(
                config=config, server_state=server.server_state, app_state={}
            ),
            theirs,
        )
        assert server.server_state.connections
        await asyncio.wait_for(stopping, PATIENCE)
        return await loop.sock_recv(client, 1)


def test_a_connection_that_is_accepted_while_the_server_stops_is_closed() -> None:
    ours, theirs = multiprocessing.Pipe()
    with socket.socket() as listening, ours, theirs:
        listening.bind(("127.0.0.1", 0))
        read = asyncio.run(stop_beside_a_late_connection(listening, SupervisorLink(ours)))
    assert read == b""
