"""90 days of 1,000 objectives in the store: size on disk, roll-up, restart and query times.

    python benchmarks/growth.py [--objectives 1000] [--days 90]

The past is written day by day as a dense catch-up writes it, and rolled up after each day as a shard does it: the same
functions, a real PostgreSQL. Each objective counts once a minute, which is what a roll-up leaves of any traffic, and in
every slot of 10 s on the last four days. Then evaluation itself starts on live entries, restarts, and the API is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import Entry, Partition, PartitionStatus, SeriesKey
from consumers.topics import TopicChoice
from evaluators.documents import load
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.moments import rfc3339
from evaluators.slots import SlotCounts
from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.devstack.postgres import EmbeddedPostgres
from service.evaluation.runner import Evaluation, EvaluationSettings
from service.storage import migrate, slots
from service.storage.database import create_engine
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.storage.rollup import roll_up
from service.telemetry import Telemetry

SLOT: Final = 10 * SECOND
END: Final = 20_500 * DAY  # in February 2026
FINE_DAYS: Final = 4
PROCESSES: Final = 2
ENTRIES: Final = 180
OBJECTIVES: Final = 50  # of one agreement
PARTITION: Final = Partition("events", 0)
PERIODS: Final = ("{rolling: 30d}", "{calendar: month}", "{rolling: 7d}")
TABLES: Final = (
    *("slot_pages", "slot_chunks", "slot_days", "ledger", "checkpoints", "standings", "verdict_changes"),
    *("incidents", "incident_events", "outbox", "restatements", "documents", "series"),
)

AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {{name: agreement-{number}}}
spec:
  type: SLA
  provider: {{name: Example Cloud}}
  customer: {{name: Example Shop}}
  effective: {{from: 2020-01-01}}
  service: shop
  notify: [oncall]
  objectives:
"""
OBJECTIVE = """\
    - name: objective-{number}
      indicator: {{ratio: {{bad: 'requests{{status=~"5.."}}', total: 'requests{{route="{agreement}-{number}"}}'}}}}
      target: 0.99
      period: {period}
"""
TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
"""


class Bench:
    """One database; a clock that the data move."""

    def __init__(self, database: AsyncEngine, objectives: int, days: int) -> None:
        self.database = database
        self.agreements = -(-objectives // OBJECTIVES)
        self.begin_us = END - days * DAY
        self.clock_us = END
        self.position = 0
        self.random = np.random.default_rng(7)
        self.by_shard: dict[int, np.ndarray] = {}

    async def define(self) -> None:
        written = [TARGET]
        for agreement in range(self.agreements):
            objectives = [
                OBJECTIVE.format(number=number, agreement=agreement, period=PERIODS[number % len(PERIODS)])
                for number in range(OBJECTIVES)
            ]
            written.append(AGREEMENT.format(number=agreement) + "".join(objectives))
        loaded = load("---\n".join(written))
        assert not loaded.failed, [str(problem) for problem in loaded.problems]
        store = DefinitionsStore(self.database)
        await store.apply(list(loaded.documents), by="bench", from_us=self.begin_us, now_us=self.begin_us)
        async with self.database.begin() as connection:
            rows = await connection.execute(
                text(
                    "SELECT series.id, indicator_id, shard FROM series"
                    " JOIN indicators ON indicators.id = series.indicator_id ORDER BY series.id"
                )
            )
            found = rows.all()
            self.revision = (await connection.execute(text("SELECT revision FROM installation"))).scalar_one()
        self.keys = tuple(SeriesKey(row.indicator_id, ()) for row in found)
        for shard in {row.shard for row in found}:
            self.by_shard[shard] = np.array([row.id for row in found if row.shard == shard], dtype=np.int64)

    async def live(self, entries: int) -> None:
        """Entries of one slot each, all series counting."""
        ledger = PostgresLedger(self.database)
        for _ in range(entries):
            key = np.arange(len(self.keys), dtype=np.int64)
            total = self.random.poisson(50, len(key)).astype(np.int64)
            bad = self.random.binomial(total, 0.0025).astype(np.int64)
            slot = np.full(len(key), self.clock_us // SLOT, dtype=np.int64)
            self.clock_us += SLOT
            nothing = total * 0
            entry = Entry(
                partition=PARTITION,
                epoch=0,
                read_from=self.position,
                next_offset=self.position + 1000,
                keys=self.keys,
                key=key,
                slot=slot,
                good=total - bad,
                total=total,
                excluded_good=nothing,
                excluded_total=nothing,
                records=1000,
                samples=int(total.sum()),
                dead=0,
                max_event_us=self.clock_us - 1,
                clock_us=self.clock_us,
            )
            self.position += 1000
            assert not await ledger.commit([entry], self.revision)
        end = self.position
        await ledger.report(
            [PartitionStatus(PARTITION, 0, end, None, None, end, self.clock_us, self.clock_us, "bench")]
        )

    async def taken_over(self, *, checkpoint: bool = False) -> float:
        """Seconds until a new process has committed the verdicts of the newest tick."""
        async with self.database.begin() as connection:
            await connection.execute(text("UPDATE shards SET owner = NULL"))
            await connection.execute(text("DELETE FROM shard_owners"))
        settings = EvaluationSettings(
            TopicChoice(("events",)), 5 * SECOND, HOUR, "http://upheld", checkpoint_every_us=0 if checkpoint else 10**15
        )
        evaluation = Evaluation(
            database=self.database,
            settings=settings,
            owner=f"bench-{os.urandom(4).hex()}",
            clock=lambda: self.clock_us,
            telemetry=Telemetry(),
        )
        begun = time.perf_counter()
        await evaluation._leases.round()  # noqa: SLF001 - one round at a time, without the loop's waiting
        while await evaluation.round():
            pass
        return time.perf_counter() - begun

    async def one(self, statement: str) -> int:
        async with self.database.begin() as connection:
            return int((await connection.execute(text(statement))).scalar_one() or 0)

    async def sizes(self) -> None:
        """What lies on disk."""
        print(f"\n| {'table':16} | {'rows':>9} | {'MB':>8} | {'B a row':>8} |\n|---|---|---|---|")
        for table in TABLES:
            rows = await self.one(f"SELECT count(*) FROM {table}")
            size = await self.one(f"SELECT pg_total_relation_size('{table}')")
            if rows:
                print(f"| {table:16} | {rows:9,} | {size / 1e6:8.1f} | {size / rows:8.0f} |")
        whole = await self.one("SELECT pg_database_size(current_database())")
        each = await self.one("SELECT pg_total_relation_size('slot_days')") / await self.one(
            "SELECT count(*) FROM slot_days"
        )
        entry = await self.one("SELECT avg(length(counts)) FROM ledger")
        print(f"whole database {whole / 1e6:,.0f} MB; a rolled-up day of an objective {each:,.0f} B", end="; ")
        print(f"counts of a ledger entry of {len(self.keys):,} objectives {entry:,} B")

    async def queries(self, count: int) -> None:
        """The API as it is served, without a socket."""
        app = create_app(ApiDependencies(engine=self.database, clock=lambda: self.clock_us))
        transport = httpx.ASGITransport(app=app)
        chosen = random.Random(3)
        print(f"\n| {'call':40} | {'median ms':>9} | {'p99 ms':>9} |\n|---|---|---|")
        async with httpx.AsyncClient(transport=transport, base_url="http://upheld/api/v1", timeout=60) as client:
            spans = {"1 h": HOUR, "1 d": DAY, "30 d": 30 * DAY, "90 d": self.clock_us - self.begin_us}
            for name, span in spans.items():

                def path(span: int = span) -> str:
                    agreement, objective = chosen.randrange(self.agreements), chosen.randrange(OBJECTIVES)
                    since = rfc3339(self.clock_us - span)
                    return f"/objectives/agreement-{agreement}/objective-{objective}/history?from={since}"

                await asked(f"history of {name}", client, path, count)
            since = rfc3339(END - 20 * DAY)
            old = f"/objectives/agreement-1/objective-1/history?from={since}&to={rfc3339(END - 20 * DAY + HOUR)}"
            await asked("history of 1 h, 20 days ago", client, lambda: old, count)
            await asked("objectives, 100 of all", client, lambda: "/objectives", count)
            await asked("objectives/{agreement}/{objective}", client, lambda: path().partition("/history")[0], count)
            await asked("compliance", client, lambda: "/compliance", count)


@dataclass
class Past:
    """One shard's past: every day but the rest of the last, and how long what took."""

    shard: int
    series: np.ndarray
    begin_us: int
    append_s: float = 0.0
    rolled_up: Counter[str] = field(default_factory=Counter[str])
    roll_s: Counter[str] = field(default_factory=Counter[str])

    def counts(self, chance: np.random.Generator, from_us: int, until_us: int, step_us: int) -> SlotCounts:
        """Some traffic, a quarter of a percent of it bad, in each step of each series."""
        slot = np.arange(from_us // SLOT, until_us // SLOT, step_us // SLOT, dtype=np.int64)
        ids = np.repeat(self.series, len(slot))
        total = chance.poisson(50 * step_us // SLOT, len(ids)).astype(np.int64)
        bad = chance.binomial(total, 0.0025).astype(np.int64)
        return SlotCounts(ids, np.tile(slot, len(self.series)), total - bad, total, total * 0, total * 0)

    async def write(self, engine: AsyncEngine) -> None:
        """A transaction for each day, or four hours of slots, and those of its roll-up."""
        chance = np.random.default_rng(self.shard)
        for day_us in range(self.begin_us, END, DAY):
            fine = day_us >= END - FINE_DAYS * DAY
            span_us, step_us = (4 * HOUR, SLOT) if fine else (DAY, MINUTE)
            for from_us in range(day_us, day_us + DAY, span_us):
                counts = self.counts(chance, from_us, from_us + span_us, step_us)
                begun = time.perf_counter()
                async with engine.begin() as connection:
                    await slots.append_page(connection, self.shard, 1, counts)
                self.append_s += time.perf_counter() - begun
            await self.roll_up(engine, day_us + DAY)

    async def roll_up(self, engine: AsyncEngine, tick_us: int) -> None:
        """All that is old enough, a transaction a step."""
        kind = "of minutes" if tick_us <= END - (FINE_DAYS - 3) * DAY else "of slots"
        moved = 1
        while moved:
            begun = time.perf_counter()
            async with engine.begin() as connection:
                moved = await roll_up(connection, self.shard, tick_us, SLOT)
            self.rolled_up[kind] += moved
            self.roll_s[kind] += time.perf_counter() - begun


def written(url: str, past: Past) -> Past:
    """In a process of its own."""

    async def write() -> None:
        engine = create_engine(url)
        await past.write(engine)
        await engine.dispose()

    asyncio.run(write())
    return past


async def asked(name: str, client: httpx.AsyncClient, path: Callable[[], str], count: int) -> None:
    """Print one row; each objective is asked for the first time."""
    times: list[float] = []
    for _ in range(count):
        call: Awaitable[httpx.Response] = client.get(path())
        begun = time.perf_counter()
        answer = await call
        times.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
    times.sort()
    print(f"| {name:40} | {statistics.median(times):9.1f} | {times[int(len(times) * 0.99)]:9.1f} |", flush=True)


async def run(url: str, objectives: int, days: int) -> None:
    """Write the past, begin, restart, ask."""
    engine = create_engine(url, pool_size=5)
    bench = Bench(engine, objectives, days)
    await bench.define()
    print(f"{len(bench.keys):,} objectives, {days} days", flush=True)
    begun = time.perf_counter()
    pasts = [Past(shard, series, bench.begin_us) for shard, series in bench.by_shard.items()]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        pasts = await asyncio.gather(*(asyncio.wrap_future(pool.submit(written, url, past)) for past in pasts))
    appended = sum(past.append_s for past in pasts)
    print(
        f"written in {time.perf_counter() - begun:.0f} s by {PROCESSES} processes; {appended:.0f} s of theirs in appends"
    )
    for kind in ("of minutes", "of slots"):
        number, seconds = sum(past.rolled_up[kind] for past in pasts), sum(past.roll_s[kind] for past in pasts)
        print(
            f"rolled up {number:,} days of an objective {kind}: {seconds:.1f} s, {seconds / number * 1000:.2f} ms each"
        )
    await bench.live(ENTRIES)
    print(f"first start, which has {ENTRIES} entries to evaluate: {await bench.taken_over():.1f} s")
    await bench.live(1)
    truth = await bench.taken_over()
    await bench.live(1)
    await bench.taken_over(checkpoint=True)
    state = await bench.one("SELECT sum(length(state)) FROM checkpoints")
    await bench.live(1)
    cached = await bench.taken_over()
    print(
        f"restart to verdicts from the truth alone {truth:.1f} s, from checkpoints of {state / 1e6:.1f} MB {cached:.1f} s"
    )
    await bench.sizes()
    await bench.queries(200)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    await engine.dispose()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objectives", type=int, default=1000)
    parser.add_argument("--days", type=int, default=90)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres.start(Path(directory) / "postgres", durable=False)
        try:
            url = server.create_database("bench")
            migrate.upgrade(url)
            asyncio.run(run(url, chosen.objectives, chosen.days))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
