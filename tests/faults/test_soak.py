"""Half of what it can take, with a fault every few seconds, for as long as it is told to (`make soak`).

Two of each part run. The first of each, the resident, is frozen now and then but lives through it all: its memory, files and
tasks are watched. The second is killed and asked to stop again and again. Broker, database and network have their own.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.devstack.apache_kafka import ApacheKafka, Listener
from service.devstack.children import free_ports
from service.devstack.postgres import EmbeddedPostgres
from service.storage import migrate
from service.storage.database import connect
from tests.acceptance.test_page import DOCUMENTS
from tests.acceptance.world import World
from tests.contracts.clusters import KafkaCluster
from tests.faults import oracle, stream, torrent
from tests.faults.gauges import Gauges
from tests.faults.proxy import Proxy
from tests.faults.scene import PARTS, SECRET, SINCE, for_a_while
from tests.required import kafka_or_skip
from tests.service.alerting.receiver import Receiver

MINUTES = float(os.environ.get("UPHELD_TEST_SOAK_MINUTES", "20"))
SEED = int(os.environ.get("UPHELD_TEST_SOAK_SEED", "0")) or random.randrange(1, 1 << 30)
PROBE = 1_500_000  # events by which the capacity is measured
EVERY_S = 5.0
GROWTH = 1.05
TOPIC = "soak"
DEPENDENCY_AWAY = 3

pytestmark = [pytest.mark.soak, pytest.mark.kafka, pytest.mark.servers, pytest.mark.timeout(0)]


@dataclass
class Ground:
    """Broker and database of the soak's own, each reached through a network that can be cut."""

    folder: Path
    kafka: ApacheKafka
    kafka_way: Proxy
    postgres: EmbeddedPostgres
    postgres_way: Proxy
    world: World
    partitions: int = torrent.PARTITIONS
    guests: dict[str, int] = field(default_factory=dict)

    @property
    def direct(self) -> str:
        return self.kafka.bootstrap


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    kafka_port, postgres_port = free_ports(2)
    kafka_way, postgres_way = Proxy(kafka_port), Proxy(postgres_port)
    ways = [Listener("PROXIED", kafka_port, advertised=kafka_way.port)]
    kafka = kafka_or_skip(lambda: ApacheKafka.start(directory=tmp_path / "kafka", listeners=ways))
    postgres = EmbeddedPostgres.start(tmp_path / "postgres", port=postgres_port, durable=True)
    url = postgres.create_database("upheld")
    migrate.upgrade(url)
    through = url.replace(f":{postgres_port}/", f":{postgres_way.port}/")
    made = Ground(
        tmp_path,
        kafka,
        kafka_way,
        postgres,
        postgres_way,
        World(through, f"127.0.0.1:{kafka_way.port}", TOPIC, tmp_path),
    )
    yield made
    made.world.stop()
    made.postgres.stop()
    kafka.stop()
    kafka_way.close()
    postgres_way.close()


class Faults:
    """What can go wrong, one at a time."""

    def __init__(self, ground: Ground, chance: random.Random) -> None:
        self.ground = ground
        self.chance = chance
        self.residents = {part: ground.world.start(part) for part in PARTS}
        self.guests: dict[str, subprocess.Popen[bytes]] = {}
        self.done: Counter[str] = Counter()
        self.kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self.kill_guest,
            self.kill_guest,
            self.stop_guest,
            self.freeze_guest,
            self.freeze_resident,
            self.restart_broker,
            self.restart_database,
            self.end_sessions,
            self.cut_kafka,
            self.cut_database,
            self.silence_database,
            self.poison,
            self.grow,
        )

    def come(self) -> None:
        """Let the guests in."""
        self.ground.world.settings["UPHELD_PORT"] = "0"
        self.guests |= {part: self.ground.world.start(part) for part in PARTS}

    async def one(self) -> None:
        kind = self.chance.choice(self.kinds)
        self.done[kind.__name__] += 1
        print(f"{time.strftime('%H:%M:%S')} {kind.__name__}", flush=True)
        await kind()

    def _guest(self) -> str:
        return self.chance.choice(PARTS)

    async def kill_guest(self) -> None:
        await self._replace(self._guest(), signal.SIGKILL)

    async def stop_guest(self) -> None:
        part = self._guest()
        log = max(self.ground.world.folder.glob(f"{part}-*.log"), key=lambda each: int(each.stem.split("-")[1]))
        begun = time.monotonic()
        code = await self._replace(part, signal.SIGTERM)
        gave_up = code == DEPENDENCY_AWAY and "Serving." not in log.read_text()  # it came while the database was away
        assert gave_up or (code, time.monotonic() - begun < 10) == (0, True), f"{part} ended with {code}"

    async def _replace(self, part: str, how: signal.Signals) -> int:
        self.guests[part].send_signal(how)
        code = await asyncio.to_thread(self.guests[part].wait, 30)
        self.guests[part] = self.ground.world.start(part)
        return code

    async def freeze_guest(self) -> None:
        await self._freeze(self.guests[self._guest()].pid, 12)

    async def freeze_resident(self) -> None:
        await self._freeze(self.residents[self._guest()].pid, self.chance.uniform(0.5, 4))

    async def _freeze(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        await for_a_while(seconds)
        os.kill(pid, signal.SIGCONT)

    async def restart_broker(self) -> None:
        node = self.ground.kafka.nodes[0]
        node.stop(signal.SIGKILL)
        node.start()
        await asyncio.to_thread(node.wait)

    async def restart_database(self) -> None:
        port = self.ground.postgres.port
        self.ground.postgres.stop()
        self.ground.postgres = EmbeddedPostgres.start(self.ground.folder / "postgres", port=port, durable=True)

    async def end_sessions(self) -> None:
        connection = await connect(self.ground.postgres.url("upheld"))
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'upheld'"
        )
        await connection.close()

    async def cut_kafka(self) -> None:
        await self._without(self.ground.kafka_way, silent=False)

    async def cut_database(self) -> None:
        await self._without(self.ground.postgres_way, silent=False)

    async def silence_database(self) -> None:
        await self._without(self.ground.postgres_way, silent=True)

    async def _without(self, way: Proxy, *, silent: bool) -> None:
        (way.silence if silent else way.cut)()
        await for_a_while(self.chance.uniform(1, 5))
        way.heal()

    async def poison(self) -> None:
        async with stream.Sender(self.ground.direct, TOPIC) as sender:
            for value in (b"{", b"", None, b"\xff\xfe", b'{"metric":7}'):
                await sender.raw(value, key=b"poison")

    async def grow(self) -> None:
        """More partitions, now and then; the torrent goes on with those that it knows."""
        if self.ground.partitions < 3 * torrent.PARTITIONS:
            self.ground.partitions += 1
            await KafkaCluster(self.ground.direct).grow(TOPIC, self.ground.partitions)


