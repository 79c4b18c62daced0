"""A log that let go of records before they were read: counted, named, and never taken for a good hour."""

from __future__ import annotations

import json

import httpx
import pytest

from consumers.ports import Partition
from tests.acceptance.world import eventually
from tests.faults import oracle
from tests.faults.scene import Scene
from tests.faults.stream import BATCH, PARTITIONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_a_gap_is_counted_named_and_blind_for_its_span(scene: Scene) -> None:
    """What lies around it counts; steps that it touches are blind in the API; metric and log say how much is missing."""
    await scene.open()
    await scene.send(0, 3)
    before = sum(len(part) for part in scene.parts[:3])
    await scene.world.total("checkout", "availability", before)
    scene.kill("ingest")
    await scene.send(3, 6)
    await let_go(scene)
    await scene.send(6, 10)
    left = await oracle.recount(scene.oracle_kafka, scene.world.topic)
    scene.start("ingest")

    told = json.loads(await scene.in_log("ingest-4", "gap"))
    assert (told["level"], told["missing"] > 0) == ("error", True)
    total = before + sum(total for _, total in left.values())
    item = await scene.world.total("checkout", "availability", total)
    assert item["experienced"]["total"] == total
    await oracle.chains(scene.world.database_url, scene.world.topic)

    lost = sum(len(part) for part in scene.parts[3:6]) // BATCH
    operations = json.loads(await scene.in_log("ingest-4", "serving"))["port"]
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{operations}/metrics")).text
    assert f'upheld_missing_records_total{{topic="{scene.world.topic}"}} {lost}.0' in metrics
    assert f'upheld_gaps_total{{topic="{scene.world.topic}"}} {PARTITIONS}.0' in metrics

    first, after = int(scene.parts[3][0]["time"]), int(scene.parts[6][0]["time"])

    async def blind() -> bool:
        path = "/objectives/checkout/availability/history?step=10s"
        points = await scene.world.history(f"{path}&from={first - 90}&to={after + 90}")
        states = {oracle.second(point["time"]): point["data"] for point in points}
        within = {state for time, state in states.items() if first <= time < after - oracle.SLOT_S}
        outside = {state for time, state in states.items() if not first - 40 <= time < after + 30}
        return (within, outside) == ({"blind"}, {"live"})

    await eventually(blind, 30, "the steps of the gap are blind, those before it live")


async def let_go(scene: Scene) -> None:
    """As retention does, at once: the log begins at what is its end now."""
    for number in range(PARTITIONS):
        await scene.cluster.drop_before(Partition(scene.world.topic, number), -1)
