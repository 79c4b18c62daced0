"""Schemas are asked for before records are read: what waits for one neither counts nor is refused, and the rest goes on."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest

from consumers.errors import RegistryUnavailable
from consumers.formats.choice import Formats
from consumers.formats.unusable import Unusable
from consumers.memory import MemoryRecords
from consumers.pace import Away, Pace
from consumers.ports import Fetched, Partition, Record
from consumers.schemas import AT_ONCE, FORGET_REFUSAL_US, MOST_KEPT, Schemas, schema_of
from tests.consumers.formats.avro_records import ADAPTER_ID, BATCH_ID, EVENT, EVENT_ID, MemoryRegistry, framed, written
from tests.consumers.formats.avro_records import event as avro_event
from tests.consumers.gates import turns
from tests.consumers.worlds import START_US, TOPIC, Clock, World, event, packed, recount

FIRST, SECOND = Partition(TOPIC, 0), Partition(TOPIC, 1)
AWAY = RegistryUnavailable("status 503")


def avro(**fields: Any) -> bytes:
    """The event that `event` makes, in Avro."""
    return written(EVENT_ID, avro_event(time=START_US // 1_000, service="checkout", value=0.1, **fields))


JSON = packed(event(labels={"status": "200", "region": ""}))
"""What counts as `avro()` does."""


def fetched(*values: bytes | None, partition: Partition = FIRST, **fields: Any) -> Fetched:
    records = [Record(offset, START_US, None, value) for offset, value in enumerate(values)]
    return Fetched(partition, MemoryRecords(records), 0, len(values), len(values), START_US, **fields)


def schemas(registry: MemoryRegistry, clock: Clock | None = None, form: Any = "auto") -> Schemas:
    return Schemas(registry, Formats(form), clock or Clock(), Away("schema registry", Pace()))


# -------------------------------------------------------------------------------------------------------- in a worker


async def test_records_in_avro_count_beside_json() -> None:
    """Each by the schema that it names, which is asked for once."""
    world = World(1)
    registry = world.registry = MemoryRegistry()
    for value in (
        avro(),
        JSON,
        written(BATCH_ID, [avro_event(time=START_US // 1_000, service="checkout")] * 2),
        avro(),
    ):
        world.send(value)
    worker, _ = world.worker()
    await world.settled([worker])
    world.send(avro())
    await world.settled([worker])

    assert sum(total for _, total, _, _ in world.ledger.counts().values()) == 6 * 2
    assert world.letters.sent == []
    assert sorted(registry.asked) == [EVENT_ID, BATCH_ID]


async def test_while_the_registry_is_away_its_records_wait_and_the_neighbours_go_on(
    said: list[MutableMapping[str, Any]],
) -> None:
    """Nothing of ours makes a dead letter; once it is back, everything counts once."""
    world = World(2)
    registry = world.registry = MemoryRegistry()
    registry.fault = AWAY
    for value in (JSON, avro(), JSON):
        world.send(value)
    world.send(JSON, 1)
    worker, _ = world.worker()
    await turns(worker, 20)
    world.send(JSON, 1)
    await turns(worker, 20)

    assert {entry.partition.number for entry in world.ledger.entries} == {1}
    assert sum(entry.records for entry in world.ledger.entries) == 2
    lines = [line for line in said if line["action"] == "dependency_away"]
    assert [(line["dependency"], line["error"]) for line in lines] == [("schema registry", "status 503")]

    registry.fault = None
    await world.settled([worker])

    assert world.ledger.counts() == recount([JSON] * 5)
    assert world.letters.sent == []
    assert world.chains()
    assert [line["action"] for line in said if line.get("dependency")] == ["dependency_away", "dependency_back"]


async def test_what_had_begun_before_the_registry_went_away_is_committed() -> None:
    """And the records after it are read by whoever comes next."""
    world = World(1)
    registry = world.registry = MemoryRegistry()
    world.send(JSON)
    worker, log = world.worker()
    await world.settled([worker])
    registry.fault = AWAY
    world.send(avro())
    await turns(worker, 10)
    world.broker.leave(log)
    registry.fault = None

    heir, _ = world.worker("heir")
    await world.settled([heir])
    assert world.ledger.counts() == recount([JSON] * 2)
    assert world.chains()


async def test_a_log_made_anew_while_its_schemas_are_waited_for_is_noticed() -> None:
    """What a fetch says of the log is heard, though its records are held back."""
    found = await schemas(_away()).prepare([fetched(avro(), after_break=True)])

    (held,) = found.fetched
    assert (held.after_break, held.end_offset, held.read_from, held.next_offset) == (True, 1, 0, 0)
    assert list(held.records.values) == []
    for look in (held.records.time_us, held.records.record):
        with pytest.raises(IndexError):
            look(0)


async def test_an_id_that_the_registry_does_not_know_is_a_dead_letter() -> None:
    """So is a schema that nobody can read by, and a record in Avro where there is no registry; neighbours count."""
    world = World(1)
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    world.registry = MemoryRegistry({EVENT_ID: EVENT, 7: node})
    for value in (framed(9, b""), avro(), framed(7, b"\0"), b"\0\0", JSON):
        world.send(value)
    worker, _ = world.worker()
    await world.settled([worker])

    assert world.ledger.counts() == recount([JSON] * 2)
    assert [letter.code for letter in world.letters.sent] == ["unknown_schema", "unsupported_schema", "not_avro"]


async def test_without_a_registry_avro_is_a_dead_letter() -> None:
    """Its reason names the setting."""
    world = World(1)
    for value in (avro(), JSON):
        world.send(value)
    worker, _ = world.worker()
    await world.settled([worker])

    assert world.ledger.counts() == recount([JSON])
    (letter,) = world.letters.sent
    assert letter.code == "no_registry"
    assert "UPHELD_SCHEMA_REGISTRY_URL" in letter.reason


# -------------------------------------------------------------------------------------------------------- by themselves


def _away() -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.fault = AWAY
    return registry


async def test_only_partitions_whose_schemas_are_missing_are_held_back() -> None:
    """What is known already is read."""
    registry = MemoryRegistry()
    made = schemas(registry)
    await made.prepare([fetched(avro())])
    registry.fault = AWAY
    found = await made.prepare([fetched(framed(ADAPTER_ID, b"")), fetched(avro(), JSON, None, partition=SECOND)])

    assert (found.held, found.away) == ({FIRST}, AWAY)
    assert [len(each.records.values) for each in found.fetched] == [0, 3]


@pytest.mark.parametrize("form", ["native", "influx"])
async def test_topics_in_other_formats_are_not_looked_at(form: str) -> None:
    """There, a byte 0 means nothing."""
    registry = _away()
    found = await schemas(registry, form=form).prepare([fetched(avro())])

    assert (registry.asked, found.held) == ([], frozenset())


async def test_a_refusal_is_forgotten_after_a_minute() -> None:
    """Somebody may have registered the schema; one that is known is the same for ever."""
    registry, clock = MemoryRegistry({EVENT_ID: EVENT}), Clock()
    made = schemas(registry, clock)
    batch = [fetched(avro(), framed(9, b""))]
    await made.prepare(batch)
    with pytest.raises(Unusable, match="unknown_schema"):
        made.known(9)
    clock.now_us += FORGET_REFUSAL_US - 1
    await made.prepare(batch)
    assert sorted(registry.asked) == [EVENT_ID, 9]

    registry.schemas[9] = registry.schemas[EVENT_ID]
    clock.now_us += 1
    await made.prepare(batch)
    assert sorted(registry.asked) == [EVENT_ID, 9, 9]
    assert made.known(9).decoded(avro()[5:])


async def test_only_so_many_schemas_are_remembered() -> None:
    """Beside those of the batch at hand, however many it names."""
    registry = MemoryRegistry(dict.fromkeys(range(MOST_KEPT + 100), EVENT))
    made = schemas(registry)
    await made.prepare([fetched(*(framed(number, b"") for number in range(MOST_KEPT + 50)))])
    assert len(made._known) == MOST_KEPT + 50
    await made.prepare([fetched(framed(MOST_KEPT + 60, b""))])

    assert len(made._known) == MOST_KEPT + 1
    assert 0 not in made._known
    assert made.known(MOST_KEPT + 60)


async def test_of_many_questions_the_first_that_fails_ends_the_asking() -> None:
    """A flood of ids must not hold a worker for a time-out each."""
    registry = _away()
    found = await schemas(registry).prepare([fetched(*(framed(number, b"") for number in range(10 * AT_ONCE)))])

    assert found.away is AWAY
    assert len(registry.asked) == AT_ONCE


async def test_what_is_no_passing_error_is_raised() -> None:
    """A mistake of ours is not waited for."""
    registry = MemoryRegistry()
    registry.fault = KeyError("ours")
    with pytest.raises(KeyError):
        await schemas(registry).prepare([fetched(avro())])


async def test_one_record_is_read_by_its_schema() -> None:
    """Where nobody reads a topic: `upheld explain`."""
    registry = MemoryRegistry()

    assert (await schema_of(registry, avro()))(EVENT_ID).decoded(avro()[5:])
    with pytest.raises(Unusable, match="unknown_schema"):
        await schema_of(registry, framed(9, b""))
    for lookup in (await schema_of(registry, JSON), await schema_of(None, avro())):
        with pytest.raises(Unusable, match="no_registry"):
            lookup(EVENT_ID)
