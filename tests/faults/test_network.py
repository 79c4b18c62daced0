"""The network between any two parts, cut and then healed, and silent for longer than anybody waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.devstack.apache_kafka import ApacheKafka, Listener
from service.devstack.children import free_ports
from tests.faults.proxy import Proxy
from tests.faults.scene import PARTS, Scene, for_a_while
from tests.required import kafka_or_skip
from tests.service.alerting.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]

CUT_S = 3.0
SILENT_S = 40.0
"""Longer than a lease, than Kafka's session, than every time-out on the database, its client's included."""


@dataclass
class Ways:
    """A proxy each: to the broker, from each part to the database, and to the receiver."""

    kafka: Proxy
    database: dict[str, Proxy]
    receiver: Proxy

    def all(self) -> list[Proxy]:
        return [self.kafka, *self.database.values(), self.receiver]


@dataclass
class Broker:
    """A node of its own: `direct` for the test, `port` behind a proxy for the parts."""

    direct: str
    way: Proxy


@pytest.fixture(scope="module")
def distant_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    (port,) = free_ports(1)
    way = Proxy(port)
    listeners = [Listener("PROXIED", port, advertised=way.port)]
    try:
        server = kafka_or_skip(
            lambda: ApacheKafka.start(directory=tmp_path_factory.mktemp("distant"), listeners=listeners)
        )
        yield Broker(server.bootstrap, way)
        server.stop()
    finally:
        way.close()


@pytest.fixture
async def apart(
    database_url: str, twin_url: str, distant_kafka: Broker, topic_name: str, tmp_path: Path, receiver: Receiver
) -> AsyncIterator[tuple[Scene, Ways]]:
    """A scene in which everything reaches everything else through a network of ours."""
    port = int(database_url.rpartition(":")[2].partition("/")[0])
    ways = Ways(distant_kafka.way, {part: Proxy(port) for part in PARTS}, Proxy(receiver.port))
    with Scene.between(
        database_url,
        twin_url,
        kafka=f"127.0.0.1:{ways.kafka.port}",
        topic=topic_name,
        folder=tmp_path,
        receiver=receiver,
        oracle_kafka=distant_kafka.direct,
        hook=f"http://127.0.0.1:{ways.receiver.port}/hook",
        database_ports={part: way.port for part, way in ways.database.items()},
    ) as scene:
        yield scene, ways
        ways.kafka.heal()
    for way in (*ways.database.values(), ways.receiver):
        way.close()


async def test_each_way_cut_while_events_flow(apart: tuple[Scene, Ways]) -> None:
    """Every part waits for whatever it has lost, and goes on by itself."""
    scene, ways = apart
    await scene.open()
    for part, way in enumerate(ways.all(), start=1):
        await scene.send(part)
        way.cut()
        await for_a_while(CUT_S)
        way.heal()
    await scene.send(0)
    await scene.send(7, 10)
    await scene.agrees()
    assert all(process.poll() is None for process in scene.running.values())


async def test_everything_silent_for_longer_than_anybody_waits(apart: tuple[Scene, Ways]) -> None:
    """Nobody is told that the network is gone: time-outs find it out."""
    scene, ways = apart
    await scene.open()
    await scene.send(0, 5)
    for way in ways.all():
        way.silence()
    await scene.send(5, 7)
    await for_a_while(SILENT_S)
    for way in ways.all():
        way.heal()
    await scene.send(7, 10)
    await scene.agrees()
    assert all(process.poll() is None for process in scene.running.values())
