"""The deliver part with its adapters."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import httpx

from service.alerting.channels.alertmanager import AlertmanagerChannel
from service.alerting.channels.webhook import WebhookChannel
from service.alerting.delivery import Delivery
from service.storage.definitions import DefinitionsStore
from service.storage.outbox import PostgresOutbox
from service.wiring.clock import now_us
from service.wiring.process import Process


class DeliverPart:
    """Sends what the outbox holds."""

    name = "deliver"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopping = asyncio.Event()
        self._delivery: Delivery | None = None

    def stop(self) -> None:
        """Finish the sends under way."""
        self._stopping.set()
        if self._delivery:
            self._delivery.stop()

    async def run(self) -> None:
        """Until stopped."""
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            client = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False))
            self._delivery = Delivery(
                outbox=PostgresOutbox(engine),
                targets=DefinitionsStore(engine),
                channels={
                    "webhook": WebhookChannel(client, self._process.environment, now_us),
                    "alertmanager": AlertmanagerChannel(client, now_us),
                },
                worker=self._process.name,
                chance=random.random,
                results=self._process.telemetry.notifications,
            )
            await stack.enter_async_context(self._process.hearing({"upheld_outbox": self._delivery.wake}))
            if not self._stopping.is_set():
                await self._delivery.run()
