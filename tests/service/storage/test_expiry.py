"""What expires, and above all what does not: on a real PostgreSQL, with four shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.slots import SlotCounts
from service.storage import expiry
from service.storage.entries import entries_after

SHARDS = 4
OLD, NEW = 1_000, 9_000
LONG_AGO = 5_000
"""Entries read before it are old enough."""


async def run(engine: AsyncEngine, statement: str, **values: Any) -> list[Any]:
    """The rows of one statement in a transaction of its own."""
    async with engine.begin() as connection:
        result = await connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


async def entries(
    engine: AsyncEngine, count: int, *, partition: int = 0, epoch: int = 0, clock_us: int = OLD, first: int = 0
) -> None:
    """`count` entries of ten records each from entry `first` on, all committed."""
    await run(
        engine,
        "INSERT INTO ledger (topic, partition, epoch, first_offset, next_offset, counts, records, samples, dead, clock_us)"
        " SELECT 'events', :partition, :epoch, n * 10, n * 10 + 10, :counts, 10, 10, 0, :clock_us"
        " FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n",
        partition=partition,
        epoch=epoch,
        clock_us=clock_us,
        counts=SlotCounts.empty().pack(),
        first=first,
        last=first + count - 1,
    )
    await run(
        engine,
        "INSERT INTO partition_offsets (topic, partition, epoch, next_offset)"
        " VALUES ('events', :partition, :epoch, :end) ON CONFLICT (topic, partition, epoch)"
        " DO UPDATE SET next_offset = excluded.next_offset",
        partition=partition,
        epoch=epoch,
        end=(first + count) * 10,
    )


async def cursors(engine: AsyncEngine, by_shard: Mapping[int, int], *, partition: int = 0, epoch: int = 0) -> None:
    """Where shards stand, in entries."""
    for shard, passed in by_shard.items():
        await run(
            engine,
            "INSERT INTO shard_cursors (shard, topic, partition, epoch, next_offset)"
            " VALUES (:shard, 'events', :partition, :epoch, :offset) ON CONFLICT (shard, topic, partition, epoch)"
            " DO UPDATE SET next_offset = excluded.next_offset",
            shard=shard,
            partition=partition,
            epoch=epoch,
            offset=passed * 10,
        )


async def expire(engine: AsyncEngine, **bounds: int) -> int:
    async with engine.begin() as connection:
        return await expiry.expire_entries(connection, LONG_AGO, **bounds)


async def forget(engine: AsyncEngine) -> int:
    async with engine.begin() as connection:
        return await expiry.forget_epochs(connection)


async def left(engine: AsyncEngine, *, partition: int = 0, epoch: int = 0) -> list[int]:
    """The entries that are still there."""
    rows = await run(
        engine,
        "SELECT first_offset / 10 AS n FROM ledger WHERE partition = :partition AND epoch = :epoch ORDER BY n",
        partition=partition,
        epoch=epoch,
    )
    return [row.n for row in rows]


def everywhere(passed: int) -> dict[int, int]:
    return dict.fromkeys(range(SHARDS), passed)


async def test_entries_expire_only_below_the_cursor_of_every_shard(engine: AsyncEngine) -> None:
    """One slow shard keeps what it has to read."""
    await entries(engine, 10)
    await cursors(engine, everywhere(9) | {2: 4})

    assert await expire(engine) == 4
    assert await left(engine) == [4, 5, 6, 7, 8, 9]
    async with engine.begin() as connection:
        slow = {next(iter(await entries_after(connection, {}))).name: 40}
        assert [each.first_offset for each in await entries_after(connection, slow)] == [40, 50, 60, 70, 80, 90]


async def test_a_shard_without_a_cursor_keeps_everything(engine: AsyncEngine) -> None:
    """It will begin at the first entry; its neighbours' progress says nothing of it."""
    await entries(engine, 3)
    await entries(engine, 3, partition=1)
    await cursors(engine, {shard: 3 for shard in range(SHARDS) if shard != 2})
    await cursors(engine, everywhere(3), partition=1)

    assert await expire(engine) == 3
    assert (await left(engine), await left(engine, partition=1)) == ([0, 1, 2], [])


async def test_entries_that_were_read_lately_stay(engine: AsyncEngine) -> None:
    """So that a number can be traced to its offsets; and what lies behind one that stays, stays."""
    await entries(engine, 2)
    await entries(engine, 1, clock_us=NEW, first=2)
    await entries(engine, 2, first=3)
    await cursors(engine, everywhere(5))

    assert await expire(engine) == 2
    assert await left(engine) == [2, 3, 4]


