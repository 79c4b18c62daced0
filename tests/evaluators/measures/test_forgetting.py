"""What is let go of, and what is said of points that come too late for it."""

from __future__ import annotations

import numpy as np

from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.measures.measuring import FORGET, KEEP, Definition, Measuring
from evaluators.measures.specs import Holding, Measure, Pairing, Slicing
from evaluators.points import Kind, Points, tagged
from evaluators.slots import SlotCounts

SLOT = 10 * SECOND
COUNTER, UPTIME, FRESH, TICKET, SLICED, QUANTILE = range(1, 7)
DEFINITIONS = {
    COUNTER: Definition(0),
    UPTIME: Definition(0, None, Measure(holding=Holding(MINUTE, "any"))),
    FRESH: Definition(0, 30 * DAY, Measure(holding=Holding(MINUTE, "any", 2 * MINUTE))),
    TICKET: Definition(0, None, Measure(pairing=Pairing(HOUR, strict=True))),
    SLICED: Definition(0, None, Measure(slicing=Slicing(MINUTE, "share", bound=0.5))),
    QUANTILE: Definition(0, None, Measure(slicing=Slicing(MINUTE, "quantile", "lte", 1.0, 0.5))),
}
START = 10 * HOUR


def begun() -> Measuring:
    measuring = Measuring(SLOT)
    measuring.define(DEFINITIONS)
    return measuring


def point(series: int, at_us: int, value: int = 1, kind: Kind = Kind.COUNTER, source: int = 1) -> Points:
    return Points.from_rows([(series, source, tagged(kind, total=1), at_us, value, 0)])


