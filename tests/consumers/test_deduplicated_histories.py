"""What is a duplicate follows from the log alone, whoever reads it, in whatever pieces, and however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consumers.test_any_history import PARTITIONS, Crew, events, troubles, turns
from tests.consumers.worlds import EAGER, World, event, packed, recount, surviving
from tests.examples import examples

ids = st.sampled_from([None, "a", "b", "c", 1])
identified = st.builds(lambda found, name: {**found, "id": name} if name is not None else found, events, ids)
# Dead letters whose ids are seen, and one whose id cannot be told.
dead = st.builds(lambda name: packed(event(id=name, time="never")), ids)
values = st.one_of(
    identified.map(packed),
    identified.map(packed),
    st.lists(identified, max_size=4).map(packed),
    st.lists(identified, min_size=1, max_size=4).map(lambda many: b"\n".join(map(packed, many))),
    dead,
    st.sampled_from([b'{"id": "a"', b'[{"metric": "latency", "id": "a"}, 1]', None]),
)
sends = st.tuples(st.just("send"), st.integers(0, PARTITIONS - 1), values)
rounds = st.tuples(st.lists(sends, min_size=1, max_size=5), troubles, turns, turns).map(
    lambda parts: [*parts[0], parts[1], parts[2], parts[3]]
)
scripts = st.lists(rounds, min_size=3, max_size=12).map(lambda many: [action for each in many for action in each])


class Listing(Crew):
    """Remembers what lies where."""

    def __init__(self, world: World) -> None:
        self.logs: dict[int, list[tuple[int, bytes | None]]] = {}
        super().__init__(world)

    async def send(self, partition: int, value: bytes | None) -> None:
        self.logs.setdefault(partition, []).append((self.world.send(value, partition), value))


@pytest.mark.timeout(300)  # a loaded machine takes minutes
@examples(150)
@given(
    script=scripts,
    fresh=st.booleans(),
    horizon=st.sampled_from([1, 2, 5, 1_000]),
    fetch=st.integers(1, 5),
    flush=st.integers(1, 8),
    flush_after_us=st.sampled_from([0, 5_000]),
)
def test_any_history_has_the_same_duplicates(
    script: list[tuple[Any, ...]], fresh: bool, horizon: int, fetch: int, flush: int, flush_after_us: int
) -> None:
    """Counts and dead letters are those of a brute-force look into each partition's horizon."""
    pace = replace(EAGER, fetch_records=fetch, flush_records=flush, flush_after_us=flush_after_us)

    async def story() -> None:
        world = World(PARTITIONS, pace, horizon)
        crew = Listing(world)
        for action in script:
            await crew.do(action)
        await crew.end(fresh=fresh)
        left = {partition: surviving(log, horizon) for partition, log in crew.logs.items()}
        assert world.ledger.counts() == recount(value for log in left.values() for _, value in log)
        assert world.chains()
        assert sum(entry.records for entry in world.ledger.entries) == sum(map(len, crew.logs.values()))
        unusable = {
            (partition, offset)
            for partition, log in left.items()
            for offset, value in log
            if value is not None and (b"never" in value or value.endswith((b'"a"', b", 1]")))
        }
        assert {(each.partition.number, each.record.offset) for each in world.letters.sent} == unusable

    asyncio.run(story())
