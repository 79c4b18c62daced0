"""A log with its topics for contract tests: in memory, on the embedded broker, or on Apache Kafka."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.errors import TopicAlreadyExistsError
from aiokafka.structs import TopicPartition

from consumers.kafka import KafkaConnection, KafkaLog
from consumers.memory import MemoryBroker
from consumers.ports import Fetched, Log, Partition, Record
from consumers.topics import TopicChoice

WITHIN_S = 30.0
QUICK: Mapping[str, Any] = {
    "heartbeat_interval_ms": 200,
    "session_timeout_ms": 6_000,
    "fetch_max_wait_ms": 50,
    "metadata_max_age_ms": 300,
}
Headers = Sequence[tuple[str, bytes]]


def now_us() -> int:
    return time.time_ns() // 1_000


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = WITHIN_S) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"


class Cluster(Protocol):
    """What a test does to a log from the other side."""

    async def create(self, topic: str, partitions: int = 1) -> None: ...

    async def append(
        self,
        partition: Partition,
        *values: bytes | None,
        key: bytes | None = None,
        time_ms: int | None = None,
        headers: Headers = (),
    ) -> None: ...

    async def drop_before(self, partition: Partition, offset: int) -> None: ...

    async def hinted(self, group: str, partition: Partition) -> int | None: ...

    def log(self, group: str) -> Log: ...


class MemoryCluster:
    """The broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def create(self, topic: str, partitions: int = 1) -> None:
        self.broker.create(topic, partitions)

    async def append(
        self,
        partition: Partition,
        *values: bytes | None,
        key: bytes | None = None,
        time_ms: int | None = None,
        headers: Headers = (),
    ) -> None:
        for value in values:
            self.broker.append(
                partition,
                value,
                key=key,
                timestamp_us=now_us() if time_ms is None else time_ms * 1_000,
                headers=headers,
            )

    async def drop_before(self, partition: Partition, offset: int) -> None:
        self.broker.drop_before(partition, offset)

    async def hinted(self, group: str, partition: Partition) -> int | None:
        return self.broker.hints.get(partition)

    def log(self, group: str) -> Log:
        return self.broker.log(now_us)


class KafkaCluster:
    """A broker that is there."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection = KafkaConnection(address)

    async def create(
        self, topic: str, partitions: int = 1, settings: Mapping[str, str] | None = None, *, replication: int = 1
    ) -> None:
        async with Admin(self.address) as admin:
            made = NewTopic(topic, partitions, replication, topic_configs=dict(settings or {}))
            answer = await admin.create_topics([made])
            assert all(error[1] == 0 for error in answer.topic_errors), answer

    async def create_unless_there(self, topic: str) -> None:
        """On a broker that makes topics by itself as soon as some client asks for them."""
        async with Admin(self.address) as admin:
            answer = await admin.create_topics([NewTopic(topic, 1, 1)])
            assert all(error[1] in {0, TopicAlreadyExistsError.errno} for error in answer.topic_errors), answer

    async def grow(self, topic: str, partitions: int) -> None:
        """More partitions, in all."""
        async with Admin(self.address) as admin:
            await admin.create_partitions({topic: NewPartitions(partitions)})

    async def delete(self, topic: str) -> None:
        async with Admin(self.address) as admin:
            await admin.delete_topics([topic])

    async def make_anew(self, topic: str, partitions: int = 1) -> None:
        """The topic deleted, and made again with the same name."""
        await self.delete(topic)

        async def gone() -> bool:
            async with Admin(self.address) as admin:
                return topic not in await admin.list_topics()

        await eventually(gone, "the topic is gone")
        await self.create(topic, partitions)

    async def append(
        self,
        partition: Partition,
        *values: bytes | None,
        key: bytes | None = None,
        time_ms: int | None = None,
        headers: Headers = (),
    ) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for value in values:
                await producer.send(
                    partition.topic,
                    value,
                    key,
                    partition=partition.number,
                    timestamp_ms=time_ms,
                    headers=list(headers),
                )
            await producer.flush()

    async def drop_before(self, partition: Partition, offset: int) -> None:
        async with Admin(self.address) as admin:
            await admin.delete_records({TopicPartition(*partition): RecordsToDelete(offset)})

    async def hinted(self, group: str, partition: Partition) -> int | None:
        async with Admin(self.address) as admin:
            part = TopicPartition(*partition)
            offset = (await admin.list_consumer_group_offsets(group, partitions=[part]))[part].offset
            return None if offset < 0 else offset

    def log(self, group: str, **settings: Any) -> KafkaLog:
        return KafkaLog(self.connection, group, now_us, {**QUICK, **settings})

    async def records(self, topic: str, count: int) -> list[Any]:
        """The first `count` records of a topic, as they lie there."""
        async with AIOKafkaConsumer(
            topic, bootstrap_servers=self.address, auto_offset_reset="earliest", max_partition_fetch_bytes=32 << 20
        ) as consumer:
            return [await consumer.getone() for _ in range(count)]


class Admin(AIOKafkaAdminClient):
    """An admin client that closes itself."""

    def __init__(self, address: str) -> None:
        super().__init__(bootstrap_servers=address)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass
class Reader:
    """A member of a group that places its partitions itself: at the start, or where `starts` says."""

    log: Log
    starts: dict[Partition, int] = field(default_factory=dict[Partition, int])
    held: set[Partition] = field(default_factory=set[Partition])
    unplaced: set[Partition] = field(default_factory=set[Partition])
    fetched: list[Fetched] = field(default_factory=list[Fetched])
    most: int = 1_000

    async def assigned(self, partitions: Collection[Partition]) -> None:
        self.held |= set(partitions)
        self.unplaced |= set(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        self.held -= set(partitions)
        self.unplaced -= set(partitions)

    async def start(self, *topics: str, pattern: str | None = None) -> Reader:
        await self.log.start(TopicChoice(topics, pattern), self)
        return self

    async def turn(self) -> Sequence[Fetched]:
        """Place what is new, then fetch."""
        for partition in tuple(self.unplaced):
            await self.log.seek(partition, self.starts.get(partition, 0))
        self.unplaced.clear()
        fetched = await self.log.fetch(50_000, self.most)
        self.fetched.extend(fetched)
        return fetched

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Turn until it holds."""

        async def turned() -> bool:
            if not holds():
                await self.turn()
            return holds()

        await eventually(turned, what)

    async def read(self, count: int) -> list[Record]:
        """The records, once there are so many."""
        await self.until(lambda: len(self.records()) >= count, f"{count} records")
        return self.records()

    def records(self) -> list[Record]:
        return [each.records.record(index) for each in self.fetched for index in range(len(each.records.values))]


def some_group() -> str:
    return f"group-{uuid.uuid4().hex[:12]}"
