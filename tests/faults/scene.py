"""One installation that something happens to, beside one to which nothing does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from service.storage.database import connect
from tests.acceptance.test_page import DOCUMENTS, SECRET
from tests.acceptance.world import World, eventually
from tests.contracts.clusters import KafkaCluster
from tests.faults import oracle, stream
from tests.service.alerting.receiver import Receiver

SINCE = "2026-01-01T00:00:00Z"
PARTS = ("ingest", "evaluate", "deliver", "serve")
EVENTS = 6_000
SETTLED_S = 90.0
OVER_S = 240.0  # an incident lasts for two minutes after its last failure
STATE = (
    "SELECT topic, partition, count(*) AS entries, sum(records) AS records, max(next_offset) AS next FROM ledger GROUP BY 1, 2",
    "SELECT id, owner, evaluated_until_us, watermark_us, ticked_at, tick_seq FROM shards",
    "SELECT id, state, announced, owed FROM incidents",
    "SELECT id, type, state, attempts, claimed_by, claimed_until, last_error FROM outbox",
)


@dataclass
class Scene:
    """`twin` is an installation on the same topic with a database and a group of its own, run at the end."""

    world: World
    twin: World
    receiver: Receiver
    events: int = EVENTS
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    oracle_kafka: str = ""
    """Where the oracle reads, if the way of the installation is in trouble."""
    hook: str = ""
    """Where pages go, if not straight to the receiver."""
    database_ports: dict[str, int] = field(default_factory=dict)
    """By which port a part reaches the database, if not the straight one."""

    @classmethod
    @contextmanager
    def between(
        cls,
        database: str,
        twin: str,
        *,
        kafka: str,
        topic: str,
        folder: Path,
        receiver: Receiver,
        oracle_kafka: str = "",
        **fields: Any,
    ) -> Generator[Scene]:
        """A scene in a folder, on two databases; whatever runs of it ends with the block."""
        twin_folder = folder / "twin"
        twin_folder.mkdir()
        worlds = World(database, kafka, topic, folder), World(twin, oracle_kafka or kafka, topic, twin_folder)
        made = cls(*worlds, receiver, oracle_kafka=oracle_kafka, **fields)
        try:
            yield made
        finally:
            with ThreadPoolExecutor(1) as pool:
                print(pool.submit(asyncio.run, made.state()).result())
            for world in worlds:
                world.stop()

    def __post_init__(self) -> None:
        self.parts: Sequence[list[dict[str, Any]]] = stream.story(self.events)
        self.world.settings |= {"HOOK_SECRET": SECRET, "UPHELD_PAGE_MAX_LAG": "6h"}
        self.twin.settings |= {"HOOK_SECRET": SECRET, "UPHELD_GROUP": "twin", "UPHELD_PAGE_MAX_LAG": "6h"}
        self.oracle_kafka = self.oracle_kafka or self.world.kafka

    async def open(self, *parts: str, replication: int = 1, settings: Mapping[str, str] | None = None) -> None:
        """Topic, documents, then the parts; `run` is all in one process."""
        await self.cluster.create(self.world.topic, stream.PARTITIONS, settings, replication=replication)
        await self.world.apply(DOCUMENTS.format(url=self.hook or self.receiver.url), since=SINCE)
        for part in parts or PARTS:
            self.start(part)
        await self.world.ready()

    def start(self, part: str) -> subprocess.Popen[bytes]:
        """Start one part, or start it again."""
        if part in self.database_ports:
            rest, _, name = self.world.database_url.rpartition("/")
            way = f"{rest.rpartition(':')[0]}:{self.database_ports[part]}/{name}"
            self.world.settings["UPHELD_DATABASE_URL"] = way
        process = self.running[part] = self.world.start(part)
        self.world.settings.pop("UPHELD_DATABASE_URL", None)
        return process

    def kill(self, part: str, how: signal.Signals = signal.SIGKILL) -> int:
        """End a part; gives its exit code."""
        process = self.running[part]
        process.send_signal(how)
        return process.wait(30)

    @property
    def cluster(self) -> KafkaCluster:
        """The brokers from the other side."""
        return KafkaCluster(self.oracle_kafka)

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[stream.Sender]:
        async with stream.Sender(self.oracle_kafka, self.world.topic) as sender:
            yield sender

    async def send(self, first: int, after: int | None = None) -> None:
        """Send parts [first, after) of the story."""
        async with self.sender() as sender:
            for part in self.parts[first : first + 1 if after is None else after]:
                await sender.send(part)

    async def trouble(self) -> None:
        """Failures of right now: an outage that is not over when it is told of. One that is, pages nobody, and how soon
        the story is told depends on the machine.
        """
        now = time.time()
        async with self.sender() as sender:
            await sender.send([stream.event(now - 5 + n / 100, bad=True) for n in range(500)])

    @property
    def bad(self) -> int:
        return sum(event["labels"]["status"] == 503 for part in self.parts for event in part)

    async def agrees(self, *, within_s: float = SETTLED_S, not_after: float | None = None, but: int = 0) -> None:
        """Slot by slot equal to a recount from the topic; incidents equal to those of the twin; every page once.

        Events `not_after` a time do not count; there are `but` so many.
        """
        everything = await oracle.recount(self.oracle_kafka, self.world.topic)
        expected = {slot: counts for slot, counts in everything.items() if not_after is None or slot <= not_after}
        assert sum(total for slot, (_, total) in everything.items() if slot not in expected) == but
        total = sum(total for _, total in expected.values())
        item = await self.world.total("checkout", "availability", total, within_s)
        good = sum(good for good, _ in expected.values())
        seen = (item["experienced"]["total"], item["experienced"]["good"])
        assert seen == (total, good), f"{seen} for {(total, good)}"
        assert await oracle.counted(self.world, expected) == expected
        await oracle.chains(self.world.database_url, self.world.topic)
        undisturbed = await self._undisturbed(total)

        async def same() -> bool:
            return await oracle.incidents(self.world) == undisturbed

        with contextlib.suppress(AssertionError):
            await eventually(same, within_s, "the incidents of the twin")
        assert await oracle.incidents(self.world) == undisturbed
        self.pages_are_sound()

    async def _undisturbed(self, total: int) -> list[dict[str, Any]]:
        await self.twin.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since=SINCE)
        self.twin.start("run")
        await self.twin.ready()
        await self.twin.total("checkout", "availability", total)

        async def over() -> list[dict[str, Any]] | None:
            found = await oracle.incidents(self.twin)
            return found if found and all(one["state"] == "resolved" for one in found) else None

        found = await eventually(over, OVER_S, "the twin's incident is over")
        self.twin.stop()
        return found

    async def state(self) -> str:
        """What the database holds, shown where a test failed."""
        lines: list[str] = []
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            connection = await connect(self.world.database_url)
            for query in STATE:
                lines += [str(dict(row)) for row in await connection.fetch(query)]
            await connection.close()
        return "\n".join([*lines, f"{len(self.receiver.requests)} pages received"])

    def pages_are_sound(self) -> None:
        """A repeat has the key and the body of the first."""
        bodies: dict[str, bytes] = {}
        for request in self.receiver.requests:
            key = request.headers["webhook-id"]
            assert bodies.setdefault(key, request.body) == request.body

    async def waits_for_lock(self, part: str, within_s: float = 30.0) -> None:
        """Returns once a part waits for a lock in the database."""
        connection = await connect(self.world.database_url)

        async def look() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = $1 AND wait_event_type = 'Lock'",
                    f"upheld {part}",
                )
            )

        try:
            await eventually(look, within_s, f"{part} waits for a lock")
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, statement: str) -> AsyncIterator[None]:
        """Hold a lock that stops others at the statement that needs it, until the end of the block."""
        connection = await connect(
            self.world.database_url, transaction_timeout="0", idle_in_transaction_session_timeout="0"
        )
        try:
            await connection.execute("BEGIN")
            await connection.execute(statement)
            yield
        finally:
            connection.terminate()

    async def in_log(self, part: str, action: str, within_s: float = 30.0) -> str:
        """The first line of a part's log with this action."""

        async def look() -> str | None:
            for file in sorted(self.world.folder.glob(f"{part}*.log")):
                for line in file.read_text().splitlines():
                    if f'"action": "{action}"' in line or f'"action":"{action}"' in line:
                        return line
            return None

        return await eventually(look, within_s, f"{action} in the log of {part}")


async def for_a_while(seconds: float) -> None:
    """Lets time pass where time itself is the fault: a freeze, an outage."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(0.05)
