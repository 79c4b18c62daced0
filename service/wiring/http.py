"""Serves ASGI applications inside a process that handles its own signals."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any

import structlog
import uvicorn

from service.errors import DependencyAway

_log = structlog.get_logger(__name__)
_BACKLOG = 2048
_DRAIN_S = 3  # open streams are cut after this long, so that a stop stays below ten seconds

AsgiApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """The supervisor handles signals, for all parts alike."""
        yield


class HttpServer:
    """One application on one address; a Part for the supervisor."""

    def __init__(self, name: str, app: AsgiApp, host: str, port: int) -> None:
        self.name = name
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="on",
            timeout_graceful_shutdown=_DRAIN_S,
            server_header=False,
        )
        self._server = _Server(config)

    async def run(self) -> None:
        """Serves until stopped."""
        _log.info("Serving.", action="serving", part=self.name, port=self.port)
        try:
            await self._server.serve(sockets=[self._socket])
        except SystemExit as end:  # uvicorn's way to say that the application's start-up failed; the log has the reason
            raise RuntimeError(f"the application of {self.name} did not start") from end

    def stop(self) -> None:
        """Finish what is in flight, then close."""
        self._server.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named asyncio sets TCP_NODELAY; without, a body waits 40 ms for the acknowledgement of its head.
    server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(_BACKLOG)  # at once: whoever comes before the application is up waits instead of being refused
    except OSError as error:
        server.close()
        message = f"cannot listen on {host}:{port}: {error.strerror}; choose another port or stop what uses it"
        raise DependencyAway(message) from error
    server.set_inheritable(False)
    return server
