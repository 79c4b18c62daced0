"""`ports.Log` over an aiokafka consumer in a group.

Kafka's own committed offsets are never read from: a partition is paused from its assignment until `seek`, and what slips
through before is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata

from consumers.errors import LogUnavailable, PositionOutOfRange
from consumers.kafka.breaks import Breaks
from consumers.kafka.connection import KafkaConnection
from consumers.kafka.denials import Denials
from consumers.kafka.reasons import in_words, unreachable, why_not
from consumers.ports import AssignmentListener, Fetched, Partition, Record
from consumers.topics import TopicChoice

_log: Final = structlog.stdlib.get_logger(__name__)

_MILLIS: Final = 1_000
_SECOND_US: Final = 1_000_000
_FETCH_GRACE_S: Final = 1.0  # a rebalance makes aiokafka wait without a bound of its own
_BOUNDS_S: Final = 10.0
_HINT_S: Final = 1.0
_STOOD_STILL_US: Final = _SECOND_US
"""Between two answers, and at least for twice `fetch_max_wait_ms`, within which a consumer that waits has one. Whoever was
frozen reads on in a log that may be another."""
_CHEAP: Final = (1_000, 1 << 20)
"""Records and bytes that are soon read again. With more, there was much to read, and standing still for longer is usual."""
_STOOD_STILL_BUSY_US: Final = 10 * _SECOND_US
_UNHEARD_US: Final = 30 * _SECOND_US
"""Without an answer to any fetch. aiokafka connects again and again without a word, by what it was given once."""
_AWAY_US: Final = 5 * _SECOND_US
"""Between two calls of `fetch`: nobody listened (a ledger that was away, a frozen process)."""
_REOPEN_AFTER: Final = 5  # failures in a row; aiokafka's background tasks do not come back from every error

_SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,  # the ledger owns the offsets; Kafka's are a hint
    "auto_offset_reset": "none",  # never skip silently: out of range is looked at
    "isolation_level": "read_committed",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3_000,
    "rebalance_timeout_ms": 30_000,
    "fetch_max_wait_ms": 250,  # how soon the end of an idle log is seen anew
    "metadata_max_age_ms": 20_000,  # a new partition, and a topic made anew, is noticed within this
    "max_partition_fetch_bytes": 4 * 1024 * 1024,
}


class KafkaRecords:
    """Records as aiokafka gives them; ours are made only when one is asked for."""

    __slots__ = ("_records", "values")

    def __init__(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        self._records = records
        self.values: Sequence[bytes | None] = [record.value for record in records]

    def offset(self, index: int) -> int:
        return self._records[index].offset

    def time_us(self, index: int) -> int:
        return self._records[index].timestamp * _MILLIS

    def headers(self, index: int) -> Sequence[tuple[str, bytes]]:
        found = self._records[index].headers
        return tuple((name, value or b"") for name, value in found) if found else ()

    def record(self, index: int) -> Record:
        record = self._records[index]
        return Record(record.offset, record.timestamp * _MILLIS, record.key, record.value, self.headers(index))


@dataclass(slots=True)
class _Held:
    """A partition that may be read. `answered_us`: when the newest fetch answer seen so far arrived, or, before the
    first, a moment before any fetch of this assignment was sent.
    """

    position: int
    answered_us: int
    asked_us: int | None = None

    def stood_still(self, values: Sequence[bytes | None], wait_us: int) -> bool:
        """For longer before the newest answer, which brought these values, than fetching takes with waits of `wait_us`."""
        if self.asked_us is None or self.answered_us - self.asked_us <= max(_STOOD_STILL_US, 2 * wait_us):
            return False
        records, size = _CHEAP
        cheap = len(values) < records and sum(len(value or b"") for value in values) < size
        return cheap or self.answered_us - self.asked_us > _STOOD_STILL_BUSY_US


_NOTHING: Final = KafkaRecords(())


class KafkaLog:
    """One member of the group `group`. `settings` are aiokafka consumer settings, over the defaults here."""

    def __init__(
        self,
        connection: KafkaConnection,
        group: str,
        clock: Callable[[], int],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection = connection
        self._group = group
        self._clock = clock
        self._settings: dict[str, Any] = {
            **_SETTINGS,
            "client_rack": connection.rack,
            **connection.consumer_options,
            **(settings or {}),
        }
        self._topics = TopicChoice(())
        self._rebalances: _Rebalances | None = None
        self._breaks = Breaks()
        self._denials = Denials(connection)
        self._consumer: Any | None = None
        self._failures = 0
        self._heard_us = self._listened_us = 0
        self._hint_failed = False

    async def start(self, topics: TopicChoice, listener: AssignmentListener) -> None:
        """Joins the group in the background. Raises LogUnavailable."""
        self._topics = topics
        self._rebalances = _Rebalances(self, listener, self._clock)
        await self._open()

    async def fetch(self, timeout_us: int, max_records: int) -> Sequence[Fetched]:
        if self._consumer is None:
            await self._open()
        consumer, rebalances = self._opened()
        rebalances.raise_failure()
        self._denials.look(consumer)
        held = rebalances.held
        if held and self._unheard_us() > _UNHEARD_US:
            await self._find_out()
        try:
            async with asyncio.timeout(timeout_us / _SECOND_US + _FETCH_GRACE_S):
                records = await consumer.getmany(*held, timeout_ms=timeout_us // _MILLIS, max_records=max_records)
        except TimeoutError:
            return ()  # in the middle of a rebalance
        except OffsetOutOfRangeError as error:
            beyond = cast("Mapping[TopicPartition, int]", error.args[0])
            raise PositionOutOfRange([_ours(each) for each in beyond]) from error
        except (NoOffsetForPartitionError, IllegalStateError):
            return ()  # a partition that nobody has sought yet, or that has just been given up
        except TopicAuthorizationFailedError as error:
            self._denials.fetched(error)
            return ()  # the other topics are read on
        except KafkaError as error:
            raise await self._failed(error) from error
        self._failures = 0
        fetched = [
            each for each in [await self._fetched(part, held, records.get(part)) for part in tuple(held)] if each
        ]
        for _ in range(3):  # lets aiokafka send its next fetch, which is then under way while this one is decoded
            await asyncio.sleep(0)
        return fetched

    async def seek(self, partition: Partition, offset: int) -> None:
        consumer, rebalances = self._opened()
        part = TopicPartition(*partition)
        if part not in consumer.assignment():
            return  # given up meanwhile
        consumer.seek(part, offset)
        consumer.resume(part)
        state = rebalances.held.get(part)
        if state is None:
            rebalances.held[part] = _Held(offset, rebalances.since_us)
            self._heard_us = self._clock()
        else:
            state.position = offset

    async def bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        consumer, _ = self._opened()
        parts = [TopicPartition(*each) for each in partitions]
        try:
            async with asyncio.timeout(_BOUNDS_S):
                first = await consumer.beginning_offsets(parts)
                end = await consumer.end_offsets(parts)
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailable(f"the bounds of partitions are not known: {type(error).__name__}") from error
        return {_ours(part): (first[part], end[part]) for part in parts}

    async def hint(self, positions: Mapping[Partition, int]) -> None:
        try:
            consumer, rebalances = self._opened()
            parts = [(TopicPartition(*each), offset) for each, offset in positions.items()]
            offsets = {part: OffsetAndMetadata(offset, "") for part, offset in parts if part in rebalances.held}
            if not offsets:
                return  # given up meanwhile; aiokafka takes no empty commit
            async with asyncio.timeout(_HINT_S):
                await consumer.commit(offsets)
        except (KafkaError, LogUnavailable, TimeoutError) as error:
            if not self._hint_failed:
                _log.warning(
                    "Kafka was not told the offsets; lag tools show old ones.", action="hint_failed", error=repr(error)
                )
            self._hint_failed = True
        else:
            self._hint_failed = False

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def pause(self, parts: Collection[TopicPartition]) -> None:
        """Until `seek`."""
        consumer, _ = self._opened()
        consumer.pause(*parts)

    def _opened(self) -> tuple[Any, _Rebalances]:
        if self._consumer is None or self._rebalances is None:
            raise LogUnavailable("the consumer is not open")
        return self._consumer, self._rebalances

    async def _open(self) -> None:
        settings: dict[str, Any] = {**self._connection.client_settings(), **self._settings}
        consumer: Any = AIOKafkaConsumer(group_id=self._group, **settings)
        self._breaks.watch(consumer)
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise LogUnavailable(await unreachable(self._connection, error)) from error
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        self._heard_us = self._clock()
        if self._topics.pattern is None:
            consumer.subscribe(self._topics.names, listener=self._rebalances)
        else:
            consumer.subscribe(pattern=self._topics.expression, listener=self._rebalances)

    def _unheard_us(self) -> int:
        """How long no fetch has been answered while somebody listened."""
        now_us = self._clock()
        if now_us - self._listened_us > _AWAY_US:
            self._heard_us = now_us
        self._listened_us = now_us
        return now_us - self._heard_us

    async def _find_out(self) -> None:
        """No answer for long: say why, or, where a new client would get one, open a new client."""
        self._heard_us = self._clock()
        reason = await why_not(self._connection)
        if reason is None:
            await self._reopen("no answer, though the brokers let us in")
        raise LogUnavailable(f"the brokers do not answer: {reason or 'the consumer is opened anew'}")

    async def _reopen(self, why: str) -> None:
        _log.warning("The consumer does not recover and is opened anew.", action="consumer_reopened", error=why)
        _, rebalances = self._opened()
        await rebalances.give_up_all()
        await self.stop()
        self._failures = 0

    async def _failed(self, error: KafkaError) -> LogUnavailable:
        self._failures += 1
        if self._failures >= _REOPEN_AFTER:
            await self._reopen(repr(error))
        return LogUnavailable(f"fetching failed: {in_words(error, self._connection)}")

    async def _fetched(
        self,
        part: TopicPartition,
        held: dict[TopicPartition, _Held],
        records: Sequence[ConsumerRecord[bytes, bytes]] | None,
    ) -> Fetched | None:
        """What is new of one partition, if anything is."""
        consumer, _ = self._opened()
        state = held.get(part)
        if state is None or part not in consumer.assignment():
            return None
        first = state.asked_us is None
        read_from, state.position = state.position, await consumer.position(part)
        answered_ms = consumer.last_poll_timestamp(part)
        seen_anew = answered_ms is not None and answered_ms * _MILLIS > state.answered_us
        if answered_ms is not None and seen_anew:
            self._heard_us = self._clock()
            # A fetch is sent only after the one before it was answered: that answer's arrival is a bound from below.
            state.asked_us, state.answered_us = state.answered_us, answered_ms * _MILLIS
        if not records and not seen_anew and state.position == read_from:
            return None
        content = KafkaRecords(records) if records else _NOTHING
        wait_us = self._settings["fetch_max_wait_ms"] * _MILLIS
        broken = self._breaks.taken(part) or (seen_anew and state.stood_still(content.values, wait_us))
        self._denials.read(part.topic)
        end = consumer.highwater(part) if state.asked_us is not None else None
        return Fetched(_ours(part), content, read_from, state.position, end, state.asked_us, broken and not first)


class _Rebalances(ConsumerRebalanceListener):
    """aiokafka's callbacks to ours. It swallows what they raise, so that is kept for the next fetch to raise."""

    def __init__(self, log: KafkaLog, listener: AssignmentListener, clock: Callable[[], int]) -> None:
        self._log = log
        self._listener = listener
        self._clock = clock
        self._failure: Exception | None = None
        self.held: dict[TopicPartition, _Held] = {}
        self.since_us = clock()
        """Before the group's newest join: no fetch of the assignment that came of it is older."""

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # a coroutine is awaited
        self.since_us = self._clock()
        try:
            await self._listener.revoked([_ours(part) for part in revoked])
        except Exception as error:  # noqa: BLE001 - raised by the next fetch
            self._failure = error
        for part in revoked:
            self.held.pop(part, None)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            self._log.pause(assigned)
            await self._listener.assigned([_ours(part) for part in assigned])
        except Exception as error:  # noqa: BLE001 - raised by the next fetch
            self._failure = error

    async def give_up_all(self) -> None:
        held = tuple(self.held)
        self.held.clear()
        await self._listener.revoked([_ours(part) for part in held])

    def raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _ours(part: TopicPartition) -> Partition:
    return Partition(part.topic, part.partition)
