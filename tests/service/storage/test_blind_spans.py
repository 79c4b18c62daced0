"""What was never read, with the time that it takes up: written with the ledger, read by span."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.ports import Entry
from service.storage.blind_spans import BlindSpan, between
from service.storage.ledger import PostgresLedger
from tests.service.storage.test_ledger import CLOCK_US, SECOND, entry

EVENT_US = CLOCK_US - 90_000_000
AGAIN_US = CLOCK_US - 20_000_000


def read(at: int, **changes: object) -> Entry:
    return replace(entry(at, []), max_event_us=EVENT_US, **changes)  # type: ignore[arg-type]


def gone(at: int, **changes: object) -> Entry:
    return replace(entry(at, []), gap=True, max_event_us=None, records=0, **changes)  # type: ignore[arg-type]


async def within(engine: AsyncEngine, from_us: int, until_us: int) -> list[BlindSpan]:
    async with engine.begin() as connection:
        return await between(connection, from_us, until_us)


async def found(engine: AsyncEngine) -> list[tuple[int, int | None, int]]:
    return [(span.records, span.from_us, span.until_us) for span in await within(engine, 0, 1 << 60)]


async def test_a_gap_lasts_from_the_last_event_to_the_first_record_after_it(engine: AsyncEngine) -> None:
    """Until that is read, up to when it was noticed."""
    ledger = PostgresLedger(engine)
    await ledger.commit([read(0)], 0)
    await ledger.commit([gone(10)], 0)
    assert await found(engine) == [(10, EVENT_US, CLOCK_US)]
    await ledger.commit([read(20, seen_again_us=AGAIN_US)], 0)
    assert await found(engine) == [(10, EVENT_US, AGAIN_US)]


async def test_a_gap_before_anything_was_read_has_no_start(engine: AsyncEngine) -> None:
    """Its records are as old as the topic may be."""
    ledger = PostgresLedger(engine)
    await ledger.begin_epoch(SECOND, 0, 0)
    await ledger.commit([gone(0, partition=SECOND)], 0)
    assert await found(engine) == [(10, None, CLOCK_US)]
    assert [span.words for span in await within(engine, CLOCK_US - 1, CLOCK_US)] == [
        "10 records of events/1 were gone before they were read"
    ]
    assert await within(engine, CLOCK_US, CLOCK_US + 1) == []


async def test_a_gap_that_was_not_ours_to_skip_is_not_written(engine: AsyncEngine) -> None:
    """Its partition has another owner by now."""
    ledger = PostgresLedger(engine)
    await ledger.commit([read(0)], 0)
    assert await ledger.commit([gone(5)], 0)
    assert await found(engine) == []


async def test_times_that_run_backwards_give_a_span_without_length(engine: AsyncEngine) -> None:
    """Timestamps are the emitters'."""
    ledger = PostgresLedger(engine)
    await ledger.commit([read(0)], 0)
    await ledger.commit([gone(10), read(20, seen_again_us=EVENT_US - 5_000_000)], 0)
    assert await found(engine) == [(10, EVENT_US, EVENT_US)]


@pytest.mark.parametrize(
    ("from_us", "until_us", "touched"), [(5, 8, True), (9, 20, True), (10, 20, False), (0, 3, False), (0, 4, True)]
)
def test_a_span_is_half_open(from_us: int, until_us: int, *, touched: bool) -> None:
    """[3, 10)."""
    assert BlindSpan("events", 0, 1, 3, 10).touches(from_us, until_us) == touched


def test_a_span_without_a_start_touches_what_holds_its_end() -> None:
    """Nobody knows more of it."""
    assert BlindSpan("events", 0, 1, None, 10).touches(9, 10)
    assert not BlindSpan("events", 0, 1, None, 10).touches(0, 9)
