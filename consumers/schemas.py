"""The schemas that records name by id: asked for before the records are read, and remembered.

Reading is one long computation that waits for nobody. So a batch is looked through first, and what has come of a
partition whose schemas cannot be had now is held back: nothing of it counts, and nothing of it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from consumers.errors import RegistryUnavailable
from consumers.formats.avro import SchemaById, no_registry, schema_id
from consumers.formats.avro_schema import Schema
from consumers.formats.choice import Formats
from consumers.formats.unusable import Unusable
from consumers.pace import SECOND_US, Away
from consumers.ports import Fetched, Partition, Record

MOST_KEPT: Final = 1_000
"""Schemas remembered beside those of the batch at hand. A topic has a few: one for each version of its events."""
AT_ONCE: Final = 16
"""Questions on their way to the registry: records that are no Avro at all may name as many ids as there are records."""
FORGET_REFUSAL_US: Final = 60 * SECOND_US
"""An id means one schema for ever, but one that means nothing may be given a meaning."""


class Registry(Protocol):
    """Where schemas are kept."""

    async def schema(self, number: int) -> Sequence[str]:
        """The schema's text, after those of the schemas that it refers to.

        Raises Unusable (unknown_schema, unsupported_schema), RegistryUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch of which everything can be read. Of the partitions that are held back it holds no records."""

    fetched: Sequence[Fetched]
    held: frozenset[Partition] = frozenset()
    away: RegistryUnavailable | None = None


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: Unusable
    until_us: int


@dataclass(frozen=True, slots=True)
class _NoRecords:
    values: Sequence[bytes | None] = field(default=())

    def time_us(self, index: int) -> int:
        raise IndexError(index)

    def record(self, index: int) -> Record:
        raise IndexError(index)


class Schemas:
    """What is known of a registry's schemas. `away` is told when it answers."""

    def __init__(self, registry: Registry | None, formats: Formats, clock: Callable[[], int], away: Away) -> None:
        self._registry = registry
        self._formats = formats
        self._clock = clock
        self._away = away
        self._known: dict[int, Schema | _Refusal] = {}

    def known(self, number: int) -> Schema:
        """The schema of an id that was prepared. Raises Unusable."""
        if self._registry is None:
            return no_registry(number)
        found = self._known[number]
        if isinstance(found, _Refusal):
            raise Unusable(found.reason.code, found.reason.reason)
        return found

    async def prepare(self, fetched: Sequence[Fetched]) -> Prepared:
        """Ask for the schemas that these records name and that are not known yet."""
        if self._registry is None:
            return Prepared(fetched)
        wanted = {each.partition: ids for each in fetched if (ids := self._named(each))}
        if not wanted:
            return Prepared(fetched)
        away = await self._ask(self._registry, set[int]().union(*wanted.values()))
        held = frozenset(partition for partition, ids in wanted.items() if not ids <= self._known.keys())
        return Prepared([_without_records(each) if each.partition in held else each for each in fetched], held, away)

    def _named(self, fetched: Fetched) -> set[int]:
        if self._formats.of(fetched.partition.topic) not in ("auto", "avro"):
            return set()
        ids = {schema_id(value) for value in fetched.records.values if value is not None and value[:1] == b"\0"}
        return {each for each in ids if each is not None}

    async def _ask(self, registry: Registry, ids: Collection[int]) -> RegistryUnavailable | None:
        self._forget(ids)
        for some in _in_parts([each for each in ids if each not in self._known]):
            answers = await asyncio.gather(*(self._learnt(registry, each) for each in some), return_exceptions=True)
            for number, answer in zip(some, answers, strict=True):
                if isinstance(answer, RegistryUnavailable):
                    return answer
                if isinstance(answer, BaseException):
                    raise answer
                self._known[number] = answer
            self._away.answered()
        return None

    async def _learnt(self, registry: Registry, number: int) -> Schema | _Refusal:
        try:
            return Schema.of(await registry.schema(number))
        except Unusable as reason:
            return _Refusal(reason, self._clock() + FORGET_REFUSAL_US)

    def _forget(self, needed: Collection[int]) -> None:
        """Refusals that are old, and the oldest schemas where there are too many of them."""
        now_us = self._clock()
        for number, found in tuple(self._known.items()):
            if isinstance(found, _Refusal) and found.until_us <= now_us:
                del self._known[number]
        spare = [number for number in self._known if number not in needed]
        for number in spare[: max(len(self._known) - MOST_KEPT, 0)]:
            del self._known[number]


def _in_parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE))


def _without_records(fetched: Fetched) -> Fetched:
    """What it says of the log, and no more."""
    return replace(fetched, records=_NoRecords(), next_offset=fetched.read_from)


async def schema_of(registry: Registry | None, value: bytes) -> SchemaById:
    """What one record is read by. Raises RegistryUnavailable, Unusable."""
    number = schema_id(value)
    if registry is None or number is None:
        return no_registry
    schema = Schema.of(await registry.schema(number))
    return lambda _: schema
