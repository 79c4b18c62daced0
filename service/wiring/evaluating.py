"""The evaluate part with its adapters."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from service.evaluation.runner import Evaluation, EvaluationSettings
from service.wiring.clock import now_us
from service.wiring.process import Process


class EvaluatePart:
    """Evaluates the shards that this process holds."""

    name = "evaluate"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopping = asyncio.Event()
        self._evaluation: Evaluation | None = None

    def stop(self) -> None:
        """Finish the tick under way, give the shards up."""
        self._stopping.set()
        if self._evaluation:
            self._evaluation.stop()

    async def run(self) -> None:
        """Until stopped."""
        settings = self._process.settings
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            self._evaluation = Evaluation(
                database=engine,
                settings=EvaluationSettings(
                    topics=settings.topic_choice,
                    lateness_us=settings.lateness,
                    page_max_lag_us=settings.page_max_lag,
                    public_url=settings.base_url,
                    keep_entries_us=settings.keep_ledger,
                ),
                owner=self._process.name,
                clock=now_us,
                telemetry=self._process.telemetry,
            )
            wake = self._evaluation.wake
            await stack.enter_async_context(self._process.hearing({"upheld_ledger": wake, "upheld_definitions": wake}))
            if not self._stopping.is_set():
                await self._evaluation.run()
