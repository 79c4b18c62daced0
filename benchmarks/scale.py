"""How 1, 2 and 4 processes of ingest, and of evaluate, go, and what they cost PostgreSQL.

    python benchmarks/scale.py [--events 1500000] [--series 10000] [--broker embedded|kafka]

The parts are the real commands in processes of their own, on one machine with the broker and the database beside them.
Ingest reads a full topic of 8 partitions, the same for each number of processes, and is timed from the moment that each
has its share to the last commit. Evaluation ticks: from the commit of a slot of all series to the commit of the last of
8 shards; the median of some rounds. Transactions and bytes of WAL are the database's own counts over the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import ingest
import restart
import structlog

from consumers.kafka import KafkaConnection, KafkaEventSink, KafkaTopics
from service.devstack.apache_kafka import ApacheKafka
from service.devstack.broker import EmbeddedBroker
from service.devstack.postgres import EmbeddedPostgres
from service.storage import migrate
from service.storage.database import connect, create_engine

UPHELD = Path(sys.executable).with_name("upheld")
TOPIC, PARTITIONS, SHARDS = "events", 8, 8
SIZES = (1, 2, 4)
TICKS = 7
SLOT_S = 10
PATIENCE_S = 300.0

_SHARES = "SELECT count(*) FROM partition_status GROUP BY worker"
_READ = "SELECT coalesce(sum(next_offset), 0)::bigint FROM partition_offsets"
_LOAD = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal, xact_commit AS commits,
    tup_inserted + tup_updated + tup_deleted AS rows
FROM pg_stat_database WHERE datname = current_database()
"""
_SIZE = "SELECT coalesce(sum(length(counts)), 0)::bigint AS bytes, count(*) AS entries FROM ledger"


@contextmanager
def parts(name: str, count: int, environment: dict[str, str]) -> Iterator[None]:
    """So many processes of a part, until the end of the block."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("UPHELD_")}
    ours = {"UPHELD_METRICS_PORT": "0", "UPHELD_LOG_LEVEL": "error", "UPHELD_TOPICS": TOPIC, **environment}
    running = [subprocess.Popen([UPHELD, name], env=clean | ours) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(20)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """A connection that watches."""
    connection = await connect(url, application_name="bench")
    try:
        yield connection
    finally:
        await connection.close()


async def until(look: Any, what: str) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := await look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S:g} s: {what}")
        await asyncio.sleep(0.02)
    return seen


class Load:
    """What the database did between two looks."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._before: Any = None

    async def begin(self) -> None:
        self._before = await self._connection.fetchrow(_LOAD)

    async def end(self) -> dict[str, int]:
        """Sessions tell their counts at most a second after the end of a transaction."""
        await asyncio.sleep(1.2)
        await self._connection.execute("SELECT pg_stat_clear_snapshot()")
        after = await self._connection.fetchrow(_LOAD)
        return {name: after[name] - self._before[name] for name in ("wal", "commits", "rows")}


# ------------------------------------------------------------------------------------------------------------- ingest


async def fill(bootstrap: str, events: int) -> None:
    """In order of time over a span that ends about now."""
    connection = KafkaConnection(bootstrap)
    await KafkaTopics(connection).ensure(TOPIC, PARTITIONS)
    sink = KafkaEventSink(connection, TOPIC)
    begun = time.time() - ingest.SPAN_S - 60
    for first in range(0, events, 20_000):
        numbers = range(first, min(first + 20_000, events))
        await sink.send([ingest.event(number, begun + number / events * ingest.SPAN_S) for number in numbers])
    await sink.stop()


