"""Leases on a real PostgreSQL: sharing, taking over, fencing."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.errors import DependencyAway
from service.evaluation.leases import RENEW_EVERY_S, Leases, fair_share
from service.storage import leases
from service.storage.database import create_engine


async def lapse(database: AsyncEngine, *, seconds: float, owner: str) -> None:
    """As if the owner had been frozen for so long after its last renewal."""
    async with database.begin() as connection:
        for table in ("shards", "shard_owners"):
            await connection.execute(
                text(f"UPDATE {table} SET expires_at = clock_timestamp() - make_interval(secs => :s) WHERE owner = :o"),
                {"s": seconds, "o": owner},
            )


@given(st.sets(st.text(max_size=3), max_size=6), st.text(max_size=3), st.integers(0, 40))
def test_fair_shares_make_up_all_shards_and_none_is_above_the_ceiling(others: set[str], me: str, shards: int) -> None:
    """Whoever counts; an owner that does not see itself yet counts itself."""
    owners = sorted(others | {me})
    shares = [fair_share(owner, owners, shards) for owner in owners]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1
    assert fair_share(me, sorted(others), shards) == fair_share(me, owners, shards)


async def test_a_lone_owner_takes_all_shards_with_a_new_epoch(database: AsyncEngine) -> None:
    """The first process of an installation."""
    mine = Leases(database, "a")
    moved = await mine.round()
    assert moved.gained == {0: 1, 1: 1, 2: 1, 3: 1}
    assert (await mine.round()).gained == {}


async def test_a_second_owner_gets_its_share_from_the_first(database: AsyncEngine) -> None:
    """The surplus is given up, not fought over."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    assert (await second.round()).gained == {}
    assert (await first.round()).lost == {2, 3}
    assert (await second.round()).gained == {2: 2, 3: 2}
    assert (sorted(first.held), sorted(second.held)) == ([0, 1], [2, 3])


async def test_a_clean_stop_leaves_the_shards_for_others_at_once(database: AsyncEngine) -> None:
    """No waiting for a lease to lapse."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    await second.round()
    await first.release()
    assert (await second.round()).gained == {0: 2, 1: 2, 2: 2, 3: 2}


@pytest.mark.parametrize(
    ("seconds", "taken"), [(leases.GRACE_S - 1.5, {}), (leases.GRACE_S + 0.1, {0: 2, 1: 2, 2: 2, 3: 2})]
)
async def test_a_lapsed_lease_is_taken_over_after_the_grace(
    database: AsyncEngine, seconds: float, taken: dict[int, int]
) -> None:
    """A process that hiccups keeps its shards; one that is gone does not."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    await lapse(database, seconds=seconds, owner="a")
    assert (await second.round()).gained == taken


@pytest.mark.parametrize(("left_s", "again_s"), [(0.4, 0.4), (30.0, RENEW_EVERY_S), (-5.0, RENEW_EVERY_S)])
async def test_the_next_round_comes_as_soon_as_a_silent_owners_shard_is_free(
    database: AsyncEngine, left_s: float, again_s: float
) -> None:
    """Nobody waits up to a renewal longer than the grace; nor is a shard that others take asked for at once again."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    assert first.again_s == RENEW_EVERY_S
    await lapse(database, seconds=leases.GRACE_S - left_s, owner="a")
    async with database.begin() as connection:
        await connection.execute(text("SELECT 1 FROM shards FOR UPDATE"))  # free or not, none is to be had
        await second.round()
    assert second.again_s == pytest.approx(again_s, abs=0.35)
    assert not second.held


async def test_an_owner_that_comes_back_learns_what_it_lost(database: AsyncEngine) -> None:
    """Its epochs are old."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    await lapse(database, seconds=60, owner="a")
    await second.round()
    moved = await first.round()
    assert (moved.lost, moved.gained, dict(first.held)) == ({0, 1, 2, 3}, {}, {})


async def test_a_fence_lets_the_owner_through_and_nobody_else(database: AsyncEngine) -> None:
    """What a frozen process left behind changes nothing."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    old = first.lease(0)
    async with database.begin() as connection:
        await leases.fence(connection, old)
    await lapse(database, seconds=60, owner="a")
    await second.round()
    with pytest.raises(leases.LeaseLost):
        async with database.begin() as connection:
            await leases.fence(connection, old)
    async with database.begin() as connection:
        await leases.fence(connection, second.lease(0))


async def test_a_transaction_under_way_keeps_others_from_taking_the_shard(database: AsyncEngine) -> None:
    """A takeover waits for the row, never beside it; and a renewal does not wait for the tick."""
    first, second = Leases(database, "a"), Leases(database, "b")
    await first.round()
    async with database.begin() as connection:
        await leases.fence(connection, first.lease(1))
        await asyncio.wait_for(first.round(), 5)
        await lapse_others(database)
        assert (await second.round()).gained == {0: 2, 2: 2, 3: 2}


async def lapse_others(database: AsyncEngine) -> None:
    """All rows that nobody has locked lapse."""
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM shard_owners WHERE owner = 'a'"))
        await connection.execute(
            text(
                "UPDATE shards SET expires_at = clock_timestamp() - interval '1 minute'"
                " WHERE id IN (SELECT id FROM shards FOR UPDATE SKIP LOCKED)"
            )
        )


async def test_a_shard_that_a_fence_found_lost_is_dropped(database: AsyncEngine) -> None:
    """The next round asks for it anew."""
    mine = Leases(database, "a")
    await mine.round()
    mine.drop(3)
    assert sorted(mine.held) == [0, 1, 2]


async def test_a_database_that_is_away_is_said_and_nothing_is_forgotten() -> None:
    """Leases are kept until the database says otherwise."""
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DependencyAway):
        await Leases(engine, "a").round()
    await engine.dispose()
