"""Invariant 1: any interleaving, batch cut, assignment and crash point gives the same slots, to the last count."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.errors import LedgerUnavailable, LogUnavailable
from consumers.memory import MemoryLog
from consumers.ports import Partition
from consumers.worker import Step, Worker
from tests.consumers.worlds import EAGER, SLOT_US, TOPIC, World, definitions, event, packed, points_of, recount, repoint
from tests.examples import examples

PARTITIONS = 3


class Killed(BaseException):
    """The process is gone."""


seconds = st.integers(0, 8 * SLOT_US // 1_000_000).map(lambda second: second * 1_000_000)
services = st.sampled_from(["checkout", "checkout", "search"])
labels = st.fixed_dictionaries(
    {"status": st.sampled_from(["200", 500, True])},
    optional={"region": st.sampled_from(["eu", "us"]), "tenant": st.sampled_from(["internal", "acme"])},
)
events = st.one_of(
    st.builds(
        event,
        seconds,
        value=st.sampled_from([0.1, 0.3, 0.5, 0.7, 3]),
        count=st.integers(0, 5),
        kind=st.sampled_from(["event", "gauge"]),
        service=services,
        labels=labels,
    ),
    st.builds(
        event,
        seconds,
        value=st.integers(0, 9),
        kind=st.sampled_from(["delta", "counter"]),
        service=services,
        labels=labels,
    ),
)
good = st.one_of(
    events.map(packed),
    st.lists(events, max_size=3).map(packed),
    st.lists(events, min_size=1, max_size=3).map(lambda many: b"\n".join(packed(each) for each in many)),
)
POISON = (b"\xff", b"", b"{", b'{"metric": 1}', b"[1]", b'{"metric": "latency", "kind": "odd"}')
poison = st.sampled_from(POISON)
values = st.one_of(good, good, good, poison, st.none())

STEPS: tuple[Step, ...] = ("fetched", "decoded", "dead_letters_sent", "committing", "committed", "hinted")
sends = st.tuples(st.just("send"), st.integers(0, PARTITIONS - 1), values)
turns = st.tuples(st.just("turns"), st.integers(0, 3), st.integers(1, 5))
troubles = st.one_of(
    st.tuples(st.just("pass offsets"), st.integers(0, PARTITIONS - 1)),
    st.tuples(st.just("newcomer")),
    st.tuples(st.just("kill at"), st.integers(0, 3), st.sampled_from(STEPS)),
    st.tuples(st.just("freeze"), st.integers(0, 3)),
    st.tuples(st.just("rejoin"), st.integers(0, 3)),
    st.tuples(st.just("ledger away"), st.integers(1, 3)),
    st.tuples(st.just("answer lost")),
    st.tuples(st.just("log away"), st.integers(0, 3)),
    st.tuples(st.just("dead letters away")),
    st.tuples(st.just("apply")),
    st.tuples(st.just("slip"), st.integers(0, 3), st.integers(0, PARTITIONS - 1), st.integers(0, 5)),
)
rounds = st.tuples(st.lists(sends, min_size=1, max_size=4), troubles, turns, turns).map(
    lambda parts: [*parts[0], parts[1], parts[2], parts[3]]
)
scripts = st.lists(rounds, min_size=3, max_size=12).map(lambda many: [action for each in many for action in each])


class Crew:
    """Workers over one world, and a script that is unkind to them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.workers: list[tuple[Worker, MemoryLog]] = []
        self.doomed: dict[int, Step] = {}
        self.sent: list[bytes | None] = []
        self.poisoned: set[tuple[int, int]] = set()
        self.join()

    def join(self) -> None:
        number = len(self.workers)

        async def steps(step: Step) -> None:
            await asyncio.sleep(0)
            if self.doomed.get(number) == step:
                raise Killed

        self.workers.append(self.world.worker(f"worker-{number}", steps=steps))

    async def do(self, action: tuple[Any, ...]) -> None:
        """One line of the script: its first word names the method, the rest are its arguments."""
        await getattr(self, action[0].replace(" ", "_"))(*action[1:])

    def _log(self, who: int) -> MemoryLog:
        return self.workers[who % len(self.workers)][1]

    async def send(self, partition: int, value: bytes | None) -> None:
        offset = self.world.send(value, partition)
        self.sent.append(value)
        if value in POISON:
            self.poisoned.add((partition, offset))

    async def pass_offsets(self, partition: int) -> None:
        self.world.broker.pass_offsets(Partition(TOPIC, partition), 2)

    async def turns(self, who: int, times: int) -> None:
        for _ in range(times):
            await self.turn(who % len(self.workers))

    async def newcomer(self) -> None:
        if len(self.workers) < 4:
            self.join()

    async def kill_at(self, who: int, step: Step) -> None:
        self.doomed[who % len(self.workers)] = step

    async def freeze(self, who: int) -> None:
        """Put out of the group without knowing it: it reads and commits on."""
        self.world.broker.leave(self._log(who))

    async def rejoin(self, who: int) -> None:
        with contextlib.suppress(Killed):
            await self._log(who).rejoin()

    async def ledger_away(self, times: int) -> None:
        self.world.ledger.faults.queue.extend([LedgerUnavailable("away")] * times)

    async def answer_lost(self) -> None:
        self.world.ledger.lost_answers.queue.append(LedgerUnavailable("who knows"))

    async def log_away(self, who: int) -> None:
        self._log(who).faults.queue.append(LogUnavailable("away"))

    async def dead_letters_away(self) -> None:
        self.world.letters.faults.queue.append(LogUnavailable("away"))

    async def slip(self, who: int, partition: int, offset: int) -> None:
        """The consumer is somewhere else than it was told."""
        if offset <= self.world.broker.bounds(Partition(TOPIC, partition))[1]:
            await self._log(who).seek(Partition(TOPIC, partition), offset)

    async def apply(self) -> None:
        self.world.ledger.revision += 1
        self.world.definitions.current = definitions(self.world.ledger.revision)

    async def turn(self, who: int) -> None:
        worker, _ = self.workers[who]
        self.world.clock.now_us += 1_000
        try:
            await worker.turn()
        except Killed:
            self._replace(who)

    def _replace(self, who: int) -> None:
        self.bury(*self.workers[who])
        del self.doomed[who]
        self.workers[who] = self.world.worker(f"next-{who}")

    def bury(self, worker: Worker, log: MemoryLog) -> None:
        self.world.broker.leave(log)
        for task in (worker._commit, worker._reports._task):  # pyright: ignore[reportPrivateUsage]
            if task is not None:
                task.cancel()

    async def end(self, *, fresh: bool) -> None:
        """Everything heals; those that are there go on, or all die and one worker comes."""
        for faults in (self.world.ledger.faults, self.world.ledger.lost_answers, self.world.letters.faults):
            faults.queue.clear()
        for who in list(self.doomed):  # dying already, perhaps in a task that nobody has awaited yet
            self._replace(who)
        if fresh:
            for worker, log in self.workers:
                self.bury(worker, log)
            await asyncio.sleep(0)
            self.workers = [self.world.worker("last")]
        for _, log in self.workers:
            await log.rejoin()
        await self.world.settled([worker for worker, _ in self.workers])


