"""What ingest's tests share: definitions to match by, records to read, and a recount that knows none of the code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from consumers.formats import native
from consumers.formats.samples import Sample
from consumers.formats.times import TimeBounds
from consumers.formats.unusable import Unusable
from consumers.horizons import Horizons
from consumers.memory import MemoryBroker, MemoryDeadLetters, MemoryDefinitions, MemoryLedger, MemoryLog
from consumers.pace import Pace
from consumers.ports import Definitions, MatchRule, Observer, Partition, SeriesKey
from consumers.schemas import Registry
from consumers.topics import TopicChoice
from consumers.worker import Steps, Worker
from evaluators.agreements import LabelExclusion, RatioIndicator, ThresholdIndicator
from evaluators.points import Kind, Points, source_of, tagged
from evaluators.selectors import Selector

SLOT_US = 10_000_000
START_US = 1_763_900_000_000_000  # a slot's and a minute's start
BOUNDS = TimeBounds(0, 1 << 60)
TOPIC = "events"

REQUESTS = Selector.parse('latency{service="checkout"}')
FAILURES = Selector.parse('latency{service="checkout",status=~"5.."}')
CUSTOMERS_OWN = Selector.parse('{tenant="internal"}')

AVAILABILITY = MatchRule(
    indicator_id=1,
    agreement="gold",
    objective="availability",
    from_us=0,
    until_us=None,
    indicator=RatioIndicator(total=REQUESTS, bad=FAILURES),
    group_by=("region",),
    exclusions=(LabelExclusion("own", "customer", CUSTOMERS_OWN),),
)
LATENCY = MatchRule(
    indicator_id=2,
    agreement="gold",
    objective="latency",
    from_us=0,
    until_us=None,
    indicator=ThresholdIndicator(REQUESTS, "lte", 0.3),
)
# From the middle of the third slot on.
LATER = MatchRule(
    indicator_id=3,
    agreement="silver",
    objective="slow",
    from_us=START_US + 2 * SLOT_US + 5_000_000,
    until_us=START_US + 6 * SLOT_US,
    indicator=ThresholdIndicator(Selector.parse("latency"), "gt", 0.5),
)
RULES = (AVAILABILITY, LATENCY, LATER)

Point = tuple[SeriesKey, int, int, int, int, int]
"""(series, source, tag, time_us, value, start_us)"""
Counts = dict[tuple[SeriesKey, int], tuple[int, int, int, int]]


def definitions(revision: int = 1, rules: tuple[MatchRule, ...] = RULES) -> Definitions:
    return Definitions(revision, SLOT_US, rules)


def event(offset_us: int = 0, **fields: Any) -> dict[str, Any]:
    """A native event `offset_us` after the start."""
    labels = {"status": "200", "region": "eu", **fields.pop("labels", {})}
    whole = {"time": (START_US + offset_us) // 1_000, "metric": "latency", "service": "checkout", "value": 0.1}
    return {**whole, "labels": labels, **fields}


def packed(found: Any) -> bytes:
    return json.dumps(found).encode()


def recount(values: Iterable[bytes | None], rules: Iterable[MatchRule] = RULES) -> Counts:
    """What must come out, worked out sample by sample and rule by rule."""
    counts: Counts = {}
    for value in values:
        if value is None:
            continue
        try:
            samples = native.read(value, record_time_us=START_US, bounds=BOUNDS)
        except Unusable:
            continue
        for sample in samples:
            for rule in rules:
                good = judged(rule, sample) if in_force(rule, sample.time_us) else None
                if good is None or sample.reads in {"counters", "states"}:
                    continue
                out = excluded(rule, sample)
                key = series_of(rule, sample)
                row = (sample.weight * good, sample.weight, sample.weight * good * out, sample.weight * out)
                place = (key, sample.time_us // SLOT_US)
                before = counts.get(place, (0, 0, 0, 0))
                counts[place] = tuple(a + b for a, b in zip(before, row, strict=True))  # type: ignore[assignment]
    return counts


def surviving(records: Iterable[tuple[int, bytes | None]], horizon: int) -> list[tuple[int, bytes | None]]:
    """(offset, value) of one partition, without the native events that came before; without a value where none is left."""
    seen: list[tuple[int, str]] = []
    left: list[tuple[int, bytes | None]] = []
    for offset, value in records:
        events = _events(value)
        kept: list[Any] = []
        for each in events:
            name = each.get("id")
            if name is None or not any(offset - horizon <= at <= offset and name == other for at, other in seen):
                kept.append(each)
            if name is not None:
                seen.append((offset, name))
        if events and len(kept) < len(events):
            left.append((offset, packed(kept) if kept else None))
        else:
            left.append((offset, value))
    return left


def _events(value: bytes | None) -> list[dict[str, Any]]:
    """Nothing where not all of the record are events."""
    try:
        found = json.loads(value or b"")
    except ValueError:
        try:
            found = [json.loads(line) for line in (value or b"").splitlines()]
        except ValueError:
            return []
    events = found if isinstance(found, list) else [found]
    return events if all(isinstance(each, dict) and isinstance(each.get("metric"), str) for each in events) else []


def repoint(values: Iterable[bytes | None], rules: Iterable[MatchRule] = RULES) -> set[Point]:
    """The points of counters that ratios must carry, each with its series in place of a number for it."""
    found: set[Point] = set()
    for value in values:
        with suppress(Unusable):
            for sample in native.read(value or b"", record_time_us=START_US, bounds=BOUNDS):
                for rule in rules:
                    good = judged(rule, sample) if in_force(rule, sample.time_us) else None
                    if good is None or sample.reads != "counters":
                        continue
                    tag = tagged(Kind.COUNTER, good=int(good), total=1, excluded=excluded(rule, sample))
                    source = source_of(sample.metric, sample.labels)
                    found.add((series_of(rule, sample), source, tag, sample.time_us, sample.total, sample.start_us))
    return found


def in_force(rule: MatchRule, time_us: int) -> bool:
    return rule.from_us <= time_us and (rule.until_us is None or time_us < rule.until_us)


def excluded(rule: MatchRule, sample: Sample) -> bool:
    return any(each.where.matches(sample.metric, sample.labels) for each in rule.exclusions)


def series_of(rule: MatchRule, sample: Sample) -> SeriesKey:
    return SeriesKey(rule.indicator_id, tuple(sample.labels.get(name, "") for name in rule.group_by))


def points_of(keys: Sequence[SeriesKey], points: Points) -> list[Point]:
    """As `repoint` gives them; whichever are there twice are twice in the list."""
    table: list[list[int]] = points.columns.T.tolist()
    return [(keys[key], source, tag, time_us, value, start_us) for key, source, tag, time_us, value, start_us in table]


def judged(rule: MatchRule, sample: Sample) -> bool | None:
    """Whether a sample is good by a rule; None: not read."""
    indicator = rule.indicator
    if isinstance(indicator, RatioIndicator):
        if not indicator.total.matches(sample.metric, sample.labels):
            return None
        if indicator.bad is not None:
            return not indicator.bad.matches(sample.metric, sample.labels)
        assert indicator.good is not None
        return indicator.good.matches(sample.metric, sample.labels)
    assert isinstance(indicator, ThresholdIndicator)
    if sample.value is None or not indicator.metric.matches(sample.metric, sample.labels):
        return None
    compare: Mapping[str, bool] = {
        "lt": sample.value < indicator.bound,
        "lte": sample.value <= indicator.bound,
        "gt": sample.value > indicator.bound,
        "gte": sample.value >= indicator.bound,
    }
    return compare[indicator.op]


class Clock:
    """Stands still unless told."""

    def __init__(self, now_us: int = START_US + 3_600_000_000) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


EAGER = Pace(
    flush_after_us=0,
    flush_records=1,
    fetch_timeout_us=0,
    first_retry_us=1,
    last_retry_us=1,
    report_every_us=1,
    release_within_us=1_000_000,
)


class World:
    """One topic with its broker, ledger and definitions; workers come and go."""

    def __init__(self, partitions: int = 2, pace: Pace = EAGER, horizon: int | None = None) -> None:
        self.pace = pace
        self.horizons = Horizons({} if horizon is None else {TOPIC: horizon})
        self.clock = Clock()
        self.broker = MemoryBroker()
        self.broker.create(TOPIC, partitions)
        self.ledger = MemoryLedger()
        self.letters = MemoryDeadLetters()
        self.definitions = MemoryDefinitions(definitions())
        self.registry: Registry | None = None

    def send(self, value: bytes | None, partition: int = 0) -> int:
        return self.broker.append(Partition(TOPIC, partition), value, timestamp_us=START_US)

    def worker(
        self, name: str = "one", *, steps: Steps | None = None, observer: Observer | None = None
    ) -> tuple[Worker, MemoryLog]:
        log = self.broker.log(self.clock)
        worker = Worker(
            log=log,
            ledger=self.ledger,
            dead_letters=self.letters,
            definitions=self.definitions,
            registry=self.registry,
            topics=TopicChoice((TOPIC,)),
            horizons=self.horizons,
            clock=self.clock,
            name=name,
            pace=self.pace,
            observer=observer,
            steps=steps,
            jitter=lambda: 0.0,
        )
        return worker, log

    async def settled(self, workers: Sequence[Worker], turns: int = 200) -> None:
        """Turn the workers until everything in the log is committed; the clock goes on."""
        for _ in range(turns):
            self.clock.now_us += 1_000
            for worker in workers:
                await worker.turn()
            if self.all_committed():
                return
        raise AssertionError(f"not settled: {self.ledger.entries}")

    def all_committed(self) -> bool:
        for number, (_, end) in self.ends().items():
            entries = [each for each in self.ledger.entries if each.partition.number == number]
            if end and (not entries or entries[-1].next_offset != end):
                return False
        return True

    def ends(self) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = {}
        number = 0
        while self.broker.has(Partition(TOPIC, number)):
            found[number] = self.broker.bounds(Partition(TOPIC, number))
            number += 1
        return found

    def chains(self) -> bool:
        """Whether the entries of every epoch of every partition follow each other without a hole."""
        position: dict[tuple[Partition, int], int] = {}
        for entry in self.ledger.entries:
            place = (entry.partition, entry.epoch)
            if position.get(place, entry.read_from) != entry.read_from or entry.next_offset <= entry.read_from:
                return False
            position[place] = entry.next_offset
        return True
