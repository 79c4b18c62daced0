"""The evaluation part: holds shards, reads the ledger once for all of them, ticks each in event time, and commits.

A shard whose transaction failed, or may have failed, is thrown away and loaded again: the database is the truth. A lost
lease costs that shard only. What nobody expected ends the part loudly.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.topics import TopicChoice
from evaluators import durations
from evaluators.watermark import PartitionName
from service.errors import DependencyAway
from service.evaluation.commit import Committer, Steps, no_steps
from service.evaluation.expiry import Expiry
from service.evaluation.leases import Leases
from service.evaluation.loading import Loader
from service.evaluation.reading import Read, Reader
from service.evaluation.shard import Shard, packed_checkpoint
from service.storage.expiry import KEEP_ENTRIES_US
from service.storage.leases import LeaseLost
from service.telemetry import Telemetry

POLL_S: Final = 0.5
"""A notice from the database wakes the loop at once; this is for lost notices, and for idle partitions."""

GATHER_S: Final = 0.02
"""Notices come in bursts, one per worker: their entries are read together."""

EXPIRE_EVERY_S: Final = 60.0
EXPIRE_AGAIN_S: Final = 0.5
"""While there is more: a pile that a long outage left is gone in hours, and nobody notices."""

EXPIRING_SHARD: Final = 0
"""Whoever holds it lets things expire for all: the first one there is."""

RETRY_S: Final = 1.0
STOP_S: Final = 3.0
STANDINGS_EVERY_US: Final = 10 * durations.SECOND
CHECKPOINT_EVERY_US: Final = 3 * durations.MINUTE
PROGRESS_EVERY_US: Final = 5 * durations.SECOND
CATCHING_UP_US: Final = durations.MINUTE

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """`topics` are those that ingest reads; all of them hold the watermark. `keep_entries_us`: of the ledger."""

    topics: TopicChoice
    lateness_us: int
    page_max_lag_us: int
    public_url: str
    checkpoint_every_us: int = CHECKPOINT_EVERY_US
    expire_every_s: float = EXPIRE_EVERY_S
    keep_entries_us: int = KEEP_ENTRIES_US


class Evaluation:
    """A Part. `owner` names this process among those that share the shards; no two may have the same."""

    name = "evaluate"

    def __init__(
        self,
        *,
        database: AsyncEngine,
        settings: EvaluationSettings,
        owner: str,
        clock: Callable[[], int],
        telemetry: Telemetry,
        steps: Steps = no_steps,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._telemetry = telemetry
        self._steps = steps
        self._leases = Leases(database, owner)
        self._loader = Loader(database)
        self._reader = Reader(database)
        self._expiry = Expiry(database, settings.keep_entries_us)
        self._committer = Committer(database, settings.page_max_lag_us, settings.public_url, steps)
        self._shards: dict[int, Shard] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._away = False
        self._told_us = 0
        self._told_gone: set[PartitionName] = set()

    def wake(self) -> None:
        """There may be something to read."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the tick under way, give the shards up, and return from `run`."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Evaluates until stopped; a database that is away is waited for."""
        tasks = [
            asyncio.create_task(self._keep_leases(), name="leases"),
            asyncio.create_task(self._rounds(), name="rounds"),
            asyncio.create_task(self._keep_expiring(), name="expiry"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        finally:
            self.stop()
            await asyncio.wait(tasks)
            await self._release()
        for task in tasks:
            task.result()

    async def _release(self) -> None:
        self._shards.clear()
        with contextlib.suppress(DependencyAway, TimeoutError):  # then they lapse
            async with asyncio.timeout(STOP_S):
                await self._leases.release()

    async def _keep_leases(self) -> None:
        """Beside the rounds, so that a long catch-up does not cost the shards."""
        while not self._stopping.is_set():
            try:
                moved = await self._leases.round()
            except DependencyAway:
                pass  # the rounds meet the same and tell
            else:
                if moved.gained or moved.lost:
                    self._wake.set()
            await _within(self._stopping, self._leases.again_s)

    async def _keep_expiring(self) -> None:
        """Beside the rounds and outside their transactions: no tick waits for it."""
        more = False
        while not self._stopping.is_set():
            await _within(self._stopping, EXPIRE_AGAIN_S if more else self._settings.expire_every_s)
            try:
                more = await self.expire()
            except DependencyAway:
                more = False  # the rounds meet the same and tell

    async def expire(self) -> bool:
        """A step of what is to expire, by one process of all; True where more may wait. Raises DependencyAway."""
        if self._stopping.is_set() or EXPIRING_SHARD not in self._leases.held:
            return False
        return await self._expiry.step(self._clock())

    async def _rounds(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                busy = await self.round()
            except DependencyAway as reason:
                self._tell_away(reason)
                await _within(self._stopping, RETRY_S)
                continue
            self._tell_back()
            if not busy:
                await _within(self._wake, POLL_S)
                await _within(self._stopping, GATHER_S)

    async def round(self) -> bool:
        """One look at everything; True where more waits. Raises DependencyAway."""
        await self._load_held()
        if not self._shards:
            return False
        read = await self._reader.read(list(self._shards.values()))
        await self._steps("entries_read")
        busy = read.entries > 0
        for number, shard in list(self._shards.items()):
            if self._stopping.is_set():
                return False
            busy |= await self._guarded(number, shard, read)
        self._tell_progress(read)
        return busy

    async def _load_held(self) -> None:
        """Let go of what is no longer ours; load what is ours and not here."""
        held = dict(self._leases.held)
        for number in [number for number, shard in self._shards.items() if held.get(number) != shard.lease.epoch]:
            del self._shards[number]
        for number in [number for number in held if number not in self._shards]:
            if number in self._leases.held and not self._stopping.is_set():
                self._shards[number] = await self._loader.load(self._leases.lease(number), self._clock())

    async def _guarded(self, number: int, shard: Shard, read: Read) -> bool:
        """A shard's part of a round. Whatever goes wrong, the shard is not used again."""
        try:
            return await self._tick(shard, read)
        except LeaseLost:
            _log.warning("A shard has another owner by now.", action="shard_fenced", shard=number)
            self._shards.pop(number, None)
            self._leases.drop(number)
            return False
        except BaseException:
            self._shards.pop(number, None)
            raise

    def _topics(self, read: Read) -> Collection[str]:
        """Those that have a name in the settings, seen or not, and those of the others that ingest has found."""
        choice = self._settings.topics
        if choice.pattern is None:
            return choice.names  # asked for every shard at every tick
        seen = {status.partition.topic for status in read.statuses} | {name.topic for name in read.ends}
        return {*choice.names, *choice.found_among(seen)}

    async def _tick(self, shard: Shard, read: Read) -> bool:
        """Fold, advance, commit. Returns whether the shard has more to do at once."""
        begun_us = self._clock()
        number = shard.lease.shard
        found = read.by_shard[number]
        if not await self._loader.refresh(shard, read.revision, found.series_of(number)):
            del self._shards[number]
            return True
        await asyncio.to_thread(shard.fold, found.of(number))
        await self._steps("folded")
        clock_us = self._clock()
        shard.look(self._topics(read), read.statuses, read.ends, clock_us)
        self._tell_gone(shard)
        await self._loader.begin(shard)
        tick = await asyncio.to_thread(shard.advance, clock_us, self._settings.lateness_us)
        await self._steps("advanced")
        if shard.due(tick, STANDINGS_EVERY_US):
            late, strays = shard.late_samples, shard.measuring.strays
            await self._committer.commit(shard, tick)
            self._telemetry.tick_duration.observe((self._clock() - begun_us) / durations.SECOND)
            self._telemetry.late_samples.inc(late)
            self._telemetry.stray_samples.inc(strays)
            await self._checkpoint(shard, clock_us)
        if shard.gathering:
            shard.gathering = await self._committer.gather(shard)
        if shard.rolling_up:
            shard.rolling_up = await self._committer.roll_up(shard)
        return tick.halted or shard.rolling_up

    async def _checkpoint(self, shard: Shard, clock_us: int) -> None:
        if clock_us - shard.checkpointed_us < self._settings.checkpoint_every_us:
            return
        snapshot = await asyncio.to_thread(shard.engine.snapshot)
        kept = await asyncio.to_thread(shard.measuring.whole)
        await self._committer.checkpoint(shard, packed_checkpoint(shard.shape, snapshot), kept)
        shard.checkpointed_us = self._clock()
        shard.gathering = shard.rolling_up = True

    def _tell_away(self, reason: DependencyAway) -> None:
        if not self._away:
            _log.warning("The database is away; evaluation waits.", action="evaluation_waiting", reason=str(reason))
        self._away = True

    def _tell_back(self) -> None:
        if self._away:
            _log.info("The database is back; evaluation goes on.", action="evaluation_back")
        self._away = False

    def _tell_gone(self, shard: Shard) -> None:
        """Once, whichever shard finds it first."""
        gone = shard.watermark.gone - self._told_gone
        if gone:
            self._told_gone |= gone
            _log.warning(
                "A topic has fewer partitions than it had; those that are gone are no longer waited for.",
                action="partitions_gone",
                partitions=[str(name) for name in sorted(gone)],
            )

    def _tell_progress(self, read: Read) -> None:
        """Now and then while a catch-up takes its time."""
        clock_us = self._clock()
        marks = [mark for shard in self._shards.values() if (mark := shard.watermark.overall_us) is not None]
        if not read.entries or not marks or clock_us - self._told_us < PROGRESS_EVERY_US:
            return
        behind_us = clock_us - min(marks)
        if behind_us > CATCHING_UP_US:
            self._told_us = clock_us
            _log.info("Catching up.", action="catching_up", behind=durations.in_words(behind_us), entries=read.entries)


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
