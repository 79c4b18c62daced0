"""The ingest loop: fetch, decode and combine, commit; one commit in flight while the next batch is decoded.

The ledger owns the offsets. Whatever goes wrong, the answer is the same: forget what is not committed, read the
positions again, seek, go on. Compare-and-set makes that safe against anybody else who reads the same partition.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

import structlog

from consumers.errors import (
    DefinitionsMoved,
    IngestError,
    LedgerUnavailable,
    LogUnavailable,
    PositionOutOfRange,
    RegistryUnavailable,
)
from consumers.formats.choice import Formats
from consumers.horizons import Horizons
from consumers.pace import SECOND_US, Away, Pace
from consumers.ports import (
    DeadLetters,
    DefinitionsSource,
    Fetched,
    Ledger,
    Log,
    Observer,
    Partition,
    Position,
)
from consumers.reading import Cut, Lens, Reading, Taken, gap
from consumers.reports import Reports, cut_off
from consumers.schemas import Registry, Schemas
from consumers.topics import TopicChoice

_log: Final = structlog.stdlib.get_logger(__name__)

Step = Literal["fetched", "decoded", "dead_letters_sent", "committing", "committed", "hinted"]
Steps = Callable[[Step], Awaitable[None]]


class Worker:
    """One member of the consumer group. `run` works until `stop`; `turn` is one round, for those who drive it by hand.

    `clock` gives microseconds since the epoch. `steps` is called at each named step: where tests let it die. `warmed`
    is called once, after the first commit: wiring freezes the garbage collector there.
    """

    def __init__(
        self,
        *,
        log: Log,
        ledger: Ledger,
        dead_letters: DeadLetters,
        definitions: DefinitionsSource,
        topics: TopicChoice,
        clock: Callable[[], int],
        name: str,
        formats: Formats | None = None,
        registry: Registry | None = None,
        horizons: Horizons | None = None,
        pace: Pace | None = None,
        observer: Observer | None = None,
        steps: Steps | None = None,
        warmed: Callable[[], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._definitions = definitions
        self._topics = topics
        self._formats = formats or Formats()
        self._horizons = horizons or Horizons()
        self._clock = clock
        self._pace = pace or Pace()
        self._reports = Reports(ledger, observer, name)
        self._steps = steps
        self._warmed = warmed
        self._jitter = jitter
        self._ledger_away = Away("ledger", self._pace)
        self._log_away = Away("log", self._pace)
        self._registry_away = Away("schema registry", self._pace)
        self._schemas = Schemas(registry, self._formats, clock, self._registry_away)
        self._readings: dict[Partition, Reading] = {}
        self._lens: Lens | None = None
        self._stale = True
        self._commit: asyncio.Task[frozenset[Partition]] | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._running = False
        self._started = False
        self._doubtful: dict[Partition, bool] = {}  # logs to look at; True: known to be another one
        self._broken: set[Partition] = set()  # logs that must show that they are the same

    # ------------------------------------------------------------------------------------------------- from outside

    @property
    def partitions(self) -> frozenset[Partition]:
        """Ours at the moment."""
        return frozenset(self._readings)

    def definitions_changed(self) -> None:
        """A hint that there is a newer revision; it is looked at before the next batch."""
        self._stale = True

    async def run(self) -> None:
        """Work until `stop`. What is not one of ingest's own errors ends it, loudly."""
        self._running = True
        try:
            while not self._stopping.is_set():
                await self.turn()
            await self._release(tuple(self._readings))
            with contextlib.suppress(IngestError):  # said already, and read again by whoever is next
                await self._settle(wait=True)
        finally:
            await self._end()

    async def stop(self) -> None:
        """Commit what is in flight, within a bound, and leave the group. Returns when `run` has."""
        self._stopping.set()
        if self._running:
            await self._stopped.wait()

    async def turn(self) -> None:
        """One round. Takes care of every IngestError itself."""
        try:
            await self._round()
        except LedgerUnavailable as error:
            await self._wait_for(self._ledger_away, error)
        except LogUnavailable as error:
            await self._wait_for(self._log_away, error)
        except RegistryUnavailable as error:
            await self._wait_for(self._registry_away, error)
        except DefinitionsMoved:
            self._stale = True
        except PositionOutOfRange as error:
            self._doubtful.update(dict.fromkeys(error.partitions, False))

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Part of AssignmentListener. They are placed by the next round, not here: this must not wait for a database."""
        for partition in partitions:
            self._readings[partition] = Reading(partition)
        _log.info("Partitions assigned.", action="assigned", partitions=_names(partitions))

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Part of AssignmentListener."""
        await self._release(partitions)
        _log.info("Partitions given up.", action="revoked", partitions=_names(partitions))

    # ---------------------------------------------------------------------------------------------------- one round

    async def _round(self) -> None:
        if not self._started:
            await self._log.start(self._topics, self)
            self._started = True
        await self._settle(wait=False)
        if self._stale:
            await self._load()
        if self._doubtful:
            await self._examine()
        if self._broken:
            await self._recognise()
        await self._place()
        await self._flush_if_due()
        self._report_if_due()
        await self._take(await self._fetch())

    async def _load(self) -> None:
        """The newest definitions. Work matched by older ones is finished or thrown away first."""
        await self._settle(wait=True)
        self._stale = False
        try:
            definitions = await self._definitions.load()
        except IngestError:
            self._stale = True
            raise
        if self._lens is None or self._lens.definitions.revision != definitions.revision:
            self._lens = Lens.of(definitions, self._formats, self._horizons, self._schemas.known)
            self._forget(self._readings.values())
            _log.info(
                "Definitions loaded.",
                action="definitions_loaded",
                revision=definitions.revision,
                rules=len(definitions.rules),
            )

    async def _place(self) -> None:
        """Find out where partitions go on that we have just got, or whose work was thrown away."""
        lost = {each.partition: each for each in self._readings.values() if not each.placed and not each.leaving}
        if not lost:
            return
        assert self._lens is not None
        known = await self._ledger.positions(tuple(lost))
        self._ledger_away.answered()
        new = [each for each in lost if each not in known or self._horizons.of(each.topic) is not None]
        bounds: Mapping[Partition, tuple[int, int]] = await self._log.bounds(new) if new else {}
        for partition, reading in lost.items():
            if self._readings.get(partition) is not reading:
                continue  # revoked while we asked
            found = bounds.get(partition)
            position = known.get(partition, Position(0, found[0] if found else 0))
            reading.place(position, self._lens, self._pace.future_us, found)
            await self._log.seek(partition, reading.seek_to)

    async def _fetch(self) -> Sequence[Fetched]:
        oldest = min(
            (each.waiting_since_us for each in self._readings.values() if each.waiting_since_us is not None),
            default=None,
        )
        timeout_us = self._pace.fetch_timeout_us
        if oldest is not None:
            timeout_us = max(min(timeout_us, oldest + self._pace.flush_after_us - self._clock()), 0)
        fetched = await self._log.fetch(timeout_us, self._pace.fetch_records)
        self._log_away.answered()
        await self._step("fetched")
        return fetched

    async def _take(self, fetched: Sequence[Fetched]) -> None:
        prepared = await self._schemas.prepare(fetched)
        for each in prepared.fetched:
            reading = self._readings.get(each.partition)
            if reading is None or not reading.placed or reading.leaving:
                continue
            clock_us = self._clock()
            taken = reading.take(each, clock_us)
            if taken is Taken.STRAY or each.partition in prepared.held:
                await self._log.seek(each.partition, reading.seek_to)
            if taken is Taken.BREAK:
                self._broken.add(each.partition)
            if taken is Taken.ANEW or reading.short_for_us(clock_us) > self._pace.short_us:
                self._doubtful[each.partition] = taken is Taken.ANEW
            await asyncio.sleep(0)  # decoding is one long computation: heartbeats and fetches come in between
        if fetched:
            await self._step("decoded")
        if prepared.away is not None:
            raise prepared.away

    # ------------------------------------------------------------------------------------------------------ commits

    async def _flush_if_due(self) -> None:
        moved = [each for each in self._readings.values() if each.placed and each.moved and not each.leaving]
        if not moved:
            return
        waited_us = self._clock() - min(each.waiting_since_us or 0 for each in moved)
        records = sum(each.pending_records for each in moved)
        letters = sum(each.pending_letter_bytes for each in moved)
        pace = self._pace
        if waited_us < pace.flush_after_us and records < pace.flush_records and letters < pace.flush_letter_bytes:
            return
        if self._commit is not None and records < 2 * pace.flush_records and letters < pace.flush_letter_bytes:
            return  # one in flight; there is room to read on
        await self._settle(wait=True)
        moved = [each for each in moved if each.placed and each.moved and not each.leaving]
        if moved:
            self._commit = self._begin_commit(moved)

    def _begin_commit(self, readings: Sequence[Reading]) -> asyncio.Task[frozenset[Partition]]:
        return asyncio.create_task(self._committed([each.cut() for each in readings], self._revision))

    async def _settle(self, *, wait: bool) -> None:
        """Draw the consequences of the commit in flight, if it is done."""
        commit = self._commit
        if commit is None or not (wait or commit.done()):
            return
        await asyncio.wait((commit,))
        self._commit = None
        try:
            lost = commit.result()
        except IngestError:
            self._forget(self._readings.values())
            raise
        self._forget(self._readings[partition] for partition in lost if partition in self._readings)

    async def _committed(self, cuts: Sequence[Cut], revision: int) -> frozenset[Partition]:
        """Dead letters, then the transaction, then the hint. Gives the partitions whose offset was not ours to move."""
        letters = [letter for cut in cuts for letter in cut.letters]
        if letters:
            await self._dead_letters.send(letters)
            self._log_away.answered()
            await self._step("dead_letters_sent")
        await self._step("committing")
        begun_us = self._clock()
        lost = await self._ledger.commit([cut.entry for cut in cuts], revision)
        self._ledger_away.answered()
        await self._step("committed")
        kept = [cut for cut in cuts if cut.entry.partition not in lost]
        for cut in kept:
            cut.reading.committed = cut.entry.next_offset
        self._reports.committed(kept, self._clock() - begun_us)
        for partition in lost:
            _log.warning(
                "Another worker has moved this partition's offset; its work here is thrown away.",
                action="partition_lost",
                partition=_name(partition),
            )
        if kept:
            await self._log.hint({cut.entry.partition: cut.entry.next_offset for cut in kept})
            await self._step("hinted")
            self._warm()
        return lost

    def _warm(self) -> None:
        if self._warmed is not None:
            warmed, self._warmed = self._warmed, None
            warmed()

    def _forget(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            reading.forget()

    @property
    def _revision(self) -> int:
        assert self._lens is not None, "nothing is read before the definitions are there"
        return self._lens.definitions.revision

    async def _release(self, partitions: Collection[Partition]) -> None:
        """Commit what we have of these partitions within a bound, else throw it away; then they are not ours."""
        leaving = [self._readings[each] for each in partitions if each in self._readings]
        for reading in leaving:
            reading.leaving = True
        try:
            async with asyncio.timeout(self._pace.release_within_us / SECOND_US):
                commit = self._commit
                if commit is not None:
                    await asyncio.wait((commit,))
                    commit.result()  # raises if it failed: what was read since must not be committed without it
                cuts = [each.cut() for each in leaving if each.placed and each.moved]
                if cuts:
                    await self._committed(cuts, self._revision)
        except (TimeoutError, IngestError) as error:
            _log.warning(
                "Work in flight is thrown away; it will be read again.",
                action="release_failed",
                partitions=_names(partitions),
                error=repr(error),
            )
        for reading in leaving:
            if self._readings.get(reading.partition) is reading:
                del self._readings[reading.partition]
                self._reports.released(reading.partition)

    # --------------------------------------------------------------------------------- a log that is not as we left it

    async def _examine(self) -> None:
        """The log does not hold our position, or not the record before it: find out why, and say so loudly."""
        await self._commit_now()
        bounds = await self._log.bounds([each for each in self._doubtful if each in self._readings])
        doubtful, self._doubtful = self._doubtful, {}
        for partition, anew in doubtful.items():
            reading = self._readings.get(partition)
            if reading is None or not reading.placed or partition not in bounds:
                continue
            first, end = bounds[partition]
            if anew or end < reading.position:
                await self._begin_epoch(reading, first, end)
            elif first > reading.position:
                await self._skip_gap(reading, first)
            else:
                reading.trust(first)
                await self._log.seek(partition, reading.seek_to)

    async def _recognise(self) -> None:
        """The logs may be others by now: go on as after an assignment, from the record that was committed last."""
        await self._commit_now()
        self._forget(self._readings[each] for each in self._broken if each in self._readings)
        self._broken.clear()

    async def _commit_now(self) -> None:
        """Before a partition's story takes a turn: what was read of it counts."""
        await self._settle(wait=True)
        moved = [each for each in self._readings.values() if each.placed and each.moved and not each.leaving]
        if moved:
            self._commit = self._begin_commit(moved)
            await self._settle(wait=True)

    async def _begin_epoch(self, reading: Reading, first: int, end: int) -> None:
        _log.error(
            "The log of a partition was made anew: its reading begins again, in a new epoch.",
            action="epoch_begun",
            partition=_name(reading.partition),
            epoch=reading.epoch + 1,
            was_at=reading.position,
            first=first,
            end=end,
        )
        await self._ledger.begin_epoch(reading.partition, reading.epoch + 1, first)
        reading.forget()
        self._reports.epoch_begun(reading.partition)

    async def _skip_gap(self, reading: Reading, first: int) -> None:
        _log.error(
            "The log has let go of records that were not read yet; they are missing for good.",
            action="gap",
            partition=_name(reading.partition),
            read_from=reading.position,
            first=first,
            missing=first - reading.position,
        )
        entry = gap(reading, first, self._clock())
        reading.forget()
        if reading.partition in await self._ledger.commit([entry], self._revision):
            return  # whoever has it now finds the same
        reading.skipped()
        self._reports.gap(reading.partition, first - entry.read_from)

    # ------------------------------------------------------------------------------------------------------- waiting

    async def _wait_for(self, away: Away, error: IngestError) -> None:
        away.failed(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(away.retry_us(self._jitter()) / SECOND_US):
                await self._stopping.wait()

    def _report_if_due(self) -> None:
        now_us = self._clock()
        try:
            if self._reports.free() and now_us - self._reports.last_us >= self._pace.report_every_us:
                self._reports.begin([each for each in self._readings.values() if each.placed], now_us)
        except LedgerUnavailable as error:
            self._ledger_away.failed(error)

    async def _step(self, step: Step) -> None:
        if self._steps is not None:
            await self._steps(step)

    async def _end(self) -> None:
        if self._commit is not None:
            await cut_off(self._commit)
        await self._reports.stop()
        await self._log.stop()
        self._stopped.set()


def _name(partition: Partition) -> str:
    return f"{partition.topic}/{partition.number}"


def _names(partitions: Collection[Partition]) -> list[str]:
    return sorted(_name(each) for each in partitions)
