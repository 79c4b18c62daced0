"""Claims on a real database: who gets which rows, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerting.channels.responses import WHOLE_SEND_S
from service.alerting.delivery import PER_TARGET
from service.alerting.ports import Notification
from service.storage.outbox import CLAIM_S, PostgresOutbox
from tests.service.alerting.waiting import put


async def claimed_by(store: PostgresOutbox, worker: str, limit: int = 32, **taken: int) -> Sequence[Notification]:
    return await store.claim(worker, limit, per_target=PER_TARGET, taken=taken)


async def test_pages_are_claimed_before_tickets(engine: AsyncEngine) -> None:
    """At a thousand waiting rows the urgent ones go first."""
    await put(engine, "inc_ticket", 1, severity="ticket")
    await put(engine, "inc_page", 1)
    claimed = await claimed_by(PostgresOutbox(engine), "w")
    assert [one.incident_id for one in claimed] == ["inc_page", "inc_ticket"]


async def test_a_claimed_row_is_nobody_elses_until_the_claim_lapses(engine: AsyncEngine) -> None:
    """Two workers never send the same row at the same time."""
    await put(engine, "inc_a", 1)
    store = PostgresOutbox(engine)
    (claimed,) = await claimed_by(store, "one")
    assert not await claimed_by(store, "two")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET claimed_until = now() - interval '1 s'"))
    (again,) = await claimed_by(store, "two")
    assert again.id == claimed.id
    assert not await store.sent(claimed, "one")
    assert await store.sent(again, "two")


async def test_a_later_change_waits_for_the_earlier_of_its_incident_and_target(engine: AsyncEngine) -> None:
    """Nobody reads "resolved" before "opened"; other targets do not wait."""
    await put(engine, "inc_a", 1)
    await put(engine, "inc_a", 2)
    await put(engine, "inc_a", 2, target="other")
    store = PostgresOutbox(engine)
    first = await claimed_by(store, "w")
    assert [one.idempotency_key for one in first] == ["inc_a.1.oncall", "inc_a.2.other"]
    await store.retry(first[0], "w", "HTTP 500", 3600)
    assert not await claimed_by(store, "w")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET next_attempt_at = now()"))
    (retried,) = await claimed_by(store, "w")
    assert (retried.idempotency_key, retried.attempts) == ("inc_a.1.oncall", 1)
    assert await store.failed(retried, "w", "HTTP 410")
    assert [one.idempotency_key for one in await claimed_by(store, "w")] == ["inc_a.2.oncall"]


async def test_one_target_gets_only_so_much_room(engine: AsyncEngine) -> None:
    """However many of its pages wait; what failed before waits behind what is fresh."""
    for number in range(20):
        await put(engine, f"inc_{number}", 1, target="hanging")
    await put(engine, "inc_z", 1, severity="ticket")
    store = PostgresOutbox(engine)
    first = await claimed_by(store, "w")
    assert [one.target for one in first] == ["hanging"] * PER_TARGET + ["oncall"]
    assert not await claimed_by(store, "w", hanging=PER_TARGET)
    for one in first[:PER_TARGET]:
        await store.retry(one, "w", "timeout", 0)
    again = await claimed_by(store, "w", hanging=PER_TARGET - 2)
    assert [one.incident_id for one in again] == [f"inc_{number}" for number in (PER_TARGET, PER_TARGET + 1)]


async def test_workers_that_claim_at_the_same_time_get_different_rows(engine: AsyncEngine) -> None:
    """Whoever comes second to a row leaves it."""
    for number in range(4 * PER_TARGET):
        await put(engine, f"inc_{number}", 1, target=f"t{number % 2}")
    store = PostgresOutbox(engine)
    claims = await asyncio.gather(*(claimed_by(store, f"w{number}") for number in range(8)))
    found = [one.id for claim in claims for one in claim]
    assert len(found) == len(set(found))


async def test_what_a_dead_worker_had_claimed_takes_no_room_from_fresh_pages(engine: AsyncEngine) -> None:
    """Only its own rows wait until the claims lapse."""
    for number in range(PER_TARGET):
        await put(engine, f"inc_{number}", 1)
    store = PostgresOutbox(engine)
    await claimed_by(store, "dead")
    await put(engine, "inc_new", 1)
    assert [one.incident_id for one in await claimed_by(store, "alive")] == ["inc_new"]


async def test_claims_that_are_given_back_are_free_at_once(engine: AsyncEngine) -> None:
    """Nobody waits for them to lapse; other workers keep theirs."""
    await put(engine, "inc_a", 1)
    await put(engine, "inc_b", 1)
    store = PostgresOutbox(engine)
    (kept,) = await claimed_by(store, "other", 1)
    (given,) = await claimed_by(store, "w", 1)
    await store.give_back("w")
    assert [one.id for one in await claimed_by(store, "new")] == [given.id]
    assert await store.sent(kept, "other")


def test_a_claim_outlives_any_send() -> None:
    """Otherwise a slow receiver would get the same page from two workers."""
    assert CLAIM_S >= 2 * WHOLE_SEND_S
