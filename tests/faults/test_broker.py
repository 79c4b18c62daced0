"""Brokers that die, freeze and come back; topics that grow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.devstack.apache_kafka import ApacheKafka, Node
from tests.contracts.clusters import Admin
from tests.faults import stream
from tests.faults.scene import Scene, for_a_while
from tests.required import kafka_or_skip
from tests.service.alerting.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]

FROZEN_S = 8.0  # longer than the controller waits for a broker


@pytest.fixture(params=[pytest.param(False, id="one node"), pytest.param(True, id="three nodes")])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ApacheKafka]:
    """Of this test's own, since its nodes die."""
    start = ApacheKafka.start_three if request.param else ApacheKafka.start
    made = kafka_or_skip(lambda: start(directory=tmp_path / "kafka"))
    yield made
    made.stop()


@pytest.fixture
def on_cluster(
    cluster: ApacheKafka, database_url: str, twin_url: str, topic_name: str, tmp_path: Path, receiver: Receiver
) -> Iterator[Scene]:
    with Scene.between(
        database_url, twin_url, kafka=cluster.bootstrap, topic=topic_name, folder=tmp_path, receiver=receiver
    ) as made:
        yield made


async def leader(scene: Scene, cluster: ApacheKafka) -> Node:
    """The node that leads the first partition now."""
    async with Admin(scene.world.kafka) as admin:
        [topic] = await admin.describe_topics([scene.world.topic])
    led = next(part["leader"] for part in topic["partitions"] if part["partition"] == 0)
    return next(node for node in cluster.nodes if node.number == led)


async def test_brokers_killed_and_frozen_while_events_flow(on_cluster: Scene, cluster: ApacheKafka) -> None:
    """Leaders move, coordinators move; alone, everything waits until the broker is back."""
    scene, alone = on_cluster, len(cluster.nodes) == 1
    await scene.open(replication=len(cluster.nodes))
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
    await scene.cluster.grow(scene.world.topic, stream.PARTITIONS + 2)
    async with stream.Sender(scene.world.kafka, scene.world.topic, stream.PARTITIONS + 2) as sender:
        for part in scene.parts[3:]:
            await sender.send(part)
    await scene.agrees()
