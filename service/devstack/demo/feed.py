"""Sends the demo's traffic: the past in one go, then the present as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from service.devstack.demo import script
from service.devstack.traffic import DAY_US, STREAMS, history, live

STEP_S: Final = 0.2
RECORDS_A_SEND: Final = 24
SEED: Final = 20261123  # the same past for everybody


class Sink(Protocol):
    """Takes records to the topic."""

    async def send(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Returns when they are safe."""
        ...


async def send_past(sink: Sink, from_us: int, to_us: int, reached: Callable[[int], None]) -> None:
    """The history of [from_us, to_us), oldest first; `reached` is told how far it has got, in event time."""
    random = np.random.default_rng(SEED)
    waiting: list[bytes] = []
    for at_us, record in history(STREAMS, script.past(to_us), from_us, to_us, random):
        waiting.append(record)
        if len(waiting) == RECORDS_A_SEND or at_us == to_us:
            await sink.send(waiting)
            reached(at_us)
            waiting = []


async def send_present(sink: Sink, from_us: int, clock: Callable[[], int], begin_us: Callable[[], int | None]) -> None:
    """Requests as they arrive, for ever. The play runs from the moment that `begin_us` gives; until then `script.waiting`."""
    random = np.random.default_rng()
    done_us = from_us
    while True:
        now = clock()
        begun = begin_us()
        incidents = script.waiting(now) if begun is None else script.running(begun, now)
        await _sent(sink, list(live(STREAMS, incidents, done_us, now, random)))
        done_us = now
        await asyncio.sleep(STEP_S)


async def _sent(sink: Sink, records: Sequence[tuple[bytes, bytes]]) -> None:
    if records:
        await sink.send([value for _, value in records], [key for key, _ in records])


def history_start(to_us: int, days: int) -> int:
    """Where the past begins."""
    return to_us - days * DAY_US
