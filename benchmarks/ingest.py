"""Events a second from a full topic to a committed ledger and verdicts, beside two others that read the same topic.

    python benchmarks/ingest.py [--events 1000000] [--rounds 3] [--broker embedded|kafka] [--ids]

The topic has 4 partitions and 200 series in native events of about 200 B; 20 objectives read it, two of them each event.
Each reader is a process of its own, in turn, so that none profits from what another left warm, and the turns repeat.
Timed from the first records to the last result; joining the group is not. `drain` is aiokafka's `getmany` and nothing
else; `naive` is `async for`, json.loads and a dict of counts, without a database. With `--ids` each event has one, and
`deduplicated` reads them as `upheld` does, over the default horizon.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from consumers.horizons import DEFAULT_HORIZON, Horizons
from consumers.kafka import KafkaConnection, KafkaDeadLetters, KafkaEventSink, KafkaLog, KafkaTopics
from consumers.ports import Fetched
from consumers.topics import TopicChoice
from consumers.worker import Worker
from evaluators.documents import load
from service.devstack.apache_kafka import ApacheKafka
from service.devstack.broker import EmbeddedBroker
from service.devstack.postgres import EmbeddedPostgres
from service.evaluation.runner import Evaluation, EvaluationSettings
from service.storage import migrate
from service.storage.database import create_engine, listen
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.storage.standings import StandingsStore
from service.telemetry import Telemetry
from service.wiring.ingesting import settle_memory

S = 1_000_000
PARTITIONS, SERVICES, ROUTES = 4, 10, 20
SPAN_S = 600  # of event time
READERS = ("drain", "naive", "upheld")
AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {{name: {service}}}
spec:
  type: SLA
  provider: {{name: Provider}}
  customer: {{name: Customer}}
  effective: {{from: 2020-01-01}}
  service: {service}
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {{ratio: {{bad: 'http_request_duration_seconds{{service="{service}",status=~"5.."}}', total: 'http_request_duration_seconds{{service="{service}"}}'}}}}
      target: 0.999
      period: {{rolling: 30d}}
    - name: latency
      indicator: {{threshold: {{metric: 'http_request_duration_seconds{{service="{service}"}}', op: lte, value: 0.3}}}}
      target: 0.99
      period: {{calendar: month}}
"""
TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
"""


# ---------------------------------------------------------------------------------------------------------- the topic


def event(number: int, at: float, *, ids: bool = False) -> bytes:
    """About 200 B, and 45 more with an id; one in 500 fails."""
    series = number * 7919 % (SERVICES * ROUTES)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
    status = 503 if number % 500 == 0 else 200
    name = f'"id":"{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}",' if ids else ""
    return (
        f'{{{name}"time":"{stamp}","metric":"http_request_duration_seconds","service":"service-{series % SERVICES}",'
        f'"labels":{{"route":"/api/v1/resource/{series // SERVICES}","status":"{status}","region":"eu-central"}},'
        f'"value":{0.05 + number % 400 / 1000:.3f}}}'
    ).encode()


async def fill(bootstrap: str, topic: str, events: int, *, ids: bool) -> None:
    """In order of time, and one late event a partition that lets the watermark pass all the others."""
    connection = KafkaConnection(bootstrap)
    await KafkaTopics(connection).ensure(topic, PARTITIONS)
    sink = KafkaEventSink(connection, topic)
    begun = time.time() - SPAN_S - 60
    for first in range(0, events, 20_000):
        numbers = range(first, min(first + 20_000, events))
        await sink.send([event(number, begun + number / events * SPAN_S, ids=ids) for number in numbers])
    keys = [b"%d" % number for number in range(64)]  # some on each partition
    await sink.send([event(1, begun + SPAN_S + 30)] * len(keys), keys)
    await sink.stop()


# ------------------------------------------------------------------------------------------------------- the readers


async def drain(bootstrap: str, topic: str, events: int) -> float:
    """Nothing but fetching."""
    consumer = await assigned(bootstrap, topic)
    seen, begun = 0, 0.0
    while seen < events:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            begun = begun or time.perf_counter()
            seen += len(records)
    taken = time.perf_counter() - begun
    await consumer.stop()
    return taken


async def naive(bootstrap: str, topic: str, events: int) -> float:
    """What one writes on a first day."""
    consumer = await assigned(bootstrap, topic)
    counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    seen, begun = 0, 0.0
    async for record in consumer:
        begun = begun or time.perf_counter()
        found = json.loads(record.value)
        labels = found["labels"]
        count = counts[found["metric"], found["service"], labels["route"], labels["status"], found["time"][:18]]
        count[0] += 1
        count[1] += labels["status"] < "500"
        count[2] += found["value"] <= 0.3
        seen += 1
        if seen >= events:
            break
    taken = time.perf_counter() - begun
    await consumer.stop()
    return taken


async def assigned(bootstrap: str, topic: str) -> Any:
    """A consumer at the beginning, without a group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    parts = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(parts)
    for part in parts:
        consumer.seek(part, 0)
    return consumer


