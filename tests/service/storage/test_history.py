"""Histories agree with a recount, and with the engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.documents import load
from evaluators.engine import ShardEngine
from evaluators.slots import SlotCounts
from service.storage import slots
from service.storage.definitions import DefinitionsStore, shard_of
from service.storage.history import BadSpan, HistoryStore, UnknownSeries
from service.storage.rollup import roll_up
from service.storage.specs import SpecsStore

SLOT_US = 10_000_000
MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000
DAY_US = 86_400_000_000
START_US = int(datetime(2025, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
SHARD = shard_of("gold", 4)

AGREEMENT = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: gold}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2020-01-01}
  timeZone: Europe/Berlin
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests'}}
      target: 0.99
      period: PERIOD
"""


async def applied(engine: AsyncEngine, period: str, *, from_us: int = START_US) -> int:
    """The series of the agreement's only objective."""
    documents = load(AGREEMENT.replace("PERIOD", period)).documents
    await DefinitionsStore(engine).apply(documents, by="somebody", from_us=from_us, now_us=START_US)
    [spec] = (await SpecsStore(engine).load(SHARD, None)).specs
    return spec.identity.series_id


def traffic(series: int, from_us: int, to_us: int, step_us: int = MINUTE_US) -> SlotCounts:
    """A few hundred samples each step, with failures and exclusions."""
    slot = np.arange(from_us // SLOT_US, to_us // SLOT_US, step_us // SLOT_US, dtype=np.int64)
    total = 100 + slot * 7919 % 211
    good = total - slot * 104_729 % 4
    excluded = np.where(slot % 11 == 0, 5, 0)
    return SlotCounts(np.full(len(slot), series), slot, good, total, excluded, excluded + slot % 2)


async def write(engine: AsyncEngine, *pages: SlotCounts) -> None:
    """As if ticks had."""
    async with engine.begin() as connection:
        for tick_seq, page in enumerate(pages, start=1):
            await slots.append_page(connection, SHARD, tick_seq, page)


def recounted(counts: SlotCounts, starts: Sequence[int], step_us: int) -> list[tuple[int, int, int, int]]:
    """By hand: good and total of each step, contractual and experienced."""
    found: list[tuple[int, int, int, int]] = []
    for start in starts:
        within = counts.take((counts.slot * SLOT_US >= start) & (counts.slot * SLOT_US < start + step_us))
        good, total = int(within.good.sum()), int(within.total.sum())
        excluded = int(within.excluded_good.sum()), int(within.excluded_total.sum())
        found.append((good - excluded[0], total - excluded[1], good, total))
    return found


@pytest.mark.parametrize("step_us", [SLOT_US, 15 * MINUTE_US, HOUR_US, 5 * HOUR_US])
async def test_each_step_holds_what_was_counted_in_it(engine: AsyncEngine, step_us: int) -> None:
    """Whatever lies in chunks and whatever in pages."""
    series = await applied(engine, "{rolling: 1d}")
    until_us = START_US + DAY_US
    counts = traffic(series, START_US, until_us, step_us=SLOT_US)
    half = len(counts) // 2
    await write(engine, counts.take(np.arange(half)), counts.take(np.arange(half, len(counts))))
    async with engine.begin() as connection:
        await slots.compact(connection, SHARD, pages=1, most_rows=1)
    from_us = until_us - 20 * HOUR_US if step_us > SLOT_US else until_us - HOUR_US

    history = await HistoryStore(engine).load(series, from_us, until_us, step_us)

    assert history.time_us.tolist() == list(range(from_us // step_us * step_us, until_us, step_us))
    columns = (
        history.contractual.good,
        history.contractual.total,
        history.experienced.good,
        history.experienced.total,
    )
    assert np.stack(columns).T.tolist() == [list(each) for each in recounted(counts, history.time_us.tolist(), step_us)]


@pytest.mark.parametrize(
    "period",
    ["{rolling: 6h}", "{rolling: 1d}", "{rolling: 4d}", "{calendar: day}", "{calendar: week}", "{calendar: month}"],
)
async def test_the_budget_at_each_step_is_the_one_the_engine_shows(engine: AsyncEngine, period: str) -> None:
    """Young and full, open and closed periods alike."""
    series = await applied(engine, period)
    begun_us = START_US + 5 * HOUR_US
    until_us = START_US + 6 * DAY_US
    counts = traffic(series, begun_us, until_us, step_us=5 * MINUTE_US)
    await write(engine, counts)
    shard = ShardEngine(SLOT_US)
    shard.define((await SpecsStore(engine).load(SHARD, None)).specs)
    shard.fold(counts)

    history = await HistoryStore(engine).load(series, START_US, until_us, HOUR_US)

    compared = 0
    for place in range(3, len(history), 7):
        end_us = int(history.time_us[place]) + HOUR_US
        shard.advance(end_us, lateness_us=0)
        if shard.evaluated_until_us != end_us:
            continue
        [standing] = shard.table(blind=None).standings()
        for view, numbers in (
            (history.contractual, standing.contractual),
            (history.experienced, standing.experienced),
        ):
            left = view.budget_remaining[place]
            expected = np.nan if numbers.budget_remaining is None else numbers.budget_remaining
            assert left == pytest.approx(expected, nan_ok=True)
        compared += 1
    assert compared > 15


@pytest.mark.parametrize(
    "period", ["{rolling: 6h}", "{rolling: 90s}", "{rolling: 1d}", "{rolling: 7d}", "{calendar: week}"]
)
@pytest.mark.parametrize("months", [0, 14])
async def test_what_was_rolled_up_shows_the_same_numbers(engine: AsyncEngine, period: str, months: int) -> None:
    """At the steps that can still be told apart, from minutes and from quarters of an hour."""
    series = await applied(engine, period, from_us=START_US + 5 * HOUR_US + 30 * SLOT_US // 10)
    until_us = START_US + 9 * DAY_US
    counts = traffic(series, START_US + 5 * HOUR_US - 2 * SLOT_US, until_us, step_us=30_000_000)
    await write(engine, counts)
    tick_us = until_us + months * 30 * DAY_US
    store, step_us = HistoryStore(engine), 15 * MINUTE_US
    until_us = START_US + 5 * DAY_US
    before = await store.load(series, START_US, until_us, step_us)

    async with engine.begin() as connection:
        await connection.execute(text("UPDATE shards SET evaluated_until_us = :tick"), {"tick": tick_us})
        while await slots.compact(connection, SHARD, pages=1):
            pass
        while await roll_up(connection, SHARD, tick_us, SLOT_US, edges_us=[START_US + 5 * HOUR_US + 30_000_000]):
            pass
        rows = await slots.read(connection, [series], 0, until_us // SLOT_US)

    assert len(rows) < len(counts)
    after = await store.load(series, START_US, until_us, step_us)
    for one, other in ((before.contractual, after.contractual), (before.experienced, after.experienced)):
        assert np.array_equal(one.good, other.good)
        assert np.array_equal(one.total, other.total)
        if period != "{rolling: 90s}":  # its start falls between two minutes
            assert np.array_equal(one.budget_remaining, other.budget_remaining, equal_nan=True)
    for finer in [SLOT_US, *([MINUTE_US] if months else [])]:
        with pytest.raises(BadSpan, match="so long ago"):
            await store.load(series, until_us - HOUR_US, until_us, finer)


@pytest.mark.parametrize("period", ["{rolling: 6h}", "{rolling: 1d}", "{rolling: 4d}", "{calendar: day}"])
async def test_the_budget_sums_what_each_target_allowed_as_the_engine_does(engine: AsyncEngine, period: str) -> None:
    """Before, within and after a period with two changes of the target, one of them within a minute."""
    series = await applied(engine, period)
    begun_us, until_us = START_US + 5 * HOUR_US, START_US + 7 * DAY_US
    counts = traffic(series, begun_us, until_us, step_us=5 * MINUTE_US)
    await write(engine, counts)
    store, shard = SpecsStore(engine), ShardEngine(SLOT_US)
    changes = {START_US + 2 * DAY_US + HOUR_US: "0.9", START_US + 3 * DAY_US + 3 * SLOT_US + 1: "0.995"}
    for from_us, target in changes.items():
        written = AGREEMENT.replace("PERIOD", period).replace("target: 0.99", f"target: {target}")
        await DefinitionsStore(engine).apply(load(written).documents, by="x", from_us=from_us, now_us=START_US)
    shard.define((await store.load(SHARD, begun_us)).specs)
    shard.fold(counts)

    history = await HistoryStore(engine).load(series, START_US, until_us, HOUR_US)

    ahead = [-(-at_us // SLOT_US) * SLOT_US for at_us in changes]
    compared = 0
    for place in range(5, len(history), 3):
        end_us = int(history.time_us[place]) + HOUR_US
        while ahead and ahead[0] < end_us:
            at_us = ahead.pop(0)
            shard.advance(at_us, lateness_us=0)
            shard.define((await store.load(SHARD, at_us)).specs)
        shard.advance(end_us, lateness_us=0)
        [standing] = shard.table(blind=None).standings()
        for view, numbers in (
            (history.contractual, standing.contractual),
            (history.experienced, standing.experienced),
        ):
            expected = np.nan if numbers.budget_remaining is None else numbers.budget_remaining
            assert view.budget_remaining[place] == pytest.approx(expected, nan_ok=True)
        compared += 1
    assert compared > 50


async def test_what_was_counted_before_the_agreement_counts_is_left_out(engine: AsyncEngine) -> None:
    """Slots of an earlier time of the same indicator, or of late samples."""
    series = await applied(engine, "{rolling: 1d}", from_us=START_US + HOUR_US)
    await write(engine, traffic(series, START_US, START_US + 2 * HOUR_US))

    history = await HistoryStore(engine).load(series, START_US, START_US + 2 * HOUR_US, HOUR_US)

    assert (history.experienced.total > 0).tolist() == [False, True]
    assert np.isnan(history.contractual.budget_remaining).tolist() == [True, False]


async def test_the_first_sample_decides_how_young_a_period_is(engine: AsyncEngine) -> None:
    """Rows that hold no sample are none, in whichever chunk they lie."""
    series = await applied(engine, "{rolling: 1d}")
    seen = traffic(series, START_US + 3 * DAY_US, START_US + 4 * DAY_US)
    unseen = traffic(series, START_US, START_US + HOUR_US)
    empty = SlotCounts.from_columns(unseen.columns * np.array([[1], [1], [0], [0], [0], [0]]))
    await write(engine, empty, seen)
    async with engine.begin() as connection:
        for compacted in (False, True):
            if compacted:
                await slots.compact(connection, SHARD, pages=1)
            assert await slots.first_sampled(connection, series) == (START_US + 3 * DAY_US) // SLOT_US
        assert await slots.first_sampled(connection, series + 1) is None


async def test_the_verdict_of_a_step_is_the_one_at_its_end(engine: AsyncEngine) -> None:
    """Also the one that began before the first step; none before the first change."""
    series = await applied(engine, "{rolling: 1d}")
    async with engine.begin() as connection:
        for hours, verdict in ((1, "met"), (3, "at_risk"), (3.5, "breached"), (5, None)):
            await connection.execute(
                text("INSERT INTO verdict_changes VALUES (:series, :at, :verdict, 'live', '')"),
                {"series": series, "at": START_US + int(hours * HOUR_US), "verdict": verdict},
            )
    store = HistoryStore(engine)

    whole = await store.load(series, START_US - HOUR_US, START_US + 6 * HOUR_US, HOUR_US)
    later = await store.load(series, START_US + 2 * HOUR_US, START_US + 4 * HOUR_US, HOUR_US)

    assert whole.verdicts == (None, "met", "met", "at_risk", "breached", None, None)
    assert later.verdicts == ("at_risk", "breached")


async def test_a_series_without_a_sample_has_steps_without_counts(engine: AsyncEngine) -> None:
    """No traffic is neither 100 % nor 0 %."""
    series = await applied(engine, "{calendar: month}")

    history = await HistoryStore(engine).load(series, START_US, START_US + DAY_US, HOUR_US)

    assert len(history) == 24
    assert not history.experienced.total.any()
    assert np.isnan(history.contractual.budget_remaining).all()


async def test_steps_cover_what_was_asked_for_on_whole_multiples(engine: AsyncEngine) -> None:
    """So that two plots of one step share their points."""
    series = await applied(engine, "{rolling: 1d}")

    history = await HistoryStore(engine).load(series, START_US + 1, START_US + HOUR_US + 1, HOUR_US)

    assert history.time_us.tolist() == [START_US, START_US + HOUR_US]


async def test_a_period_shorter_than_a_step_is_counted_whole(engine: AsyncEngine) -> None:
    """One long step is more than its last period."""
    series = await applied(engine, "{rolling: 1d}")
    counts = traffic(series, START_US, START_US + 3 * DAY_US, step_us=5 * MINUTE_US)
    await write(engine, counts)
    aligned_us = START_US // (3 * DAY_US) * 3 * DAY_US

    history = await HistoryStore(engine).load(series, aligned_us, aligned_us + 1, 3 * DAY_US)

    assert history.experienced.total.tolist() == [recounted(counts, [aligned_us], 3 * DAY_US)[0][3]]


@pytest.mark.parametrize(
    ("from_us", "to_us", "step_us", "why"),
    [
        (0, HOUR_US, SLOT_US + 1, "multiple of 10s"),
        (0, HOUR_US, SLOT_US // 2, "multiple of 10s"),
        (0, HOUR_US, 0, "multiple of 10s"),
        (HOUR_US, HOUR_US, HOUR_US, "after the start"),
        (0, 365 * DAY_US, MINUTE_US, "longer step"),
    ],
)
async def test_a_span_that_cannot_be_cut_is_refused_in_words(
    engine: AsyncEngine, from_us: int, to_us: int, step_us: int, why: str
) -> None:
    """Before anything large is read."""
    series = await applied(engine, "{rolling: 1d}")

    with pytest.raises(BadSpan, match=why):
        await HistoryStore(engine).load(series, from_us, to_us, step_us)


async def test_a_series_that_does_not_exist_is_said_to_be_unknown(engine: AsyncEngine) -> None:
    """A link from yesterday, perhaps."""
    with pytest.raises(UnknownSeries):
        await HistoryStore(engine).load(4711, 0, HOUR_US, HOUR_US)


async def test_a_series_of_an_objective_that_is_gone_keeps_its_history(engine: AsyncEngine) -> None:
    """By the last version that had it."""
    series = await applied(engine, "{rolling: 1d}")
    await write(engine, traffic(series, START_US, START_US + HOUR_US))
    renamed = AGREEMENT.replace("PERIOD", "{rolling: 7d}").replace("name: availability", "name: success")
    await DefinitionsStore(engine).apply(load(renamed).documents, by="x", from_us=None, now_us=START_US + DAY_US)

    history = await HistoryStore(engine).load(series, START_US, START_US + HOUR_US, HOUR_US)

    assert history.experienced.total[0] > 0
    assert not np.isnan(history.contractual.budget_remaining[0])
