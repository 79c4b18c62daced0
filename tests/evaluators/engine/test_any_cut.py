"""However a log is cut, shuffled or late: in the end the same is known."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from evaluators.durations import MINUTE
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from evaluators.incidents import IncidentChange
from evaluators.slots import SlotCounts
from tests.evaluators.engine.histories import (
    SLOT,
    Row,
    arrivals,
    begun,
    histories,
    known,
    played,
    promises,
    spans,
    straight,
    turns,
)
from tests.evaluators.engine.promises import START, counts
from tests.examples import examples

UNTIL = START + 160 * MINUTE


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[SeriesSpec], list[Row]]:
    """Three promises, some of which share a block, and what came for them."""
    one = draw(promises(series=1))
    other = draw(promises(series=2))
    like = draw(promises(series=3))
    like = SeriesSpec(like.identity, one.period, one.policy, like.counts_from_us, like.counts_until_us)
    return [one, other, like], [row for series in (1, 2, 3) for row in draw(histories(series))]


@examples(40)
@given(st.data())
def test_any_cut_tells_the_same_changes(data: st.DataObject) -> None:
    """On time but in any order and any number of calls: change for change the same."""
    specs, rows = data.draw(logs())
    parts = data.draw(arrivals(rows, UNTIL))
    engine, once = straight(specs, rows, UNTIL)

    cut, run = played(specs, parts)

    assert sorted(run.changes, key=order) == sorted(once.changes, key=order)
    assert run.verdicts == once.verdicts
    assert _numbers(cut) == _numbers(engine)


@examples(60)
@given(st.data())
def test_late_data_leads_to_what_an_undisturbed_run_tells(data: st.DataObject) -> None:
    """After everything has arrived: the same incidents, the same history, the same numbers."""
    specs, rows = data.draw(logs())
    parts = data.draw(arrivals(rows, UNTIL, late=True))
    engine, once = straight(specs, rows, UNTIL)

    cut, run = played(specs, parts)

    assert spans(run) == spans(once)
    assert turns(run) == turns(once)
    assert _numbers(cut) == _numbers(engine)


@examples(40)
@given(st.data(), st.sampled_from(["restored", "rebuilt"]))
def test_an_engine_that_was_made_anew_goes_on_as_if_nothing_had_happened(data: st.DataObject, how: str) -> None:
    """From its snapshot, or from the truth alone."""
    specs, rows = data.draw(logs())
    parts = data.draw(arrivals(rows, UNTIL, late=True))
    engine, once = played(specs, parts)

    def swap(present: ShardEngine, seen: SlotCounts) -> ShardEngine:
        if how == "restored":
            return ShardEngine.restore(present.snapshot())
        return ShardEngine.rebuilt(SLOT, present.open_state(), present.specs, seen)

    again, run = played(specs, parts, swap)

    assert [_sorted(each) for each in run.advances] == [_sorted(each) for each in once.advances]
    assert _numbers(again) == _numbers(engine)


@examples(20)
@given(st.data(), st.integers(0, 120))
def test_holding_leaves_nothing_behind(data: st.DataObject, minutes: int) -> None:
    """Once everything is seen again, what is known is what it had been without the hold."""
    specs, rows = data.draw(logs())
    _, once = straight(specs, rows, UNTIL)
    engine = begun(*specs)
    engine.fold(counts(rows))

    advances = [
        engine.advance(START + minutes * MINUTE, lateness_us=0),
        engine.advance(START + (minutes + 20) * MINUTE, lateness_us=0, hold_resolves=True),
        engine.advance(START + (minutes + 30) * MINUTE, lateness_us=0, hold_resolves=True),
        engine.advance(UNTIL, lateness_us=0),
    ]

    assert spans(known(advances)) == spans(once)
    assert turns(known(advances)) == turns(once)


def order(change: IncidentChange) -> tuple[int, int, str]:
    """Changes of one time come in no order."""
    return (change.at_us, change.incident.series_id, change.kind)


def _sorted(advance: Advance) -> Advance:
    return replace(
        advance,
        incidents=tuple(sorted(advance.incidents, key=order)),
        verdicts=tuple(sorted(advance.verdicts, key=lambda each: (each.at_us, each.series_id))),
        restated=tuple(sorted(advance.restated, key=lambda each: each.series_id)),
        open_incidents=tuple(sorted(advance.open_incidents, key=lambda each: each.series_id)),
    )


def _numbers(engine: ShardEngine) -> dict[int, object]:
    """Everything that is shown of each series."""
    return {each.identity.series_id: each for each in engine.table(blind=None).standings()}
