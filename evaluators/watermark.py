"""How far event time has come in the topics, as one shard sees it, and why we are blind when we are.

Three things are kept apart: what the ingest workers saw (`Sighting`), how far a shard has read (`Reached`), and the
decision over both (`Watermark`). The decision depends on processing time only through its arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from evaluators import durations

IDLE_WITHIN_US = 10 * durations.SECOND
"""A partition counts as idle only by a sighting that is this near to the newest worker clock."""

QUIET_FOR_US = 5 * durations.SECOND
"""... and only where no record had come for this long when the end of its log was seen."""

BEHIND_US = 2 * durations.MINUTE
"""A partition further behind the front than this holds the others up."""

SET_ASIDE_AFTER_US = 2 * durations.MINUTE
"""Processing time that a partition may hold the others up without being read on."""

LOOK_US = 10 * durations.SECOND
"""The evaluator looks much more often. What a longer gap between two looks has more was its own downtime, in which
nobody was waited for."""

GONE_AFTER_US = 5 * durations.MINUTE
"""Somebody reports on every partition that there is, whichever worker dies, within a rebalance: well below this."""

BLIND_AFTER_US = durations.MINUTE
"""Further behind the clock than this, we do not see what happens now."""

_NEVER = -(1 << 63)

_GAIN = 4
"""A partition that made up a fourth of its gap while it held is catching up: it is given the time again."""


class PartitionName(NamedTuple):
    """A partition of a topic. Number -1 stands for a whole topic of which nothing was ever read."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}" if self.number >= 0 else f"topic {self.topic}"


