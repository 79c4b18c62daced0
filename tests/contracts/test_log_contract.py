"""What every Log does: in memory, on the embedded broker, and on Apache Kafka."""

from __future__ import annotations

import pytest

from consumers.errors import PositionOutOfRange
from consumers.ports import Partition
from tests.contracts.clusters import Cluster, eventually, now_us
from tests.contracts.conftest import Joins


async def test_records_come_whole_and_in_order(cluster: Cluster, join: Joins, topic_name: str) -> None:
    """With key, value, headers, time and offset; the spans of a partition chain."""
    partition, sent_ms = Partition(topic_name, 0), now_us() // 1_000
    await cluster.create(topic_name)
    await cluster.append(partition, b"one", key=b"k", time_ms=sent_ms, headers=[("h", b"1"), ("h", b"2")])
    await cluster.append(partition, b"", None, key=b"n")  # a tombstone is not an empty value

    reader = await join(cluster, topic_name)
    first, *rest = await reader.read(3)

    assert (first.offset, first.key, first.value, first.timestamp_us) == (0, b"k", b"one", sent_ms * 1_000)
    assert list(first.headers) == [("h", b"1"), ("h", b"2")]
    assert [(each.offset, each.key, each.value, list(each.headers)) for each in rest] == [
        (1, b"n", b"", []),
        (2, b"n", None, []),
    ]
    ends = [0, *(each.next_offset for each in reader.fetched)]
    assert [each.read_from for each in reader.fetched] == ends[:-1]
    columns = reader.fetched[0].records
    assert (columns.offset(0), columns.time_us(0), columns.headers(0)) == (0, sent_ms * 1_000, first.headers)


async def test_reading_goes_on_where_it_was_told_to(cluster: Cluster, join: Joins, topic_name: str) -> None:
    """Into the middle, and back again."""
    partition = Partition(topic_name, 0)
    await cluster.create(topic_name)
    await cluster.append(partition, *(b"%d" % number for number in range(6)))
    reader = await join(cluster, topic_name, starts={partition: 4})
    assert [each.offset for each in await reader.read(2)] == [4, 5]
    reader.fetched.clear()

    await reader.log.seek(partition, 1)
    await reader.log.seek(Partition(topic_name, 7), 3)  # not ours: given up a moment ago, perhaps

    assert [each.offset for each in await reader.read(5)] == [1, 2, 3, 4, 5]
    assert reader.fetched[0].read_from == 1


async def test_the_end_of_the_log_is_seen_and_seen_anew(cluster: Cluster, join: Joins, topic_name: str) -> None:
    """Also of an empty partition. `asked_at_us` is at or before the sending of a fetch that found nothing beyond."""
    full, empty = Partition(topic_name, 0), Partition(topic_name, 1)
    await cluster.create(topic_name, 2)
    await cluster.append(full, b"one", b"two")
    reader = await join(cluster, topic_name)
    await reader.read(2)
    begun_us = now_us()

    def seen_us(partition: Partition, end: int) -> list[int]:
        at_end = [each for each in reader.fetched if (each.partition, each.end_offset) == (partition, end)]
        asked = [each.asked_at_us for each in at_end if each.next_offset == end and each.asked_at_us is not None]
        return [each for each in asked if each >= begun_us]

    for partition, end in ((full, 2), (empty, 0)):
        await reader.until(lambda: len(set(seen_us(partition, end))) > 1, "the end, asked for anew")  # noqa: B023
        asked = seen_us(partition, end)
        assert asked == sorted(asked)
        assert asked[-1] <= now_us()


async def test_two_members_share_the_partitions_and_one_takes_over(
    cluster: Cluster, join: Joins, topic_name: str
) -> None:
    """No partition is with both, and none is left alone."""
    both = {Partition(topic_name, 0), Partition(topic_name, 1)}
    await cluster.create(topic_name, 2)
    first = await join(cluster, topic_name)
    await first.until(lambda: first.held == both, "one member has both")
    second = await join(cluster, topic_name)

    async def shared() -> bool:
        await first.turn()
        await second.turn()
        return len(first.held) == len(second.held) == 1

    await eventually(shared, "one partition each")
    assert first.held | second.held == both
    for partition in both:
        await cluster.append(partition, b"shared")
    assert len(await first.read(1)) == len(await second.read(1)) == 1
    await first.log.stop()
    await second.until(lambda: second.held == both, "the other has both")
    second.fetched.clear()
    for partition in both:
        await cluster.append(partition, b"late")
    await second.until(lambda: [each.value for each in second.records()].count(b"late") == 2, "both partitions")


