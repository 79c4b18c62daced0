"""Duplicates within a partition: the horizon's edges, records of several events, and ids that are read again."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.deduplication import Deduplicator, Seen
from consumers.errors import PositionOutOfRange
from consumers.formats.choice import Format, Formats
from consumers.horizons import Horizons
from consumers.memory import MemoryLog, MemoryRecords
from consumers.ports import Fetched, Partition, Position, Record
from consumers.reading import Lens, Reading, Taken
from tests.consumers.gates import turns
from tests.consumers.test_observing import Told
from tests.consumers.worlds import START_US, TOPIC, World, definitions, event, packed, recount
from tests.examples import examples

FIRST = Partition(TOPIC, 0)
NOW_US = START_US + 60_000_000


def named(name: object, **fields: Any) -> bytes:
    return packed(event(id=name, **fields))


def at(offset: int, value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record(offset, START_US, None, value, headers)


def sifted(records: Sequence[Record], form: Format = "auto", horizon: int = 10) -> list[bytes | None]:
    return list(Deduplicator(FIRST, form, horizon).sift(MemoryRecords(records), 0).values)


# ----------------------------------------------------------------------------------------------------------- the horizon


@pytest.mark.parametrize(("distance", "first"), [(1, False), (3, False), (4, True)])
def test_an_id_is_known_for_a_horizon_of_offsets(distance: int, first: bool) -> None:
    """The record that lies as far back as the horizon is the last one that is looked at."""
    seen = Seen(3)
    assert seen.first("a", 10)
    assert seen.first("a", 10 + distance) is first


def test_each_occurrence_is_seen_not_only_the_one_that_counted() -> None:
    """Otherwise what is a duplicate would hang on records beyond the horizon."""
    seen = Seen(3)
    assert [seen.first("a", offset) for offset in (0, 3, 6, 10)] == [True, False, False, True]


def test_an_id_that_comes_twice_in_a_record_is_seen() -> None:
    """Which of the two is the later one is plain."""
    seen = Seen(3)
    assert [seen.first("a", 5), seen.first("a", 5), seen.first("b", 5)] == [True, False, True]


def test_what_is_kept_is_bounded_by_the_horizon_and_by_number() -> None:
    """Records may hold thousands of events each."""
    seen = Seen(100, most=4)
    for number in range(10):
        seen.first(number, 0)
    assert len(seen) == 4
    assert [seen.first(number, 1) for number in (9, 5)] == [False, True]
    seen.first("later", 200)
    assert len(seen) == 1


@examples(200)
@given(
    log=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcde")), max_size=60),
    horizon=st.integers(1, 8),
    most=st.integers(1, 8),
    cut=st.integers(0, 60),
)
def test_what_is_remembered_anew_is_what_was_remembered(
    log: list[tuple[int, str]], horizon: int, most: int, cut: int
) -> None:
    """From the records of the horizon alone, also where there are more ids than are kept."""
    offset, records = 0, list[tuple[int, str]]()
    for step, name in log:
        offset += step
        records.append((offset, name))
    position = records[cut][0] if cut < len(records) else offset + 1
    whole, anew = Seen(horizon, most), Seen(horizon, most)
    for place, name in records:
        known = whole.first(name, place)
        if place < position - horizon:
            continue
        assert anew.first(name, place) == known or place < position


# ------------------------------------------------------------------------------------------------------------- records


def test_a_record_whose_events_came_before_has_no_value_left() -> None:
    """The record itself stays whole, for fingerprints."""
    records = MemoryRecords([at(0, named("a")), at(1, named("a", value=0.7)), at(2, named("b")), at(3, None)])
    found = Deduplicator(FIRST, "native", 10).sift(records, 0)
    assert found.values == [named("a"), None, named("b"), None]
    assert found.repeated == 1
    assert (found.record(1), found.offset(1), found.time_us(1), found.headers(1)) == (
        records.stored[1],
        1,
        START_US,
        (),
    )


def test_events_without_an_id_are_no_duplicates() -> None:
    """Nor are those of formats that have none."""
    other = b'{"fields": {"a": 1}, "name": "docker", "tags": {}, "timestamp": 1795449001, "id": "a"}'
    alike = [
        packed(event()),
        named(""),
        named(None),
        named([]),
        named(1.5),
        named(name=True),
        other,
        b"web latency=1 1",
    ]
    assert sifted([at(offset, value) for offset, value in enumerate(alike * 2)]) == alike * 2


def test_a_number_is_as_good_as_its_digits() -> None:
    """Emitters that changed how they write it still mean the same event."""
    assert sifted([at(0, named(17)), at(1, named("17"))]) == [named(17), None]


def test_of_several_events_in_a_record_only_those_that_came_before_are_left_out() -> None:
    """In an array, and in lines."""
    a, b, c, nameless = named("a"), named("b"), named("c"), packed(event())
    array = b" [" + b", ".join((b, a, nameless, b)) + b"]"
    lines = b"\n".join((a, b"", c, nameless, c)) + b"\n"
    found = sifted([at(0, a), at(1, array), at(2, lines), at(3, lines[: lines.index(nameless)])])
    assert found == [a, b"[" + b",".join((b, nameless)) + b"]", b"\n".join((c, nameless)), None]
    assert recount(found) == recount([a, b, nameless, c, nameless])


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[1]", b'[{"id": "a", "metric": "m"}, {"id": "a"}]', b'{"id": "a", "metric": 1}', b"\xff"],
)
def test_a_record_that_does_not_hold_events_of_one_kind_is_left_as_it_is(value: bytes) -> None:
    """It is for the readers to refuse, whole; and its ids are not seen."""
    found = sifted([at(0, value), at(1, value), at(2, named("a"))])
    assert found == [value, value, named("a")]


def test_a_record_larger_than_any_that_counts_is_not_looked_into() -> None:
    """It is a dead letter, and the exact reading says so."""
    large = named("a", padding="x" * 8 * 1024 * 1024)
    assert sifted([at(0, large), at(1, large)]) == [large, large]


pieces = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"[", b"]", b"{", b"}", b",", b"\n", b'"id":', b'"metric":"m"', b'"specversion":', b'"source":"/"']
    ),
    st.sampled_from([named("a"), named(1), b"1" * 5_000, b"1e400", b"[" * 3_000, b'"\\ud800"', b'"\xff"']),
)
headers = st.lists(
    st.tuples(st.sampled_from(["content-type", "ce_id", "ce_source", "ce_specversion"]), st.binary(max_size=4)),
    max_size=3,
)


@examples(300)
@given(
    sent=st.lists(st.tuples(st.lists(pieces, max_size=6).map(b"".join), headers), max_size=5),
    form=st.sampled_from(["auto", "native", "cloudevents"]),
)
def test_whatever_is_sent_is_sifted(sent: list[tuple[bytes, list[tuple[str, bytes]]]], form: Format) -> None:
    """What cannot be read has no ids; nothing is left in place of another event."""
    records = [at(offset, value, *found) for offset, (value, found) in enumerate(sent)]
    for before, after in zip(records, sifted(records, form), strict=True):
        assert after is None or after == before.value or len(after) < len(before.value or b"") + 2


def test_a_number_of_any_size_is_an_id_or_none() -> None:
    """Python writes out no numbers of more than 4,300 digits."""
    long, endless = (b'{"metric": "latency", "id": %b}' % (b"7" * digits) for digits in (30, 5_000))
    assert sifted([at(0, long), at(1, long), at(2, endless), at(3, endless)]) == [long, None, endless, endless]


@pytest.mark.parametrize("form", ["native", "auto"])
def test_arrays_and_lines_are_looked_into_by_native_topics_too(form: Format) -> None:
    """Whether the format is set or told."""
    a, b = named("a"), named("b")
    assert sifted([at(0, a), at(1, b"[" + a + b"]"), at(2, a + b"\n" + b)], form) == [a, None, b]


# --------------------------------------------------------------------------------------------------------- CloudEvents


def cloudevent(source: object, name: object, **fields: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "type": "t", "source": source, "id": name, "data": event(), **fields}


def binary(source: bytes, name: bytes) -> tuple[tuple[str, bytes], ...]:
    return (("ce_specversion", b"1.0"), ("ce_type", b"t"), ("ce_source", source), ("ce_id", name))


@pytest.mark.parametrize("form", ["auto", "cloudevents"])
def test_a_cloudevent_is_known_by_source_and_id_together(form: Format) -> None:
    """In structured and in binary mode alike; the data's own id says nothing."""
    structured = packed(cloudevent("/a", "1", data=event(id="x")))
    elsewhere = packed(cloudevent("/b", "1", data=event(id="x")))
    batch = packed([cloudevent("/a", "1"), cloudevent("/a", "2")])
    records = [
        at(0, structured),
        at(1, elsewhere),
        at(2, named("x"), *binary(b"/a", b"1")),
        at(3, named("x"), *binary(b"/a", b"3")),
        at(4, named("x"), *binary(b"/a", b"3")),
        at(5, batch, ("content-type", b"application/cloudevents-batch+json")),
    ]
    found = sifted(records, form)
    assert found[:5] == [structured, elsewhere, None, named("x"), None]
    assert found[5] == b"[" + packed(cloudevent("/a", "2")) + b"]"


