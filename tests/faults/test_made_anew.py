"""Topics deleted and made again with the same name: both lives count, and nothing is skipped."""

from __future__ import annotations

import json
import signal
from collections import Counter

import pytest

from tests.acceptance.world import eventually
from tests.faults import oracle
from tests.faults.scene import Scene, for_a_while
from tests.faults.stream import PARTITIONS

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]


class Lives:
    """What lay in each life of a topic, by slot."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._good = Counter[int]()
        self._total = Counter[int]()

    async def add(self) -> None:
        """The life that is now, as it is to be when it ends."""
        for slot, (good, total) in (await oracle.recount(self._scene.oracle_kafka, self._scene.world.topic)).items():
            self._good[slot] += good
            self._total[slot] += total

    async def are_counted(self) -> None:
        """All of them, slot by slot."""
        expected = {slot: (self._good[slot], self._total[slot]) for slot in sorted(self._total)}
        item = await self._scene.world.total("checkout", "availability", self._total.total(), 120)
        assert item["experienced"]["total"] == self._total.total()

        async def same() -> bool:
            return await oracle.counted(self._scene.world, expected) == expected

        await eventually(same, 60, "every slot as it was sent")
        await oracle.chains(self._scene.world.database_url, self._scene.world.topic)


@pytest.mark.parametrize("running", [True, False], ids=["while it is read", "while nobody reads"])
async def test_a_topic_made_anew_counts_in_both_its_lives(scene: Scene, *, running: bool) -> None:
    """Fewer records than were read, then more, in partitions of which one has less."""
    await scene.open()
    await scene.send(0, 4)
    lives = Lives(scene)
    for first, after in ((4, 5), (5, 10)):
        await lives.add()
        await lives.are_counted()
        if not running:
            scene.kill("ingest", signal.SIGTERM)
        await scene.cluster.make_anew(scene.world.topic, PARTITIONS)
        await scene.send(first, after)
        if not running:
            scene.start("ingest")
        await scene.in_log("ingest", "epoch_begun", within_s=120)
    await lives.add()
    await lives.are_counted()


@pytest.mark.parametrize("still_s", [0.0, 1.5], ids=["within a fetch", "between two fetches"])
async def test_a_log_that_outgrew_our_position_before_we_looked(scene: Scene, still_s: float) -> None:
    """Ingest stands still for a moment, less than its session: it stays in the group, and finds a log at its position."""
    await scene.open()
    await scene.send(0, 2)
    lives = Lives(scene)
    await lives.add()
    await lives.are_counted()
    ingest = scene.running["ingest"]
    ingest.send_signal(signal.SIGSTOP)
    await for_a_while(still_s)
    await scene.cluster.make_anew(scene.world.topic, PARTITIONS)
    await scene.send(2, 10)
    ingest.send_signal(signal.SIGCONT)
    said = json.loads(await scene.in_log("ingest", "epoch_begun"))
    assert (said["level"], said["epoch"], said["was_at"] > 0) == ("error", 1, True)
    await lives.add()
    await lives.are_counted()
    assert ingest.poll() is None
