"""What goes wrong around a running `upheld run`, and what it costs: nothing that was sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from service.devstack.children import free_ports
from service.devstack.postgres import EmbeddedPostgres
from service.storage import migrate
from tests.acceptance.test_page import DOCUMENTS
from tests.acceptance.world import World

SINCE = "2026-01-01T00:00:00Z"
GOOD = b'{"metric":"requests","service":"checkout","labels":{"status":200}}'
POISON = (b"{", b'{"metric":7}', b"\xff\xfe", b'{"metric":"requests","kind":"trend","value":1}')

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def letters(kafka: str, topic: str, count: int) -> list[Any]:
    """The first `count` dead letters."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while not consumer.partitions_for_topic(f"{topic}.dlq"):
                await consumer._client.force_metadata_update()  # the topic is made with its first letter
                await consumer.topics()
        consumer.assign([TopicPartition(f"{topic}.dlq", 0)])
        await consumer.seek_to_beginning()
        return [await asyncio.wait_for(consumer.getone(), 30) for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_bad_record_goes_to_the_dead_letters_and_its_neighbours_count(world: World) -> None:
    """Whole, with why and from where; whatever any of them holds, the service stays up."""
    await world.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since=SINCE)
    running = world.start("run")
    await world.ready()
    producer = AIOKafkaProducer(bootstrap_servers=world.kafka)
    await producer.start()
    for value in POISON:
        await producer.send_and_wait(world.topic, GOOD, partition=1)
        await producer.send_and_wait(world.topic, value, partition=1, headers=[("own", b"kept")])
    await producer.send_and_wait(world.topic, b"[" + b",".join([GOOD] * 6) + b"]", partition=1)
    await producer.stop()

    found = await letters(world.kafka, world.topic, len(POISON))
    assert [letter.value for letter in found] == list(POISON)
    headers = [dict(letter.headers) for letter in found]
    assert [each["upheld-error"] for each in headers] == [b"not_json", b"bad_metric", b"not_utf8", b"bad_kind"]
    assert [each["upheld-offset"] for each in headers] == [b"1", b"3", b"5", b"7"]
    assert {(each["upheld-topic"], each["upheld-partition"], each["own"]) for each in headers} == {
        (world.topic.encode(), b"1", b"kept")
    }
    assert all(each["upheld-reason"] for each in headers)
    item = await world.total("checkout", "availability", 10)
    assert item["experienced"] | {"burn_rates": {}} == item["contractual"] | {"burn_rates": {}}
    assert (item["experienced"]["total"], running.poll()) == (10, None)


@pytest.mark.servers
async def test_a_database_that_goes_away_and_comes_back_costs_time_only(
    broker_address: str, topic_name: str, tmp_path: Path
) -> None:
    """Reading stops while it is away; then everything that was sent counts once."""
    (port,) = free_ports(1)
    postgres = EmbeddedPostgres.start(tmp_path / "postgres", port=port, durable=True)
    url = postgres.create_database("upheld")
    migrate.upgrade(url)
    world = World(url, broker_address, topic_name, tmp_path)
    try:
        await world.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since=SINCE)
        running = world.start("run")
        await world.ready()
        await world.emit({"metric": "requests", "service": "checkout", "labels": {"status": 200}} for _ in range(100))
        await world.total("checkout", "availability", 100)
        postgres.stop()
        await world.emit({"metric": "requests", "service": "checkout", "labels": {"status": 500}} for _ in range(50))
        assert running.poll() is None
        postgres = EmbeddedPostgres.start(tmp_path / "postgres", port=port, durable=True)
        item = await world.total("checkout", "availability", 150)
        assert (item["experienced"]["total"], item["experienced"]["good"]) == (150, 100)
        assert running.poll() is None
    finally:
        world.stop()
        postgres.stop()
