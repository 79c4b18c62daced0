"""Brokers that die, freeze and come back; topics that grow, and topics that are made anew."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from service.devstack.apache_kafka import ApacheKafka, ApacheKafkaUnavailable, Node
from tests.acceptance.world import World, eventually
from tests.conftest import REQUIRED
from tests.faults import oracle, stream
from tests.faults.scene import Scene, for_a_while
from tests.service.alerting.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]

FROZEN_S = 8.0  # longer than the controller waits for a broker


def started(three: bool, folder: Path) -> ApacheKafka:
    try:
        return ApacheKafka.start_three(directory=folder) if three else ApacheKafka.start(directory=folder)
    except ApacheKafkaUnavailable as reason:
        if "kafka" in REQUIRED:
            pytest.fail(str(reason))
        pytest.skip(str(reason))


@pytest.fixture(params=[pytest.param(False, id="one node"), pytest.param(True, id="three nodes")])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ApacheKafka]:
    """Of this test's own, since its nodes die."""
    made = started(request.param, tmp_path / "kafka")
    yield made
    made.stop()


@pytest.fixture
def on_cluster(
    cluster: ApacheKafka, database_url: str, twin_url: str, topic_name: str, tmp_path: Path, receiver: Receiver
) -> Iterator[Scene]:
    (tmp_path / "twin").mkdir()
    made = Scene(
        World(database_url, cluster.bootstrap, topic_name, tmp_path),
        World(twin_url, cluster.bootstrap, topic_name, tmp_path / "twin"),
        receiver,
    )
    yield made
    made.world.stop()
    made.twin.stop()


async def leader(scene: Scene, cluster: ApacheKafka) -> Node:
    """The node that leads the first partition now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=scene.world.kafka)
    await admin.start()
    try:
        [topic] = await admin.describe_topics([scene.world.topic])
        led = next(part["leader"] for part in topic["partitions"] if part["partition"] == 0)
        return next(node for node in cluster.nodes if node.number == led)
    finally:
        await admin.close()


async def test_brokers_killed_and_frozen_while_events_flow(on_cluster: Scene, cluster: ApacheKafka) -> None:
    """Leaders move, coordinators move; alone, everything waits until the broker is back."""
    scene, alone = on_cluster, len(cluster.nodes) == 1
    await stream.create(scene.world.kafka, scene.world.topic, replication=len(cluster.nodes))
    await scene.open(topic=False)
    await scene.send(0, 3)
    killed = await leader(scene, cluster)
    killed.stop(signal.SIGKILL)
    if not alone:
        await scene.send(3)
    killed.start()
    killed.wait(brokers=len(cluster.nodes))
    await scene.send(3 if alone else 4, 6)
    frozen = await leader(scene, cluster)
    os.kill(frozen.pid, signal.SIGSTOP)
    if not alone:
        await scene.send(6)
    await for_a_while(FROZEN_S)
    os.kill(frozen.pid, signal.SIGCONT)
    await scene.send(6 if alone else 7, 10)
    await scene.agrees()
    assert all(process.poll() is None for process in scene.running.values())


async def test_a_topic_that_grows_is_read_whole(scene: Scene) -> None:
    """New partitions count from their first record, and the watermark goes on."""
    await scene.open()
    await scene.send(0, 3)
    admin = AIOKafkaAdminClient(bootstrap_servers=scene.world.kafka)
    await admin.start()
    await admin.create_partitions({scene.world.topic: NewPartitions(stream.PARTITIONS + 2)})
    await admin.close()
    async with stream.Sender(scene.world.kafka, scene.world.topic, stream.PARTITIONS + 2) as sender:
        for part in scene.parts[3:]:
            await sender.send(part)
    await scene.agrees()


async def anew(scene: Scene, partitions: int) -> None:
    """The topic deleted, and made again with the same name."""
    kafka, topic = scene.world.kafka, scene.world.topic
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone, 30, "the topic is gone")
    finally:
        await admin.close()
    await stream.create(kafka, topic, partitions=partitions)


@pytest.mark.parametrize("running", [True, False], ids=["while it is read", "while nobody reads"])
async def test_a_topic_made_anew_counts_in_both_its_lives(scene: Scene, *, running: bool) -> None:
    """Fewer records than were read, then more, in partitions of which one has less: named, and nothing is skipped."""
    await scene.open()
    await scene.send(0, 4)
    lives = Counter[int]()
    good = Counter[int]()
    for first, after in ((4, 5), (5, 10)):
        counts = await oracle.recount(scene.world.kafka, scene.world.topic)
        lives.update({slot: total for slot, (_, total) in counts.items()})
        good.update({slot: ok for slot, (ok, _) in counts.items()})
        await scene.world.total("checkout", "availability", lives.total())
        if not running:
            scene.kill("ingest", signal.SIGTERM)
        await anew(scene, stream.PARTITIONS)
        await scene.send(first, after)
        if not running:
            scene.start("ingest")
        await scene.in_log("ingest", "epoch_begun", within_s=120)
    counts = await oracle.recount(scene.world.kafka, scene.world.topic)
    lives.update({slot: total for slot, (_, total) in counts.items()})
    good.update({slot: ok for slot, (ok, _) in counts.items()})
    expected = {slot: (good[slot], lives[slot]) for slot in sorted(lives)}
    item = await scene.world.total("checkout", "availability", lives.total(), 120)
    assert item["experienced"]["total"] == lives.total()

    async def same() -> bool:
        return await oracle.counted(scene.world, expected) == expected

    await eventually(same, 60, "every slot as it was sent")
    await oracle.chains(scene.world.database_url, scene.world.topic)