def test_a_cloudevent_without_a_whole_name_is_no_duplicate() -> None:
    """Or one in an encoding that is not read."""
    avro = ("content-type", b"application/cloudevents+avro")
    alike = [
        at(0, packed(cloudevent("/a", None))),
        at(1, packed(cloudevent("", "1"))),
        at(2, packed(cloudevent("/a", 1))),
        at(3, named("x"), *binary(b"/a", b"")),
        at(4, named("x"), *binary(b"\xff", b"1")),
        at(5, packed(cloudevent("/a", "1")), avro),
    ]
    later = [Record(each.offset + 6, START_US, None, each.value, each.headers) for each in alike]
    assert sifted([*alike, *later], "cloudevents") == [each.value for each in alike] * 2


def test_headers_that_say_nothing_of_cloudevents_change_nothing() -> None:
    """Tracing puts its own on every record."""
    traced = ("traceparent", b"00-1-1-01")
    assert sifted([at(0, named("a"), traced), at(1, named("a"), traced)]) == [named("a"), None]
    whole = packed(cloudevent("/a", "1"))
    assert sifted([at(0, whole, traced), at(1, whole, traced)], "cloudevents") == [whole, None]


# -------------------------------------------------------------------------------------------------- reading back


LENS = Lens.of(definitions(), Formats(), Horizons({TOPIC: 4}))


