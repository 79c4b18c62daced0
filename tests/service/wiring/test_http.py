"""Servers on real sockets."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from service.errors import DependencyAway
from service.telemetry import Telemetry
from service.wiring.http import HttpServer
from service.wiring.operations import operations_app


async def test_a_part_shows_its_metrics_and_says_what_it_waits_for() -> None:
    """/healthz is about the process, /readyz about what it needs, /metrics about what it did."""
    away: list[str] = ["the database does not answer"]

    async def database() -> str | None:
        return away[0] if away else None

    telemetry = Telemetry()
    telemetry.dead_letters.labels("not_json").inc()
    server = HttpServer("operations", operations_app(telemetry, {"database": database}), "127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["database"]) == (503, "the database does not answer")
        away.clear()
        assert (await client.get("/readyz")).status_code == 200
        told = (await client.get("/metrics")).text
        assert 'upheld_dead_letters_total{reason="not_json"} 1.0' in told
        assert all(
            f"\n{name} " in told for name in ("upheld_tasks", "process_open_fds", "process_resident_memory_bytes")
        )
    server.stop()
    await running


async def test_a_port_in_use_is_said_plainly() -> None:
    """With the address and the mend."""
    first = HttpServer("first", Starlette(), "127.0.0.1", 0)
    running = asyncio.create_task(first.run())
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{first.port}/")
    with pytest.raises(DependencyAway, match=f"cannot listen on 127.0.0.1:{first.port}.*choose another port"):
        HttpServer("second", Starlette(), "127.0.0.1", first.port)
    first.stop()
    await running
