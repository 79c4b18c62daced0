"""What must come out, counted again in the plainest way from the topic itself; and what did come out, from the outside."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.kafka import KafkaConnection, KafkaTopics
from service.storage.database import connect
from tests.acceptance.world import World

SLOT_S = 10
READ_S = 10

Counts = Mapping[int, tuple[int, int]]
"""Good and total by slot, given as the second in which it starts."""


async def recount(kafka: str, topic: str) -> Counts:
    """Every event of metric `requests` that lies in the topic now."""
    good: Counter[int] = Counter()
    total: Counter[int] = Counter()
    async for record in records(kafka, topic):
        for event in _events(record.value):
            slot = int(event["time"] // SLOT_S * SLOT_S)
            total[slot] += 1
            good[slot] += not str(event["labels"]["status"]).startswith("5")
    return {slot: (good[slot], total[slot]) for slot in sorted(total)}


def _events(value: bytes | None) -> list[dict[str, Any]]:
    try:
        made = json.loads((value or b"").decode())
    except ValueError:
        return []
    found = made if isinstance(made, list) else [made]
    usable = [event for event in found if isinstance(event, dict) and event.get("metric") == "requests"]
    return [event for event in usable if isinstance(event.get("time"), int | float)]


async def records(kafka: str, topic: str) -> AsyncIterator[Any]:
    """All records from the first to the end as it is now."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka, auto_offset_reset="earliest", max_partition_fetch_bytes=32 << 20
    ) as consumer:
        parts = [TopicPartition(topic, number) for number in range(await _partitions(kafka, topic))]
        ends = await consumer.end_offsets(parts)
        firsts = await consumer.beginning_offsets(parts)
        left = {part for part in parts if ends[part] > firsts[part]}
        consumer.assign(list(left))
        while left:
            for part, found in (await consumer.getmany(timeout_ms=READ_S * 1000)).items():
                for record in found:
                    if record.offset < ends[part]:
                        yield record
                if found and await consumer.position(part) >= ends[part]:
                    left.discard(part)


async def _partitions(kafka: str, topic: str) -> int:
    found = await KafkaTopics(KafkaConnection(kafka)).partitions(topic)
    assert found, f"no topic {topic}"
    return found


async def counted(world: World, over: Counts) -> Counts:
    """What the API tells of the same span, slot by slot, without those that counted nothing."""
    span = {"from": _moment(min(over)), "to": _moment(max(over) + SLOT_S), "step": "10s", "view": "experienced"}
    points = await world.history(f"/objectives/checkout/availability/history?{urllib.parse.urlencode(span)}")
    return {second(point["time"]): (point["good"], point["total"]) for point in points if point["total"]}


async def incidents(world: World) -> list[dict[str, Any]]:
    """Those that were not withdrawn, in order of time, without what differs from run to run."""
    told = (await world.get("/incidents"))["items"]
    names = ("started_at", "detected_at", "resolved_at", "severity", "state")
    kept = [{name: incident[name] for name in names} for incident in told if incident["state"] != "withdrawn"]
    return sorted(kept, key=lambda incident: incident["started_at"])


async def chains(database_url: str, topic: str) -> None:
    """The ledger's entries chain without holes and without overlaps up to the offsets that go with them."""
    connection = await connect(database_url)
    try:
        entries = await connection.fetch(
            "SELECT partition, epoch, first_offset, next_offset FROM ledger WHERE topic = $1 "
            "ORDER BY partition, epoch, first_offset",
            topic,
        )
        offsets = await connection.fetch(
            "SELECT partition, epoch, next_offset FROM partition_offsets WHERE topic = $1", topic
        )
    finally:
        await connection.close()
    reached: dict[tuple[int, int], int] = {}
    for entry in entries:
        name = (entry["partition"], entry["epoch"])
        assert entry["first_offset"] == reached.get(name, entry["first_offset"]), f"a hole or overlap in {name}"
        reached[name] = entry["next_offset"]
    assert all(
        reached.get((row["partition"], row["epoch"]), row["next_offset"]) == row["next_offset"] for row in offsets
    )


def second(moment: str) -> int:
    """Of a time as the API writes it."""
    return int(datetime.fromisoformat(moment).timestamp())


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