def placed(offset: int, bounds: tuple[int, int] | None) -> Reading:
    made = Reading(FIRST)
    made.place(Position(0, offset), LENS, 600_000_000, bounds)
    return made


@pytest.mark.parametrize(
    ("offset", "bounds", "seek_to"),
    [
        (10, (0, 12), 6),
        (10, (8, 12), 8),
        (10, (10, 12), 10),
        (10, (11, 12), 10),  # out of range: a gap will be found
        (10, (0, 9), 10),  # out of range: another log
        (10, None, 6),  # unknown
        (3, (0, 12), 0),
        (0, (0, 0), 0),
    ],
)
def test_reading_begins_a_horizon_earlier_where_the_log_goes_so_far_back(
    offset: int, bounds: tuple[int, int] | None, seek_to: int
) -> None:
    """Where it does not hold the position, that is found out first."""
    assert placed(offset, bounds).seek_to == seek_to


def test_what_was_committed_is_read_for_its_ids_alone() -> None:
    """In pieces as they come; the entry begins where the last one ended."""
    made = placed(10, (0, 12))
    log = [at(offset, named(name)) for offset, name in enumerate("aabbccddeebf")]

    def take(first: int, after: int) -> Taken:
        return made.take(Fetched(FIRST, MemoryRecords(log[first:after]), first, after, 12, None), NOW_US)

    assert take(10, 12) is Taken.STRAY
    assert take(6, 9) is Taken.READ
    assert (made.seek_to, made.moved, made.pending_records) == (9, False, 0)
    assert take(9, 12) is Taken.READ
    assert made.seek_to == 12
    cut = made.cut()
    assert (cut.entry.read_from, cut.entry.next_offset, cut.entry.records) == (10, 12, 2)
    assert (cut.entry.samples, cut.tally.repeated, cut.tally.skipped) == (2, 0, 0)  # b lies 7 back, beyond the horizon


def test_reading_ids_again_for_long_is_told_once(said: list[MutableMapping[str, Any]]) -> None:
    """Somebody may wonder why nothing is counted."""
    made = placed(100, (0, 200))
    for step in range(4):
        log = MemoryRecords([at(96 + step, named(step))])
        made.take(Fetched(FIRST, log, 96 + step, 97 + step, 200, None), NOW_US + step * 2_000_000)
    assert [(each["action"], each["known"]) for each in said] == [("ids_recalled", 3)]


# --------------------------------------------------------------------------------------------------- the whole loop


