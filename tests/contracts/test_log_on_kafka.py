"""What only a real Kafka shows of the log: transactions, compression, growing topics, and brokers that are away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import TopicPartition

from consumers.errors import LogUnavailable, PositionOutOfRange
from consumers.kafka import KafkaConnection, KafkaLog
from consumers.kafka import log as kafka_log
from consumers.kafka.breaks import Breaks
from consumers.ports import Partition
from consumers.topics import TopicChoice
from service.devstack.apache_kafka import ApacheKafka
from service.devstack.broker import EmbeddedBroker
from service.devstack.children import free_ports
from tests.contracts.clusters import QUICK, Admin, KafkaCluster, Reader, now_us, some_group
from tests.contracts.conftest import Joins
from tests.required import kafka_or_skip


async def transaction(producer: AIOKafkaProducer, topic: str, *values: bytes, commit: bool) -> None:
    """Values in one transaction, committed or aborted."""
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def test_aborted_transactions_are_not_read_and_their_offsets_are_passed(
    kafka: KafkaCluster, join: Joins, topic_name: str
) -> None:
    """Markers and aborted records hold offsets; the position goes over them to the very end."""
    await kafka.create(topic_name)
    async with AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=some_group()) as producer:
        await transaction(producer, topic_name, b"a", b"b", commit=True)
        await transaction(producer, topic_name, b"never", b"happened", commit=False)
        await transaction(producer, topic_name, b"c", commit=True)
        await transaction(producer, topic_name, b"nor this", commit=False)
    end = 3 + 3 + 2 + 2

    reader = await join(kafka, topic_name)
    await reader.until(lambda: any(each.next_offset == each.end_offset for each in reader.fetched), "the end")

    assert [(each.offset, each.value) for each in reader.records()] == [(0, b"a"), (1, b"b"), (6, b"c")]
    assert reader.fetched[-1].next_offset == end
    ends = [0, *(each.next_offset for each in reader.fetched)]
    assert [each.read_from for each in reader.fetched] == ends[:-1]


async def test_an_open_transaction_holds_the_reading_before_it(
    kafka: KafkaCluster, join: Joins, topic_name: str
) -> None:
    """Its outcome is not known yet, so neither is the end of the log reached."""
    await kafka.create(topic_name)
    await kafka.append(Partition(topic_name, 0), b"before")
    async with AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=some_group()) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic_name, b"pending", partition=0)
        reader = await join(kafka, topic_name)
        assert [each.value for each in await reader.read(1)] == [b"before"]
        await reader.until(lambda: reader.fetched[-1].end_offset == 2, "the end is told")
        assert reader.fetched[-1].next_offset == 1

        await producer.commit_transaction()

        assert [each.value for each in await reader.read(2)] == [b"before", b"pending"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_records_are_read(kafka: KafkaCluster, join: Joins, topic_name: str, codec: Any) -> None:
    """By every codec that Kafka knows, from the middle of a batch too."""
    values = [b"%05d" % number * 20 for number in range(200)]
    await kafka.create(topic_name)
    async with AIOKafkaProducer(bootstrap_servers=kafka.address, compression_type=codec, linger_ms=50) as producer:
        await asyncio.gather(*[await producer.send(topic_name, value, partition=0) for value in values])

    reader = await join(kafka, topic_name, starts={Partition(topic_name, 0): 7})

    assert [each.value for each in await reader.read(193)] == values[7:]
    assert reader.records()[0].offset == 7


async def test_new_partitions_of_a_topic_are_noticed(kafka: KafkaCluster, join: Joins, topic_name: str) -> None:
    """Nobody restarts the worker for them."""
    await kafka.create(topic_name)
    reader = await join(kafka, topic_name)
    await reader.until(lambda: len(reader.held) == 1, "one partition")

    await kafka.grow(topic_name, 3)

    await reader.until(lambda: len(reader.held) == 3, "three partitions")
    await kafka.append(Partition(topic_name, 2), b"new")
    assert [each.value for each in await reader.read(1)] == [b"new"]


async def test_the_groups_own_offsets_are_never_read_from(kafka: KafkaCluster, topic_name: str) -> None:
    """They are a hint; the reading goes where the ledger says."""
    partition, group = Partition(topic_name, 0), some_group()
    await kafka.create(topic_name)
    await kafka.append(partition, b"one", b"two", b"three")
    first = await Reader(kafka.log(group)).start(topic_name)
    await first.read(3)
    await first.log.hint({partition: 3})
    await first.log.stop()

    second = await Reader(kafka.log(group)).start(topic_name)
    while not second.held:
        await second.log.fetch(50_000, 10)
    assert second.log._consumer.paused() == {partition}  # type: ignore[attr-defined]

    assert [each.offset for each in await second.read(3)] == [0, 1, 2]
    await second.log.stop()


async def test_a_failing_listener_is_heard_by_the_next_fetch(kafka: KafkaCluster, join: Joins, topic_name: str) -> None:
    """The client library would swallow it, and the worker go on without partitions."""

    class Fragile(Reader):
        async def assigned(self, partitions: object) -> None:
            raise RuntimeError("on assignment")

        async def revoked(self, partitions: object) -> None:
            raise RuntimeError("on revocation")

    await kafka.create(topic_name)
    reader = await Fragile(kafka.log(some_group())).start(topic_name)

    with pytest.raises(RuntimeError, match="on assignment"):
        await reader.until(lambda: False, "the failure")
    await kafka.grow(topic_name, 2)
    with pytest.raises(RuntimeError, match="on "):
        await reader.until(lambda: False, "the failure")
    await reader.log.stop()


# ------------------------------------------------------------------------------------------------ something is away


async def test_a_broker_that_is_away_at_the_start_is_worth_a_retry(topic_name: str) -> None:
    """Nothing is left behind by an attempt, and whatever is asked before the next says the same."""
    (port,) = free_ports(1)
    log = KafkaLog(KafkaConnection(f"127.0.0.1:{port}"), some_group(), now_us, QUICK)
    reader = Reader(log)

    with pytest.raises(LogUnavailable, match="cannot be reached"):
        await log.start(TopicChoice((topic_name,)), reader)
    with pytest.raises(LogUnavailable, match="cannot be reached"):
        await log.fetch(0, 1)
    for asked in (log.bounds([Partition(topic_name, 0)]), log.seek(Partition(topic_name, 0), 0)):
        with pytest.raises(LogUnavailable, match="not open"):
            await asked

    await log.hint({Partition(topic_name, 0): 1})
    await log.stop()


async def test_an_attempt_that_is_cancelled_leaves_nothing_behind(
    topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is told to stop while the brokers are away."""

    async def forever(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(kafka_log.AIOKafkaConsumer, "start", forever)
    log = KafkaLog(KafkaConnection("127.0.0.1:1"), some_group(), now_us, QUICK)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await log.start(TopicChoice((topic_name,)), Reader(log))

    with pytest.raises(LogUnavailable):
        await log.seek(Partition(topic_name, 0), 0)


@pytest.mark.servers
async def test_a_broker_that_goes_away_is_noticed_and_its_return_too(
    topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions fail within a bound, hints are only hints, and reading goes on when it is back."""
    monkeypatch.setattr(kafka_log, "_BOUNDS_S", 0.3)
    monkeypatch.setattr(kafka_log, "_HINT_S", 0.3)
    server = EmbeddedBroker.start()
    cluster = KafkaCluster(server.bootstrap)
    await cluster.create(topic_name)
    reader = await Reader(cluster.log(some_group(), retry_backoff_ms=50)).start(topic_name)
    partition = Partition(topic_name, 0)
    await cluster.append(partition, b"here")
    assert [each.value for each in await reader.read(1)] == [b"here"]
    reader.fetched.clear()

    server.stop()

    with pytest.raises(LogUnavailable, match="bounds"):
        await reader.log.bounds([partition])
    await reader.log.hint({partition: 0})
    await reader.log.hint({partition: 0})
    await reader.log.fetch(0, 1)
    again = EmbeddedBroker.start(server.port)
    await cluster.create_unless_there(topic_name)
    await cluster.append(partition, b"back")
    assert [each.value for each in await reader.read(1)] == [b"back"]
    await reader.log.stop()
    again.stop()


async def test_a_consumer_that_does_not_recover_is_opened_anew(
    kafka: KafkaCluster, join: Joins, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five failures in a row; its partitions are given up first, and come back."""
    partition = Partition(topic_name, 0)
    await kafka.create(topic_name)
    await kafka.append(partition, b"one")
    reader = await join(kafka, topic_name)
    await reader.read(1)
    broken: Any = reader.log._consumer  # type: ignore[attr-defined]

    async def failing(*_: object, **__: object) -> None:
        raise aiokafka.errors.CorruptRecordException

    monkeypatch.setattr(broken, "getmany", failing)
    for _ in range(5):
        assert reader.held == {partition}
        with pytest.raises(LogUnavailable, match="CorruptRecord"):
            await reader.turn()

    assert reader.held == set()
    reader.fetched.clear()
    assert [each.value for each in await reader.read(1)] == [b"one"]
    assert reader.log._consumer is not broken  # type: ignore[attr-defined]


async def test_a_consumer_that_hears_nothing_says_why_or_is_opened_anew(
    kafka: KafkaCluster, join: Joins, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library tries for ever with what it was given: with a password that has been changed, for one."""
    monkeypatch.setattr(kafka_log, "_UNHEARD_US", 500_000)
    await kafka.create(topic_name)
    await kafka.append(Partition(topic_name, 0), b"one")
    reader = await join(kafka, topic_name)
    await reader.read(1)
    log: Any = reader.log
    deaf: Any = log._consumer
    monkeypatch.setattr(deaf, "last_poll_timestamp", lambda _: 0)

    log._connection = KafkaConnection("127.0.0.1:1")
    with pytest.raises(LogUnavailable, match=r"do not answer: 127\.0\.0\.1:1 cannot be reached: nobody"):
        await reader.until(lambda: False, "the reason")
    assert log._consumer is deaf
    log._connection = kafka.connection
    with pytest.raises(LogUnavailable, match="opened anew"):
        await reader.until(lambda: False, "another consumer")

    assert reader.held == set()
    reader.fetched.clear()
    assert [each.value for each in await reader.read(1)] == [b"one"]
    assert log._consumer is not deaf


async def test_positions_of_partitions_that_are_not_ours_are_not_told(
    kafka: KafkaCluster, join: Joins, topic_name: str
) -> None:
    """Their new owner tells its own."""
    partition = Partition(topic_name, 0)
    group: str = join.group  # type: ignore[attr-defined]
    await kafka.create(topic_name)
    await kafka.append(partition, b"one")
    reader = await join(kafka, topic_name)
    while not reader.held:
        await reader.log.fetch(50_000, 10)

    await reader.log.hint({partition: 1})
    assert await kafka.hinted(group, partition) is None

    await reader.read(1)
    await reader.log.hint({partition: 1, Partition(topic_name, 5): 9})
    assert await kafka.hinted(group, partition) == 1
    assert await kafka.hinted(group, Partition(topic_name, 5)) is None


async def test_an_answer_that_was_seen_already_says_nothing_anew(
    kafka: KafkaCluster, join: Joins, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the log would be as new as we ask for it, however old the answer is."""
    await kafka.create(topic_name)
    reader = await join(kafka, topic_name)
    await reader.until(lambda: bool(reader.fetched), "the end")
    consumer: Any = reader.log._consumer  # type: ignore[attr-defined]
    answered_ms = consumer.last_poll_timestamp(TopicPartition(topic_name, 0))
    monkeypatch.setattr(consumer, "last_poll_timestamp", lambda _: answered_ms)
    await reader.turn()

    assert [await reader.turn() for _ in range(3)] == [[], [], []]


async def test_an_answer_after_an_error_says_that_the_chain_broke(
    kafka: KafkaCluster, join: Joins, topic_name: str
) -> None:
    """The log after it may be another, and is as long as it likes."""
    partition = Partition(topic_name, 0)
    await kafka.create(topic_name)
    await kafka.append(partition, b"one")
    reader = await join(kafka, topic_name)
    await reader.read(1)
    await reader.until(lambda: reader.fetched[-1].asked_at_us is not None, "an answer with a bound")
    await reader.log.seek(partition, 7)
    with pytest.raises(PositionOutOfRange):
        await reader.until(lambda: False, "an error")
    assert not any(each.after_break for each in reader.fetched)

    await reader.log.seek(partition, 0)
    reader.fetched.clear()
    await reader.until(lambda: len(reader.fetched) > 1, "answers")

    assert [each.after_break for each in reader.fetched[:2]] == [True, False]


@pytest.mark.parametrize(
    ("still_s", "records", "wait_ms", "broken"),
    [
        (2, [b"more"], 50, True),
        (2, [b"more"] * 2_000, 50, False),
        (2, [b"much" * 150_000], 50, False),
        (12, [b"more"] * 2_000, 50, True),
        (2, [b"more"], 2_000, False),
    ],
    ids=["little", "many", "large", "many after long", "waits are long"],
)
async def test_an_answer_after_standing_still_says_that_the_chain_may_have_broken(
    kafka: KafkaCluster,
    join: Joins,
    topic_name: str,
    monkeypatch: pytest.MonkeyPatch,
    still_s: int,
    records: list[bytes],
    wait_ms: int,
    *,
    broken: bool,
) -> None:
    """A frozen process was asked for nothing meanwhile. Where there is much to read, decoding takes its time."""
    partition = Partition(topic_name, 0)
    await kafka.create(topic_name)
    await kafka.append(partition, b"one")
    reader = await join(kafka, topic_name, most=5_000)
    await reader.read(1)
    await reader.until(lambda: reader.fetched[-1].asked_at_us is not None, "an answer with a bound")
    monkeypatch.setattr(kafka_log, "_CHEAP", (1_000, 500_000))
    log: Any = reader.log
    log._settings["fetch_max_wait_ms"] = wait_ms
    consumer: Any = log._consumer
    answered_ms = consumer.last_poll_timestamp
    monkeypatch.setattr(consumer, "last_poll_timestamp", lambda part: answered_ms(part) + still_s * 1_000)
    reader.fetched.clear()
    await kafka.append(partition, *records)

    await reader.until(lambda: any(each.records.values for each in reader.fetched), "records")

    assert any(each.after_break for each in reader.fetched) is broken


async def test_a_fetch_that_was_not_answered_breaks_the_chain_of_all_it_asked_for() -> None:
    """Other requests, and fetches that are answered, do not."""
    asked = FetchRequest(0, 1, 1, 0, [("events", [(0, 5, 1), (1, 5, 1)])])
    errors = SimpleNamespace(topics=[("events", [(0, 0, 9), (1, 6, 9)]), ("others", [(0, 0, 9)])])
    answers: list[Any] = [errors, RequestTimedOutError(), errors]

    async def send(_node: int, _request: object, **_how: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    consumer = SimpleNamespace(_client=SimpleNamespace(send=send))
    breaks, first, second = Breaks(), TopicPartition("events", 0), TopicPartition("events", 1)
    other = TopicPartition("others", 0)
    breaks.watch(consumer)

    await consumer._client.send(0, asked)
    assert [breaks.taken(each) for each in (first, second, second, other)] == [True, True, False, False]
    with pytest.raises(RequestTimedOutError):
        await consumer._client.send(0, asked)
    assert [breaks.taken(each) for each in (first, second)] == [True, True]
    await consumer._client.send(0, MetadataRequest([]))
    assert [breaks.taken(each) for each in (first, second)] == [False, False]


async def test_a_fetch_in_the_middle_of_a_rebalance_is_bounded(
    kafka: KafkaCluster, join: Joins, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client library would wait for the group without end, and with it commits and reports."""
    monkeypatch.setattr(kafka_log, "_FETCH_GRACE_S", 0.05)
    await kafka.create(topic_name)
    reader = await join(kafka, topic_name)
    await reader.until(lambda: bool(reader.held), "a partition")

    async def waiting(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(reader.log._consumer, "getmany", waiting)  # type: ignore[attr-defined]

    assert await reader.log.fetch(0, 1) == ()


async def test_a_partition_given_up_while_it_was_fetched_is_left_out(
    kafka: KafkaCluster, join: Joins, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else reads it by now."""
    await kafka.create(topic_name)
    await kafka.append(Partition(topic_name, 0), b"one")
    reader = await join(kafka, topic_name)
    await reader.read(1)
    reader.fetched.clear()

    with monkeypatch.context() as patched:
        patched.setattr(reader.log._consumer, "assignment", frozenset)  # type: ignore[attr-defined]
        await kafka.append(Partition(topic_name, 0), b"two")
        for _ in range(3):
            assert await reader.log.fetch(50_000, 10) == []


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_consumer_reads_from_the_replica_in_its_rack(topic_name: str, tmp_path: Path) -> None:
    """As `client.rack` says, wherever the leader is."""
    cluster = kafka_or_skip(lambda: ApacheKafka.start_three(directory=tmp_path))
    try:
        await KafkaCluster(cluster.bootstrap).create(topic_name, replication=3)
        await KafkaCluster(cluster.bootstrap).append(Partition(topic_name, 0), b"one")
        async with Admin(cluster.bootstrap) as admin:
            [described] = await admin.describe_topics([topic_name])
        leader: int = described["partitions"][0]["leader"]
        other = next(node.number for node in cluster.nodes if node.number != leader)
        log = KafkaLog(KafkaConnection(cluster.bootstrap, rack=str(other)), some_group(), now_us, QUICK)
        reader = await Reader(log).start(topic_name)
        asked: list[int] = []
        client: Any = log._consumer._client  # type: ignore[union-attr]
        send = client.send

        async def noted(node: int, request: Any, **how: Any) -> Any:
            if isinstance(request, FetchRequest):
                asked.append(node)
            return await send(node, request, **how)

        client.send = noted
        assert [each.value for each in await reader.read(1)] == [b"one"]
        await reader.until(lambda: asked[-3:] == [other] * 3, "fetches from the rack")
        await log.stop()
    finally:
        cluster.stop()
