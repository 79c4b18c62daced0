"""One grouped pass: records in, counts per (series, slot) out.

Per event there is a decode, one look-up by (metric, labels), one by slot, an addition, and a comparison per threshold.
Which series a count belongs to is worked out once per flush, not once per event.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from consumers import carrying
from consumers.carrying import Held
from consumers.cells import Bucket, Cell, add_route, columns_of
from consumers.formats import native
from consumers.formats.avro import SchemaById, no_registry
from consumers.formats.catalogue import reader
from consumers.formats.choice import Format
from consumers.formats.native import LARGEST_VALUE, Wire
from consumers.formats.samples import Payload, Sample
from consumers.formats.series import checked_metric
from consumers.formats.times import EARLIEST_US, SECONDS_LENGTH, EventTimes, TimeBounds
from consumers.formats.unusable import Unusable
from consumers.matching import UNMATCHED, Matcher
from consumers.ports import DeadLetter, Partition, Record, Records, SeriesKey
from consumers.routing import Reads
from evaluators.points import Points
from evaluators.slots import Int64s

_BUCKETS_KEPT: Final = 50_000
_LONGEST_KEPT: Final = 4_096  # characters of labels; with the bound above, what is remembered stays in memory

_DECODE_ONE: Final = msgspec.json.Decoder(Wire).decode
_DECODE_LINES: Final = msgspec.json.Decoder(Wire).decode_lines
_DECODE_ARRAY: Final = msgspec.json.Decoder(list[Wire]).decode

REFUSED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)
"""What the strict decoders raise. The exact reading then says what is wrong, or that nothing is."""


Staged = tuple[Bucket, int, int, float, Sample | None]
"""A sample that is known to be good, before it counts: time_us, weight and value; the sample where there is more to it.
A plain tuple, since large batches make many.
"""


@dataclass(slots=True)
class Tally:
    """What a span held beside its counts. `max_event_us` is capped at the clock of the reading."""

    records: int = 0
    samples: int = 0
    unmatched: int = 0
    skipped: int = 0
    repeated: int = 0
    max_event_us: int | None = None
    last_record_crc: int | None = None
    last_record_time_us: int | None = None
    letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    letter_bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """`columns` has shape (6, rows): key, slot, good, total, excluded_good, excluded_total. Of `points`, the series is a key
    too.
    """

    keys: tuple[SeriesKey, ...]
    columns: Int64s
    points: Points


class Combiner:
    """Combines the records of one partition by one revision of the definitions; `cut` takes what has come together."""

    def __init__(
        self,
        partition: Partition,
        matcher: Matcher,
        slot_us: int,
        future_us: int,
        form: Format = "native",
        schemas: SchemaById = no_registry,
    ) -> None:
        self._partition = partition
        self._strict_first = form in {"auto", "native"}
        self._reader = reader(form, schemas)
        self._matcher = matcher
        self._slot_us = slot_us
        self._future_us = future_us
        self._times = EventTimes()
        self._counted: dict[object, Bucket] = {}  # kinds event and gauge, by (metric, labels as they came, service)
        self._deltas: dict[object, Bucket] = {}
        self._others: dict[Reads, dict[object, Bucket]] = {"counters": {}, "states": {}}
        self._touched: list[Bucket] = []
        self._tally = Tally()

    @property
    def records(self) -> int:
        """Read since the last cut."""
        return self._tally.records

    @property
    def letter_bytes(self) -> int:
        """Size of the dead letters since the last cut."""
        return self._tally.letter_bytes

    def take(  # noqa: C901, PLR0912, PLR0915 - one pass in one piece, as said below
        self, records: Records, first: int, after: int, clock_us: int
    ) -> None:
        """Count records [first, after), by index. One that cannot be used becomes a letter; its neighbours count.

        The usual record, one strict event, is dealt with here in one piece: a call per event would cost as much as
        counting it does.
        """
        tally = self._tally
        bounds = TimeBounds(EARLIEST_US, clock_us + self._future_us)
        earliest, latest = bounds.earliest_us, bounds.latest_us
        slot_us, decode = self._slot_us, _DECODE_ONE if self._strict_first else _refuse
        second, tail = self._times.seconds.get, self._times.tails.get
        counted, deltas = self._counted.get, self._deltas.get
        samples = unmatched = newest = 0
        values = records.values
        if after - first < len(values):
            values = values[first:after]
        for index, value in enumerate(values, first):
            try:
                event = decode(value)  # type: ignore[arg-type]  # None raises TypeError
            except REFUSED:
                event = None
            if event is None or len(value) > LARGEST_VALUE:  # type: ignore[arg-type]  # a value, since it was decoded
                newest = max(newest, self._unusual(records, index, value, bounds))
                continue
            try:
                text = event.time
                if isinstance(text, str):
                    second_us, tail_us = second(text[:SECONDS_LENGTH]), tail(text[SECONDS_LENGTH:])
                    if second_us is None or tail_us is None:
                        second_us, tail_us = self._times.of_text(text), 0
                    time_us = second_us + tail_us
                elif text is None and self._reader is not None and records.record(index).headers:
                    newest = max(newest, self._unusual(records, index, value, bounds))  # they may hold the time
                    continue
                else:
                    time_us = native.time_of(text, records.time_us(index), self._times)
                if not earliest <= time_us <= latest:
                    bounds.check(time_us)
                key = (event.metric, bytes(event.labels), event.service)
                if event.kind == "delta":
                    bucket, weight = deltas(key), native.delta_weight(event.value)
                else:
                    bucket, weight = counted(key), event.count
                if bucket is None:
                    bucket = self._first_sight(key, "deltas" if event.kind == "delta" else "values")
            except Unusable as reason:
                self._letter(records, index, reason)
                continue
            samples += 1
            newest = max(newest, time_us)
            if bucket.target is UNMATCHED:
                unmatched += 1
                continue
            if bucket.held is not None:
                self._hold(bucket, Held(time_us, weight, event.value))
                if not bucket.counts:
                    continue
            slot = time_us // slot_us
            cell = bucket.cells.get(slot)
            if cell is None:
                cell = self._open(bucket, slot, time_us)
            cell[0] += weight
            for place, cut in bucket.cuts:
                if event.value <= cut:
                    cell[place] += weight
        tally.records += after - first
        tally.samples += samples
        tally.unmatched += unmatched
        self._note(records, after - 1, newest, clock_us)

    def repeated(self, count: int) -> None:
        """So many of the records that had no value had one, and all that was in it came before."""
        self._tally.skipped -= count
        self._tally.repeated += count

    def cut(self) -> tuple[Rows, Tally]:
        """All that was counted since the last cut; nothing of it is kept."""
        keys: dict[SeriesKey, int] = {}
        rows: dict[tuple[int, int], list[int]] = {}
        points: list[tuple[int, ...]] = []
        for bucket in self._touched:
            held, target = bucket.held or [], bucket.target
            drained = bucket.drain(self._slot_us)
            for route in target.routes:
                if route.carry is not None:
                    between = None if route.cut is None else target.between[route.cut - len(target.cuts)]
                    carried = carrying.rows(held, route, keys.get(route.key, len(keys)), between, self._slot_us)
                    if carried:
                        keys.setdefault(route.key, len(keys))
                        points.extend(carried)
                    continue
                covered = [(slot, cell) for slot, at_us, cell in drained if route.covers(at_us)]
                if covered:  # a series that nothing came into is not named: naming it would admit it
                    add_route(route, covered, keys.setdefault(route.key, len(keys)), rows)
        self._touched.clear()
        for known in (self._counted, self._deltas, *self._others.values()):
            if len(known) > _BUCKETS_KEPT:
                known.clear()
        tally, self._tally = self._tally, Tally()
        return Rows(tuple(keys), columns_of(rows), Points.from_rows(points)), tally

    # ------------------------------------------------------------------------------------------------ the unusual

    def _unusual(self, records: Records, index: int, value: bytes | None, bounds: TimeBounds) -> int:
        """A record that the strict decoder refused: several events, none, or a looser one. Gives its newest time."""
        if value is None:
            self._tally.skipped += 1
            return 0
        try:
            staged = self._staged(records, index, value, bounds)
        except Unusable as reason:
            self._letter(records, index, reason)
            return 0
        self._add(staged)
        self._tally.samples += len(staged)
        self._tally.unmatched += bool(staged) and all(bucket.target is UNMATCHED for bucket, *_ in staged)
        latest_us = bounds.latest_us
        return max([time_us for _, time_us, *_ in staged if time_us <= latest_us], default=0)

    def _staged(self, records: Records, index: int, value: bytes, bounds: TimeBounds) -> list[Staged]:
        """All samples of a record, or Unusable: it counts whole or not at all."""
        record_time_us = records.time_us(index)
        headers = records.record(index).headers if self._reader is not None else ()
        if self._strict_first and not headers:
            events = _several(value)
            if events:
                return [self._stage(each, record_time_us, bounds) for each in events]
        if self._reader is not None:
            if len(value) > LARGEST_VALUE:
                raise Unusable("too_large", f"the record is larger than {LARGEST_VALUE:,} bytes")
            found = self._reader.read(Payload(value, record_time_us, self._times, dict(headers)))
            if found is not None:
                return self._stage_samples(found, bounds)
        samples = native.read(value, record_time_us=record_time_us, bounds=bounds, event_times=self._times)
        return self._stage_samples(samples, bounds)

    def _stage(self, event: Wire, record_time_us: int, bounds: TimeBounds) -> Staged:
        time_us = bounds.check(native.time_of(event.time, record_time_us, self._times))
        key = (event.metric, bytes(event.labels), event.service)
        if event.kind == "delta":
            bucket = self._deltas.get(key) or self._first_sight(key, "deltas")
            return bucket, time_us, native.delta_weight(event.value), event.value, None
        bucket = self._counted.get(key) or self._first_sight(key, "values")
        return bucket, time_us, event.count, event.value, None

    def _stage_samples(self, samples: Sequence[Sample], bounds: TimeBounds) -> list[Staged]:
        """Raises Unusable where an indicator reads a sample that it cannot count. Batches are large: one loop."""
        counted, deltas = self._counted.get, self._deltas.get
        earliest, latest = bounds.earliest_us, bounds.latest_us
        staged: list[Staged] = []
        for sample in samples:
            time_us, reads = sample.time_us, sample.reads
            if reads == "values":
                bucket = counted(sample.series)
            elif reads == "deltas":
                bucket = deltas(sample.series)
            else:
                bucket = self._others[reads].get(sample.series)
            if bucket is None:
                bucket = self._first_series(sample)
            if bucket.target is not UNMATCHED:
                if sample.unfit is not None and bucket.target.weighs:
                    raise Unusable(sample.unfit.code, sample.unfit.reason)
                if not earliest <= time_us <= latest:
                    bounds.check(time_us)
            staged.append((bucket, time_us, sample.weight, sample.value or 0.0, sample))
        return staged

    def _first_series(self, sample: Sample) -> Bucket:
        series, reads = sample.series, sample.reads
        bucket = Bucket(self._matcher.target(series.metric, series.labels, reads), self._slot_us)
        if series.size <= _LONGEST_KEPT:
            self._known(reads)[series] = bucket
        return bucket

    def _first_sight(self, key: tuple[str, bytes, str | None], reads: Reads) -> Bucket:
        """Raises Unusable (missing_metric, bad_metric, bad_labels)."""
        metric, raw, service = key
        labels = native.labels_of(raw, service)
        bucket = Bucket(self._matcher.target(checked_metric(metric), labels, reads), self._slot_us)
        if len(raw) <= _LONGEST_KEPT:
            self._known(reads)[key] = bucket
        return bucket

    def _known(self, reads: Reads) -> dict[object, Bucket]:
        if reads == "values":
            return self._counted
        return self._deltas if reads == "deltas" else self._others[reads]

    # -------------------------------------------------------------------------------------------------- counting

    def _open(self, bucket: Bucket, slot: int, time_us: int) -> Cell:
        if bucket.untouched:
            self._touched.append(bucket)
        return bucket.open(slot, time_us, self._slot_us)

    def _hold(self, bucket: Bucket, held: Held) -> None:
        if bucket.untouched:
            self._touched.append(bucket)
        assert bucket.held is not None, "its target carries"
        bucket.held.append(held)

    def _add(self, staged: Sequence[Staged]) -> None:
        slot_us = self._slot_us
        for bucket, time_us, weight, value, sample in staged:
            if bucket.target is UNMATCHED:
                continue
            if bucket.held is not None:
                held = Held(time_us, weight, value)
                if sample is not None:
                    held = Held(time_us, weight, value, sample.total, sample.start_us, sample.below)
                self._hold(bucket, held)
                if not bucket.counts:
                    continue
            slot = time_us // slot_us
            cell = bucket.cells.get(slot)
            if cell is None:
                cell = self._open(bucket, slot, time_us)
            cell[0] += weight
            for place, cut in bucket.cuts:
                if value <= cut:
                    cell[place] += weight
            for place, between in bucket.between:
                cell[place] += 0 if sample is None else between.share(sample.below, weight) or 0

    def _letter(self, records: Records, index: int, reason: Unusable) -> None:
        record = records.record(index)
        self._tally.letters.append(DeadLetter(self._partition, record, reason.code, reason.reason))
        self._tally.letter_bytes += len(record.value or b"")

    def _note(self, records: Records, last: int, newest_us: int, clock_us: int) -> None:
        tally = self._tally
        if newest_us:
            tally.max_event_us = max(tally.max_event_us or 0, min(newest_us, clock_us))
        record = records.record(last)
        tally.last_record_crc = record_crc(record)
        tally.last_record_time_us = record.timestamp_us


def record_crc(record: Record) -> int:
    """Checksum of a record, by which it is known again."""
    return zlib.crc32(record.value or b"", zlib.crc32(record.key or b""))


def _refuse(_: bytes) -> Wire:
    """For topics whose records are not native, whatever they look like."""
    raise TypeError


def _several(value: bytes) -> list[Wire]:
    """The strict events of an array or of lines; nothing where the exact reading must look."""
    if len(value) > LARGEST_VALUE:
        return []
    try:
        return _DECODE_ARRAY(value) if value[:1] == b"[" else _DECODE_LINES(value)
    except REFUSED:
        return []
