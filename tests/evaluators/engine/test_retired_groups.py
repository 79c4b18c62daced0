"""A group that has sent nothing for a whole period is no longer spoken of."""

from __future__ import annotations

import pytest

from evaluators import reasons
from evaluators.agreements import BurnRateCondition, CalendarPeriod, Period, SilentCondition
from evaluators.durations import DAY, MINUTE
from evaluators.engine import ShardEngine
from evaluators.slots import concatenated
from evaluators.standings import StandingTable
from tests.evaluators.engine.promises import A_DAY, SLOT, at, engine_of, promise, told, traffic

PAGE = BurnRateCondition(5 * MINUTE, MINUTE, 5, "page")
SILENT = SilentCondition(10 * MINUTE, "ticket")
GONE = 10 + DAY // MINUTE
"""The minute a whole day after the last sample of the tenth."""


def names(engine: ShardEngine) -> list[str]:
    """The groups that stand in the table."""
    return [dict(row.identity.labels).get("region", "") for row in engine.table(blind=None).standings()]


def two_regions() -> ShardEngine:
    """North sends all the time; south stopped at minute 10."""
    engine = engine_of(promise(PAGE, SILENT, group="north"), promise(PAGE, SILENT, series=2, group="south"))
    engine.fold(concatenated([traffic(range(GONE + 60)), traffic(range(10), series=2)]))
    return engine


def test_its_incident_ends_and_it_leaves_the_table_a_period_after_its_last_sample() -> None:
    """Neither sooner nor later; what still sends stays."""
    engine = two_regions()
    before = engine.advance(at(GONE) - SLOT, lateness_us=0)
    assert [(change.kind, change.at_us) for change in before.incidents] == [("opened", at(20))]
    assert names(engine) == ["north", "south"]
    after = engine.advance(at(GONE), lateness_us=0)
    [resolved] = after.incidents
    assert (resolved.kind, resolved.at_us, resolved.incident.resolved_us) == ("resolved", at(GONE), at(GONE))
    assert resolved.incident.reason.startswith(reasons.RETIRED_GROUP)
    assert (after.open_incidents, names(engine)) == ((), ["north"])


def test_an_objective_without_groups_never_retires() -> None:
    """That it sends nothing is what somebody must be told."""
    engine = engine_of(promise(PAGE, SILENT))
    engine.fold(traffic(range(10)))
    done = engine.advance(at(3 * GONE), lateness_us=0)
    assert ([change.kind for change in done.incidents], len(done.open_incidents)) == (["opened"], 1)
    assert names(engine) == [""]


def test_a_group_that_comes_back_is_the_same_series() -> None:
    """Under its name, with a new incident if there is cause for one."""
    engine = two_regions()
    engine.advance(at(GONE + 10), lateness_us=0)
    engine.fold(traffic(range(GONE + 10, GONE + 20), bad=90, series=2))
    back = engine.advance(at(GONE + 20), lateness_us=0)
    assert names(engine) == ["north", "south"]
    assert [(change.kind, change.incident.series_id) for change in back.incidents] == [("opened", 2)]


@pytest.mark.parametrize("again", ["restored", "rebuilt"])
def test_a_retired_group_stays_so_after_a_restart(again: str) -> None:
    """Nothing is told twice."""
    engine = two_regions()
    engine.advance(at(GONE + 10), lateness_us=0)
    if again == "restored":
        engine = ShardEngine.restore(engine.snapshot())
    else:
        stored = concatenated([traffic(range(GONE + 60)), traffic(range(10), series=2)])
        engine = ShardEngine.rebuilt(SLOT, engine.open_state(), engine.specs, stored)
    assert names(engine) == ["north"]
    assert engine.advance(at(GONE + 20), lateness_us=0).incidents == ()


def test_a_sample_that_comes_late_takes_the_end_back() -> None:
    """It had not been quiet for a whole period."""
    engine = two_regions()
    first = engine.advance(at(GONE + 30), lateness_us=0).incidents
    engine.fold(traffic(range(GONE - 20, GONE - 19), series=2))
    late = engine.advance(at(GONE + 31), lateness_us=0)
    assert names(engine) == ["north", "south"]
    known = sorted(told((*first, *late.incidents)).values(), key=lambda each: each.detected_us)
    assert [each.resolved_us for each in known] == [at(GONE - 20) + SLOT + 2 * MINUTE, None]


def test_nobody_retires_while_a_partition_is_set_aside() -> None:
    """Its samples may lie there."""
    engine = two_regions()
    engine.advance(at(GONE - 10), lateness_us=0)
    held = engine.advance(at(GONE + 10), lateness_us=0, hold_resolves=True)
    assert (held.incidents, names(engine)) == ((), ["north", "south"])
    after = engine.advance(at(GONE + 11), lateness_us=0)
    assert [(change.kind, change.at_us) for change in after.incidents] == [("resolved", at(GONE))]
    assert names(engine) == ["north"]


@pytest.mark.parametrize("period", [A_DAY, CalendarPeriod("day", "UTC")])
def test_a_long_stretch_at_once_retires_alike(period: Period) -> None:
    """Ticks at which nothing changes are skipped; this one is not. A table without any series is one too."""
    outcomes: list[list[tuple[str, int]]] = []
    for cuts in ([5 * GONE], [GONE // 2, GONE + 1, 3 * GONE, 5 * GONE]):
        engine = engine_of(promise(PAGE, SILENT, period=period, group="south"))
        engine.fold(traffic(range(10)))
        changes = [change for cut in cuts for change in engine.advance(at(cut), lateness_us=0).incidents]
        outcomes.append([(change.kind, change.at_us) for change in changes])
        table = engine.table(blind=None)
        assert names(engine) == []
        assert len(list(StandingTable.unpack(table.pack_identities(), table.pack_columns()).standings())) == 0
    assert outcomes[0] == outcomes[1] == [("opened", at(20)), ("resolved", at(GONE))]