async def test_a_call_deletes_no_more_than_it_may_and_every_partition_comes_forward(engine: AsyncEngine) -> None:
    """The transaction stays short; call after call the pile goes."""
    for partition in (0, 1):
        await entries(engine, 10, partition=partition)
        await cursors(engine, everywhere(10), partition=partition)

    deleted = [await expire(engine, most=8, least=1) for _ in range(4)]

    assert deleted == [8, 8, 4, 0]


async def test_a_call_that_finds_nothing_old_looks_at_a_few_entries_only(engine: AsyncEngine) -> None:
    """A week of entries is not read once a minute to learn that it is younger than a week."""
    await entries(engine, 3_000, clock_us=NEW)
    await cursors(engine, everywhere(3_000))
    await run(engine, "ANALYZE ledger")

    (plan,) = await run(
        engine,
        f"EXPLAIN (ANALYZE, FORMAT JSON) {expiry._EXPIRE_ENTRIES.text}",
        before_us=LONG_AGO,
        most=50,
        least=10,
    )

    assert 0 < read_from(plan[0][0]["Plan"], "ledger") <= 2 * 50  # chosen, then found again


def read_from(node: dict[str, Any], table: str) -> int:
    """Rows of a table that the plan looked at."""
    own = 0
    if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable":
        own = round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
    return own + sum(read_from(child, table) for child in node.get("Plans", []))


@pytest.mark.parametrize(
    ("state", "days", "gone"),
    [("sent", 31, True), ("failed", 31, True), ("sent", 29, False), ("pending", None, False)],
)
async def test_notifications_expire_a_month_after_they_were_settled(
    engine: AsyncEngine, state: str, days: int | None, gone: bool
) -> None:
    """What still has to be sent never does."""
    await run(
        engine,
        "INSERT INTO outbox (idempotency_key, incident_id, type, severity, target, payload, state, created_at, settled_at)"
        " VALUES ('k', 'i', 'incident.opened', 'page', 't', '{}', :state, now() - interval '40 days',"
        " now() - make_interval(days => CAST(:days AS integer)))",
        state=state,
        days=days,
    )

    async with engine.begin() as connection:
        assert await expiry.expire_notifications(connection) == gone

    assert len(await run(engine, "SELECT id FROM outbox")) == 1 - gone


async def test_a_call_deletes_the_oldest_notifications_first_and_no_more_than_it_may(engine: AsyncEngine) -> None:
    """Bounded as the ledger's."""
    await run(
        engine,
        "INSERT INTO outbox (idempotency_key, incident_id, type, severity, target, payload, state, settled_at)"
        " SELECT 'k' || n, 'i', 'incident.opened', 'page', 't', '{}', 'sent', now() - interval '40 days'"
        " FROM generate_series(1, 5) n",
    )

    async with engine.begin() as connection:
        assert [await expiry.expire_notifications(connection, most=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_an_epoch_that_is_over_and_expired_is_forgotten_with_its_cursors(engine: AsyncEngine) -> None:
    """The one that is read now stays, even when all of it has expired."""
    for epoch in (0, 1):
        await entries(engine, 2, epoch=epoch)
        await cursors(engine, everywhere(2), epoch=epoch)
    assert await forget(engine) == 0  # its entries are still there
    await expire(engine)

    assert await forget(engine) == 1
    assert {row.epoch for row in await run(engine, "SELECT epoch FROM shard_cursors")} == {1}
    assert {row.epoch for row in await run(engine, "SELECT epoch FROM partition_offsets")} == {1}


async def test_an_epoch_that_a_shard_has_not_read_to_its_end_is_not_forgotten(engine: AsyncEngine) -> None:
    """Whatever became of its entries: a cursor that is gone begins at the start."""
    await entries(engine, 2)
    await entries(engine, 2, epoch=1)
    await cursors(engine, everywhere(2) | {3: 1})
    await run(engine, "DELETE FROM ledger WHERE epoch = 0")

    assert await forget(engine) == 0


async def test_an_epoch_that_never_had_an_entry_is_forgotten_once_another_has_begun(engine: AsyncEngine) -> None:
    """Nobody has a cursor in it, or ever will."""
    for epoch in (0, 1):
        await run(engine, "INSERT INTO partition_offsets VALUES ('events', 0, :epoch, 5)", epoch=epoch)

    assert await forget(engine) == 1
    assert [row.epoch for row in await run(engine, "SELECT epoch FROM partition_offsets")] == [1]