class TimedLog(KafkaLog):
    """Notes when the first records came."""

    begun = 0.0

    async def fetch(self, timeout_us: int, max_records: int) -> Sequence[Fetched]:
        fetched = await super().fetch(timeout_us, max_records)
        if not self.begun and any(each.records.values for each in fetched):
            self.begun = time.perf_counter()
        return fetched


async def upheld(bootstrap: str, topic: str, url: str, events: int, horizon: int | None = None) -> float:
    """Ingest and evaluation in one process, as `upheld run` has them, until every event is in a committed verdict."""
    database = create_engine(url)
    connection = KafkaConnection(bootstrap)
    log = TimedLog(connection, f"bench-{uuid.uuid4()}", now_us)
    dead_letters = KafkaDeadLetters(connection)
    worker = Worker(
        log=log,
        ledger=PostgresLedger(database),
        dead_letters=dead_letters,
        definitions=DefinitionsStore(database),
        topics=TopicChoice((topic,)),
        horizons=Horizons({} if horizon is None else {topic: horizon}),
        clock=now_us,
        name="bench",
        warmed=settle_memory,
    )
    evaluation = Evaluation(
        database=database,
        settings=EvaluationSettings(TopicChoice((topic,)), 5 * S, 3600 * S, "http://upheld"),
        owner="bench",
        clock=now_us,
        telemetry=Telemetry(),
    )
    heard = {"upheld_ledger": evaluation.wake, "upheld_definitions": evaluation.wake}
    hearing = asyncio.create_task(listen(url, list(heard), lambda channel, _: heard[channel]()))
    running = [asyncio.create_task(worker.run()), asyncio.create_task(evaluation.run())]
    await until_counted(database, 2 * events, running)
    taken = time.perf_counter() - log.begun
    await worker.stop()
    evaluation.stop()
    await asyncio.gather(*running)
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await dead_letters.stop()
    await database.dispose()
    return taken


async def until_counted(database: Any, counts: int, running: Sequence[asyncio.Task[None]]) -> None:
    """Each event counts in two objectives; the standings show what committed ticks have counted."""
    store = StandingsStore()
    while True:
        async with database.connect() as connection:
            rows = (await store.current(connection)).all()
        if sum(row.experienced.total for row in rows) >= counts:
            return
        for task in running:
            if task.done():
                task.result()
        await asyncio.sleep(0.05)


def now_us() -> int:
    """The clock."""
    return time.time_ns() // 1000


# ---------------------------------------------------------------------------------------------------------- the turns


