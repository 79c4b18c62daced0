"""Steps of a worker, seen from outside: one of them may be held, and one may kill."""

from __future__ import annotations

import asyncio

from consumers.worker import Step, Worker


class Killed(BaseException):
    """The process is gone."""


class Gate:
    """Steps as they come. `opened` lets go of the held one."""

    def __init__(self, *, held: Step | None = None, deadly: Step | None = None) -> None:
        self.seen: list[Step] = []
        self.held = held
        self.deadly = deadly
        self.opened = asyncio.Event()

    async def __call__(self, step: Step) -> None:
        self.seen.append(step)
        if step == self.deadly:
            raise Killed
        if step == self.held:
            await self.opened.wait()


async def turns(worker: Worker, count: int) -> None:
    for _ in range(count):
        await worker.turn()
        await asyncio.sleep(0)
