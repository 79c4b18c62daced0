"""Records out: dead letters, and events from the command line, the API and the demo."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import structlog
from aiokafka import AIOKafkaProducer, partitioner
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    UnknownError,
    UnsupportedVersionError,
)

from consumers.dead_letters import headers_of, topic_of
from consumers.errors import LogUnavailable
from consumers.kafka.connection import KafkaConnection
from consumers.kafka.reasons import in_words, unreachable
from consumers.kafka.topics import KafkaTopics
from consumers.ports import DeadLetter

_log: Final = structlog.stdlib.get_logger(__name__)

_LARGEST_REQUEST: Final = 16 * 1024 * 1024  # a dead letter is a little larger than the record that the broker took
_BATCH_BYTES: Final = 256 * 1024
_IN_FLIGHT: Final = 64  # batches of one `send`
_STOP_S: Final = 10.0
_KEYS_KEPT: Final = 65_536
_SLOW_S: Final = 10.0
"""aiokafka tries for as long as the broker's refusal may pass (too few replicas, no leader): somebody must hear of it."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "max_request_size": _LARGEST_REQUEST,
    "max_batch_size": _BATCH_BYTES,
    "linger_ms": 0,
    "request_timeout_ms": 20_000,
}

_NO_IDEMPOTENCE: Final = (UnknownError, UnsupportedVersionError, ClusterAuthorizationFailedError)
"""How a broker refuses a producer id: it has none to give, or not to us."""


class _Producer:
    """An aiokafka producer that opens on first use, and again after it failed.

    Where the broker has no idempotent producers it goes on without: a retried send may then arrive twice.
    """

    def __init__(self, connection: KafkaConnection, settings: Mapping[str, Any] | None) -> None:
        self._connection = connection
        self._settings: dict[str, Any] = {
            **_SETTINGS,
            "enable_idempotence": connection.idempotent,
            **connection.producer_options,
            **(settings or {}),
        }
        self._opening = asyncio.Lock()
        self._open: Any | None = None

    async def get(self) -> Any:
        """Raises LogUnavailable."""
        async with self._opening:
            if self._open is None:
                try:
                    self._open = await self._started()
                except (KafkaError, OSError) as error:
                    raise LogUnavailable(await unreachable(self._connection, error)) from error
            return self._open

    async def _started(self) -> Any:
        producer: Any = AIOKafkaProducer(**self._connection.client_settings(), **self._settings)
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            if not self._settings["enable_idempotence"] or not isinstance(error, _NO_IDEMPOTENCE):
                raise
            _log.warning(
                "The broker has no idempotent producers; a retried send may arrive twice.",
                action="idempotence_refused",
                error=repr(error),
            )
            self._settings["enable_idempotence"] = False
            return await self._started()
        return producer

    async def close(self) -> None:
        producer, self._open = self._open, None
        if producer is not None:
            try:
                async with asyncio.timeout(_STOP_S):
                    await producer.stop()
            except (KafkaError, TimeoutError) as error:
                _log.warning("The producer did not stop in time.", action="producer_stop_failed", error=repr(error))


class KafkaDeadLetters:
    """`ports.DeadLetters`: to `<topic>.dlq`, which is created if it is missing."""

    def __init__(self, connection: KafkaConnection, settings: Mapping[str, Any] | None = None) -> None:
        # A batch that the broker refuses leaves a hole in the numbers of an idempotent producer, which then sends nothing
        # any more; and a letter may come twice.
        self._producer = _Producer(connection, {"enable_idempotence": False, **(settings or {})})
        self._connection = connection
        self._topics = KafkaTopics(connection)
        self._ensured: set[str] = set()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        for topic in {topic_of(letter.partition.topic) for letter in letters} - self._ensured:
            await self._topics.ensure(topic, 1)
            self._ensured.add(topic)
        producer = await self._producer.get()
        notice = asyncio.create_task(_tell_if_slow(letters))
        try:
            sent = [(letter, await self._sent(producer, letter)) for letter in letters]
            outcomes = await asyncio.gather(*(acknowledged for _, acknowledged in sent), return_exceptions=True)
            for (letter, _), outcome in zip(sent, outcomes, strict=True):
                if isinstance(outcome, MessageSizeTooLargeError):
                    await self._send_alone(producer, letter)
                elif isinstance(outcome, BaseException):
                    raise outcome
        except KafkaError as error:
            self._ensured.clear()  # somebody may have deleted the topic: the next try makes it anew
            topics = ", ".join(sorted({topic_of(letter.partition.topic) for letter in letters}))
            words = in_words(error, self._connection, "WRITE", topics)
            raise LogUnavailable(f"dead letters could not be sent: {words}") from error
        finally:
            notice.cancel()

    async def stop(self) -> None:
        await self._producer.close()

    async def _send_alone(self, producer: Any, letter: DeadLetter) -> None:
        """A broker refuses a batch as a whole: only by itself does a letter show whether it is the one too large."""
        try:
            await (await self._sent(producer, letter))
        except MessageSizeTooLargeError:
            await (await self._sent(producer, letter, whole=False))

    async def _sent(self, producer: Any, letter: DeadLetter, *, whole: bool = True) -> Awaitable[Any]:
        """A record that the topic does not take whole goes without its value: it must not hold up all others."""
        record, headers = letter.record, headers_of(letter)
        value = record.value or b""
        if not whole:
            headers.append(("upheld-truncated", str(len(value)).encode()))
            value = b""
            _log.error(
                "A dead letter is too large for its topic and goes without its value.",
                action="dead_letter_truncated",
                topic=letter.partition.topic,
                partition=letter.partition.number,
                offset=record.offset,
            )
        timestamp_ms = record.timestamp_us // 1_000 if record.timestamp_us >= 0 else None
        try:
            sent = await producer.send(
                topic_of(letter.partition.topic), value, record.key, timestamp_ms=timestamp_ms, headers=headers
            )
        except MessageSizeTooLargeError:
            if not whole:
                raise
            return await self._sent(producer, letter, whole=False)
        return cast("Awaitable[Any]", sent)


