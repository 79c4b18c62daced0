"""A collector is pointed at the topic, and what it writes counts: nothing has to be rewritten."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from google.protobuf.json_format import Parse
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from tests.acceptance.test_page import DOCUMENTS, SECRET
from tests.acceptance.world import World, eventually
from tests.consumers.formats.avro_records import ADAPTER, ADAPTER_ID, EVENT, EVENT_ID, framed, sample, written
from tests.consumers.formats.avro_records import event as avro_event
from tests.contracts.clusters import now_us
from tests.contracts.registries import SmallRegistry, small_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LATENCY = """---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: speed}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2026-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: latency
      indicator: {threshold: {metric: latency, op: lte, value: 0.3}}
      target: 0.99
      period: {rolling: 30d}
    - name: web
      indicator: {threshold: {metric: web_latency, op: lte, value: 0.3}}
      target: 0.99
      period: {rolling: 30d}
    - name: requests
      indicator: {ratio: {good: 'http_requests_total{status="200"}', total: 'http_requests_total'}}
      target: 0.99
      period: {rolling: 30d}
"""


def attributes(**found: str) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in found.items()]


def otlp(now_ns: int) -> dict[str, Any]:
    """A gauge of two seconds' latencies, and 7 good and 3 bad requests as deltas."""
    gauge = {"dataPoints": [{"timeUnixNano": str(now_ns), "asDouble": value} for value in (0.1, 0.5)]}
    requests = {
        "aggregationTemporality": 1,
        "isMonotonic": True,
        "dataPoints": [
            {"timeUnixNano": str(now_ns), "asInt": count, "attributes": attributes(status=status)}
            for count, status in (("7", "200"), ("3", "500"))
        ],
    }
    cumulative = {**requests, "aggregationTemporality": 2}
    metrics = [
        {"name": "latency", "gauge": gauge},
        {"name": "http.requests", "sum": requests},
        {"name": "nobody.asked", "sum": cumulative},
    ]
    resource = {"attributes": attributes(**{"service.name": "checkout"})}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}


async def test_what_collectors_write_counts_beside_native_events(world: World) -> None:
    """On one topic, each record told by itself; and on a topic whose format is set."""
    world.settings |= {"HOOK_SECRET": SECRET, "UPHELD_TOPICS": f"{world.topic},{world.topic}-edge"}
    world.settings["UPHELD_TOPIC_FORMATS"] = f"{world.topic}-edge=statsd"
    await world.apply(DOCUMENTS.format(url="http://127.0.0.1:9") + LATENCY, since="2026-01-01T00:00:00Z")
    world.start("run")
    await world.ready()
    now = now_us() // 1_000_000 - 30
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "/web",
        "type": "t",
        "data": {"metric": "latency", "value": 0.2},
    }
    written = (
        json.dumps({"metric": "latency", "value": 0.2, "time": now}).encode(),
        json.dumps(otlp(now * 10**9)).encode(),
        Parse(json.dumps(otlp(now * 10**9)), MetricsData()).SerializeToString(),
        json.dumps({"name": "web", "fields": {"latency": 0.2}, "tags": {}, "timestamp": now}).encode(),
        f"web latency=0.4 {now}".encode(),
        json.dumps(envelope).encode(),
    )
    producer = AIOKafkaProducer(bootstrap_servers=world.kafka)
    await producer.start()
    for value in written:
        await producer.send_and_wait(world.topic, value)
    await producer.send_and_wait(f"{world.topic}-edge", f"latency:0.2:0.9|h|@0.5|T{now}\n".encode())
    await producer.stop()

    # One native, two of each OTLP, CloudEvents; StatsD's two stand for two each.
    latency = await world.total("speed", "latency", 1 + 2 * 2 + 1 + 2 * 2)
    web = await world.total("speed", "web", 1 + 1)
    requests = await world.total("speed", "requests", 2 * 10)
    assert latency["contractual"]["good"] == 1 + 2 + 1 + 2
    assert web["contractual"]["good"] == 1
    assert requests["contractual"]["good"] == 2 * 7


async def test_records_in_avro_wait_for_their_schemas(quick_world: World) -> None:
    """While the registry is away, nothing of them is refused; what it does not know is a dead letter."""
    world = quick_world
    with small_registry() as registry:
        registry.add(ADAPTER_ID, ADAPTER)
        registry.add(EVENT_ID, EVENT)
        registry.answer = (503, b"")
        world.settings |= {"HOOK_SECRET": SECRET, "UPHELD_SCHEMA_REGISTRY_URL": registry.url}
        await world.apply(DOCUMENTS.format(url="http://127.0.0.1:9") + LATENCY, since="2026-01-01T00:00:00Z")
        world.start("run")
        await world.ready()
        now_s = now_us() // 1_000_000 - 30
        at = datetime.fromtimestamp(now_s, UTC).isoformat()
        producer = AIOKafkaProducer(bootstrap_servers=world.kafka)
        await producer.start()
        for value in (
            json.dumps({"metric": "latency", "value": 0.2, "time": now_s}).encode(),
            written(ADAPTER_ID, sample(at, value="0.2")),
            written(EVENT_ID, avro_event(time=now_s * 1_000, value=0.4)),
            framed(9, b""),
        ):
            await producer.send_and_wait(world.topic, value, partition=0)
        await producer.stop()
        await eventually(lambda: _asked(registry, 2), 30.0, "a second question")

        item = await world.item("speed", "latency")
        assert not item or item["experienced"]["total"] <= 1  # what is JSON may have come by itself
        registry.answer = None
        latency = await world.total("speed", "latency", 3)
        assert latency["contractual"]["good"] == 2
        (letter,) = await dead_letters(world, 1)
    assert (letter.value, dict(letter.headers)["upheld-error"]) == (framed(9, b""), b"unknown_schema")


async def _asked(registry: SmallRegistry, times: int) -> bool:
    return len(registry.asked) >= times


async def dead_letters(world: World, count: int) -> list[Any]:
    """The first of the topic's dead letters."""
    consumer = AIOKafkaConsumer(f"{world.topic}.dlq", bootstrap_servers=world.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
