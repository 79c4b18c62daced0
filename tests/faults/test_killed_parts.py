"""Any part killed at any moment: nothing is lost, nothing counts twice, no page is missing."""

from __future__ import annotations

import asyncio

import pytest

from service.storage.database import connect
from tests.acceptance.world import eventually
from tests.faults.scene import Scene
from tests.service.alerting.receiver import answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(540)]

BEFORE = "SELECT revision FROM installation FOR UPDATE"
WITHIN = "LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE"
TICK_STEPS = ("outbox", "incidents", "slot_pages")


async def entries(scene: Scene) -> int:
    connection = await connect(scene.world.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM ledger"))
    finally:
        await connection.close()


async def test_ingest_killed_before_within_and_after_its_transaction(scene: Scene) -> None:
    """Nothing of a transaction that did not end is there; whoever is next reads it again."""
    await scene.open()
    await scene.send(0, 3)
    for part, where in enumerate((BEFORE, WITHIN), start=3):
        async with scene.locked(where):
            await scene.send(part)
            await scene.waits_for_lock("ingest")
            scene.kill("ingest")
        scene.start("ingest")
    await scene.send(5, 7)
    known = await entries(scene)
    sending = asyncio.create_task(scene.send(7, 9))

    async def more() -> bool:
        return await entries(scene) > known

    await eventually(more, 60, "an entry just committed")
    scene.kill("ingest")
    await sending
    scene.start("ingest")
    await scene.send(9)
    await scene.agrees()


async def test_evaluate_killed_in_the_middle_of_its_transaction(scene: Scene) -> None:
    """A tick is there whole or not at all: slots, incidents and notifications."""
    await scene.open()
    await scene.send(0, 4)
    for part, table in enumerate(TICK_STEPS, start=4):
        async with scene.locked(f"LOCK TABLE {table} IN EXCLUSIVE MODE"):
            await scene.send(part)
            if table == "outbox":
                await scene.trouble()
            await scene.waits_for_lock("evaluate", 60)
            scene.kill("evaluate")
        scene.start("evaluate")
    await scene.send(7, 10)
    await scene.agrees()


async def test_deliver_and_serve_killed_while_a_page_is_under_way(scene: Scene) -> None:
    """The page comes again, with the same key; what serve shows is in the database."""
    scene.receiver.answers[:] = [None, answer(200)]
    await scene.open()
    await scene.send(0, 7)
    await scene.trouble()

    async def asked(times: int) -> bool:
        return len(scene.receiver.requests) >= times

    await eventually(lambda: asked(1), 90, "a page")
    scene.kill("deliver")
    scene.kill("serve")
    scene.start("deliver")
    scene.start("serve")
    await eventually(lambda: asked(2), 90, "the page again")
    first, again = scene.receiver.requests[:2]
    assert (again.headers["webhook-id"], again.body) == (first.headers["webhook-id"], first.body)
    await scene.send(7, 10)
    await scene.agrees()

    async def told() -> bool:
        return any(b"incident.resolved" in request.body for request in scene.receiver.requests)

    await eventually(told, 60, "the page that it is over")
