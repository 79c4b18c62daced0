"""Whatever may lie in a topic, at any place: what cannot be used goes to the dead letters, and its neighbours count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from consumers.kafka import KafkaConnection, KafkaTopics
from tests.acceptance.world import eventually
from tests.contracts.clusters import Admin
from tests.faults import oracle
from tests.faults.scene import Scene, for_a_while

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]

LARGEST = 12 << 20
POISON = b"{"
STRANGE = {
    b"": "empty",
    b"\xff\xfe{\x00": "not_utf8",
    '{"metric":"requests","service":"b\u00fccher"}'.encode("latin-1"): "not_utf8",
    '{"metric":"requests"}'.encode("utf-16"): "not_utf8",
    b"\xef\xbb\xbf": "not_json",
    b'{"metric":7}': "bad_metric",
    b'{"metric":"requests","time":"yesterday"}': "bad_time",
    b"42": "not_an_object",
}
DAY_S = 86_400


def good(at: float) -> dict[str, Any]:
    return {"time": round(at, 3), "metric": "requests", "service": "checkout", "labels": {"status": 200}}


def packed(*events: dict[str, Any], fill: int = 0) -> bytes:
    """One record; so many spaces make it large."""
    return json.dumps(events).encode() + b" " * fill


async def together(kafka: str, topic: str, partition: int, values: Sequence[bytes | None]) -> None:
    """In one record batch."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=16 << 20) as producer:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=b"k", value=value, timestamp=None) is not None
        await (await producer.send_batch(batch, topic, partition=partition))


async def letters(kafka: str, topic: str, count: int) -> list[Any]:
    """All dead letters once there are so many."""

    async def look() -> list[Any] | None:
        if await KafkaTopics(KafkaConnection(kafka)).partitions(f"{topic}.dlq") is None:
            return None
        found = [record async for record in oracle.records(kafka, f"{topic}.dlq")]
        return found if len(found) >= count else None

    return await eventually(look, 60, f"{count} dead letters")


async def test_poison_at_every_place_and_records_of_every_kind(scene: Scene) -> None:
    """Small, large, larger than a fetch, empty, in other encodings, of other days."""
    await scene.open(settings={"max.message.bytes": str(LARGEST)})
    await scene.send(0, 5)
    kafka, topic = scene.world.kafka, scene.world.topic
    now = scene.parts[5][0]["time"]
    one = packed(good(now))
    places = [
        [POISON, one, one],
        [one, POISON, one],
        [one, one, POISON],
        [POISON],
        [POISON, POISON, POISON],
        [one, None],
    ]
    for values in places:
        await together(kafka, topic, 1, values)
    poison = sum(values.count(POISON) for values in places)

    async with scene.sender() as sender:
        for value in STRANGE:
            await sender.raw(value, partition=2)
        await sender.raw(packed(good(now), fill=1 << 20), partition=2)
        await sender.raw(packed(good(now), good(now), fill=5 << 20), partition=2)  # larger than a fetch may be
        await sender.raw(b"{" + b"x" * (11 << 20), partition=2)
        behind = [good(now - DAY_S + n / 100) for n in range(200)]
        await sender.send(behind)
        ahead = [good(now + DAY_S + n) for n in range(3)]
        for event in ahead:
            await sender.raw(json.dumps(event).encode(), partition=3)
    with pytest.raises(MessageSizeTooLargeError):
        async with scene.sender() as sender:
            await sender.raw(b"x" * (LARGEST + (1 << 20)), partition=2)
    await scene.send(5, 10)

    found = await letters(kafka, topic, poison + len(STRANGE) + 1 + len(ahead))
    by_code: dict[str, int] = {}
    for letter in found:
        headers = dict(letter.headers)
        code = headers["upheld-error"].decode()
        by_code[code] = by_code.get(code, 0) + 1
        assert headers["upheld-topic"] == topic.encode()
        assert letter.value or code in {"empty", "too_large"}
    expected: dict[str, int] = {"not_json": poison, "too_large": 1, "future_time": len(ahead)}
    for code in STRANGE.values():
        expected[code] = expected.get(code, 0) + 1
    assert by_code == expected
    assert [dict(letter.headers).get("upheld-truncated") for letter in found if not letter.value] == [
        None,
        str(1 + (11 << 20)).encode(),
    ]
    await scene.agrees(but=len(ahead), not_after=now + DAY_S / 2)
    item = await scene.world.item("checkout", "availability")
    assert item
    assert oracle.second(item["as_of"]) < now + DAY_S / 2


async def test_dead_letters_that_cannot_be_written_hold_reading_and_lose_nothing(scene: Scene) -> None:
    """Their topic refuses for a while; nothing of what came in meanwhile is lost or counted twice."""
    await scene.open()
    await scene.cluster.create(f"{scene.world.topic}.dlq", settings={"max.message.bytes": "10"})
    await scene.send(0, 3)
    async with scene.sender() as sender:
        await sender.raw(POISON, partition=0)
    await scene.send(3, 6)
    said = json.loads(await scene.in_log("ingest", "dependency_away", within_s=60))
    assert (said["level"], said["dependency"]) == ("warning", "log")
    await for_a_while(2)
    resource = ConfigResource(
        ConfigResourceType.TOPIC, f"{scene.world.topic}.dlq", configs={"max.message.bytes": "1000000"}
    )
    async with Admin(scene.world.kafka) as admin:
        await admin.alter_configs([resource])
    await scene.send(6, 10)
    found = await letters(scene.world.kafka, scene.world.topic, 1)
    assert {letter.value for letter in found} == {POISON}
    await scene.agrees()
