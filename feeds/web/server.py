"""Listens and answers, beside other work or alone: the HTTP server below the door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from feeds.errors import UsageError

_CONNECTIONS = 256
_SILENT = 10.0  # seconds
_CLOSING = 2  # seconds that an open request may take when the server ends


def listener(host: str, port: int, setting: str = "--port") -> socket.socket:
    """Return a socket that listens; `setting` is what names another one.

    Raises:
        UsageError: the address can't be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"can't listen on {host}:{port}: {reason}; name another by {setting}"
        ) from error


def run(served: Starlette, listener: socket.socket) -> None:
    """Serve on a socket until interrupted."""
    _server(served).run(sockets=[listener])


@contextmanager
def beside(served: Starlette, listener: socket.socket) -> Iterator[None]:
    """Serve on a socket, in a thread, while the caller works."""
    server = _server(served)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_CLOSING)


class _Bounded(H11Protocol):
    """Turns connections away beyond a number, and ends those that ask for nothing.

    They share the process's open files with the work that goes on beside.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room."""
        super().connection_made(transport)
        self.access_log = False  # whoever listens to the logger: paths hold tokens
        # A head and a body are two packets. asyncio does this only for sockets made with a protocol, and
        # without it the second waits 40 ms for the first one's receipt.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > _CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_SILENT, self._end_if_silent)

    def _end_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():  # no request has come
            self.transport.close()


def _server(served: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        served,
        http=_Bounded,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `clients` tells who asks, no variable of the environment
        timeout_graceful_shutdown=_CLOSING,
    )
    return uvicorn.Server(config)