async def test_stopping_twice_is_stopping(cluster: Cluster, join: Joins, topic_name: str) -> None:
    """Shutdown runs whatever happened before."""
    await cluster.create(topic_name)
    reader = await join(cluster, topic_name)

    await reader.log.stop()
    await reader.log.stop()


# ------------------------------------------------- without the embedded broker: it takes seconds, or gets it wrong


async def test_nothing_is_read_before_it_is_said_from_where(
    exact_cluster: Cluster, join: Joins, topic_name: str
) -> None:
    """The log's own idea of where a group stands is never read from."""
    await exact_cluster.create(topic_name)
    await exact_cluster.append(Partition(topic_name, 0), b"one")
    reader = await join(exact_cluster, topic_name)
    while not reader.held:
        assert not await reader.log.fetch(50_000, 10)
    for _ in range(3):
        assert not await reader.log.fetch(50_000, 10)

    assert [each.value for each in await reader.read(1)] == [b"one"]


async def test_a_fetch_brings_no_more_than_is_asked(exact_cluster: Cluster, join: Joins, topic_name: str) -> None:
    """And the next one the rest."""
    await exact_cluster.create(topic_name)
    await exact_cluster.append(Partition(topic_name, 0), *(b"%d" % number for number in range(7)))

    reader = await join(exact_cluster, topic_name, most=3)

    assert [each.offset for each in await reader.read(7)] == list(range(7))
    assert max(len(each.records.values) for each in reader.fetched) <= 3


async def test_the_group_is_told_the_positions(exact_cluster: Cluster, join: Joins, topic_name: str) -> None:
    """For lag tools."""
    partition = Partition(topic_name, 0)
    group: str = join.group  # type: ignore[attr-defined]
    await exact_cluster.create(topic_name)
    await exact_cluster.append(partition, b"one", b"two")
    reader = await join(exact_cluster, topic_name)
    await reader.read(2)

    await reader.log.hint({partition: 2})

    assert await exact_cluster.hinted(group, partition) == 2


async def test_bounds_are_the_first_offset_and_the_end(exact_cluster: Cluster, join: Joins, topic_name: str) -> None:
    """Of an empty partition, of one with records, and of one whose beginning is gone."""
    empty, full, cut = (Partition(topic_name, number) for number in range(3))
    await exact_cluster.create(topic_name, 3)
    for partition in (full, cut):
        await exact_cluster.append(partition, *(b"%d" % number for number in range(5)))
    await exact_cluster.drop_before(cut, 3)

    reader = await join(exact_cluster, topic_name)

    assert await reader.log.bounds([empty, full, cut]) == {empty: (0, 0), full: (0, 5), cut: (3, 5)}
    assert await reader.log.bounds([]) == {}


@pytest.mark.parametrize("start", [0, 2, 6, 1_000_000])
async def test_an_offset_that_the_log_does_not_hold_is_said_so(
    exact_cluster: Cluster, join: Joins, topic_name: str, start: int
) -> None:
    """Before its beginning or beyond its end; never skipped, never waited for."""
    partition, other = Partition(topic_name, 0), Partition(topic_name, 1)
    await exact_cluster.create(topic_name, 2)
    await exact_cluster.append(partition, *(b"%d" % number for number in range(5)))
    await exact_cluster.drop_before(partition, 3)
    reader = await join(exact_cluster, topic_name, starts={partition: start, other: 0})

    with pytest.raises(PositionOutOfRange) as beyond:
        await reader.until(lambda: False, "out of range")

    assert beyond.value.partitions == {partition}
    reader.fetched.clear()
    await reader.log.seek(partition, 3)
    assert [each.offset for each in await reader.read(2)] == [3, 4]


@pytest.mark.parametrize("also_named", [True, False], ids=["and by name", "only"])
async def test_topics_are_read_by_pattern(cluster: Cluster, join: Joins, topic_name: str, *, also_named: bool) -> None:
    """Those that are there and those that come, but no dead letters, nor a topic that only contains a match."""
    named = f"x-{topic_name}"
    for each in (named, f"{topic_name}-1", f"{topic_name}-1.dlq", f"a-{topic_name}-1"):
        await cluster.create(each)
        await cluster.append(Partition(each, 0), each.encode())
    reader = await join(cluster, *([named] if also_named else []), pattern=f"{topic_name}-[0-9]+")
    found = {f"{topic_name}-1", *([named] if also_named else [])}
    assert {each.value.decode() for each in await reader.read(len(found))} == found  # type: ignore[union-attr]

    await cluster.create(f"{topic_name}-22")
    await cluster.append(Partition(f"{topic_name}-22", 0), b"later")

    assert b"later" in {each.value for each in await reader.read(len(found) + 1)}
    assert {each.topic for each in reader.held} == {*found, f"{topic_name}-22"}
