"""What a kill -9 of the whole service under load costs: nothing."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

from tests.acceptance.test_page import DOCUMENTS
from tests.acceptance.world import World, eventually
from tests.service.alerting.receiver import Receiver

EVENTS = 60_000
BATCHES = 12


def batch(number: int, begun: float) -> list[dict[str, Any]]:
    """A twelfth of all events: ten minutes of event time ending about now, a tenth of one batch bad."""
    size = EVENTS // BATCHES
    first = begun - 660 + number * 50
    return [
        {
            "time": round(first + n * 50 / size, 3),
            "metric": "requests",
            "service": "checkout",
            "labels": {"status": 500 if number == 6 and n % 3 == 0 else 200, "shop": f"s{n % 20}"},
        }
        for n in range(size)
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_kill_9_under_load_loses_nothing_and_counts_nothing_twice(world: World, receiver: Receiver) -> None:
    """Killed again and again while events pour in: the counts equal a recount, the page comes once per incident."""
    world.settings["HOOK_SECRET"] = "whsec_dXBoZWxkLWFjY2VwdGFuY2U="
    await world.apply(DOCUMENTS.format(url=receiver.url), since="2026-01-01T00:00:00Z")
    begun = time.time()
    batches = [batch(number, begun) for number in range(BATCHES)]
    running = world.start("run")
    await world.ready()
    for number, events in enumerate(batches):
        emitting = asyncio.create_task(world.emit(events))
        if number in (2, 5, 7, 9):
            await asyncio.sleep(0.3 + 0.2 * number)  # somewhere within: the point is that it does not matter where
            running.send_signal(signal.SIGKILL)
            running.wait()
            running = world.start("run")
        await emitting
    bad = sum(event["labels"]["status"] == 500 for events in batches for event in events)
    item = await world.total("checkout", "availability", EVENTS)
    assert (item["experienced"]["total"], item["experienced"]["total"] - item["experienced"]["good"]) == (EVENTS, bad)

    async def ended() -> bool:
        return any(one["state"] == "resolved" for one in (await world.get("/incidents"))["items"])

    await eventually(ended, 60, "an incident that has ended")
    incidents = (await world.get("/incidents"))["items"]
    assert len(incidents) == 1
    keys = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(set(keys)) == len({(request.headers["webhook-id"], request.body) for request in receiver.requests})
