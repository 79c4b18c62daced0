"""Parts that are asked to stop, that freeze, and that come and go: work in flight is whole or not there."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.faults.scene import PARTS, Scene, for_a_while

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STOPS_WITHIN_S = 10.0
SESSION_S = 10.0  # of Kafka's group: a member that is silent for longer is out
COMES_AND_GOES_S = 20.0


async def test_sigterm_stops_every_part_cleanly_while_events_pour_in(scene: Scene) -> None:
    """Within ten seconds, with exit code 0; whoever starts next goes on."""
    await scene.open()
    await scene.send(0, 2)
    sending = asyncio.create_task(scene.send(2, 8))
    for part in PARTS:
        begun = time.monotonic()
        code = await asyncio.to_thread(scene.kill, part, signal.SIGTERM)
        assert (code, time.monotonic() - begun < STOPS_WITHIN_S) == (0, True)
        scene.start(part)
    await sending
    await scene.send(8, 10)
    await scene.agrees()


async def test_a_frozen_ingest_and_a_frozen_deliver_change_nothing_when_they_come_back(scene: Scene) -> None:
    """Longer than the session and the claims last: others have taken over, and the zombies' writes find nothing."""
    await scene.open()
    await scene.send(0, 5)
    zombies = [scene.running["ingest"], scene.running["deliver"]]
    async with scene.locked("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE"):
        await scene.send(5)
        await scene.waits_for_lock("ingest")
        for zombie in zombies:
            zombie.send_signal(signal.SIGSTOP)  # ingest in the middle of its transaction
    scene.start("ingest")
    scene.start("deliver")
    await for_a_while(SESSION_S + 3)
    await scene.send(6, 8)
    total = sum(len(part) for part in scene.parts[:8])
    await scene.world.total("checkout", "availability", total)
    for zombie in zombies:
        zombie.send_signal(signal.SIGCONT)
    await scene.send(8, 10)
    await scene.agrees()
    assert all(zombie.poll() is None for zombie in zombies)


@pytest.mark.parametrize("strategy", ["roundrobin", "sticky"])
async def test_members_that_come_and_go_cost_nothing(scene: Scene, strategy: str) -> None:
    """A member joins and another leaves every few seconds, killed or asked."""
    scene.world.settings["UPHELD_KAFKA_CONSUMER_SETTINGS"] = f"partition.assignment.strategy={strategy}"
    await scene.open()
    await scene.send(0, 2)
    deadline = time.monotonic() + COMES_AND_GOES_S
    guests = []
    part = 2
    while time.monotonic() < deadline:
        guests.append(scene.world.start("ingest"))
        if part < 8:
            await scene.send(part)
            part += 1
        await for_a_while(2.5)
        if len(guests) > 2:
            guests.pop(0).send_signal(signal.SIGKILL if part % 2 else signal.SIGTERM)
    await scene.send(part, 10)
    await scene.agrees()
