"""The watermark: drawn cases first, then properties over any history."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.watermark import (
    BEHIND_US,
    BLIND_AFTER_US,
    GONE_AFTER_US,
    IDLE_WITHIN_US,
    LOOK_US,
    QUIET_FOR_US,
    SET_ASIDE_AFTER_US,
    PartitionName,
    Reached,
    Sighting,
    Watermark,
)

S = 1_000_000
MIN = 60 * S
NOW = 1_764_000_000 * S
P0, P1, P2 = (PartitionName("events", number) for number in range(3))
AUDIT = PartitionName("audit", 0)

LOOKS = range(NOW + LOOK_US, NOW + SET_ASIDE_AFTER_US + 1, LOOK_US)
"""The clocks of the looks until a partition that holds the others up is set aside."""


def busy(clock: int = NOW, *, position: int = 10, epoch: int = 1, high: int | None = None) -> Sighting:
    """Records keep coming."""
    return Sighting(epoch, position, None, None, high, clock, clock)


def idle(seen: int = NOW, *, position: int = 10, epoch: int = 1, last: int | None = None, clock: int = 0) -> Sighting:
    """Position had reached the end at `seen`, and nothing came before for a while."""
    return Sighting(epoch, position, position, seen, position, last, clock or seen)


def at(time: int | None, *, offset: int = 10, epoch: int = 1) -> Reached:
    return Reached(epoch, offset, time)


def observe(
    reached: dict[PartitionName, Reached],
    sightings: dict[PartitionName, Sighting],
    *,
    before: Watermark | None = None,
    clock: int = NOW,
    topics: tuple[str, ...] = ("events",),
) -> Watermark:
    return (before or Watermark()).observe(topics=topics, reached=reached, sightings=sightings, clock_us=clock)


class TestPartitionTimes:
    def test_the_slowest_partition_that_is_read_decides(self) -> None:
        """
        events/0 |=========> -1 s
        events/1 |======>    -4 s   <- watermark
        """
        seen = observe({P0: at(NOW - S), P1: at(NOW - 4 * S)}, {P0: busy(), P1: busy()})
        assert (seen.overall_us, seen.topics, seen.blind) == (NOW - 4 * S, {"events": NOW - 4 * S}, None)

    def test_an_event_time_from_the_future_counts_as_now(self) -> None:
        """A broken clock must not drag the watermark ahead."""
        assert observe({P0: at(NOW + 5 * MIN)}, {P0: busy()}).overall_us == NOW

    def test_the_slowest_topic_decides_over_all(self) -> None:
        """An objective may read any topic."""
        seen = observe(
            {P0: at(NOW - S), AUDIT: at(NOW - 9 * S)}, {P0: busy(), AUDIT: busy()}, topics=("events", "audit")
        )
        assert (seen.overall_us, seen.topics["events"]) == (NOW - 9 * S, NOW - S)

    def test_a_topic_that_is_no_longer_configured_holds_nobody(self) -> None:
        """Its cursor and its last sighting stay in the database for ever."""
        seen = observe({P0: at(NOW - S), AUDIT: at(NOW - 9 * MIN)}, {P0: busy(), AUDIT: busy(NOW - 9 * MIN)})
        assert (seen.overall_us, seen.blind) == (NOW - S, None)

    def test_a_partition_without_any_event_holds_the_watermark(self) -> None:
        """What it will bring is not known."""
        seen = observe({P0: at(NOW - S), P1: at(None)}, {P0: busy(), P1: busy()})
        assert (seen.overall_us, seen.blind) == (None, "partition events/1 has shown no usable event yet")

    def test_a_new_partition_stops_the_watermark_where_it_is(self) -> None:
        """It neither regresses nor goes on without the partition."""
        before = observe({P0: at(NOW - 5 * S)}, {P0: busy()})
        after = observe({P0: at(NOW - S)}, {P0: busy(), P1: busy(position=3)}, before=before)
        assert after.overall_us == NOW - 5 * S


class TestIdle:
    def test_an_idle_partition_does_not_hold_the_others(self) -> None:
        """
        events/0 |===========> -1 s   <- watermark
        events/1 |==> (end of the log seen, quiet)
        """
        seen = observe({P0: at(NOW - S), P1: at(NOW - 50 * S)}, {P0: busy(), P1: idle()})
        assert seen.overall_us == NOW - S

    def test_all_idle_the_least_clock_at_which_an_end_was_seen_is_the_watermark(self) -> None:
        """So that silence is noticed."""
        seen = observe({P0: at(NOW - MIN), P1: at(None)}, {P0: idle(NOW - 2 * S), P1: idle(NOW - S)})
        assert (seen.overall_us, seen.blind) == (NOW - 2 * S, None)

    def test_an_end_that_the_cursor_has_not_reached_says_nothing(self) -> None:
        """The shard still has entries before it to fold."""
        seen = observe({P0: at(NOW - 30 * S, offset=9)}, {P0: idle(position=10)})
        assert seen.overall_us == NOW - 30 * S

    def test_a_cursor_beyond_the_end_that_was_seen_counts(self) -> None:
        """Entries may be committed after the sighting."""
        assert observe({P0: at(NOW - 30 * S, offset=11)}, {P0: idle(position=10)}).overall_us == NOW

    def test_the_end_of_another_epoch_says_nothing(self) -> None:
        """Offsets of different epochs cannot be compared."""
        seen = observe({P0: at(NOW - 30 * S, epoch=1)}, {P0: idle(epoch=2, position=0)})
        assert seen.overall_us == NOW - 30 * S

    @pytest.mark.parametrize(("age", "counts"), [(IDLE_WITHIN_US, True), (IDLE_WITHIN_US + 1, False)])
    def test_a_sighting_counts_while_it_is_near_the_newest_worker_clock(self, age: int, counts: bool) -> None:
        """A worker that hangs must not let the others run ahead of it."""
        seen = observe({P0: at(NOW - S), P1: at(NOW - 50 * S)}, {P0: busy(), P1: idle(NOW - age, clock=NOW)})
        assert seen.overall_us == (NOW - S if counts else NOW - 50 * S)

    @pytest.mark.parametrize(("quiet", "counts"), [(QUIET_FOR_US, True), (QUIET_FOR_US - 1, False)])
    def test_a_partition_is_idle_only_after_a_quiet_while(self, quiet: int, counts: bool) -> None:
        """Between two records of a slow emitter the end of the log is seen all the time."""
        seen = observe({P0: at(NOW - 7 * S)}, {P0: idle(last=NOW - quiet)})
        assert seen.overall_us == (NOW if counts else NOW - 7 * S)

    def test_a_worker_clock_ahead_of_ours_neither_unsettles_the_others_nor_passes_our_clock(self) -> None:
        """One host with a wrong clock is common."""
        seen = observe({P0: at(None), P1: at(None)}, {P0: idle(NOW + 9 * MIN), P1: idle(NOW - S)})
        assert (seen.overall_us, seen.topics) == (NOW - S, {"events": NOW - S})

    def test_dead_workers_stop_the_watermark_at_what_they_saw_last(self) -> None:
        """All sightings age alike, so all stay idle; the clock that counts stays too."""
        before = observe({P0: at(None)}, {P0: idle()})
        after = observe({P0: at(None)}, {P0: idle()}, before=before, clock=NOW + 75 * S)
        assert (after.overall_us, after.blind) == (NOW, "no ingest worker has reported for 1 min 15 s")


class TestSetAside:
    REACHED = {P0: at(NOW - S), P1: at(NOW - 5 * MIN)}  # noqa: RUF012

    def held(self) -> Watermark:
        return observe(self.REACHED, {P0: busy(), P1: busy()})

    def later(self, before: Watermark, clock: int, behind: int, *, end: Sighting | None = None) -> Watermark:
        reached = {P0: at(clock - S), P1: at(clock - S - behind)}
        return observe(reached, {P0: busy(clock), P1: end or busy(clock)}, before=before, clock=clock)

    def wait(self, before: Watermark, until: int, behind: int) -> Watermark:
        """Look after look up to a clock; events/1 stays so far behind and is not read on."""
        assert before.observed_us is not None
        for clock in (*range(before.observed_us + LOOK_US, until, LOOK_US), until):
            before = self.later(before, clock, behind)
        return before

    def test_a_partition_that_holds_the_others_for_long_is_set_aside(self) -> None:
        """
        events/0 |==================> now      <- watermark after 2 min
        events/1 |=====>                       <- watermark before
        """
        held = self.held()
        assert (held.overall_us, held.hold_resolves) == (NOW - 5 * MIN, False)
        almost = self.wait(held, NOW + SET_ASIDE_AFTER_US - 1, 7 * MIN)
        assert not almost.aside
        then = NOW + SET_ASIDE_AFTER_US
        after = self.later(almost, then, 7 * MIN)
        assert (after.overall_us, after.aside, after.hold_resolves) == (then - S, {P1}, True)
        assert after.blind == "partition events/1 set aside: 7 min behind the others"

    def test_a_partition_only_just_behind_is_waited_for(self) -> None:
        """Two minutes are what the others can wait."""
        before = self.later(Watermark(), NOW, BEHIND_US)
        after = self.later(before, NOW + 10 * MIN, BEHIND_US)
        assert (after.aside, after.holds, after.overall_us) == (frozenset(), {}, NOW + 10 * MIN - S - BEHIND_US)

    def test_a_partition_that_is_catching_up_is_given_more_time(self) -> None:
        """A backlog read at full speed would otherwise become late data, all of it."""
        before = self.later(Watermark(), NOW, 100 * MIN)
        gaining = self.wait(before, NOW + SET_ASIDE_AFTER_US, 75 * MIN)
        assert not gaining.aside
        assert gaining.holds[P1][:2] == (0, 75 * MIN)
        stuck = self.wait(gaining, NOW + 2 * SET_ASIDE_AFTER_US, 75 * MIN)
        assert stuck.aside == {P1}

    def test_a_partition_set_aside_comes_back_when_it_has_caught_up(self) -> None:
        """The watermark does not regress for it."""
        then = NOW + SET_ASIDE_AFTER_US
        aside = self.wait(self.held(), then, 7 * MIN)
        still = self.later(aside, then + S, BEHIND_US + 1)
        back = self.later(still, then + 2 * S, BEHIND_US)
        assert (still.aside, back.aside, back.overall_us) == ({P1}, frozenset(), still.overall_us)

    def test_a_partition_set_aside_comes_back_when_it_turns_idle(self) -> None:
        """It was read to its end and has nothing old left to bring."""
        then = NOW + SET_ASIDE_AFTER_US
        aside = self.wait(self.held(), then, 7 * MIN)
        assert not self.later(aside, then + S, 7 * MIN, end=idle(then + S)).aside

    def test_a_partition_that_never_shows_a_usable_event_is_set_aside_too(self) -> None:
        """Nothing but bad records must not stop the rest."""
        sightings = {P0: busy(), P1: busy()}
        before = observe({P0: at(NOW), P1: at(None)}, sightings)
        for then in LOOKS:
            before = observe({P0: at(then), P1: at(None)}, {P0: busy(then), P1: busy(then)}, before=before, clock=then)
        after, then = before, LOOKS[-1]
        assert (after.overall_us, after.blind) == (then, "partition events/1 set aside: it has no usable event")

    def test_a_topic_that_nobody_reads_is_set_aside(self) -> None:
        """A topic that does not exist must not stop those that do."""
        topics = ("events", "audit")
        before = observe({P0: at(NOW)}, {P0: busy()}, topics=topics)
        assert (before.overall_us, before.blind) == (None, "topic audit has not been read yet")
        for then in LOOKS:
            before = observe({P0: at(then)}, {P0: busy(then)}, topics=topics, before=before, clock=then)
        after, then = before, LOOKS[-1]
        assert (after.overall_us, after.blind) == (then, "topic audit has not been read and is set aside")

    def test_what_is_gone_from_the_configuration_is_no_longer_set_aside(self) -> None:
        """The cause is gone with it."""
        then = NOW + SET_ASIDE_AFTER_US
        aside = self.wait(self.held(), then, 7 * MIN)
        after = observe({AUDIT: at(then)}, {AUDIT: busy(then)}, topics=("audit",), before=aside, clock=then)
        assert (after.aside, after.topics) == (frozenset(), {"audit": then})


class TestReadOn:
    """A partition whose backlog is being read is waited for."""

    END = 10_000

    def look(
        self, before: Watermark, clock: int, *, reached: int, position: int = END, behind: int = 70 * MIN
    ) -> Watermark:
        """events/0 is up to date; events/1 was read so far, of a log that ends at END."""
        return observe(
            {P0: at(clock - S), P1: at(clock - behind, offset=reached)},
            {P0: busy(clock), P1: busy(clock, position=position, high=self.END)},
            before=before,
            clock=clock,
        )

    def test_a_shard_that_reads_a_backlog_is_not_left_behind_by_its_own_watermark(self) -> None:
        """All of it would become late data, and what lies beyond the horizon would never be folded."""
        mark = Watermark()
        for step in range(60):
            mark = self.look(mark, NOW + step * LOOK_US, reached=step * 100)
        assert (mark.aside, mark.blind) == (frozenset(), "evaluation is 1 h 10 min behind on events/1")

    def test_a_worker_that_reads_a_backlog_is_waited_for_too(self) -> None:
        """The shard has all that is committed, and ingest commits on."""
        mark = Watermark()
        for step in range(60):
            mark = self.look(mark, NOW + step * LOOK_US, reached=step * 100, position=step * 100)
        assert (mark.aside, mark.blind) == (frozenset(), "ingest is 1 h 10 min behind on events/1")

    def test_a_backlog_that_nobody_reads_on_is_set_aside(self) -> None:
        """A worker that hangs must not stop the rest."""
        mark = Watermark()
        for clock in (NOW, *LOOKS):
            mark = self.look(mark, clock, reached=500)
        assert mark.aside == {P1}

    def test_the_end_that_counts_is_the_one_that_was_known_at_first(self) -> None:
        """Events that come late stay late however fast they are read: their log has no backlog."""
        mark = Watermark()
        for step, clock in enumerate((NOW - LOOK_US, NOW, *LOOKS), start=1):
            position = step * 100
            mark = observe(
                {P0: at(clock - S), P1: at(clock - 5 * MIN, offset=position)},
                {P0: busy(clock), P1: busy(clock, position=position, high=position + 50)},
                before=mark,
                clock=clock,
            )
        assert mark.aside == {P1}

    def test_the_time_in_which_the_evaluator_was_away_does_not_count(self) -> None:
        """Nobody was waited for: the partition may well be read on at once."""
        held = self.look(Watermark(), NOW, reached=500)
        back = self.look(Watermark.restore(held.snapshot()), NOW + 7 * 60 * MIN, reached=500)
        assert (back.aside, back.holds[P1].held_us) == (frozenset(), LOOK_US)

    def test_a_clock_that_is_set_back_takes_nothing_off(self) -> None:
        """Looks are counted forward only."""
        held = self.look(self.look(Watermark(), NOW, reached=500), NOW + S, reached=500)
        assert self.look(held, NOW - MIN, reached=500).holds[P1].held_us == S

    def test_a_log_made_anew_has_an_end_of_its_own(self) -> None:
        """Its backlog is read from its beginning."""
        mark = self.look(Watermark(), NOW, reached=self.END, position=self.END)
        for step, clock in enumerate(LOOKS):
            mark = observe(
                {P0: at(clock - S), P1: at(clock - 70 * MIN, offset=step, epoch=2)},
                {P0: busy(clock), P1: busy(clock, position=step, high=self.END, epoch=2)},
                before=mark,
                clock=clock,
            )
        assert not mark.aside


class TestGone:
    """A topic that was made anew with fewer partitions; rows of those that it had are still there."""

    def look(self, *numbers: int, silent: int = 1, ago: int = GONE_AFTER_US, read: int = 10) -> Watermark:
        """Workers report on these partitions; on one more nobody has for a while."""
        names = [PartitionName("events", number) for number in numbers]
        old = PartitionName("events", silent)
        return observe(
            {**dict.fromkeys(names, at(NOW - S)), old: at(NOW - 60 * MIN, offset=read)},
            {**dict.fromkeys(names, busy()), old: busy(NOW - ago)},
        )

    def test_a_partition_beyond_those_that_are_reported_on_is_not_waited_for(self) -> None:
        """It will never bring anything: waiting would make us blind for ever."""
        seen = self.look(0)
        assert (seen.gone, seen.holds, seen.overall_us, seen.blind) == ({P1}, {}, NOW - S, None)

    def test_a_partition_that_was_set_aside_before_it_was_known_to_be_gone_no_longer_is(self) -> None:
        """The hold ends, and what was held back resolves."""
        before = Watermark(aside=frozenset({P1}), observed_us=NOW)
        after = observe({P0: at(NOW)}, {P0: busy(), P1: busy(NOW - GONE_AFTER_US)}, before=before)
        assert after.hold_resolves
        known = {P0: at(NOW), P1: at(NOW - 60 * MIN)}
        assert not observe(known, {P0: busy(), P1: busy(NOW - GONE_AFTER_US)}, before=before).hold_resolves

    def test_a_partition_that_nobody_has_reported_on_for_a_shorter_while_is_waited_for(self) -> None:
        """A rebalance may take that long."""
        assert self.look(0, ago=GONE_AFTER_US - 1).gone == frozenset()

    def test_a_partition_between_others_is_never_gone(self) -> None:
        """Topics have their partitions without a break: a worker has lost it."""
        seen = self.look(0, 2)
        assert (seen.gone, P1 in seen.holds) == (frozenset(), True)

    def test_nobody_is_gone_while_one_before_it_is_not_reported_on(self) -> None:
        """How many there are is not known then."""
        assert self.look(1, silent=2).gone == frozenset()

    def test_what_was_committed_of_it_is_read_first(self) -> None:
        """The ledger has it, wherever it came from."""
        assert self.look(0, read=9).gone == frozenset()

    def test_dead_workers_make_nothing_gone(self) -> None:
        """All sightings age alike."""
        old = busy(NOW - 60 * MIN)
        seen = observe({P0: at(NOW - 60 * MIN), P1: at(NOW - 60 * MIN)}, {P0: old, P1: old})
        assert (seen.gone, seen.blind) == (frozenset(), "no ingest worker has reported for 1 h")

    def test_other_topics_say_nothing_about_it(self) -> None:
        """Each topic has a count of its own."""
        seen = observe(
            {AUDIT: at(NOW), P1: at(NOW - 60 * MIN)},
            {AUDIT: busy(), P1: busy(NOW - 60 * MIN)},
            topics=("events", "audit"),
        )
        assert seen.gone == frozenset()

    def test_a_partition_that_is_reported_on_again_counts_again(self) -> None:
        """The topic was given more partitions."""
        gone = self.look(0)
        back = observe({P0: at(NOW), P1: at(NOW - 5 * S)}, {P0: busy(), P1: busy()}, before=gone)
        assert (back.gone, back.topics["events"]) == (frozenset(), NOW - S)
        later = observe(
            {P0: at(NOW + MIN), P1: at(NOW)}, {P0: busy(NOW + MIN), P1: busy(NOW + MIN)}, before=back, clock=NOW + MIN
        )
        assert later.overall_us == NOW


class TestBlind:
    def test_nothing_observed_yet_is_blind(self) -> None:
        """An evaluator that has not looked does not see."""
        assert Watermark().blind == "nothing has been read yet"

    def test_no_worker_at_all_is_said(self) -> None:
        """The commonest mistake at a first start."""
        assert observe({}, {}).blind == "no ingest worker has reported yet"

    def test_no_topic_at_all_is_said(self) -> None:
        """A setting left empty, with workers of an earlier setting about."""
        seen = observe({}, {P0: busy()}, topics=())
        assert (seen.overall_us, seen.blind) == (None, "no ingest worker has reported yet")

    @pytest.mark.parametrize(
        ("late", "sighting", "words"),
        [
            (BLIND_AFTER_US, busy(), None),
            (BLIND_AFTER_US + S, busy(), "events on events/1 come 1 min 1 s late"),
            (4 * MIN, busy(high=99), "ingest is 4 min behind on events/1"),
            (4 * MIN, busy(high=11, position=11), "evaluation is 4 min behind on events/1"),
            (4 * MIN, busy(NOW - 75 * S), "no ingest worker has reported on events/1 for 1 min 15 s"),
            (4 * MIN, None, "no ingest worker has reported on events/1 yet"),
        ],
    )
    def test_a_watermark_too_far_behind_says_who_is_to_blame(
        self, late: int, sighting: Sighting | None, words: str | None
    ) -> None:
        """Ingest, evaluation and late emitters are mended by different people."""
        sightings = {P0: busy()} | ({P1: sighting} if sighting else {})
        assert observe({P0: at(NOW), P1: at(NOW - late)}, sightings).blind == words

    def test_a_partition_seen_but_never_folded_is_named(self) -> None:
        """Committed entries wait for the shard."""
        assert (
            observe({P0: at(NOW)}, {P0: busy(), P1: busy()}).blind == "partition events/1 has shown no usable event yet"
        )


partitions = st.sampled_from([P0, P1, P2, AUDIT])
clocks = st.integers(NOW, NOW + 20 * MIN)
times = st.one_of(st.none(), st.integers(NOW - 20 * MIN, NOW + 30 * MIN))
cursors = st.builds(Reached, st.integers(1, 2), st.integers(0, 5), times)
sights = st.builds(
    Sighting,
    st.integers(1, 2),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.none(), clocks),
    st.one_of(st.none(), st.integers(0, 9)),
    st.one_of(st.none(), clocks),
    clocks,
)
observations = st.tuples(st.dictionaries(partitions, cursors), st.dictionaries(partitions, sights), clocks)
histories = st.lists(observations, min_size=1, max_size=8).map(
    lambda steps: [(*step[:2], clock) for step, clock in zip(steps, sorted(step[2] for step in steps), strict=True)]
)
TOPICS = ("events", "audit")


@given(histories)
def test_the_watermark_never_regresses_and_never_passes_the_clock(
    history: list[tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int]],
) -> None:
    """Whatever is reported, in whatever order."""
    before = Watermark()
    for reached, sightings, clock in history:
        after = observe(reached, sightings, before=before, clock=clock, topics=TOPICS)
        assert (after.overall_us or 0) >= (before.overall_us or 0)
        assert after.overall_us is None or after.overall_us <= clock
        assert all(after.topics[topic] >= time for topic, time in before.topics.items() if topic in after.topics)
        assert not after.aside & after.holds.keys()
        assert after.hold_resolves == bool(after.aside)
        assert after.blind or not after.aside
        before = after


@given(histories)
def test_somebody_is_always_left_to_decide(
    history: list[tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int]],
) -> None:
    """The partition furthest ahead is never set aside."""
    mark = Watermark()
    for reached, sightings, clock in history:
        mark = observe(reached, sightings, before=mark, clock=clock, topics=TOPICS)
        known = {*reached, *sightings} | {PartitionName(topic, -1) for topic in TOPICS}
        assert mark.aside < known


@given(histories, st.integers(1, 200), st.lists(st.integers(0, 60), min_size=20, max_size=40))
def test_a_partition_that_is_read_on_towards_its_end_is_never_set_aside(
    history: list[tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int]],
    step: int,
    gaps_s: list[int],
) -> None:
    """Whatever went before, however far behind it is, and however long each look takes."""
    mark = Watermark()
    for reached, sightings, clock in history:
        mark = observe(reached, sightings, before=mark, clock=clock, topics=TOPICS)
    held = P1 not in mark.aside
    clock, end = history[-1][2], 3 + step * (len(gaps_s) + 1)
    for number, gap_s in enumerate(gaps_s, start=1):
        clock += gap_s * S
        mark = observe(
            {P0: at(clock), P1: at(NOW - 60 * MIN, offset=5 + number * step, epoch=3)},
            {P0: busy(clock), P1: busy(clock, position=5 + end, high=5 + end, epoch=3)},
            before=mark,
            clock=clock,
        )
        assert not held or P1 not in mark.aside


@given(histories)
def test_time_that_was_not_looked_at_never_sets_anybody_aside(
    history: list[tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int]],
) -> None:
    """One look after a pause of any length says no more than one after LOOK_US."""
    mark = Watermark()
    for reached, sightings, clock in history:
        mark = observe(reached, sightings, before=mark, clock=clock, topics=TOPICS)
        assert all(hold.held_us < SET_ASIDE_AFTER_US for hold in mark.holds.values())
    looks = len(history) - 1
    assert not mark.aside or looks * LOOK_US >= SET_ASIDE_AFTER_US


@given(histories)
def test_a_snapshot_restores_to_the_same_value(
    history: list[tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int]],
) -> None:
    """restore(snapshot(x)) = x."""
    mark = Watermark()
    for reached, sightings, clock in history:
        mark = observe(reached, sightings, before=mark, clock=clock, topics=TOPICS)
        assert Watermark.restore(mark.snapshot()) == mark


@given(observations)
def test_the_order_in_which_partitions_are_listed_does_not_matter(
    observation: tuple[dict[PartitionName, Reached], dict[PartitionName, Sighting], int],
) -> None:
    """Rows come from the database in any order."""
    reached, sightings, clock = observation
    there = observe(reached, sightings, clock=clock, topics=TOPICS)
    back = observe(dict(reversed(reached.items())), dict(reversed(sightings.items())), clock=clock, topics=TOPICS[::-1])
    assert there == back


@given(times, st.lists(st.integers(NOW - 10 * S, NOW), min_size=1, max_size=4))
def test_no_idle_partition_changes_what_a_busy_one_says(time: int | None, ends: list[int]) -> None:
    """Idle partitions are left out of the minimum, however many they are."""
    alone = observe({P0: at(time)}, {P0: busy()})
    others = {PartitionName("events", number): idle(end, clock=NOW) for number, end in enumerate(ends, start=1)}
    together = observe({P0: at(time), **dict.fromkeys(others, at(NOW - MIN))}, {P0: busy(), **others})
    assert together.overall_us == alone.overall_us


def test_a_damaged_snapshot_is_refused() -> None:
    """A row of another version must not be taken for a watermark."""
    with pytest.raises(msgspec.DecodeError):
        Watermark.restore(b"\x93\x01\x02\x03")
