"""The application: routes, guards and the live stream, from what the wiring hands over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware

from service.api import openapi, probes, problems, reference
from service.api.access import Access, ReadGuard
from service.api.agreements.routes import router as agreements
from service.api.compliance.routes import router as compliance
from service.api.events.routes import router as events
from service.api.incidents.routes import router as incidents
from service.api.metrics.routes import ComplianceMetrics
from service.api.metrics.routes import router as metrics
from service.api.objectives.history import router as history
from service.api.objectives.routes import router as objectives
from service.api.ports import ApiDependencies
from service.api.restatements.routes import router as restatements
from service.api.stream.broadcast import Broadcast
from service.api.stream.feed import Feed
from service.api.stream.routes import router as stream
from service.storage.history import HistoryStore
from service.storage.standings import StandingsStore
from service.web.errors import error_page, wants_page
from service.web.ports import Pages
from service.web.routes import mount, renderer_of
from service.web.routes import router as web

PREFIX: Final = "/api/v1"
STOP_WITHIN_S: Final = 2.0
LARGEST_BODY: Final = 64 * 1024
LARGER_BODIES: Final = {f"{PREFIX}/events": 4 * 1024 * 1024, f"{PREFIX}/agreements/": 256 * 1024}
_RESOURCES: Final = (compliance, objectives, history, agreements, incidents, restatements, events, stream)


def create_app(dependencies: ApiDependencies, pages: Pages | None = None) -> FastAPI:
    """One application; everything it keeps between requests can be read anew from the database.

    With `pages` it has the web pages too, and answers browsers with a page where something is wrong.
    """
    store = StandingsStore()
    broadcast = Broadcast(dependencies.clock)
    feed = Feed(dependencies, store, broadcast)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        feeding = asyncio.create_task(feed.run(), name="stream feed")
        try:
            yield
        finally:
            broadcast.close()
            feed.stop()
            await asyncio.wait({feeding}, timeout=STOP_WITHIN_S)
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    app = FastAPI(
        title="Upheld",
        version=openapi.version(),
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    access = Access(
        dependencies.tokens, loopback=dependencies.loopback, reads_need_token=dependencies.require_token_for_reads
    )
    app.state.dependencies = dependencies
    app.state.access = access
    app.state.standings = store
    app.state.broadcast = broadcast
    app.state.feed = feed
    app.state.history = HistoryStore(dependencies.engine)
    app.state.metrics = ComplianceMetrics(dependencies.engine, store, dependencies.metrics_windows)
    problems.install(app)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)
    app.add_middleware(problems.BodyBound, most=LARGEST_BODY, larger=LARGER_BODIES)
    app.add_middleware(ReadGuard, access=access)
    app.add_middleware(problems.ProblemBoundary)  # added last: outermost
    for resource in _RESOURCES:
        app.include_router(resource, prefix=PREFIX)
    app.include_router(metrics)
    app.include_router(probes.router)
    app.include_router(reference.router)
    openapi.install(app)
    if pages is not None:
        _include_pages(app, pages)
    return app


def _include_pages(app: FastAPI, pages: Pages) -> None:
    """The web pages stand on the same origin, so that they may listen to the stream and their forms may write."""
    app.include_router(web, include_in_schema=False)
    mount(app, pages)

    def page_for(request: Request, status: int, detail: str) -> Response | None:
        return error_page(renderer_of(request), request, status, detail) if wants_page(request) else None

    problems.install(app, page_for)
