"""GET /metrics: rendered when the standings have moved, served as bytes otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import StreamingResponse

from service.api.metrics.exposition import CONTENT_TYPE, Chunk, ColumnWriter, gzipped
from service.api.metrics.families import OpenIncidents, agreement_families, families, series_labels
from service.api.session import Deps
from service.storage.database import is_away
from service.storage.standings import Order, Standings, StandingsStore

router = APIRouter(tags=["operations"])

DATABASE_AWAY: Final = "the database is away"
_OPEN = text(
    "SELECT series_id, severity, count(*) AS open FROM incidents WHERE state = 'open' GROUP BY series_id, severity"
)


@dataclass(slots=True)
class _Writers:
    """What stays between ticks as long as the rows are the same."""

    order: Order
    series: ColumnWriter
    agreements: ColumnWriter | None = None
    names: list[str] = field(default_factory=list[str])


class ComplianceMetrics:
    """The gauges of all objectives, rendered once for each version of the standings."""

    def __init__(self, engine: AsyncEngine, store: StandingsStore, windows: Sequence[str]) -> None:
        self._engine = engine
        self._store = store
        self._windows = tuple(windows)
        self._rendering = asyncio.Lock()
        self._shown: tuple[object, OpenIncidents] | None = None
        self._chunks: list[Chunk] = []
        self._writers: _Writers | None = None
        self._incidents: OpenIncidents = {}

    async def chunks(self) -> list[Chunk]:
        """As of now. While the database is away: what was read last, and all of it blind."""
        standings, incidents = await self._read()
        async with self._rendering:
            if self._shown != (standings.version, incidents):
                # On a thread: the other requests must not wait for it.
                self._chunks = await asyncio.to_thread(self.render, standings, incidents)
                self._shown = (standings.version, incidents)
            return self._chunks

    def render(self, standings: Standings, incidents: OpenIncidents) -> list[Chunk]:
        """All chunks; never called twice at a time."""
        if self._writers is None or self._writers.order is not standings.order:
            labels = [series_labels(identity) for identity in standings.order.identities]
            self._writers = _Writers(standings.order, ColumnWriter(labels))
        return list(self._render(self._writers, standings, incidents))

    def _render(self, writers: _Writers, standings: Standings, incidents: OpenIncidents) -> Iterator[Chunk]:
        for family in families(standings, self._windows, incidents):
            yield from writers.series.chunks(family)
        names, gauges = agreement_families(standings)
        if writers.agreements is None or writers.names != names:
            writers.agreements, writers.names = ColumnWriter(names), names
        for family in gauges:
            yield from writers.agreements.chunks(family)

    async def _read(self) -> tuple[Standings, OpenIncidents]:
        try:
            async with self._engine.begin() as connection:
                standings = await self._store.current(connection)
                rows = (await connection.execute(_OPEN)).all()
        except Exception as error:
            if not is_away(error):
                raise
            return self._store.last.turned_blind(DATABASE_AWAY), self._incidents
        self._incidents = {(row.series_id, row.severity): row.open for row in rows}
        return standings, self._incidents


@router.get("/metrics", summary="Prometheus metrics", response_class=Response, include_in_schema=True)
async def metrics(request: Request, deps: Deps) -> Response:
    """Compliance of every objective, then the metrics of this process."""
    compliance: ComplianceMetrics = request.app.state.metrics
    chunks = [*await compliance.chunks(), Chunk.of(deps.telemetry.render())]
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        pieces = list(gzipped(chunks))
        headers["Content-Encoding"] = "gzip"
    else:
        pieces = [chunk.text for chunk in chunks]
    headers["Content-Length"] = str(sum(map(len, pieces)))
    return StreamingResponse(_sent(pieces), headers=headers, media_type=CONTENT_TYPE)


async def _sent(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