def counts(series: int, at_us: int, good: int = 1, total: int = 1) -> SlotCounts:
    return SlotCounts.from_columns(np.array([[series], [at_us // SLOT], [good], [total], [0], [0]]))


NOTHING = SlotCounts.empty()


def test_counter_points_before_the_oldest_that_is_kept_are_strays() -> None:
    """The one before the kept ones still tells what the next has grown by."""
    measuring = begun()
    for at_us, value in ((START, 1), (START + HOUR, 5), (START + 4 * HOUR, 9)):
        measuring.fold(NOTHING, point(COUNTER, at_us, value))
    measuring.advance(START + 4 * HOUR)
    measuring.whole()

    late = measuring.fold(NOTHING, point(COUNTER, START + HOUR - 1, 2))
    mended = measuring.fold(NOTHING, point(COUNTER, START + 2 * HOUR, 6))

    assert (len(late), measuring.strays) == (0, 1)
    assert dict(zip(mended.slot.tolist(), mended.total.tolist(), strict=True)) == {
        (START + 2 * HOUR) // SLOT: 1,
        (START + 4 * HOUR) // SLOT: -1,
    }


def test_a_quiet_counter_keeps_its_newest_point_and_is_forgotten_after_a_week() -> None:
    """On return within the week it goes on; after it, it begins anew."""
    for away_us, grown in ((FORGET - HOUR, 4), (FORGET + HOUR, 0)):
        measuring = begun()
        measuring.fold(NOTHING, point(COUNTER, START, 1))
        measuring.advance(START + away_us)
        measuring.whole()

        found = measuring.fold(NOTHING, point(COUNTER, START + away_us, 5))

        assert found.total.tolist() == [grown]


def test_states_pairs_slices_and_sketches_older_than_what_is_kept_are_strays() -> None:
    """They change nothing, and are counted."""
    measuring = begun()
    measuring.fold(counts(SLICED, START), point(UPTIME, START, kind=Kind.STATE))
    measuring.advance(START + KEEP + HOUR)
    measuring.whole()

    found = measuring.fold(
        counts(SLICED, START, 0),
        Points.from_rows(
            [
                (series, 1, tagged(kind), START, 1, 0)
                for series, kind in ((UPTIME, Kind.STATE), (TICKET, Kind.OPENED), (QUANTILE, Kind.SKETCH))
            ]
        ),
    )

    assert (len(found), measuring.strays) == (0, 4)


def test_an_open_pair_is_kept_until_its_time_is_over_and_a_decided_one_is_not() -> None:
    """However long it is paused."""
    measuring = begun()
    events = (
        (1, Kind.OPENED, START),
        (1, Kind.PAUSED, START + SECOND),
        (2, Kind.OPENED, START),
        (3, Kind.CLOSED, START),
    )
    rows = [(TICKET, key, tagged(kind), at_us, 0, 0) for key, kind, at_us in events]
    measuring.fold(NOTHING, Points.from_rows([*rows, (99, 4, tagged(Kind.OPENED), START, 0, 0)]))
    measuring.advance(START + 9 * HOUR)
    measuring.whole()

    measuring.fold(NOTHING, point(TICKET, START + 9 * HOUR, kind=Kind.CLOSED, source=1))
    measuring.fold(NOTHING, point(TICKET, START + 9 * HOUR, kind=Kind.CLOSED, source=2))

    assert measuring.advance(START + 10 * HOUR).columns[2:4].tolist() == [[1], [1]]


def test_a_probe_that_is_gone_for_a_week_is_forgotten_and_freshness_is_not() -> None:
    """Nothing is left to keep of the one."""
    measuring = begun()
    measuring.fold(NOTHING, point(UPTIME, START, kind=Kind.STATE))
    measuring.advance(START + FORGET + HOUR)

    assert measuring.whole() is None


def test_what_has_ended_is_down_for_a_while_and_then_says_nothing() -> None:
    """And nothing at all after the end of its agreement."""
    measuring = begun()
    measuring.fold(NOTHING, point(FRESH, START, kind=Kind.SEEN))
    found = measuring.advance(START + HOUR)

    assert (int(found.good.sum()), int(found.total.sum())) == (MINUTE, 3 * MINUTE)
    measuring.fold(NOTHING, point(FRESH, 31 * DAY, kind=Kind.SEEN))
    assert len(measuring.advance(32 * DAY)) == 0


def test_the_first_slot_is_where_the_earliest_of_what_waits_lies() -> None:
    """Of points, pairs and slices; none where nothing waits."""
    measuring = begun()
    assert measuring.first_slot is None
    measuring.fold(counts(SLICED, START + HOUR), point(TICKET, START + 2 * HOUR, kind=Kind.OPENED))
    assert measuring.first_slot == (START + HOUR) // SLOT
    measuring.fold(NOTHING, point(UPTIME, START, kind=Kind.STATE))
    assert measuring.first_slot == START // SLOT


def test_points_of_a_series_that_is_not_defined_count_nothing_from_their_start() -> None:
    """Its differences are kept for when it is."""
    measuring = begun()
    measuring.fold(NOTHING, Points.from_rows([(77, 1, tagged(Kind.COUNTER, total=1), START, 5, START - 1)]))

    assert measuring.fold(NOTHING, point(77, START + SLOT, 9)).total.tolist() == [4]
    assert len(measuring.fold(NOTHING, point(77, START, kind=Kind.SKETCH))) == 0
    assert len(measuring.advance(START)) == 0
    assert len(measuring.advance(START - SLOT)) == 0


def test_a_shard_that_measures_nothing_passes_counts_through() -> None:
    """As they came."""
    measuring = Measuring(SLOT)
    came = counts(COUNTER, START)

    assert measuring.fold(came, Points.empty()) is came
    assert len(measuring.advance(START)) == 0
    assert measuring.unsaved() is None
    assert measuring.whole() is None


def test_a_pair_whose_time_ran_out_before_a_pause_stays_decided_there() -> None:
    """Whatever happens to it later."""
    measuring = begun()
    events = (
        (Kind.OPENED, START),
        (Kind.PAUSED, START + 2 * HOUR),
        (Kind.RESUMED, START + 3 * HOUR),
        (Kind.PAUSED, START + 4 * HOUR),
        (Kind.CLOSED, START + 5 * HOUR),
    )
    measuring.fold(NOTHING, Points.from_rows([(TICKET, 1, tagged(kind), at_us, 0, 0) for kind, at_us in events]))
    found = measuring.advance(START + 6 * HOUR)

    assert (found.slot.tolist(), found.good.tolist(), found.total.tolist()) == ([(START + HOUR) // SLOT], [0], [1])
