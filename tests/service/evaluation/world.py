"""A small world for evaluation's tests: definitions in force, an ingest worker that commits what a test says, a clock.

Everything is real but the worker and the clock: the database, the stores, the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import Entry, Partition, PartitionStatus, SeriesKey
from consumers.topics import TopicChoice
from evaluators.documents import load
from evaluators.slots import SlotCounts, concatenated
from service.evaluation.commit import Step
from service.evaluation.runner import Evaluation, EvaluationSettings
from service.storage.definitions import DefinitionsStore
from service.storage.ledger import PostgresLedger
from service.telemetry import Telemetry

S = 1_000_000
SLOT_US = 10 * S
START = 1_764_000_000 * S  # a whole hour... of event time: where every story begins
LATENESS_US = 5 * S
P0, P1 = Partition("events", 0), Partition("events", 1)

AGREEMENTS = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
---
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: quick}
spec:
  conditions:
    - {burnRate: {long: 5m, short: 1m, factor: 5}, severity: page}
    - {burnRate: {long: 20m, short: 2m, factor: 1.5}, severity: ticket}
---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: gold}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2020-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests{service="checkout"}'}}
      target: 0.95
      period: {rolling: 1d}
      alerts: [quick]
---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: silver}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2020-01-01}
  service: search
  notify: [oncall]
  objectives:
    - name: speed
      indicator: {threshold: {metric: 'latency{service="search"}', op: lte, value: 0.3}}
      groupBy: [region]
      target: 0.9
      period: {calendar: day}
      alerts: [quick]
"""


@dataclass(frozen=True)
class Counted:
    """`bad` of `total` samples of one objective (and group) in the slot at `at_s` seconds after START."""

    at_s: int
    total: int
    bad: int = 0
    agreement: str = "gold"
    labels: tuple[str, ...] = ()


