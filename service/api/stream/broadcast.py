"""One source, many subscribers: every event goes to all of them, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

RECENT: Final = 1_000
QUEUE: Final = 256
SUBSCRIBERS: Final = 500

RESET: Final = "reset"
"""The event that says: too much has happened to tell; read everything anew."""


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the clock when it was published, made unique: it means the same to every process, roughly."""

    id: int
    name: str
    data: bytes

    def wire(self) -> bytes:
        """As it goes over the wire; `data` is JSON, and so is one line."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.id, self.name.encode(), self.data)


class TooManySubscribers(Exception):
    """The bound on open streams is reached."""


@dataclass(slots=True, eq=False)
class Subscriber:
    """One open stream. `ended` is set when it was dropped or the application stops."""

    queue: asyncio.Queue[Event]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Broadcast:
    """Keeps the most recent events, so that a stream that was cut goes on where it was."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._subscribers: set[Subscriber] = set()
        self._last_id = clock()
        self._begun_at = self._last_id
        self._closed = False

    def __len__(self) -> int:
        return len(self._subscribers)

    def publish(self, name: str, data: bytes) -> None:
        """To everybody; who has not taken the last QUEUE events is dropped, and may come back and catch up."""
        self._last_id = max(self._clock(), self._last_id + 1)
        event = Event(self._last_id, name, data)
        self._recent.append(event)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber.queue.put_nowait(event)
            except asyncio.QueueFull:
                self.leave(subscriber)

    def join(self, last_id: int | None = None) -> tuple[Subscriber, list[Event]]:
        """A new subscriber, and what it missed since `last_id`; a `reset` where that is not known any more."""
        if len(self._subscribers) >= SUBSCRIBERS or self._closed:
            raise TooManySubscribers
        subscriber = Subscriber(asyncio.Queue(QUEUE))
        self._subscribers.add(subscriber)
        return subscriber, [] if last_id is None else self._since(last_id)

    def leave(self, subscriber: Subscriber) -> None:
        """Safe to call twice."""
        self._subscribers.discard(subscriber)
        subscriber.ended.set()

    def close(self) -> None:
        """End every stream, and take no more: the process stops."""
        self._closed = True
        for subscriber in tuple(self._subscribers):
            self.leave(subscriber)

    def _since(self, last_id: int) -> list[Event]:
        complete_from = self._recent[0].id if len(self._recent) == RECENT else self._begun_at
        if last_id < complete_from - 1:
            return [Event(self._last_id, RESET, b'{"reason":"missed"}')]
        return [event for event in self._recent if event.id > last_id]