async def drained(url: str, count: int, events: int) -> str:
    """A row of the table."""
    async with session(url) as connection:

        async def shared() -> bool:
            shares = [row["count"] for row in await connection.fetch(_SHARES)]
            return shares == [PARTITIONS // count] * count

        async def done() -> bool:
            return await connection.fetchval(_READ) == events

        await until(shared, f"{count} processes with equal shares")
        load = Load(connection)
        left = events - await connection.fetchval(_READ)
        begun = time.perf_counter()
        await load.begin()
        await until(done, "all events")
        taken = time.perf_counter() - begun
        cost = await load.end()
        size = await connection.fetchrow(_SIZE)
    if left < events // 5:
        raise SystemExit(f"only {left:,} of {events:,} events were left when all had joined: give more --events")
    millions = left / 1e6
    return (
        f"| {count} | {left / taken:,.0f} | {left:,} | {cost['commits'] / taken:.0f} | {cost['commits'] / millions:,.0f}"
        f" | {cost['wal'] / millions / 1e6:.1f} | {size['bytes'] / size['entries']:,.0f} |"
    )


def ingests(postgres: EmbeddedPostgres, bootstrap: str, chosen: argparse.Namespace) -> None:
    """The same topic for each number of processes, into a database of its own."""
    print(
        f"\n{chosen.events:,} events of 190 B, {PARTITIONS} partitions, {chosen.broker} broker, {os.cpu_count()} cores"
    )
    print("| ingests | events/s | timed events | transactions/s | transactions per 1M | WAL MB per 1M | B an entry |")
    print("|---|---|---|---|---|---|---|")
    for count in SIZES:
        url = ingest.prepared(postgres, f"ingest_{count}")
        environment = {
            "UPHELD_DATABASE_URL": url,
            "UPHELD_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "UPHELD_KAFKA_IDEMPOTENCE": str(chosen.broker == "kafka"),
            "UPHELD_GROUP": f"bench-{count}",
        }
        with parts("ingest", count, environment):
            print(asyncio.run(drained(url, count, chosen.events)), flush=True)


# --------------------------------------------------------------------------------------------------------- evaluation


async def ticked(url: str, bench: restart.Bench, count: int, from_s: int) -> tuple[str, int]:
    """A row of the table, and how far the event time went."""
    async with session(url) as connection:

        async def shared() -> bool:
            rows = await connection.fetch("SELECT count(*) FROM shards WHERE owner IS NOT NULL GROUP BY owner")
            return [row["count"] for row in rows] == [SHARDS // count] * count

        async def through() -> bool:
            # Slots that end the lateness before the watermark are evaluated.
            until_us = (restart.START_S + at_s) * restart.S - restart.S * SLOT_S
            found = await connection.fetchval("SELECT min(coalesce(evaluated_until_us, 0)) FROM shards")
            return found >= until_us

        async def slot() -> float:
            nonlocal at_s
            await bench.ingest(at_s, at_s + SLOT_S)
            at_s += SLOT_S
            begun = time.perf_counter()
            await until(through, "a tick of every shard")
            return time.perf_counter() - begun

        at_s = from_s
        await until(shared, f"{count} processes with equal shares")
        for _ in range(2):  # loaded, and warm
            await slot()
        load = Load(connection)
        await load.begin()
        begun = time.perf_counter()
        times = [await slot() for _ in range(TICKS)]
        elapsed = time.perf_counter() - begun
        cost = await load.end()
    rows = len(bench.keys)
    return (
        f"| {count} | {statistics.median(times):.2f} | {max(times):.2f} | {cost['commits'] / TICKS:.0f}"
        f" | {cost['wal'] / TICKS / 1e6:.2f} | {cost['wal'] / TICKS / rows:.0f} | {elapsed / TICKS:.2f} |"
    ), at_s


async def seeded(url: str, series: int) -> restart.Bench:
    """Definitions, series, and some slots."""
    bench = restart.Bench(create_engine(url), series)
    await bench.define()
    await bench.admit()
    await bench.ingest(0, 60)
    return bench


def evaluations(postgres: EmbeddedPostgres, series: int) -> None:
    """One installation, evaluated by more and more processes."""
    url = postgres.create_database("evaluate")
    migrate.upgrade(url, shards=SHARDS)
    print(f"\n{series:,} series in {SHARDS} shards; a slot's entry each, its ingest included in transactions and WAL")
    print(
        "| evaluators | tick s, median | worst | transactions a tick | WAL MB a tick | WAL B a series and tick | s a slot |"
    )
    print("|---|---|---|---|---|---|---|")
    at_s = 60
    bench = asyncio.run(seeded(url, series))
    for count in SIZES:
        bench.database = create_engine(url)  # a loop of its own
        with parts("evaluate", count, {"UPHELD_DATABASE_URL": url}):
            row, at_s = asyncio.run(ticked(url, bench, count, at_s))
        print(row, flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_500_000)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--broker", choices=["embedded", "kafka"], default="embedded")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = EmbeddedPostgres.start(folder / "postgres", durable=True)
        stack.callback(postgres.stop)
        kafka = chosen.broker == "kafka"
        broker = ApacheKafka.start(directory=folder / "kafka") if kafka else EmbeddedBroker.start()
        stack.callback(broker.stop)
        # The agreements read the topic by their metric; `ingest.prepared` puts them in force.
        asyncio.run(fill(broker.bootstrap, chosen.events))
        ingests(postgres, broker.bootstrap, chosen)
        evaluations(postgres, chosen.series)


if __name__ == "__main__":
    main()