@dataclass(frozen=True, slots=True)
class Reached:
    """A shard's cursor in the newest epoch of a partition that it read.

    `time_us` is the greatest event time up to the cursor, each entry's capped at the clock of its reading; None: no
    usable sample yet.
    """

    epoch: int
    offset: int
    time_us: int | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the ingest worker that owns a partition saw last: `end_position` had reached the end of the log, as a fetch
    sent at `end_seen_us` answered. Clocks are the worker's.
    """

    epoch: int
    position: int
    end_position: int | None
    end_seen_us: int | None
    high_watermark: int | None
    last_record_us: int | None
    clock_us: int


Place = tuple[int, int]
"""An epoch of a partition and an offset in it."""


class Read(NamedTuple):
    """How far a partition was read: by the shard, and by ingest."""

    reached: Place
    committed: Place

    def beyond(self, other: Read) -> bool:
        """Somebody has read on since."""
        return self.reached > other.reached or self.committed > other.committed


class Hold(NamedTuple):
    """A partition holds the others up: for so long since it was last read on, at first by this much event time.

    `end` is where its log was known to end when the hold began: up to there it may take its time, as long as somebody
    reads on. None: not known.
    """

    held_us: int
    gap_us: int
    read: Read
    end: Place | None

    def later(self, now: Hold, elapsed_us: int) -> Hold | None:
        """The hold after another look, where one that began `now` would be this; None: it has lasted too long."""
        end = now.end if self.end is None or (now.end is not None and now.end[0] > self.end[0]) else self.end
        if end is not None and self.read.reached < end and now.read.beyond(self.read):
            return Hold(0, self.gap_us, now.read, end)
        held_us = self.held_us + elapsed_us
        if held_us < SET_ASIDE_AFTER_US:
            return self._replace(held_us=held_us, end=end)
        return now if now.gap_us <= self.gap_us - self.gap_us // _GAIN else None


@dataclass(frozen=True, slots=True)
class Watermark:
    """Event time that every partition which is neither idle nor set aside has passed.

    Invariants: `overall_us` and each of `topics` never regress from one `observe` to the next and never pass the clock
    given to it; the partition furthest ahead is never set aside, nor one that is read on towards the end that its log
    had when it began to hold the others up. `blind` says in words why we do not see now; `observed_us` is the clock of
    the last look. `gone` are the partitions that their topic seems to have no longer: nobody waits for them.
    """

    overall_us: int | None = None
    topics: Mapping[str, int] = field(default_factory=dict[str, int])
    holds: Mapping[PartitionName, Hold] = field(default_factory=dict[PartitionName, Hold])
    aside: frozenset[PartitionName] = frozenset()
    blind: str | None = "nothing has been read yet"
    observed_us: int | None = None
    gone: frozenset[PartitionName] = frozenset()

    @property
    def hold_resolves(self) -> bool:
        """Whether a partition is set aside: what the others show may open incidents, but not resolve them."""
        return bool(self.aside)

    def observe(
        self,
        *,
        topics: Collection[str],
        reached: Mapping[PartitionName, Reached],
        sightings: Mapping[PartitionName, Sighting],
        clock_us: int,
    ) -> Watermark:
        """The watermark now. Only partitions of `topics` count.

        The caller must have read every sighting before the cursors were brought up to what is committed, and gives a
        partition that has a sighting but nothing committed a cursor at the sighting's position.
        """
        sightings = {PartitionName(*name): sighting for name, sighting in sightings.items() if name[0] in topics}
        gone = _gone(reached, sightings, clock_us)
        parts = [part for part in _parts(topics, reached, sightings, clock_us) if part.name not in gone]
        front = max((time for part in parts if (time := part.stands_at_us) is not None), default=None)
        gaps = _gaps(parts, front)
        aside, holds = self._settled(parts, gaps, clock_us)
        counted = [part for part in parts if part.name not in aside]
        by_topic = dict(self.topics)
        for topic in sorted({part.name.topic for part in counted}):
            time = _topic_time(part for part in counted if part.name.topic == topic)
            if time is not None:
                by_topic[topic] = max(time, by_topic.get(topic, time))
        overall = _overall(self.overall_us, {part.name.topic for part in counted}, by_topic)
        blind = _blind(parts, sightings.values(), aside, gaps, overall, clock_us)
        known = {topic: by_topic[topic] for topic in topics if topic in by_topic}
        return Watermark(overall, known, holds, aside, blind, clock_us, gone)

    def _settled(
        self, parts: Iterable[_Part], gaps: Mapping[PartitionName, int], clock_us: int
    ) -> tuple[frozenset[PartitionName], dict[PartitionName, Hold]]:
        """Who is set aside, and who holds the others up for how long. Whoever has caught up is in neither."""
        elapsed_us = 0 if self.observed_us is None else min(max(clock_us - self.observed_us, 0), LOOK_US)
        aside = {name for name in self.aside if name in gaps}
        holds: dict[PartitionName, Hold] = {}
        for part in parts:
            if part.name in aside or part.name not in gaps:
                continue
            now = Hold(0, gaps[part.name], part.read, part.end)
            before = self.holds.get(part.name)
            hold = now if before is None else before.later(now, elapsed_us)
            if hold is None:
                aside.add(part.name)
            else:
                holds[part.name] = hold
        return frozenset(aside), holds

    def snapshot(self) -> bytes:
        """Bytes that `restore` reads back."""
        return msgspec.msgpack.encode(
            (
                self.overall_us,
                self.topics,
                [(name, hold) for name, hold in self.holds.items()],
                sorted(self.aside),
                self.blind,
                self.observed_us,
                sorted(self.gone),
            )
        )

    @classmethod
    def restore(cls, data: bytes) -> Watermark:
        """Inverse of `snapshot`. Raises msgspec.DecodeError (or its ValidationError) for anything else."""
        overall, topics, holds, aside, blind, observed, gone = msgspec.msgpack.decode(data, type=_Packed)
        return cls(overall, topics, dict(holds), frozenset(aside), blind, observed, frozenset(gone))


_Packed = tuple[
    int | None,
    dict[str, int],
    list[tuple[PartitionName, Hold]],
    list[PartitionName],
    str | None,
    int | None,
    list[PartitionName],
]

_NOWHERE: Place = (-1, -1)


@dataclass(frozen=True, slots=True)
class _Part:
    """A partition as far as the watermark cares: `idle_us` is the clock at which its end was seen, None if not idle.

    `end` is where its log ends, as far as it was seen.
    """

    name: PartitionName
    time_us: int | None
    idle_us: int | None
    read: Read
    end: Place | None = None
    sighted_us: int | None = None
    unread: bool = False
    behind_log: bool = False

    @property
    def stands_at_us(self) -> int | None:
        return self.time_us if self.idle_us is None else self.idle_us


def _gone(
    reached: Mapping[PartitionName, Reached], sightings: Mapping[PartitionName, Sighting], clock_us: int
) -> frozenset[PartitionName]:
    """The partitions of a topic that was made anew with fewer of them.

    A topic has its partitions from 0 on without a break. Where workers report on the first n of them and on no other for
    long, there are n; what was committed of the rest has been read. A partition before those that are reported on is one
    that a worker has lost, which makes us blind.
    """
    newest_us = min(clock_us, max((sighting.clock_us for sighting in sightings.values()), default=clock_us))
    present = {name for name, sighting in sightings.items() if newest_us - sighting.clock_us <= IDLE_WITHIN_US}
    return frozenset(
        name
        for name, sighting in sightings.items()
        if newest_us - sighting.clock_us >= GONE_AFTER_US
        and not _short_of(reached.get(name), sighting, sighting.position)
        and _beyond_the_first(name, {other.number for other in present if other.topic == name.topic})
    )


def _beyond_the_first(name: PartitionName, present: Collection[int]) -> bool:
    return bool(present) and max(present) == len(present) - 1 < name.number


def _parts(
    topics: Collection[str],
    reached: Mapping[PartitionName, Reached],
    sightings: Mapping[PartitionName, Sighting],
    clock_us: int,
) -> list[_Part]:
    newest_us = min(clock_us, max((sighting.clock_us for sighting in sightings.values()), default=clock_us))
    names = {PartitionName(*name) for name in (*reached, *sightings) if name[0] in topics}
    names |= {PartitionName(topic, -1) for topic in topics if topic not in {name.topic for name in names}}
    return [_part(name, reached.get(name), sightings.get(name), newest_us, clock_us) for name in sorted(names)]


def _part(
    name: PartitionName, reached: Reached | None, sighting: Sighting | None, newest_us: int, clock_us: int
) -> _Part:
    time_us = None if reached is None or reached.time_us is None else min(reached.time_us, clock_us)
    at = _NOWHERE if reached is None else (reached.epoch, reached.offset)
    if sighting is None:
        return _Part(name, time_us, None, Read(at, _NOWHERE))
    return _Part(
        name,
        time_us,
        read=Read(at, (sighting.epoch, sighting.position)),
        end=(sighting.epoch, max(sighting.position, sighting.high_watermark or 0)),
        idle_us=min(sighting.end_seen_us or 0, clock_us) if _idle(reached, sighting, newest_us) else None,
        sighted_us=sighting.clock_us,
        unread=_short_of(reached, sighting, sighting.position),
        behind_log=sighting.high_watermark is not None and sighting.position < sighting.high_watermark,
    )


def _short_of(reached: Reached | None, sighting: Sighting, position: int) -> bool:
    return reached is None or reached.epoch != sighting.epoch or reached.offset < position


def _idle(reached: Reached | None, sighting: Sighting, newest_us: int) -> bool:
    """Nothing to read, seen lately, for a while, and the shard has everything that was there."""
    if sighting.end_position is None or sighting.end_seen_us is None:
        return False
    quiet = sighting.last_record_us is None or sighting.end_seen_us - sighting.last_record_us >= QUIET_FOR_US
    lately = sighting.end_seen_us >= newest_us - IDLE_WITHIN_US
    return quiet and lately and not _short_of(reached, sighting, sighting.end_position)


def _gaps(parts: Iterable[_Part], front_us: int | None) -> dict[PartitionName, int]:
    """How far behind the front each partition is that holds the others up. Without a front nobody holds anybody."""
    if front_us is None:
        return {}
    gaps = {
        part.name: front_us if part.time_us is None else front_us - part.time_us
        for part in parts
        if part.idle_us is None
    }
    return {name: gap for name, gap in gaps.items() if gap > BEHIND_US}


def _topic_time(parts: Iterable[_Part]) -> int | None:
    """The least time over partitions that are not idle; all idle: the least clock at which an end was seen."""
    present = list(parts)
    active = [part.time_us for part in present if part.idle_us is None]
    times = active or [part.idle_us for part in present]
    known = [time for time in times if time is not None]
    return min(known) if len(known) == len(times) else None


def _overall(before_us: int | None, counted: Collection[str], by_topic: Mapping[str, int]) -> int | None:
    if not counted or any(topic not in by_topic for topic in counted):
        return before_us
    now_us = min(by_topic[topic] for topic in counted)
    return now_us if before_us is None else max(before_us, now_us)


def _blind(
    parts: Collection[_Part],
    sightings: Collection[Sighting],
    aside: Collection[PartitionName],
    gaps: Mapping[PartitionName, int],
    overall_us: int | None,
    clock_us: int,
) -> str | None:
    """Why we do not see now, the cause furthest upstream first; None while we do."""
    if not sightings:
        return "no ingest worker has reported yet"
    unheard_us = clock_us - max(sighting.clock_us for sighting in sightings)
    if unheard_us > BLIND_AFTER_US:
        return f"no ingest worker has reported for {durations.in_words(unheard_us)}"
    if aside:
        return "; ".join(_aside_in_words(part, gaps) for part in parts if part.name in aside)
    return _behind(parts, overall_us, clock_us)


def _aside_in_words(part: _Part, gaps: Mapping[PartitionName, int]) -> str:
    if part.name.number < 0:
        return f"{part.name} has not been read and is set aside"
    if part.time_us is None:
        return f"partition {part.name} set aside: it has no usable event"
    return f"partition {part.name} set aside: {durations.in_words(gaps[part.name])} behind the others"


def _behind(parts: Collection[_Part], overall_us: int | None, clock_us: int) -> str | None:
    """The partition that holds the watermark back, where it is too far back (or not known at all)."""
    if overall_us is not None and clock_us - overall_us <= BLIND_AFTER_US:
        return None
    last = min(parts, key=lambda part: _NEVER if part.stands_at_us is None else part.stands_at_us)
    return _why_behind(last, clock_us)


def _why_behind(part: _Part, clock_us: int) -> str:
    if part.name.number < 0:
        return f"{part.name} has not been read yet"
    if part.sighted_us is None:
        return f"no ingest worker has reported on {part.name} yet"
    if clock_us - part.sighted_us > BLIND_AFTER_US:
        return f"no ingest worker has reported on {part.name} for {durations.in_words(clock_us - part.sighted_us)}"
    if part.stands_at_us is None:
        return f"partition {part.name} has shown no usable event yet"
    late = durations.in_words(clock_us - part.stands_at_us)
    if part.behind_log:
        return f"ingest is {late} behind on {part.name}"
    return f"evaluation is {late} behind on {part.name}" if part.unread else f"events on {part.name} come {late} late"
