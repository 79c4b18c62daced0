"""The serving part with its adapters: API, pages and /metrics on one address."""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack
from importlib.metadata import version

from fastapi import FastAPI

from consumers.kafka import KafkaEventSink
from service.alerting.inbox import Inbox
from service.api.access import Access
from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.api.tokens import TokenFile
from service.storage.database import listen
from service.web.adapter import StoredAcknowledger, StoredPageData
from service.web.ports import Pages
from service.wiring.clock import now_us
from service.wiring.http import HttpServer
from service.wiring.process import Process
from service.wiring.receiving import receiver

INBOX_PATH = "/inbox/hook"


class ServePart:
    """Serves until stopped. The address is bound when it is made, so that a port in use is said at once."""

    name = "serve"

    def __init__(self, process: Process, inbox: Inbox | None = None) -> None:
        settings = process.settings
        self._process = process
        self._inbox = inbox
        self._stopping = asyncio.Event()
        self._app: FastAPI | None = None
        self._server = HttpServer(self.name, self._dispatch, settings.host, settings.port)

    @property
    def port(self) -> int:
        """The one that was taken where the settings say 0."""
        return self._server.port

    def stop(self) -> None:
        """Finish requests under way, cut open streams after a moment."""
        self._stopping.set()
        self._server.stop()

    async def run(self) -> None:
        """Until stopped."""
        settings = self._process.settings
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(self._process.database(self.name))
            events = None
            if settings.written_topic is not None:
                events = KafkaEventSink(self._process.kafka(), settings.written_topic)
                stack.push_async_callback(events.stop)
            tokens = TokenFile(settings.tokens_file) if settings.tokens_file else None
            dependencies = ApiDependencies(
                engine=engine,
                clock=now_us,
                telemetry=self._process.telemetry,
                events=events,
                tokens=tokens,
                loopback=settings.loopback,
                require_token_for_reads=settings.require_token_for_reads,
                public_url=settings.base_url,
                metrics_windows=settings.metrics_windows,
                listen=functools.partial(listen, self._process.database_url),
                future_bound_us=settings.future_bound,
            )
            access = Access(tokens, loopback=settings.loopback, reads_need_token=dependencies.require_token_for_reads)
            pages = Pages(
                data=StoredPageData(engine),
                acknowledger=StoredAcknowledger(dependencies, access),
                clock=now_us,
                inbox=self._inbox,
                version=version("upheld"),
            )
            self._app = create_app(dependencies, pages)
            if self._inbox:
                self._app.add_api_route(INBOX_PATH, receiver(self._inbox), methods=["POST"], include_in_schema=False)
            if not self._stopping.is_set():
                await self._server.run()

    async def _dispatch(self, scope: object, receive: object, send: object) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)  # type: ignore[arg-type]
