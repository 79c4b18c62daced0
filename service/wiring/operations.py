"""The small HTTP face that every part has for its operators: its own /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.telemetry import Telemetry

ReadyCheck = Callable[[], Awaitable[str | None]]
"""None when ready, otherwise what is missing, in words."""

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def operations_app(telemetry: Telemetry, checks: Mapping[str, ReadyCheck]) -> Starlette:
    """`/healthz` answers while the event loop turns; `/readyz` asks each check."""

    async def metrics(_request: Request) -> Response:
        return Response(telemetry.render(), media_type=EXPOSITION)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        missing = {name: reason for name, check in checks.items() if (reason := await check())}
        return JSONResponse({"status": "waiting" if missing else "ok", **missing}, status_code=503 if missing else 200)

    return Starlette(routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)])
