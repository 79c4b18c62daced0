"""Events out, on the embedded broker and on Apache Kafka: every one of them safe when `send` returns."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaEventSink
from service.devstack.broker import EmbeddedBroker
from service.devstack.children import free_ports
from tests.contracts.clusters import KafkaCluster

PARTITIONS = 3


@pytest.fixture
async def sink(log_address: str, topic_name: str) -> AsyncIterator[KafkaEventSink]:
    """To a topic of three partitions."""
    await KafkaCluster(log_address).create(topic_name, PARTITIONS)
    made = KafkaEventSink(KafkaConnection(log_address), topic_name)
    yield made
    await made.stop()


async def test_every_event_arrives_once_with_its_key_and_time(
    sink: KafkaEventSink, log_address: str, topic_name: str
) -> None:
    """Events of one key stay together and in order."""
    keys = [b"a", None, b"b", b"a", b"b", b"a"]
    values = [b"%d" % number for number in range(len(keys))]
    times = [1_900_000_000_000 + number for number in range(len(keys))]

    await sink.send(values, keys, timestamps_ms=times)

    arrived = await KafkaCluster(log_address).records(topic_name, len(values))
    assert sorted((each.value, each.key, each.timestamp) for each in arrived) == sorted(
        zip(values, keys, times, strict=True), key=lambda event: event[0]
    )
    by_key: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for each in sorted(arrived, key=lambda record: record.offset):
        by_key[each.key].append((each.partition, each.value))
    assert [value for _, value in by_key[b"a"]] == [b"0", b"3", b"5"]
    assert all(len({partition for partition, _ in found}) == 1 for found in by_key.values())


async def test_no_events_are_no_work(sink: KafkaEventSink) -> None:
    """An emitter without input."""
    await sink.send([])

    assert sink._producer._open is None


async def test_a_key_goes_where_any_kafka_client_would_send_it(
    sink: KafkaEventSink, log_address: str, topic_name: str
) -> None:
    """Emitters of several languages share a topic; Java's murmur2 of these keys is public."""
    keys = [b"key-%d" % number for number in range(40)]
    cluster = KafkaCluster(log_address)

    await sink.send([b"ours"] * len(keys), keys)
    async with AIOKafkaProducer(bootstrap_servers=log_address) as producer:
        await asyncio.gather(*[await producer.send(topic_name, b"theirs", key) for key in keys])

    partitions: dict[bytes, set[int]] = defaultdict(set)
    for each in await cluster.records(topic_name, 2 * len(keys)):
        partitions[each.key].add(each.partition)
    assert all(len(found) == 1 for found in partitions.values())


async def test_events_without_a_key_are_spread(sink: KafkaEventSink, log_address: str, topic_name: str) -> None:
    """A small call fills one partition's batch, the next call the next; a large call goes to all."""
    cluster = KafkaCluster(log_address)
    for _ in range(PARTITIONS):
        await sink.send([b"small"] * 2)
    await sink.send([b"large"] * 1_000)

    arrived = await cluster.records(topic_name, PARTITIONS * 2 + 1_000)

    small = sorted(each.partition for each in arrived if each.value == b"small")
    assert small == [0, 0, 1, 1, 2, 2]
    assert {each.partition for each in arrived if each.value == b"large"} == {0, 1, 2}


async def test_more_than_a_batch_holds_goes_in_several(sink: KafkaEventSink, log_address: str, topic_name: str) -> None:
    """In order."""
    values = [b"%06d" % number + b"x" * 4_000 for number in range(200)]

    await sink.send(values, [b"k"] * len(values), timestamps_ms=[1_900_000_000_000] * len(values))

    arrived = await KafkaCluster(log_address).records(topic_name, len(values))
    assert [each.value for each in arrived] == values


async def test_an_event_that_is_larger_than_a_batch_goes_alone(
    sink: KafkaEventSink, log_address: str, topic_name: str
) -> None:
    """It is not left out between its neighbours."""
    values = [b"before", b"x" * 400_000, b"after"]

    await sink.send(values, [b"k"] * 3)

    assert [each.value for each in await KafkaCluster(log_address).records(topic_name, 3)] == values


