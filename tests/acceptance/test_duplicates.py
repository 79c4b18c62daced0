"""An emitter that is unsure sends everything again, and nothing counts twice: not even over a death of ingest."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

from tests.acceptance.test_page import DOCUMENTS, SECRET
from tests.acceptance.world import World

EVENTS = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def event(number: int, begun: float) -> dict[str, Any]:
    """A tenth of them bad."""
    labels = {"status": 500 if number % 10 == 0 else 200}
    at = round(begun - 60 + number / 10, 3)
    return {"id": f"request-{number}", "time": at, "metric": "requests", "service": "checkout", "labels": labels}


async def test_events_sent_again_count_once_over_a_kill_9(world: World) -> None:
    """The ids that the dead process knew are read again from the topic."""
    world.settings |= {"HOOK_SECRET": SECRET, "UPHELD_TOPIC_PARTITIONS": "1"}
    world.settings["UPHELD_TOPIC_DEDUPLICATION"] = f"{world.topic}=1000"
    await world.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since="2026-01-01T00:00:00Z")
    begun = time.time()
    events = [event(number, begun) for number in range(EVENTS)]
    running = world.start("run")
    await world.ready()
    await world.emit(events)
    await world.emit(events[: EVENTS // 2])
    await world.total("checkout", "availability", EVENTS)
    running.send_signal(signal.SIGKILL)
    await asyncio.to_thread(running.wait)

    world.start("run")
    await world.ready()
    await world.emit([*events, event(EVENTS, begun)])

    item = await world.total("checkout", "availability", EVENTS + 1)  # the last one sent is the one that is new
    counted = item["experienced"]
    assert (counted["total"], counted["total"] - counted["good"]) == (EVENTS + 1, EVENTS // 10 + 1)