def child(chosen: argparse.Namespace) -> None:
    """One reader, once; prints its figures as JSON."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    before = time.process_time()
    match chosen.reader:
        case "drain":
            taken = asyncio.run(drain(chosen.bootstrap, chosen.topic, chosen.events))
        case "naive":
            taken = asyncio.run(naive(chosen.bootstrap, chosen.topic, chosen.events))
        case reader:
            horizon = DEFAULT_HORIZON if reader == "deduplicated" else None
            taken = asyncio.run(upheld(chosen.bootstrap, chosen.topic, chosen.database, chosen.events, horizon))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"taken": taken, "cpu": time.process_time() - before, "peak": peak / 1024}))


def turn(reader: str, bootstrap: str, topic: str, events: int, url: str) -> dict[str, float]:
    """A reader in a process of its own."""
    command = [sys.executable, __file__, "--reader", reader, "--bootstrap", bootstrap, "--topic", topic]
    command += ["--events", str(events), "--database", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"{reader}: {done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def prepared(server: EmbeddedPostgres, name: str) -> str:
    """A database with the agreements in force since long ago."""
    url = server.create_database(name)
    migrate.upgrade(url)
    written = "---\n".join([TARGET, *(AGREEMENT.format(service=f"service-{each}") for each in range(SERVICES))])

    async def apply() -> None:
        database = create_engine(url)
        loaded = load(written)
        assert not loaded.failed, [str(problem) for problem in loaded.problems]
        documents = loaded.documents
        since = now_us() - 86_400 * S
        await DefinitionsStore(database).apply(documents, by="bench", from_us=since, now_us=now_us())
        async with database.begin() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM indicators"))).scalar_one() >= 2 * SERVICES
        await database.dispose()

    asyncio.run(apply())
    return url


def compare(chosen: argparse.Namespace) -> None:
    """All readers, turn by turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = EmbeddedPostgres.start(folder / "postgres", durable=True)
        stack.callback(postgres.stop)
        kafka = chosen.broker == "kafka"
        broker = ApacheKafka.start(directory=folder / "kafka") if kafka else EmbeddedBroker.start()
        stack.callback(broker.stop)
        topic = "bench"
        asyncio.run(fill(broker.bootstrap, topic, chosen.events, ids=chosen.ids))
        size = len(event(1, time.time(), ids=chosen.ids))
        name = "Apache Kafka" if kafka else "the embedded broker"
        print(f"{chosen.events:,} events of {size} B on {name}, {chosen.rounds} rounds, {os.cpu_count()} cores")
        readers = (*READERS, "deduplicated") if chosen.ids else READERS
        figures: dict[str, list[dict[str, float]]] = {reader: [] for reader in readers}
        for number in range(chosen.rounds):
            for reader in readers:
                url = prepared(postgres, f"{reader}_{number}") if reader in ("upheld", "deduplicated") else ""
                figures[reader].append(turn(reader, broker.bootstrap, topic, chosen.events, url))
        print_table(figures, chosen.events)


def print_table(figures: dict[str, list[dict[str, float]]], events: int) -> None:
    """Medians, with the least and the most."""
    print("| reader | events/s | least to most | CPU s per 1M | peak MB | of naive | of drain |")
    print("|---|---|---|---|---|---|---|")
    rate = {name: statistics.median(events / each["taken"] for each in turns) for name, turns in figures.items()}
    for name, turns in figures.items():
        rates = sorted(events / each["taken"] for each in turns)
        cpu = statistics.median(each["cpu"] for each in turns) * 1e6 / events
        peak = statistics.median(each["peak"] for each in turns)
        shares = f"{rate[name] / rate['naive']:.2f} | {rate[name] / rate['drain']:.2f}"
        print(
            f"| {name} | {rate[name]:,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} | {cpu:.1f} | {peak:.0f} | {shares} |"
        )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--broker", choices=["embedded", "kafka"], default="embedded")
    parser.add_argument("--ids", action="store_true")
    for name in ("reader", "bootstrap", "topic", "database"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.reader:
        child(chosen)
    else:
        compare(chosen)


if __name__ == "__main__":
    main()