async def pace(ground: Ground) -> float:
    """Events a second between the first commit and the last."""
    connection = await connect(ground.postgres.url("upheld"))
    try:
        return float(
            await connection.fetchval(
                "SELECT sum(samples) / extract(epoch FROM max(committed_at) - min(committed_at)) FROM ledger"
                " WHERE committed_at > (SELECT min(committed_at) FROM ledger)"
            )
        )
    finally:
        await connection.close()


async def sessions(ground: Ground) -> int:
    connection = await connect(ground.postgres.url("upheld"))
    try:
        return int(
            await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'upheld %'")
        )
    finally:
        await connection.close()


async def test_soak(ground: Ground, receiver: Receiver) -> None:
    """Equal counts, each page with one key, and nothing that grows."""
    print(f"\nsoak of {MINUTES:g} min, UPHELD_TEST_SOAK_SEED={SEED}", flush=True)
    world = ground.world
    world.settings["HOOK_SECRET"] = SECRET
    await KafkaCluster(ground.direct).create(TOPIC, torrent.PARTITIONS)
    await world.apply(DOCUMENTS.format(url=receiver.url), since=SINCE)
    faults = Faults(ground, random.Random(SEED))
    await world.ready()
    faults.come()

    water = torrent.Torrent(ground.direct, TOPIC)
    await water.pour(1e9, PROBE)
    await world.total("checkout", "availability", PROBE, 300)
    capacity = await pace(ground)
    print(f"capacity {capacity:,.0f} events/s, pours {capacity / 2:,.0f}", flush=True)

    residents = [
        Gauges(part, process.pid, world.folder / f"{part}-{number}.log")
        for number, (part, process) in enumerate(faults.residents.items())
    ]
    tasks = {one.name: await one.tasks() for one in residents}
    pouring = asyncio.create_task(water.pour(capacity / 2))
    await water.pouring.wait()
    watching = asyncio.create_task(watch(residents))
    deadline = time.monotonic() + MINUTES * 60
    while time.monotonic() < deadline:
        await faults.one()
        await for_a_while(faults.chance.uniform(EVERY_S / 2, EVERY_S * 1.5))
        assert not pouring.done(), pouring.exception()
        assert not watching.done(), watching.exception()
    water.stop()
    await pouring
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching

    await world.total("checkout", "availability", water.sent, 300)
    expected = await torrent.recount(ground.direct, TOPIC)
    assert sum(total for _, total in expected.values()) == water.sent
    seen = await oracle.counted(world, expected)
    assert seen == expected, sorted(set(seen.items()) ^ set(expected.items()))[:20]
    await oracle.chains(ground.postgres.url("upheld"), TOPIC)
    bodies: dict[str, bytes] = {}
    for request in receiver.requests:
        assert bodies.setdefault(request.headers["webhook-id"], request.body) == request.body

    print(f"{water.sent:,} events, {sum(faults.done.values())} faults: {dict(faults.done)}")
    print(
        f"{len(bodies)} notifications, {len(receiver.requests) - len(bodies)} repeats; {await sessions(ground)} sessions"
    )
    grown: list[str] = []
    for one in residents:
        before, after = one.resident_mb(2), one.resident_mb(4)
        now = await one.tasks()
        words = f"{one.name}: {before:.1f} -> {after:.1f} MB, files {one.files(2)} -> {one.files(4)}, tasks {tasks[one.name]} -> {now}"
        print(words)
        if after > before * GROWTH or one.files(4) > one.files(2) + 5 or now > tasks[one.name] + 5:
            grown.append(words)
    assert not grown, grown


async def watch(residents: list[Gauges]) -> None:
    begun = time.monotonic()
    while True:
        for one in residents:
            one.look(time.monotonic() - begun)
        await asyncio.sleep(1)
