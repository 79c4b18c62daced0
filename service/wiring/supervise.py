"""Runs parts together until a signal or a failure, and stops them in order within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import structlog

STOP_WITHIN_S = 8.0
"""A part that has not stopped by then is cancelled; orchestrators usually kill after 10 s or more."""

_log = structlog.get_logger(__name__)


class Part(Protocol):
    """One part of Upheld as the supervisor sees it."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Runs until `stop` or failure; returns only when everything of it is closed."""
        ...

    def stop(self) -> None:
        """Ask it to finish; safe to call at any time, any number of times."""
        ...


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Generator[None]:
    """Calls `stop` at SIGINT or SIGTERM while inside."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def supervise(parts: Sequence[Part], *, stopping: asyncio.Event) -> None:
    """Runs all parts; the first failure stops the others and is raised.

    `stopping` is set from outside (a signal) to end everything cleanly.
    """
    tasks = [asyncio.create_task(part.run(), name=part.name) for part in parts]
    waiter = asyncio.create_task(stopping.wait(), name="stopping")
    try:
        await asyncio.wait({*tasks, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            ended = next(task for task in tasks if task.done())
            _log.error("A part ended by itself; stopping the others.", action="part_ended", part=ended.get_name())
    finally:
        waiter.cancel()
        for part in parts:
            part.stop()
        await _finish(tasks)
    for task in tasks:
        if not task.cancelled() and (failure := task.exception()):
            raise failure


async def _finish(tasks: Sequence[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(tasks, timeout=STOP_WITHIN_S)
    for task in late:
        _log.warning("A part did not stop in time and is cancelled.", action="part_cancelled", part=task.get_name())
        task.cancel()
    if late:
        await asyncio.wait(late)