async def read_so_far(world: World, names: Sequence[object]) -> None:
    """Events that a worker has read and committed; then it is gone."""
    for name in names:
        world.send(named(name))
    worker, log = world.worker("before")
    await world.settled([worker])
    await turns(worker, 1)
    await log.stop()


async def test_whoever_comes_next_knows_the_ids_and_counts_on_from_the_ledger() -> None:
    """Results are told by record."""
    world, told = World(1, horizon=3), Told()
    await read_so_far(world, "abcd")
    for name in "cae":
        world.send(named(name))
    worker, _ = world.worker(observer=told)

    await world.settled([worker])
    await turns(worker, 1)

    assert world.ledger.counts() == recount([named(each) for each in "abcdae"])  # a lay 5 back
    assert told.results == {"counted": 2, "duplicate": 1}


@pytest.mark.parametrize("horizon", [1, 3, 100])
@pytest.mark.parametrize("count", [2, 5, 9])
async def test_another_log_is_noticed_and_its_ids_are_its_own(count: int, horizon: int) -> None:
    """Shorter, as long as the old one, or longer: with the ids that the old one had."""
    world = World(1, horizon=horizon)
    await read_so_far(world, range(5))
    world.broker.create(TOPIC, 1)
    for number in range(count):
        world.send(named(number, value=0.7))
    worker, _ = world.worker()

    await turns(worker, 8)

    entries = [(each.epoch, each.read_from, each.next_offset, each.samples) for each in world.ledger.entries]
    assert entries[1:] == [(1, 0, count, count)]


async def test_a_gap_shortens_the_memory() -> None:
    """What the log has let go of was not seen."""
    world = World(1, horizon=10)
    await read_so_far(world, "abc")
    for name in "xydbd":
        world.send(named(name))
    world.broker.drop_before(FIRST, 5)
    worker, _ = world.worker()

    await world.settled([worker])

    assert [(each.read_from, each.next_offset, each.gap) for each in world.ledger.entries] == [
        (0, 3, False),
        (3, 5, True),
        (5, 8, False),
    ]
    assert world.ledger.entries[-1].samples == 2


def retained_from(world: World, log: MemoryLog, first: int) -> list[int]:
    """The log lets go of its beginning while the reader is on its way there. Gives where that one sought."""
    seek, sought = log.seek, list[int]()

    async def spied(partition: Partition, offset: int) -> None:
        if not sought:
            world.broker.drop_before(partition, first)
        sought.append(offset)
        await seek(partition, offset)

    log.seek = spied  # type: ignore[method-assign]
    return sought


async def test_records_that_are_let_go_of_while_ids_are_read_again_are_not_seen() -> None:
    """Reading back begins anew with what is left, and is no gap."""
    world = World(1, horizon=10)
    await read_so_far(world, "abcdef")
    for name in "adg":
        world.send(named(name))
    worker, log = world.worker()
    sought = retained_from(world, log, 2)

    await world.settled([worker])

    assert sought == [0, 2]
    assert world.ledger.entries[-1].samples == 2  # a and g
    assert not any(each.gap for each in world.ledger.entries)


async def test_another_log_is_noticed_although_it_begins_later_than_it_was_looked_for() -> None:
    """Our last record is still to be shown."""
    world = World(1, horizon=10)
    await read_so_far(world, range(5))
    world.broker.create(TOPIC, 1)
    for number in range(9):
        world.send(named(number, value=0.7))
    worker, log = world.worker()
    retained_from(world, log, 2)

    await turns(worker, 8)

    assert [(each.epoch, each.read_from, each.samples) for each in world.ledger.entries[1:]] == [(1, 2, 7)]


async def test_a_log_that_was_short_for_a_moment_is_read_back_after_all() -> None:
    """Its end was before our position when the partition came, and is not when it is looked at."""
    world = World(1, horizon=10)
    await read_so_far(world, "abc")
    world.send(named("a"))
    worker, log = world.worker()
    bounds, asked = log.bounds, list[object]()

    async def short(partitions: Any) -> Any:
        asked.append(partitions)
        found = await bounds(partitions)
        return dict.fromkeys(partitions, (0, 1)) if len(asked) == 1 else found

    log.bounds = short  # type: ignore[method-assign]
    await turns(worker, 1)
    log.faults.queue.append(PositionOutOfRange([FIRST]))

    await world.settled([worker])

    assert len(asked) == 2
    assert world.ledger.entries[-1].samples == 0
    assert {each.epoch for each in world.ledger.entries} == {0}