@pytest.mark.timeout(300)  # a loaded machine takes minutes
@examples(150)
@given(
    script=scripts,
    fresh=st.booleans(),
    fetch=st.integers(1, 5),
    flush=st.integers(1, 8),
    flush_after_us=st.sampled_from([0, 5_000]),
)
def test_any_history_counts_every_record_once(
    script: list[tuple[Any, ...]], fresh: bool, fetch: int, flush: int, flush_after_us: int
) -> None:
    """Workers join, freeze, die at any step and come back; databases and brokers go away; definitions move."""
    pace = replace(EAGER, fetch_records=fetch, flush_records=flush, flush_after_us=flush_after_us)

    async def story() -> None:
        world = World(PARTITIONS, pace)
        crew = Crew(world)
        for action in script:
            await crew.do(action)
        await crew.end(fresh=fresh)
        assert world.ledger.counts() == recount(crew.sent)
        points = [each for entry in world.ledger.entries for each in points_of(entry.keys, entry.points)]
        assert set(points) == repoint(crew.sent)
        assert world.chains()
        assert sum(entry.records for entry in world.ledger.entries) == len(crew.sent)
        assert {(each.partition.number, each.record.offset) for each in world.letters.sent} == crew.poisoned
        assert sum(entry.dead for entry in world.ledger.entries) == len(crew.poisoned)

    asyncio.run(story())
