"""The small HTTP face that every part has for its operators: its own /metrics, /healthz and /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.telemetry import Telemetry

ReadyCheck = Callable[[], Awaitable[str | None]]
"""None when ready, otherwise what is missing, in words."""

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def operations_app(telemetry: Telemetry, checks: Mapping[str, ReadyCheck]) -> Starlette:
    """`/healthz` answers while the event loop turns; `/readyz` asks each check. What the process holds is told here only."""
    process = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=process)
    tasks = Gauge("upheld_tasks", "Tasks of the event loop.", registry=process)

    async def metrics(_request: Request) -> Response:
        tasks.set(len(asyncio.all_tasks()))
        return Response(telemetry.render() + generate_latest(process), media_type=EXPOSITION)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        missing = {name: reason for name, check in checks.items() if (reason := await check())}
        return JSONResponse({"status": "waiting" if missing else "ok", **missing}, status_code=503 if missing else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])
