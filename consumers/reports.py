"""What one worker tells of its work: how far it is, to the ledger; what it did, to an observer where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from consumers.ports import Ledger, Observer, Partition
from consumers.reading import Cut, Reading


class Reports:
    """One report to the ledger at a time, beside the work; the observer is told at once."""

    def __init__(self, ledger: Ledger, observer: Observer | None, name: str) -> None:
        self._ledger = ledger
        self._observer = observer
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.last_us = 0

    def free(self) -> bool:
        """No report is under way. Raises what the last one ended with, once: LedgerUnavailable."""
        if self._task is None:
            return True
        if not self._task.done():
            return False
        task, self._task = self._task, None
        task.result()
        return True

    def begin(self, readings: Sequence[Reading], now_us: int) -> None:
        """Tell how far these are. Only where it is `free`."""
        self.last_us = now_us
        if self._observer is not None:
            for each in readings:
                self._observer.partition(each.partition, each.lag, each.watermark_us)
        if readings:
            self._task = asyncio.create_task(
                self._ledger.report([each.status(now_us, self._name) for each in readings])
            )

    def committed(self, cuts: Sequence[Cut], duration_us: int) -> None:
        """These have been written to the ledger, by one transaction."""
        if self._observer is None:
            return
        self._observer.committed(duration_us, len(cuts))
        for cut in cuts:
            topic, tally = cut.entry.partition.topic, cut.tally
            dead = len(tally.letters)
            others = {
                "unmatched": tally.unmatched,
                "skipped": tally.skipped,
                "duplicate": tally.repeated,
                "dead": dead,
            }
            results = {"counted": tally.records - sum(others.values()), **others}
            for result, count in results.items():
                if count:
                    self._observer.records(topic, result, count)
            for letter in tally.letters:
                self._observer.dead_letters(letter.code, 1)

    def gap(self, partition: Partition, missing: int) -> None:
        """So many records were gone before they were read."""
        if self._observer is not None:
            self._observer.gap(partition, missing)

    def epoch_begun(self, partition: Partition) -> None:
        """The log of the partition was made anew."""
        if self._observer is not None:
            self._observer.epoch_begun(partition)

    def released(self, partition: Partition) -> None:
        """Somebody else tells of it from now on."""
        if self._observer is not None:
            self._observer.released(partition)

    async def stop(self) -> None:
        """A report under way is cut off: the next owner makes its own."""
        if self._task is not None:
            await cut_off(self._task)


async def cut_off(task: asyncio.Task[Any]) -> None:
    """Cancel and wait for the end, whatever it is."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # seen: what ended the loop is raised already
