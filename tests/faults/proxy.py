"""A network between two parts that a test can cut: a TCP proxy on a port of the loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Literal

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16
ANSWER_S = 10.0

State = Literal["open", "cut", "silent"]


class Proxy:
    """Passes bytes on to `target` until told otherwise. On a thread of its own, so that no test can hold it up."""

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._state: State = "open"
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._call(asyncio.start_server(self._serve, LOOPBACK, port))
        self._loop.call_soon_threadsafe(self._open.set)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Every connection breaks; new ones are closed at once."""
        self._set("cut")
        self._call(self._break())

    def silence(self) -> None:
        """Nothing passes, and nobody is told: what a network does that swallows packets."""
        self._set("silent")

    def heal(self) -> None:
        """Connections that outlived a silence go on where they stood."""
        self._set("open")

    def close(self) -> None:
        """End it all."""
        self._set("cut")
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_S)
        self._loop.close()

    def _set(self, state: State) -> None:
        async def change() -> None:
            self._state = state
            (self._open.set if state != "silent" else self._open.clear)()

        self._call(change())

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    async def _break(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._break()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # connections that were aborted tell their protocols on the next turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._open.wait()
        if self._state == "cut":
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            self._writers -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