@dataclass
class World:
    """One database and its story. `clock_us` is what every part reads."""

    database: AsyncEngine
    clock_us: int = START
    owner: int = 0
    positions: dict[Partition, int] = field(default_factory=dict[Partition, int])
    indicators: dict[str, int] = field(default_factory=dict[str, int])
    revision: int = 0

    async def define(self, written: str = AGREEMENTS, *, from_us: int = START) -> None:
        loaded = load(written)
        assert not loaded.failed, [str(problem) for problem in loaded.problems]
        store = DefinitionsStore(self.database)
        await store.apply(list(loaded.documents), by="test", from_us=from_us, now_us=START)
        await self.learn()

    async def learn(self) -> None:
        rows = await self.rows("SELECT agreement, max(id) AS id FROM indicators GROUP BY agreement")
        self.indicators = {row.agreement: row.id for row in rows}
        self.revision = (await self.rows("SELECT revision FROM installation"))[0].revision

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        async with self.database.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    async def ingest(
        self, counted: Sequence[Counted], *, partition: Partition = P0, until_s: int | None = None, epoch: int = 0
    ) -> None:
        """One entry, read now; its greatest event time is `until_s`, or the end of its last slot."""
        keys = tuple(dict.fromkeys(SeriesKey(self.indicators[one.agreement], one.labels) for one in counted))
        read_from = self.positions.get(partition, 0)
        self.positions[partition] = read_from + max(1, len(counted))
        last_s = until_s if until_s is not None else max((one.at_s + 9 for one in counted), default=None)
        total = np.array([one.total for one in counted], dtype=np.int64)
        entry = Entry(
            partition=partition,
            epoch=epoch,
            read_from=read_from,
            next_offset=self.positions[partition],
            keys=keys,
            key=np.array(
                [keys.index(SeriesKey(self.indicators[one.agreement], one.labels)) for one in counted], dtype=np.int64
            ),
            slot=np.array([(START + one.at_s * S) // SLOT_US for one in counted], dtype=np.int64),
            good=total - np.array([one.bad for one in counted], dtype=np.int64),
            total=total,
            excluded_good=total * 0,
            excluded_total=total * 0,
            records=len(counted),
            samples=int(total.sum()),
            dead=0,
            max_event_us=None if last_s is None else min(START + last_s * S, self.clock_us),
            clock_us=self.clock_us,
        )
        assert not await PostgresLedger(self.database).commit([entry], self.revision)

    async def report(self, *partitions: Partition, idle: bool = False, epoch: int = 0) -> None:
        """What the worker of these partitions sees now."""
        await PostgresLedger(self.database).report(
            [
                PartitionStatus(
                    partition=partition,
                    epoch=epoch,
                    position=self.positions.get(partition, 0),
                    end_position=self.positions.get(partition, 0) if idle else None,
                    end_seen_us=self.clock_us if idle else None,
                    high_watermark=self.positions.get(partition, 0),
                    last_record_us=self.clock_us - (60 * S if idle else 0),
                    clock_us=self.clock_us,
                    worker="w",
                )
                for partition in partitions or (P0,)
            ]
        )

    def evaluation(self, steps: Callable[[Step], Any] | None = None, **settings: Any) -> Evaluation:
        """A process that evaluates, under a name of its own."""
        self.owner += 1
        more: dict[str, Any] = {} if steps is None else {"steps": steps}
        values: dict[str, Any] = {
            "topics": TopicChoice(("events",)),
            "lateness_us": LATENESS_US,
            "page_max_lag_us": 3600 * S,
            "public_url": "http://upheld",
        }
        return Evaluation(
            database=self.database,
            settings=EvaluationSettings(**(values | settings)),
            owner=f"process-{self.owner}",
            clock=lambda: self.clock_us,
            telemetry=Telemetry(),
            **more,
        )

    async def lapse(self) -> None:
        """Whoever held a shard has been dead for a minute."""
        await self.rows("UPDATE shards SET expires_at = clock_timestamp() - interval '1 minute'")
        await self.rows("DELETE FROM shard_owners")

    async def forget(self) -> None:
        """Nothing was ever read or evaluated; definitions and admitted series stay."""
        for table in (
            *("outbox", "incident_events", "incidents", "verdict_changes", "restatements", "standings", "slot_pages"),
            "point_pages",
            *(
                "slot_chunks",
                "slot_days",
                "checkpoints",
                "shard_cursors",
                "ledger",
                "partition_offsets",
                "partition_status",
            ),
            "shard_owners",
        ):
            await self.rows(f"DELETE FROM {table}")
        await self.rows(
            "UPDATE shards SET owner = NULL, expires_at = NULL, evaluated_until_us = NULL, watermark_us = NULL,"
            " tick_seq = 0, open_state = NULL"
        )
        self.positions.clear()

    async def slots(self) -> SlotCounts:
        """Everything in the store, whatever form it has there."""
        tables = ("slot_pages", "slot_chunks", "slot_days")
        packed = await self.rows(" UNION ALL ".join(f"SELECT counts FROM {table}" for table in tables))
        return concatenated([SlotCounts.unpack(row.counts) for row in packed]).merged()

    async def outcome(self) -> dict[str, Any]:
        """All that evaluation is for, without what a clock of the database stamped."""
        queries = {
            "incidents": "SELECT to_jsonb(i) - 'recorded_at' - 'acknowledged_at' AS row FROM incidents i ORDER BY id",
            "events": "SELECT to_jsonb(e) - 'recorded_at' AS row FROM incident_events e ORDER BY incident_id, seq",
            "outbox": "SELECT jsonb_build_array(idempotency_key, type, target, payload #- '{timestamp}') AS row"
            " FROM outbox ORDER BY idempotency_key",
            "verdicts": "SELECT to_jsonb(v) AS row FROM verdict_changes v ORDER BY series_id, at_us",
            "shards": "SELECT jsonb_build_array(id, evaluated_until_us, watermark_us) AS row FROM shards ORDER BY id",
        }
        found: dict[str, Any] = {name: [row.row for row in await self.rows(query)] for name, query in queries.items()}
        found["slots"] = (await self.slots()).columns.tolist()
        return found


async def settle(evaluation: Evaluation) -> None:
    """Until there is nothing more to do now."""
    await evaluation._leases.round()
    while await evaluation.round():
        pass


def traffic(
    from_s: int, until_s: int, bad: Mapping[range, int] | None = None, *, step_s: int = 10, **more: Any
) -> list[Counted]:
    """100 samples in a slot each `step_s`; `bad` says how many of them where."""
    wrong = bad or {}
    return [
        Counted(at, 100, next((count for span, count in wrong.items() if at in span), 0), **more)
        for at in range(from_s, until_s, step_s)
    ]


async def minute_by_minute(
    world: World, evaluation: Evaluation, minutes: range, bad: Mapping[range, int] | None = None
) -> None:
    """Live: each minute's samples come, the clock goes on, evaluation looks."""
    for minute in minutes:
        world.clock_us = START + (minute + 1) * 60 * S
        await world.ingest(traffic(minute * 60, minute * 60 + 60, bad))
        await world.report()
        await settle(evaluation)
