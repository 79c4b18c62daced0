"""Steady traffic of a known mix, cheap enough to pour for long: records of equal events whose time is their record's."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer

from tests.faults.oracle import SLOT_S, Counts, records

EVENTS = 50
PARTITIONS = 4
STEP_S = 0.1
BAD_EVERY_S, BAD_FOR_S = 120, 25


def _value(bad: int) -> bytes:
    events = [
        {
            "metric": "requests",
            "service": "checkout",
            "labels": {"status": 503 if n < bad else 200, "host": f"h{n % 7}"},
        }
        for n in range(EVENTS)
    ]
    return json.dumps(events).encode()


GOOD, BAD = _value(0), _value(EVENTS // 3)
WEIGHTS: Mapping[bytes | None, tuple[int, int]] = {GOOD: (EVENTS, EVENTS), BAD: (EVENTS - EVENTS // 3, EVENTS)}


class Torrent:
    """Pours `rate` events a second until told to stop; outages come and go."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._stopping = asyncio.Event()
        self.pouring = asyncio.Event()
        self.sent = 0

    def stop(self) -> None:
        self._stopping.set()

    async def pour(self, rate: float, most: int | None = None) -> None:
        """`most` events, or until stopped; every record is safe when this returns."""
        self.pouring.clear()
        begun = time.monotonic()
        first = self.sent
        async with AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, compression_type="lz4", linger_ms=5
        ) as producer:
            self.pouring.set()
            waiting: set[asyncio.Future[object]] = set()
            while not self._stopping.is_set() and (most is None or self.sent - first < most):
                elapsed = time.monotonic() - begun
                wanted = elapsed * rate if most is None else min(elapsed * rate, most)
                while self.sent - first < wanted:
                    value = BAD if elapsed % BAD_EVERY_S > BAD_EVERY_S - BAD_FOR_S else GOOD
                    turn = self.sent // EVENTS % PARTITIONS
                    sent = await producer.send(self._topic, value, partition=turn)
                    waiting.add(sent)
                    sent.add_done_callback(waiting.discard)
                    self.sent += EVENTS
                await asyncio.sleep(STEP_S)
            await producer.flush()
            await asyncio.gather(*waiting)


async def recount(kafka: str, topic: str) -> Counts:
    """By slot, as it lies in the topic."""
    good: Counter[int] = Counter()
    total: Counter[int] = Counter()
    async for record in records(kafka, topic):
        ok, every = WEIGHTS.get(record.value, (0, 0))
        slot = record.timestamp // 1000 // SLOT_S * SLOT_S
        good[slot] += ok
        total[slot] += every
    return {slot: (good[slot], total[slot]) for slot in sorted(total) if total[slot]}
