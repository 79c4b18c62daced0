"""How long from a start of evaluation to the first verdicts: 10,000 series, from a checkpoint and from the truth alone.

    python benchmarks/restart.py [--series 10000] [--hours 1]

Everything is real: the embedded PostgreSQL, the ledger, the engine. Imports are not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import Entry, Partition, PartitionStatus, SeriesKey
from consumers.topics import TopicChoice
from evaluators.documents import load
from service.devstack.postgres import EmbeddedPostgres
from service.evaluation.runner import Evaluation, EvaluationSettings
from service.storage import migrate
from service.storage.database import create_engine
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.telemetry import Telemetry

S = 1_000_000
SLOT_S = 10
START_S = 1_764_000_000
GROUPS = 1000  # of one objective
ENTRY_S = 300  # of event time in one ledger entry
PARTITION = Partition("events", 0)

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
    - name: availability
      indicator: {{ratio: {{bad: 'requests{{status=~"5.."}}', total: 'requests{{tenant="{number}"}}'}}}}
      groupBy: [region]
      target: 0.99
      period: {{rolling: 30d}}
"""
TARGET = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
"""


class Bench:
    """One database with its definitions, and a clock that the data moves."""

    def __init__(self, database: AsyncEngine, series: int) -> None:
        self.database = database
        self.agreements = max(1, -(-series // GROUPS))
        self.groups = min(series, GROUPS)
        self.clock_us = START_S * S
        self.position = 0
        self.random = np.random.default_rng(7)

    async def define(self) -> None:
        written = "---\n".join([TARGET, *(AGREEMENT.format(number=number) for number in range(self.agreements))])
        loaded = load(written)
        assert not loaded.failed, [str(problem) for problem in loaded.problems]
        documents = list(loaded.documents)
        await DefinitionsStore(self.database).apply(documents, by="bench", from_us=START_S * S, now_us=START_S * S)
        async with self.database.begin() as connection:
            indicators = (await connection.execute(text("SELECT id FROM indicators ORDER BY id"))).scalars().all()
            self.revision = (await connection.execute(text("SELECT revision FROM installation"))).scalar_one()
        self.keys = tuple(
            SeriesKey(indicator, (f"r{group}",)) for indicator in indicators for group in range(self.groups)
        )

    async def admit(self) -> None:
        """Each objective's groups in a transaction of their own, with nothing counted yet."""
        for first in range(0, len(self.keys), GROUPS):
            await self.ingest(0, 0, self.keys[first : first + GROUPS])

    async def ingest(self, from_s: int, until_s: int, keys: tuple[SeriesKey, ...] | None = None) -> None:
        """One entry of all series in [from_s, until_s) of event time; where that is empty, of one slot without samples."""
        keys = keys or self.keys
        first, last = (START_S + from_s) // SLOT_S, (START_S + until_s) // SLOT_S
        slots = np.arange(first, max(last, first + 1), dtype=np.int64)
        key = np.repeat(np.arange(len(keys), dtype=np.int64), len(slots))
        total = self.random.poisson(50 if until_s > from_s else 0, len(key)).astype(np.int64)
        bad = self.random.binomial(total, 0.004).astype(np.int64)
        self.clock_us = (START_S + until_s) * S
        entry = Entry(
            partition=PARTITION,
            epoch=0,
            read_from=self.position,
            next_offset=self.position + 1000,
            keys=keys,
            key=key,
            slot=np.tile(slots, len(keys)),
            good=total - bad,
            total=total,
            excluded_good=total * 0,
            excluded_total=total * 0,
            records=1000,
            samples=int(total.sum()),
            dead=0,
            max_event_us=self.clock_us - 1,
            clock_us=self.clock_us,
        )
        self.position += 1000
        ledger = PostgresLedger(self.database)
        assert not await ledger.commit([entry], self.revision)
        end = self.position
        status = PartitionStatus(PARTITION, 0, end, None, None, end, self.clock_us, self.clock_us, "bench")
        await ledger.report([status])

    def evaluation(self, checkpoint_every_s: int) -> Evaluation:
        settings = EvaluationSettings(
            TopicChoice(("events",)), 5 * S, 3600 * S, "http://upheld", checkpoint_every_s * S
        )
        return Evaluation(
            database=self.database,
            settings=settings,
            owner=f"bench-{os.urandom(4).hex()}",
            clock=lambda: self.clock_us,
            telemetry=Telemetry(),
        )

    async def taken_over(self, checkpoint_every_s: int = 10**6) -> float:
        """Seconds until a new process has committed the verdicts of the newest tick."""
        async with self.database.begin() as connection:
            await connection.execute(text("UPDATE shards SET owner = NULL"))
            await connection.execute(text("DELETE FROM shard_owners"))
        begun = time.perf_counter()
        await settle(self.evaluation(checkpoint_every_s))
        return time.perf_counter() - begun


async def settle(evaluation: Evaluation) -> None:
    """Take the shards and evaluate until nothing is left."""
    await evaluation._leases.round()  # noqa: SLF001 - one round at a time, without the loop's waiting
    while await evaluation.round():
        pass


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how long it took."""
    begun = time.perf_counter()
    yield
    print(f"  {what:<52} {time.perf_counter() - begun:8.2f} s", flush=True)


async def run(url: str, series: int, hours: float) -> None:
    """Seed, then restart in both ways."""
    engine = create_engine(url)
    bench = Bench(engine, series)
    await bench.define()
    until_s = int(hours * 3600)
    print(f"{len(bench.keys):,} series, {hours:g} h of 10 s slots, {len(bench.keys) * until_s // SLOT_S:,} rows")
    with measured("admitting the series"):
        await bench.admit()
    evaluation = bench.evaluation(10**6)
    with measured("evaluating the history, ledger entries included"):
        for from_s in range(0, until_s, ENTRY_S):
            await bench.ingest(from_s, from_s + ENTRY_S)
            await settle(evaluation)
    with measured("one live tick of all shards, ledger entry included"):
        await bench.ingest(until_s, until_s + 10)
        await settle(evaluation)
    await bench.ingest(until_s + 10, until_s + 20)
    with measured("a takeover that writes checkpoints"):
        await bench.taken_over(0)
    async with engine.begin() as connection:
        size = (await connection.execute(text("SELECT sum(length(state)) FROM checkpoints"))).scalar_one()
    assert size, "no checkpoint was written, so there is nothing to compare"
    print(f"  checkpoints: {size / 1e6:.1f} MB")
    await bench.ingest(until_s + 20, until_s + 30)
    print(f"  {'restart to verdicts, from checkpoints':<52} {await bench.taken_over():8.2f} s")
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM checkpoints"))
    await bench.ingest(until_s + 30, until_s + 40)
    print(f"  {'restart to verdicts, from the truth alone':<52} {await bench.taken_over():8.2f} s")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    await engine.dispose()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=1.0)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres.start(Path(directory) / "postgres", durable=False)
        try:
            url = server.create_database("bench")
            migrate.upgrade(url)
            asyncio.run(run(url, chosen.series, chosen.hours))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
