"""Events with a story that is known: minutes of traffic about an outage, sent in parts over a topic's partitions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer

PARTITIONS = 4
SPAN_S = 600
PARTS = 10
BATCH = 50
"""Events of one record: an array, as emitters that gather send it."""


def story(events: int, *, ends: float | None = None) -> list[list[dict[str, Any]]]:
    """Events in `PARTS` parts by time; they end now, whole seconds. A third of those in parts 4 and 5 are bad."""
    begun = int(time.time() if ends is None else ends) - SPAN_S
    made = [event(begun + n * SPAN_S / events, bad=4 <= n * PARTS // events <= 5 and n % 3 == 0) for n in range(events)]
    size = events // PARTS
    return [made[n * size : (n + 1) * size if n < PARTS - 1 else events] for n in range(PARTS)]


def event(at: float, *, bad: bool) -> dict[str, Any]:
    status = 503 if bad else 200
    return {"time": round(at, 3), "metric": "requests", "service": "checkout", "labels": {"status": status}}


def records(events: Sequence[dict[str, Any]], batch: int = BATCH) -> Iterator[bytes]:
    """Their records."""
    for first in range(0, len(events), batch):
        yield json.dumps(events[first : first + batch]).encode()


class Sender:
    """Sends records round the partitions; every one is safe when `send` returns."""

    def __init__(self, kafka: str, topic: str, partitions: int = PARTITIONS) -> None:
        self._topic = topic
        self._partitions = partitions
        self._turn = 0
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka, enable_idempotence=True, acks="all", max_request_size=16 << 20, linger_ms=5
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, events: Sequence[dict[str, Any]], batch: int = BATCH) -> None:
        times = [int(events[first]["time"] * 1000) for first in range(0, len(events), batch)]
        values = zip(records(events, batch), times, strict=True)
        sent = [await self._sent(value, timestamp_ms=time_ms) for value, time_ms in values]
        for each in sent:
            await each

    async def raw(self, value: bytes | None, partition: int | None = None, **fields: Any) -> Any:
        """One record as it is."""
        return await (await self._sent(value, partition, **fields))

    async def _sent(self, value: bytes | None, partition: int | None = None, **fields: Any) -> Any:
        self._turn += 1
        chosen = self._turn % self._partitions if partition is None else partition
        return await self._producer.send(self._topic, value, partition=chosen, **fields)
