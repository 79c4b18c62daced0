"""One partition that is ours: positions, spans, fingerprints and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consumers.combining import record_crc
from consumers.formats.choice import Formats
from consumers.memory import MemoryRecords
from consumers.ports import Fetched, Partition, Position, Record
from consumers.reading import Lens, Reading, Taken, gap
from tests.consumers.worlds import START_US, definitions, event, packed

PARTITION = Partition("events", 0)
NOW_US = START_US + 60_000_000
LENS = Lens.of(definitions(), Formats())
LAST = Record(9, START_US, b"k", packed(event()))
KNOWN = Position(3, 10, record_crc(LAST), START_US)


START = Position(3, 10)


def reading(position: Position = START) -> Reading:
    """Placed at an offset."""
    made = Reading(PARTITION)
    made.place(position, LENS, 600_000_000)
    return made


def fetched(
    read_from: int,
    next_offset: int,
    records: Sequence[Record] = (),
    *,
    end: int | None = None,
    asked_at_us: int | None = NOW_US - 5,
) -> Fetched:
    return Fetched(PARTITION, MemoryRecords(records), read_from, next_offset, end, asked_at_us)


def at(*offsets: int) -> list[Record]:
    return [Record(offset, START_US, None, packed(event(offset * 1_000_000))) for offset in offsets]


def test_a_reading_that_was_never_placed_has_nothing() -> None:
    """Nor does one whose work was thrown away."""
    new, thrown = Reading(PARTITION), reading()
    thrown.take(fetched(10, 12, at(10, 11)), NOW_US)
    thrown.forget()

    for each in (new, thrown):
        assert not each.placed
        assert (each.pending_records, each.pending_letter_bytes, each.waiting_since_us) == (0, 0, None)


def test_entries_chain_over_offsets_that_hold_no_record() -> None:
    """Each begins where the last one ended."""
    made = reading()
    assert made.take(fetched(10, 14, at(10, 12)), NOW_US) is Taken.READ
    first = made.cut().entry
    assert not made.moved
    assert made.take(fetched(14, 20), NOW_US + 1) is Taken.READ
    second = made.cut().entry

    assert [(each.epoch, each.read_from, each.next_offset, each.records) for each in (first, second)] == [
        (3, 10, 14, 2),
        (3, 14, 20, 0),
    ]
    assert (first.clock_us, second.clock_us) == (NOW_US, NOW_US + 1)
    assert (first.last_record_crc, first.last_record_time_us) == (record_crc(at(12)[0]), START_US)
    assert (second.last_record_crc, second.last_record_time_us, second.max_event_us) == (None, None, None)


def test_the_wait_is_that_of_the_oldest_span_that_is_not_cut() -> None:
    """A fetch that brought nothing does not begin one."""
    made = reading()
    made.take(fetched(10, 10, end=10), NOW_US)
    assert made.waiting_since_us is None
    made.take(fetched(10, 11, at(10)), NOW_US + 1)
    made.take(fetched(11, 12, at(11)), NOW_US + 2)
    assert made.waiting_since_us == NOW_US + 1

    made.cut()

    assert made.waiting_since_us is None


@pytest.mark.parametrize("read_from", [9, 11, 0])
def test_a_span_from_elsewhere_changes_nothing(read_from: int) -> None:
    """A hole, or records twice, otherwise."""
    made = reading()

    assert made.take(fetched(read_from, 15, at(12)), NOW_US) is Taken.STRAY

    assert (made.position, made.moved, made.pending_records, made.lag) == (10, False, 0, None)


def test_a_known_log_is_read_from_one_record_earlier() -> None:
    """That one is compared, and not counted again."""
    made = reading(KNOWN)
    assert made.seek_to == 9

    assert made.take(fetched(9, 12, [LAST, *at(10, 11)]), NOW_US) is Taken.READ

    assert (made.seek_to, made.pending_records) == (12, 2)


def test_a_span_that_ends_before_our_position_waits_for_the_record_to_compare() -> None:
    """The doubt stays, whatever the end of the log is said to be."""
    made = reading(KNOWN)

    assert made.take(fetched(9, 9, asked_at_us=None), NOW_US) is Taken.READ

    assert (made.seek_to, made.moved) == (9, False)
    assert made.take(fetched(9, 10, [LAST]), NOW_US) is Taken.READ
    assert (made.seek_to, made.moved) == (10, False)


@pytest.mark.parametrize(
    "other",
    [
        Record(9, START_US, b"k", b"other"),
        Record(9, START_US, None, LAST.value),
        Record(9, START_US + 1, b"k", LAST.value),
    ],
    ids=["value", "key", "time"],
)
def test_another_record_at_our_last_offset_is_another_log(other: Record) -> None:
    """Nothing of it is counted."""
    made = reading(KNOWN)

    assert made.take(fetched(9, 11, [other, *at(10)]), NOW_US) is Taken.ANEW

    assert (made.position, made.pending_records) == (10, 0)


def test_an_unknown_time_is_not_compared() -> None:
    """The checksum alone decides then."""
    made = reading(Position(3, 10, record_crc(LAST), None))

    assert made.take(fetched(9, 10, [Record(9, 7, b"k", LAST.value)]), NOW_US) is Taken.READ


@pytest.mark.parametrize("position", [Position(1, 0, 77, 88), Position(1, 10, None, None)])
def test_nothing_is_compared_at_a_logs_beginning_or_without_a_fingerprint(position: Position) -> None:
    """There is no record before offset 0."""
    assert reading(position).seek_to == position.offset


def test_a_log_that_was_looked_at_is_trusted() -> None:
    """Its record before our position is gone, or it is short for a moment."""
    made = reading(KNOWN)
    made.take(fetched(9, 9, end=4), NOW_US)
    assert made.short_for_us(NOW_US + 3) == 3

    made.trust(4)

    assert (made.seek_to, made.short_for_us(NOW_US + 3)) == (10, 0)


def test_a_short_log_is_short_since_it_was_first_seen_so() -> None:
    """Until its end is at our position again."""
    made = reading()
    for after in (0, 5):
        made.take(fetched(10, 10, end=4), NOW_US + after)
    assert made.short_for_us(NOW_US + 7) == 7

    made.take(fetched(10, 10, end=10), NOW_US + 8)

    assert made.short_for_us(NOW_US + 9) == 0


def test_lag_is_what_the_log_holds_beyond_our_position() -> None:
    """Never negative; None until the log has told its end."""
    made = reading()
    assert made.lag is None
    made.take(fetched(10, 12, at(10, 11), end=15), NOW_US)
    assert made.lag == 3

    made.take(fetched(12, 12, end=4), NOW_US)

    assert made.lag == 0


def test_a_status_says_where_the_end_was_seen_and_not_where_it_is_thought_to_be() -> None:
    """Only a fetch that ended at the end of the log has seen it."""
    made = reading()
    made.take(fetched(10, 12, at(10, 11), end=15), NOW_US)
    assert (made.status(NOW_US, "w").end_position, made.status(NOW_US, "w").high_watermark) == (None, 15)

    made.take(fetched(12, 15, at(12, 14), end=15, asked_at_us=NOW_US - 2), NOW_US + 1)

    status = made.status(NOW_US + 9, "w")
    assert (status.partition, status.epoch, status.position, status.worker) == (PARTITION, 3, 10, "w")
    assert (status.end_position, status.end_seen_us, status.clock_us) == (15, NOW_US - 2, NOW_US + 9)
    assert status.last_record_us == NOW_US + 1


def test_an_end_that_was_seen_is_forgotten_when_the_reading_is_placed_anew() -> None:
    """The position may have gone back."""
    made = reading()
    made.take(fetched(10, 10, end=10), NOW_US)
    assert made.status(NOW_US, "w").end_position == 10

    made.place(Position(3, 5), LENS, 600_000_000)

    assert made.status(NOW_US, "w").end_position is None


def test_the_watermark_is_the_greatest_event_time_cut_so_far() -> None:
    """Late records do not set it back."""
    made = reading()
    for offset, record in enumerate([*at(20), *at(4)], 10):
        made.take(fetched(offset, offset + 1, [record]), NOW_US)
        made.cut()

    assert made.watermark_us == START_US + 20_000_000


def test_a_gap_is_an_entry_without_counts() -> None:
    """From where we are to where the log begins."""
    entry = gap(reading(), 25, NOW_US)

    assert (entry.partition, entry.epoch, entry.read_from, entry.next_offset, entry.gap) == (PARTITION, 3, 10, 25, True)
    assert (entry.keys, entry.records, entry.samples, entry.dead, entry.max_event_us) == ((), 0, 0, 0, None)
    columns = (entry.key, entry.slot, entry.good, entry.total, entry.excluded_good, entry.excluded_total)
    assert [len(column) for column in columns] == [0] * 6
    assert (entry.last_record_crc, entry.last_record_time_us, entry.clock_us) == (None, None, NOW_US)