async def test_an_event_that_the_topic_refuses_is_not_safe(kafka: KafkaCluster, topic_name: str) -> None:
    """Whoever sent it hears of it."""
    await kafka.create(topic_name, settings={"max.message.bytes": "50000"})
    sink = KafkaEventSink(kafka.connection, topic_name)

    with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
        await sink.send([b"x" * 100_000])

    await sink.stop()


async def test_a_topic_that_is_not_there_is_said_to_be_unavailable(kafka: KafkaCluster, topic_name: str) -> None:
    """Nothing is thrown away silently."""
    sink = KafkaEventSink(kafka.connection, topic_name, {"request_timeout_ms": 500, "metadata_max_age_ms": 100})

    with pytest.raises(LogUnavailable):
        await sink.send([b"one"])

    await sink.stop()


async def test_idempotent_producers_are_used_where_they_are(kafka: KafkaCluster, topic_name: str) -> None:
    """A retried send then arrives once."""
    await kafka.create(topic_name)
    sink = KafkaEventSink(KafkaConnection(kafka.address, idempotent=True), topic_name)

    await sink.send([b"one"])

    assert sink._producer._settings["enable_idempotence"]
    assert [each.value for each in await kafka.records(topic_name, 1)] == [b"one"]
    await sink.stop()


async def test_a_broker_without_idempotent_producers_is_sent_to_without(broker_address: str, topic_name: str) -> None:
    """It is asked once; events are not held up by it."""
    await KafkaCluster(broker_address).create(topic_name)
    sink = KafkaEventSink(KafkaConnection(broker_address, idempotent=True), topic_name)

    await sink.send([b"one"])

    assert not sink._producer._settings["enable_idempotence"]
    assert [each.value for each in await KafkaCluster(broker_address).records(topic_name, 1)] == [b"one"]
    await sink.stop()


@pytest.mark.kafka
async def test_events_follow_one_that_the_broker_refused(kafka_address: str, topic_name: str) -> None:
    """An idempotent producer whose batch was refused sends nothing any more: another one is opened."""
    cluster = KafkaCluster(kafka_address)
    await cluster.create(topic_name, settings={"max.message.bytes": "50000"})
    sink = KafkaEventSink(KafkaConnection(kafka_address, idempotent=True), topic_name)
    with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
        await sink.send([b"x" * 100_000])

    await sink.send([b"one"])

    assert [record.value for record in await cluster.records(topic_name, 1)] == [b"one"]
    await sink.stop()


async def test_a_broker_that_is_away_is_worth_a_retry() -> None:
    """And the retry opens the producer anew."""
    (port,) = free_ports(1)
    sink = KafkaEventSink(KafkaConnection(f"127.0.0.1:{port}"), "events")

    for _ in range(2):
        with pytest.raises(LogUnavailable, match="cannot be reached"):
            await sink.send([b"one"])

    await sink.stop()


@pytest.mark.servers
async def test_a_broker_that_goes_away_fails_what_is_sent_and_stopping_is_bounded(
    topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither waits for its return."""
    monkeypatch.setattr("consumers.kafka.producing._STOP_S", 0.2)
    server = EmbeddedBroker.start()
    await KafkaCluster(server.bootstrap).create(topic_name)
    sink = KafkaEventSink(KafkaConnection(server.bootstrap), topic_name, {"request_timeout_ms": 500})
    await sink.send([b"one"])
    producer = sink._producer._open

    server.stop()

    with pytest.raises(LogUnavailable):
        await sink.send([b"two"])
    hanging = asyncio.Event()

    async def never(*_: object) -> None:
        await hanging.wait()

    assert producer is not None
    with monkeypatch.context() as patched:
        patched.setattr(producer, "stop", never)
        await sink.stop()
    await producer.stop()
