"""A response that stays open: events as they come, a comment now and then, an end for who does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.stream.broadcast import Broadcast, Event, Subscriber

HEARTBEAT_S: Final = 15.0
SEND_WITHIN_S: Final = 10.0
_RETRY: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": still here\n\n"


class EventStream(Response):
    """Ends when the reader goes, is too slow, or the application stops."""

    media_type = "text/event-stream"

    def __init__(
        self, broadcast: Broadcast, subscriber: Subscriber, missed: Sequence[Event], heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._broadcast = broadcast
        self._subscriber = subscriber
        self._missed = missed
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._write(send)),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._subscriber.ended.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._broadcast.leave(self._subscriber)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await _finish(send)

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _send(send, _RETRY + b"".join(event.wire() for event in self._missed))
        while True:
            await _send(send, await self._next())

    async def _next(self) -> bytes:
        queue = self._subscriber.queue
        try:
            async with asyncio.timeout(self._heartbeat_s):
                event = await queue.get()
        except TimeoutError:
            return _HEARTBEAT
        events = [event]
        while not queue.empty():
            events.append(queue.get_nowait())
        return b"".join(event.wire() for event in events)


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SEND_WITHIN_S):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _finish(send: Send) -> None:
    try:
        async with asyncio.timeout(1):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except (TimeoutError, OSError):
        return  # nobody reads; the server closes the connection


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
