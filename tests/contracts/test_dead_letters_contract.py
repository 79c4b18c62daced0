"""What every DeadLetters does, and what the topic of dead letters then holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog
from structlog.testing import capture_logs

from consumers.dead_letters import headers_of, topic_of
from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaDeadLetters, KafkaTopics, producing
from consumers.memory import MemoryDeadLetters
from consumers.ports import DeadLetter, DeadLetters, Partition, Record
from service.devstack.children import free_ports
from tests.contracts.clusters import KafkaCluster, eventually, now_us
from tests.contracts.conftest import EMBEDDED, KAFKA, MEMORY


class Outlet:
    """An adapter, and what came out of it: (key, value, time, headers) by dead letter topic."""

    def __init__(self, letters: MemoryDeadLetters | KafkaDeadLetters, cluster: KafkaCluster | None) -> None:
        self.port: DeadLetters = letters
        self._letters = letters
        self._cluster = cluster

    async def arrived(self, topic: str, count: int) -> list[tuple[bytes | None, bytes, int, list[tuple[str, bytes]]]]:
        if self._cluster is None:
            assert isinstance(self._letters, MemoryDeadLetters)
            sent = [each for each in self._letters.sent if topic_of(each.partition.topic) == topic]
            return [
                (each.record.key, each.record.value or b"", each.record.timestamp_us, headers_of(each)) for each in sent
            ]
        found = await self._cluster.records(topic, count)
        return [(each.key, each.value, each.timestamp * 1_000, list(each.headers)) for each in found]

    async def stop(self) -> None:
        if isinstance(self._letters, KafkaDeadLetters):
            await self._letters.stop()


@pytest.fixture(params=[MEMORY, EMBEDDED, KAFKA])
async def outlet(request: pytest.FixtureRequest) -> AsyncIterator[Outlet]:
    """Any adapter, before its first letter."""
    if request.param == "memory":
        made = Outlet(MemoryDeadLetters(), None)
    else:
        address: str = request.getfixturevalue(request.param)
        idempotent = request.param == "kafka_address"
        letters = KafkaDeadLetters(KafkaConnection(address, idempotent=idempotent))
        made = Outlet(letters, KafkaCluster(address))
    yield made
    await made.stop()


def letter(topic: str, offset: int = 4, **fields: object) -> DeadLetter:
    """A letter about one record; `fields` are the record's."""
    whole = Record(offset, now_us() // 1_000 * 1_000, b"k", b"{", (("trace", b"7"),))
    return DeadLetter(Partition(topic, 2), replace(whole, **fields), "not_json", "the record is not JSON (byte 1)")


async def test_a_letter_is_the_record_with_why_and_from_where(outlet: Outlet, topic_name: str) -> None:
    """Key, value, time and headers as they were; ours behind them. The topic is made on first need."""
    sent = letter(topic_name)

    await outlet.port.send([sent])

    assert await outlet.arrived(f"{topic_name}.dlq", 1) == [
        (
            b"k",
            b"{",
            sent.record.timestamp_us,
            [
                ("trace", b"7"),
                ("upheld-error", b"not_json"),
                ("upheld-reason", b"the record is not JSON (byte 1)"),
                ("upheld-topic", topic_name.encode()),
                ("upheld-partition", b"2"),
                ("upheld-offset", b"4"),
            ],
        )
    ]


async def test_letters_of_several_topics_go_each_to_its_own(outlet: Outlet, topic_name: str) -> None:
    """In their order, over several calls."""
    await outlet.port.send([letter(topic_name, 1), letter(f"{topic_name}-b", 2), letter(topic_name, 3)])
    await outlet.port.send([letter(topic_name, 4)])

    first = await outlet.arrived(f"{topic_name}.dlq", 3)
    second = await outlet.arrived(f"{topic_name}-b.dlq", 1)
    assert [dict(headers)["upheld-offset"] for *_, headers in first] == [b"1", b"3", b"4"]
    assert [dict(headers)["upheld-offset"] for *_, headers in second] == [b"2"]


async def test_a_letter_may_lack_key_and_value(outlet: Outlet, topic_name: str) -> None:
    """An empty record is one that cannot be used, too."""
    await outlet.port.send([letter(topic_name, key=None, value=b"", headers=())])

    ((key, value, _, headers),) = await outlet.arrived(f"{topic_name}.dlq", 1)
    assert (key, value) == (None, b"")
    assert headers[0] == ("upheld-error", b"not_json")


async def test_no_letters_are_no_work(outlet: Outlet) -> None:
    """Not even a topic is looked for."""
    await outlet.port.send([])


# ------------------------------------------------------------------------------------------------------- on Kafka only


@pytest.fixture
async def letters(kafka: KafkaCluster) -> AsyncIterator[KafkaDeadLetters]:
    """To Apache Kafka."""
    made = KafkaDeadLetters(kafka.connection)
    yield made
    await made.stop()


async def test_a_record_without_a_time_gets_the_time_of_its_letter(
    letters: KafkaDeadLetters, kafka: KafkaCluster, topic_name: str
) -> None:
    """Kafka refuses negative ones."""
    begun_ms = now_us() // 1_000

    await letters.send([letter(topic_name, timestamp_us=-1_000)])

    (arrived,) = await kafka.records(f"{topic_name}.dlq", 1)
    assert begun_ms <= arrived.timestamp <= now_us() // 1_000


TOO_LARGE = [pytest.param(100_000, id="for the topic"), pytest.param(17 * 1024 * 1024, id="for any request")]


@pytest.mark.parametrize("size", TOO_LARGE)
async def test_a_letter_that_is_too_large_goes_without_its_value(
    letters: KafkaDeadLetters, kafka: KafkaCluster, topic_name: str, size: int
) -> None:
    """It must not hold up all others; a header says how large the value was."""
    await kafka.create(f"{topic_name}.dlq", settings={"max.message.bytes": "50000"})

    await letters.send([letter(topic_name, 1), letter(topic_name, 2, value=b"x" * size), letter(topic_name, 3)])

    arrived = {dict(each.headers)["upheld-offset"]: each for each in await kafka.records(f"{topic_name}.dlq", 3)}
    assert arrived[b"2"].value == b""
    assert dict(arrived[b"2"].headers)["upheld-truncated"] == b"%d" % size


async def test_a_letter_that_is_too_large_costs_its_neighbours_nothing(
    letters: KafkaDeadLetters, kafka: KafkaCluster, topic_name: str
) -> None:
    """Those that the topic takes go whole, though they share a batch."""
    await kafka.create(f"{topic_name}.dlq", settings={"max.message.bytes": "50000"})

    await letters.send([letter(topic_name, 1), letter(topic_name, 2, value=b"x" * 100_000), letter(topic_name, 3)])

    arrived = {dict(each.headers)["upheld-offset"]: each for each in await kafka.records(f"{topic_name}.dlq", 3)}
    assert [arrived[offset].value for offset in (b"1", b"2", b"3")] == [b"{", b"", b"{"]


async def test_letters_follow_one_that_was_refused(kafka: KafkaCluster, topic_name: str) -> None:
    """Also where producers are idempotent: a refused batch leaves a hole in their numbers."""
    letters = KafkaDeadLetters(replace(kafka.connection, idempotent=True))
    await kafka.create(f"{topic_name}.dlq", settings={"max.message.bytes": "50000"})
    await letters.send([letter(topic_name, 1, value=b"x" * 100_000)])

    await letters.send([letter(topic_name, 2)])

    assert len(await kafka.records(f"{topic_name}.dlq", 2)) == 2
    await letters.stop()


async def test_letters_that_are_not_taken_for_long_are_said_once(
    letters: KafkaDeadLetters, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading waits for them, and nobody would know why."""
    structlog.reset_defaults()  # `quiet` brings its own back
    await letters.send([letter(topic_name, 1)])
    with capture_logs() as quick:
        await letters.send([letter(topic_name, 2)])
    monkeypatch.setattr(producing, "_SLOW_S", 0)
    with capture_logs() as slow:
        await letters.send([letter(topic_name, 3)])
    said = [(line["action"], line["topics"], line["letters"]) for line in slow]
    assert (quick, said) == ([], [("dead_letters_waiting", [f"{topic_name}.dlq"], 1)])


@pytest.mark.parametrize("size", TOO_LARGE)
async def test_a_letter_that_is_too_large_even_so_is_said_to_be_unavailable(
    letters: KafkaDeadLetters, kafka: KafkaCluster, topic_name: str, size: int
) -> None:
    """Its headers alone are beyond the bound: somebody must mend the topic."""
    await kafka.create(f"{topic_name}.dlq", settings={"max.message.bytes": "50000"})

    with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
        await letters.send([letter(topic_name, headers=(("h", b"x" * size),))])


async def test_a_topic_of_letters_that_is_there_is_left_as_it_is(
    letters: KafkaDeadLetters, kafka: KafkaCluster, topic_name: str
) -> None:
    """Somebody gave it its partitions and its retention."""
    await kafka.create(f"{topic_name}.dlq", 3)

    await letters.send([letter(topic_name)])

    assert await KafkaTopics(kafka.connection).partitions(f"{topic_name}.dlq") == 3


async def test_letters_wait_for_a_broker_that_is_away(topic_name: str) -> None:
    """The worker commits nothing before they are safe."""
    (port,) = free_ports(1)
    letters = KafkaDeadLetters(KafkaConnection(f"127.0.0.1:{port}"))

    with pytest.raises(LogUnavailable):
        await letters.send([letter(topic_name)])

    await letters.stop()


async def test_a_topic_of_letters_that_was_deleted_is_made_anew(kafka: KafkaCluster, topic_name: str) -> None:
    """The worker tries again, and must not try in vain for ever."""
    letters = KafkaDeadLetters(kafka.connection, {"request_timeout_ms": 2_000, "metadata_max_age_ms": 300})
    await letters.send([letter(topic_name, 1)])
    await kafka.delete(f"{topic_name}.dlq")

    async def sent() -> bool:
        try:
            await letters.send([letter(topic_name, 2)])
        except LogUnavailable:
            return False
        return True

    await eventually(sent, "a letter to the new topic")
    (arrived,) = await kafka.records(f"{topic_name}.dlq", 1)
    assert dict(arrived.headers)["upheld-offset"] == b"2"
    await letters.stop()
