"""While a partition is set aside, what is quiet may be what we do not see."""

from __future__ import annotations

import pytest

from evaluators.agreements import BurnRateCondition, SilentCondition
from evaluators.durations import MINUTE
from evaluators.engine import Advance, ShardEngine
from evaluators.slots import SlotCounts
from evaluators.standings import DataState
from tests.evaluators.engine.promises import at, engine_of, promise, traffic

SILENT = SilentCondition(10 * MINUTE, "ticket")
PAGE = BurnRateCondition(5 * MINUTE, MINUTE, 5, "page")


def heard_until(minute: int) -> ShardEngine:
    """Steady traffic up to a minute, evaluated up to the tenth."""
    engine = engine_of(promise(PAGE, SILENT))
    engine.fold(traffic(range(minute)))
    engine.advance(at(10), lateness_us=0)
    return engine


def data_of(engine: ShardEngine) -> DataState:
    [standing] = engine.table(blind=None).standings()
    return standing.data


def kinds(advance: Advance) -> list[tuple[str, int]]:
    return [(change.kind, change.at_us) for change in advance.incidents]


def test_nothing_turns_silent_while_data_is_missing() -> None:
    """Our own blindness must not open anybody's incident, nor write a silence into the history."""
    engine = heard_until(10)
    engine.advance(at(12), lateness_us=0, hold_resolves=True)
    later = engine.advance(at(60), lateness_us=0, hold_resolves=True)
    assert (later.incidents, later.verdicts, data_of(engine)) == ((), (), DataState.LIVE)


def test_a_silence_that_was_real_is_told_once_everything_is_seen_again() -> None:
    """With the times that it had."""
    engine = heard_until(10)
    engine.advance(at(25), lateness_us=0, hold_resolves=True)
    after = engine.advance(at(26), lateness_us=0)
    assert kinds(after) == [("opened", at(20))]
    assert [(change.at_us, change.data) for change in after.verdicts] == [(at(15), "silent")]
    assert data_of(engine) is DataState.SILENT


def test_a_silence_within_the_hold_that_ended_before_it_is_told_too() -> None:
    """Opened and resolved, as if it had been looked at all the time."""
    engine = heard_until(10)
    engine.advance(at(22), lateness_us=0, hold_resolves=True)
    engine.fold(traffic(range(22, 40)))
    engine.advance(at(30), lateness_us=0, hold_resolves=True)
    after = engine.advance(at(40), lateness_us=0)
    assert [kind for kind, _ in kinds(after)] == ["opened", "resolved"]


def test_what_the_missing_partition_brings_leaves_no_silence() -> None:
    """It was there all the time."""
    engine = heard_until(10)
    engine.advance(at(30), lateness_us=0, hold_resolves=True)
    engine.fold(traffic(range(10, 31)))
    after = engine.advance(at(31), lateness_us=0)
    assert (after.incidents, after.verdicts) == ((), ())


def test_a_series_that_was_silent_before_stays_so() -> None:
    """What was seen then was seen by all; it does not come alive by our blindness."""
    engine = heard_until(2)
    assert data_of(engine) is DataState.SILENT
    held = engine.advance(at(60), lateness_us=0, hold_resolves=True)
    assert (held.incidents, held.verdicts, data_of(engine)) == ((), (), DataState.SILENT)


def test_a_series_that_is_heard_is_live_while_data_is_missing() -> None:
    """A sample is a sample, whoever else is not seen."""
    engine = heard_until(2)
    engine.fold(traffic(range(20, 21)))
    held = engine.advance(at(40), lateness_us=0, hold_resolves=True)
    assert [change.data for change in held.verdicts] == ["live"]
    assert data_of(engine) is DataState.LIVE


@pytest.mark.parametrize("again", ["restored", "rebuilt"])
def test_a_hold_survives_a_restart(again: str) -> None:
    """The evaluator may well be restarted because it was slow."""
    engine = heard_until(10)
    engine.advance(at(15), lateness_us=0, hold_resolves=True)
    if again == "restored":
        engine = ShardEngine.restore(engine.snapshot())
    else:
        stored: SlotCounts = traffic(range(10))
        engine = ShardEngine.rebuilt(engine.slot_us, engine.open_state(), engine.specs, stored)
    held = engine.advance(at(25), lateness_us=0, hold_resolves=True)
    assert held.incidents == ()
    assert kinds(engine.advance(at(26), lateness_us=0)) == [("opened", at(20))]