async def _tell_if_slow(letters: Sequence[DeadLetter]) -> None:
    await asyncio.sleep(_SLOW_S)
    _log.warning(
        "Dead letters are not taken; reading waits for them.",
        action="dead_letters_waiting",
        topics=sorted({topic_of(letter.partition.topic) for letter in letters}),
        letters=len(letters),
    )


class KafkaEventSink:
    """Event records to a topic: in batches, with a bound on what is in flight, safe when `send` returns."""

    def __init__(self, connection: KafkaConnection, topic: str, settings: Mapping[str, Any] | None = None) -> None:
        self._connection = connection
        self._topic = topic
        self._producer = _Producer(connection, settings)
        self._turns = itertools.count()

    async def send(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        *,
        timestamps_ms: Sequence[int] | None = None,
    ) -> None:
        """Returns when every record is safe. Records of one key stay in order on one partition, as any Kafka client
        would choose it; without keys they are spread. Raises LogUnavailable: some may have arrived, some not.
        """
        if not values:
            return
        producer = await self._producer.get()
        try:
            partitions = sorted(await producer.partitions_for(self._topic))
            if not partitions:
                raise LogUnavailable(f"topic {self._topic} has no partitions")
            await self._send(producer, self._spread(values, keys, partitions), values, keys, timestamps_ms)
        except KafkaError as error:
            await self._producer.close()  # an idempotent one that was refused a batch sends nothing any more
            words = in_words(error, self._connection, "WRITE", self._topic)
            raise LogUnavailable(f"events could not be sent: {words}") from error

    async def stop(self) -> None:
        await self._producer.close()

    def _spread(
        self, values: Sequence[bytes], keys: Sequence[bytes | None] | None, partitions: Sequence[int]
    ) -> dict[int, list[int]]:
        """Indices by partition. Those without a key share one partition a call: full batches, and the next call the
        next partition; a large call is spread over all.
        """
        chosen: dict[int, list[int]] = {}
        count = len(partitions)
        turn = next(self._turns)
        run = max(_SPREAD_FROM, -(-len(values) // count))
        for index in range(len(values)):
            key = keys[index] if keys is not None else None
            place = (turn + index // run) % count if key is None else _hashed(key) % count
            chosen.setdefault(partitions[place], []).append(index)
        return chosen

    async def _send(
        self,
        producer: Any,
        chosen: Mapping[int, Sequence[int]],
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None,
        timestamps_ms: Sequence[int] | None,
    ) -> None:
        room = asyncio.Semaphore(_IN_FLIGHT)

        async def one(partition: int, indices: Sequence[int]) -> None:
            batch = producer.create_batch()
            for index in indices:
                key = keys[index] if keys is not None else None
                timestamp = timestamps_ms[index] if timestamps_ms is not None else None
                if batch.append(timestamp=timestamp, key=key, value=values[index]) is None:
                    await self._acknowledged(producer, batch, partition, room)
                    batch = producer.create_batch()
                    batch.append(timestamp=timestamp, key=key, value=values[index])
            if batch.record_count():
                await self._acknowledged(producer, batch, partition, room)

        await asyncio.gather(*(one(partition, indices) for partition, indices in chosen.items()))

    async def _acknowledged(self, producer: Any, batch: Any, partition: int, room: asyncio.Semaphore) -> None:
        batch.close()
        async with room:
            await (await producer.send_batch(batch, self._topic, partition=partition))


_SPREAD_FROM: Final = 256
_murmur2: Final = cast("Callable[[bytes], int]", cast("Any", partitioner).murmur2)


@lru_cache(maxsize=_KEYS_KEPT)
def _hashed(key: bytes) -> int:
    """Kafka's own hash of a key."""
    return _murmur2(key) & 0x7FFFFFFF
