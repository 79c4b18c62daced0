"""Topics: which there are, and making sure of one; on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import asyncio

import pytest

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaTopics
from consumers.kafka.topics import ensure_topic
from service.devstack.children import free_ports
from tests.contracts.clusters import KafkaCluster


async def test_a_topic_is_made_once(log_address: str, topic_name: str) -> None:
    """True for whoever made it; its partitions are not changed afterwards."""
    topics = KafkaTopics(KafkaConnection(log_address))
    assert await topics.partitions(topic_name) is None
    assert topic_name not in await topics.names()

    assert await topics.ensure(topic_name, 3)
    assert not await topics.ensure(topic_name, 5)
    assert not await ensure_topic(KafkaConnection(log_address), topic_name, 5)

    assert await topics.partitions(topic_name) == 3
    names = await topics.names()
    assert topic_name in names
    assert names == sorted(names)


async def test_one_of_many_that_make_a_topic_at_once_has_made_it(kafka: KafkaCluster, topic_name: str) -> None:
    """Workers start together; none of them fails over it."""
    topics = KafkaTopics(kafka.connection)

    made = await asyncio.gather(*(topics.ensure(topic_name, 2) for _ in range(5)))

    assert sorted(made) == [False] * 4 + [True]


async def test_a_topic_that_the_broker_refuses_is_said_so(kafka: KafkaCluster) -> None:
    """With Kafka's name for the reason."""
    with pytest.raises(LogUnavailable, match="could not be created: InvalidTopic"):
        await KafkaTopics(kafka.connection).ensure("no such name!", 1)


async def test_a_cluster_that_is_away_is_worth_a_retry() -> None:
    """For every question."""
    (port,) = free_ports(1)
    topics = KafkaTopics(KafkaConnection(f"127.0.0.1:{port}"))

    for asked in (topics.names(), topics.partitions("events"), topics.ensure("events", 1)):
        with pytest.raises(LogUnavailable, match="cannot be reached"):
            await asked
